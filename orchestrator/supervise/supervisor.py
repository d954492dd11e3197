"""The supervisor: one thread, one loop, all members of one system from the first fork to the last reaped child.

It runs the initial steps one after another, then starts every component whose dependencies allow it, and ends in one
of three ways: a signal or a request, the end of a component that the system cannot do without, or the end of all. The
stop goes against the order of dependencies, what does not depend at the same time.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from orchestrator.model.errors import NOT_READY_STATUS
from orchestrator.model.lifecycle import Event, State
from orchestrator.model.messages import Answer, Down, Launch, Stuck, Up
from orchestrator.model.restart import Wish
from orchestrator.model.spec import Dependency, OnExit, RestartPolicy, System
from orchestrator.output.console import Kind
from orchestrator.process import tree
from orchestrator.process.fork import Forked, guardian_of
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervise import news
from orchestrator.supervise.bereaved import Bereaved
from orchestrator.supervise.component import Member
from orchestrator.supervise.errands import Errands
from orchestrator.supervise.multiplexer import Multiplexer
from orchestrator.supervise.nursery import Nursery
from orchestrator.supervise.outcome import Outcome, of_lost_sink
from orchestrator.supervise.plan import Plan
from orchestrator.supervise.probes import Probers
from orchestrator.supervise.progress import Progress, in_words
from orchestrator.supervise.roster import Roster
from orchestrator.supervise.scaling import More, Scaling
from orchestrator.supervise.signalman import Signalman
from orchestrator.supervise.stage import Stage
from orchestrator.supervise.streams import Streams
from orchestrator.supervise.turns import Turns


class Supervisor:
    """Runs one system. `plan` is called when the initial steps have succeeded; `descriptors` is the soft
    RLIMIT_NOFILE that components get. It `stays` where it is to outlive the terminal, or whoever reads its output."""

    def __init__(
        self,
        system: System,
        home: Home,
        loop: Loop,
        stage: Stage,
        descriptors: int,
        hang_up_stops: bool = True,
        stays: bool = False,
        plan: Callable[[], Plan] | None = None,
        exit_code_from: str = "",
        more: More | None = None,
    ) -> None:
        self.loop = loop
        self._system = system
        self._home = home
        self._stage = stage
        self._descriptors = descriptors
        self._plan = plan or (lambda: Plan(system.components))
        self._banner: tuple[str, ...] = ()
        self._secret = ""
        self._hang_up_stops = hang_up_stops
        self._stays = stays
        self._exit_code_from = exit_code_from
        self._streams = Streams(loop, Multiplexer(loop, stage.screen), stage)
        self._roster = Roster(system.init, self)
        self.errands = Errands(self._roster, self._start_possible)
        self._scaling = Scaling(self._roster, more)
        self.herald: Callable[[str], None] | None = None
        self._listeners: list[Callable[[Member, State], None]] = []
        self._bereaved = Bereaved(loop, self._own_pids, self._say_stuck)
        self._nursery = Nursery(loop)
        self._probers = Probers(loop, self._probed, self._start_possible)
        self._turns = Turns(loop, self._roster, self._probers, self._start_possible)
        self._outcome: Outcome | None = None
        self._culprit: Member | None = None
        self.is_stopping = False
        self._finished = False
        self._was_ready = False
        self._deadline: Timer | None = None
        self._progress = Progress(loop, self.waiting, self.tell)
        self._signalman = Signalman(loop, self, hang_up_stops)
        self.listen(lambda member, _: self._streams.terminals.changed(member))

    def run(self, begun: Callable[[], None] = lambda: None) -> Outcome:
        """Run the system to its end and return how it ended. `begun` is called once, when the first guardians have
        been forked, before anything is heard of them."""
        tree.become_subreaper()
        self._start_next()
        self.loop.call_in(0.0, begun)
        while not self._finished:
            self.loop.turn()
        self._probers.close()
        if self._outcome is not None and not self._roster.anyone_stuck:
            return self._outcome
        return self._roster.judge(self._culprit, self._exit_code_from)

    @property
    def is_ready(self) -> bool:
        """Whether all has been ready at once since the start."""
        return self._was_ready

    def be_ready_within(self, seconds: float) -> None:
        """Stop the system where it is not ready by then."""
        self._deadline = self.loop.call_in(seconds, lambda: self._too_late(seconds))

    def _too_late(self, seconds: float) -> None:
        if waiting := self.waiting():
            self.tell(in_words(waiting))
        self.tell(f"not ready within {seconds:g} s")
        self.stop(Outcome(NOT_READY_STATUS))

    # Start

    def _start_next(self) -> None:
        """Start the next initial step, or, after the last, the components."""
        if step := self._roster.next_step():
            step.handle(Event.START)
            if limit := step.spec.timeout:
                self.loop.call_in(limit, lambda: self._step_timed_out(step, limit))
            return
        plan = self._plan()
        self._banner, self._secret = plan.banner, plan.secret
        self._roster.fill(plan.components)
        self._stage.make_room(m.name for m in self._roster.members)
        for line in plan.notes:
            self.tell(line)
        self._probers.fork_if_needed(plan.components)
        self._start_possible()
        if not self._roster.members:
            self.stop(None)

    def _step_timed_out(self, step: Member, limit: float) -> None:
        if step.runs and step.status is None and not self.is_stopping:
            step.reason = f"took longer than {limit:g} s"
            self.tell(f"{step.name} {step.reason}")
            step.handle(Event.STOP)

    def _start_possible(self) -> None:
        if self.is_stopping:  # what becomes ready during the stop lets nobody start any more
            return
        for member in self._roster.startable():
            if not self._turns.gives_way(member):
                member.handle(Event.START)

    # What somebody may ask of one member, and hear of all

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in the order of their definition; before them the initial steps."""
        return self._roster.everyone

    def listen(self, listener: Callable[[Member, State], None]) -> None:
        """Tell `listener` each member's changes of state, with the state before; before anything follows from it."""
        self._listeners.append(listener)

    def scale(self, name: str, count: int) -> tuple[list[Member], list[Member]]:
        """Make `count` instances of a component; returns those that are to be started, and to be stopped. Raises
        OrchestrateError."""
        wanted, surplus = self._scaling.scale(name, count)
        self._stage.make_room(member.name for member in wanted)
        return wanted, surplus

    @property
    def roster(self) -> Roster:
        """Initial steps and members."""
        return self._roster

    @property
    def streams(self) -> Streams:
        """What members print."""
        return self._streams

    @property
    def title(self) -> str:
        """What the system is called."""
        return self._system.title

    def waiting(self) -> dict[str, str]:
        """For each member whose probes are asked, or whose turn to start will come, in words what it waits for."""
        asked = {name: str(standing) for name, standing in self._probers.waiting().items()}
        return asked | {member.name: "its turn" for member in self._roster.startable()}

    def last_answer(self, member: Member) -> str:
        """What a probe of it was last answered in this incarnation; `owner unknown` where nobody tells whose it was."""
        return self._probers.last_answer(member.name)

    def waits_for(self, member: Member) -> tuple[Dependency, ...]:
        """What a member that has not started needs, and what has not been reached yet."""
        return self._roster.waits_for(member)

    # What members ask for (component.Host)

    def fork(self, member: Member) -> Forked[Down, Up]:
        """Have a guardian forked for a new incarnation."""
        rows, columns = self._stage.pty_size
        spec = member.spec
        guardian = guardian_of(
            Launch(
                instance=member.name,
                argv=spec.argv,
                cwd=spec.cwd,
                environment=spec.environment,
                stop=spec.stop,
                lock_path=str(self._home.instance_lock(member.name)),
                rows=rows,
                columns=columns,
                descriptors=self._descriptors,
                tty=spec.tty,
            ),
            lambda: self._stage.drain_log(member.name),
        )
        self._nursery.add(member, guardian)
        return guardian

    def attach(self, member: Member, master_fd: int) -> None:
        """Read the terminal of a new incarnation."""
        self._streams.open(member, master_fd)

    def attach_errors(self, member: Member, error_fd: int) -> None:
        """Read its standard error too; log probes look at both."""
        self._streams.open_errors(member, error_fd)

    def detach(self, member: Member) -> None:
        """Read its last words."""
        self._streams.close(member)

    def watch(self, member: Member) -> None:
        """Begin to probe."""
        self._probers.watch(member, self._streams.of(member))
        self._turns.begun(member)
        if member.spec.ready and not self._was_ready:
            self._progress.begin()

    def unwatch(self, member: Member) -> None:
        """End probing."""
        self._probers.unwatch(member)

    def guard(self, member: Member) -> None:
        """Begin to ask whether it lives."""
        self._probers.guard(member)

    def unguard(self, member: Member) -> None:
        """End asking."""
        self._probers.unguard(member)

    def answered(self, member: Member, answer: Answer) -> None:
        """Its guardian has run what it was asked to."""
        self._probers.hear(answer)

    def remarked(self, member: Member, text: str) -> None:
        """Its guardian has something to say."""
        self.tell(text)

    def adopt(self, member: Member) -> None:
        """Empty what a dead guardian left."""
        self._bereaved.add(member)

    def stuck(self, member: Member, message: Stuck) -> None:
        """Say what cannot be killed, and do not wait for it."""
        self._say_stuck(member.name, message.why)

    def changed(self, member: Member, before: State) -> None:
        """Follow a member's change of state with what it means for the others."""
        for listener in self._listeners:
            listener(member, before)
        self.errands.go_on()
        self._follow(member, before)

    def _follow(self, member: Member, before: State) -> None:
        if member.state is State.READY and not self._roster.is_step(member):
            if self._was_ready:
                self.tell(f"{member.name} is ready again")
            self._start_possible()
            self._check_ready()
        elif member.state is State.UP:
            self._start_possible()
        elif member.state is State.STOPPING and member.own_end and not self._ends_well(member):
            self._streams.catch_up(member)
            self.tell(news.death(member))
        elif member.state is State.BACKOFF and self.is_stopping:
            self._stop_possible()
        elif member.state is State.BACKOFF:
            self._tell_last_lines(member)
            self.tell(news.comeback(member))
            if followers := self.errands.follow(member):
                self.tell(f"restarting with it: {', '.join(m.name for m in followers)}")
            self._start_possible()
        elif member.state in (State.DOWN, State.FAILED) and before is not State.BACKOFF:
            self._ended(member)
        elif member.state in (State.DOWN, State.FAILED):
            self._start_possible()
            self._stop_possible()

    # The end

    def _ended(self, member: Member) -> None:
        if self.is_stopping:
            self.tell(f"{member.name} stopped ({member.end_in_words})")
            self._stop_possible()
        elif not self._roster.is_step(member) and (member.asked or member.due):
            self.tell(f"{member.name} stopped ({member.end_in_words})")
            self._start_possible()
            self._check_ready()
        elif self._roster.is_step(member) and self._roster.goes_on_after(member):
            if self._roster.is_skipped(member):
                self.tell(f"{member.name} is skipped: what it says `unless` of is so")
            self._start_next()
        elif member.status is not None and self._ends_all(member):
            self._culprit = member
            self._tell_surrender(member)
            others = [] if self._roster.is_step(member) else self._roster.others_there(member)
            self.tell(news.obituary(member, self._streams.last_words(member), [other.name for other in others]))
            self.stop(None)
        else:
            self._tell_last_lines(member)
            self._tell_surrender(member)
            self._start_possible()
            for name, reason in self._roster.hopeless().items():
                self.tell(f"{name} is not started: {reason}")
            self._check_ready()
            if not self._roster.anyone_active and not self._roster.anyone_put_away:
                self.stop(None)

    def _ends_all(self, member: Member) -> bool:
        if self._roster.is_step(member):
            return True
        if member.name == self._exit_code_from:
            return True
        return member.spec.on_exit is OnExit.STOP and not self._roster.is_awaited(member)

    def _ends_well(self, member: Member) -> bool:
        fine = self._roster.is_step(member) and (member.succeeded or self._roster.is_check(member))
        return self.is_stopping or fine

    def _tell_last_lines(self, member: Member) -> None:
        recent = self._streams.last_words(member)
        if not member.succeeded and (lines := news.last_lines(member.name, recent)):
            self.tell(lines)

    def _tell_surrender(self, member: Member) -> None:
        limited = member.wish is Wish.REPLACE or member.spec.restart.policy is not RestartPolicy.NEVER
        if member.state is State.FAILED and limited:
            self.tell(news.surrender(member))

    def stop(self, outcome: Outcome | None) -> None:
        """End the system; without an outcome, with that of its members."""
        if self.is_stopping:
            return
        self.is_stopping = True
        self.errands.drop()
        self._outcome = outcome
        self._signalman.stop_began()
        self._progress.end()
        if self._deadline is not None:
            self._deadline.cancel()
        self._probers.rest()
        self._streams.hurry()
        if self._roster.anyone_runs:
            self.tell("Shutting down components")
        self._stop_possible()

    def _stop_possible(self) -> None:
        if not self.is_stopping:
            return
        for member in self._roster.stoppable():
            member.handle(Event.STOP)
        if not self._finished and not self._roster.anyone_runs and not self._bereaved:
            self._finished = True
            if self._was_ready or self._outcome is not None:
                self.tell("Complete")

    def kill(self) -> None:
        """Skip the grace of whatever is still there."""
        for member in self._roster.everyone:
            member.handle(Event.KILL)
        self._bereaved.kill()

    # Events

    def reap(self) -> None:
        """Some child has ended: a guardian, the prober, or an orphan that we adopted."""
        while pid := tree.peek_ended(self._own_pids()):
            if member := self._roster.guarded_by(pid):
                member.on_guardian_ended()
            elif not self._probers.reap(pid):
                tree.reap(pid)
        for member in list(self._roster.everyone):
            member.see_guardian()
        self._probers.see()
        self._bereaved.check()

    def resize(self) -> None:
        """Our terminal has another size, and so has each component's."""
        self._streams.resize()

    def _own_pids(self) -> set[int]:
        return {m.guardian_pid for m in self._roster.everyone} | self._probers.pids

    def _say_stuck(self, name: str, why: str) -> None:
        self.tell(f"unable to kill what is left of {name}: {why}")
        self._stop_possible()  # nobody waits for it any more

    def _probed(self, member: Member) -> None:
        member.handle(Event.PROBED)

    def _check_ready(self) -> None:
        if not self._was_ready and not self.is_stopping and self._roster.all_ready:
            self._was_ready = True
            self._progress.end()
            if self._deadline is not None:
                self._deadline.cancel()
            for line in self._banner:
                self._stage.tell(line, secret=self._secret)

    def tell(self, text: str, *, over_echo: bool = False) -> None:
        """Show a line of our own, over what the terminal itself has echoed (`^C`) where that is asked for."""
        if over_echo:
            self._stage.screen.begin_row()
        self._stage.tell(text)
        if self.herald is not None:
            self.herald(text)

    def lost_sink(self, error: OSError) -> None:
        """Nobody reads our output any more: end, as a program does that writes into a closed pipe."""
        terminal = self._stage.screen.console.kind is Kind.TERMINAL
        outcome = of_lost_sink(error.errno or 0, terminal, self._hang_up_stops)
        if self._stays or outcome is None:
            return
        if not outcome.signal:
            with contextlib.suppress(OSError):  # standard error may be the same full file
                why = f"unable to write to standard output: {error.strerror}; stopping"
                print(f"orchestrate: {why}", file=sys.stderr, flush=True)
        self.stop(outcome)
