"""The supervisor: one thread, one loop, all members of one system from the first fork to the last reaped child.

It runs the initial steps one after another, then starts every component whose dependencies allow it, and ends in one
of three ways: a signal or a request, the end of a component that the system cannot do without, or the end of all. The
stop goes against the order of dependencies, what does not depend at the same time.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from orchestrator.model.errors import NOT_READY_STATUS
from orchestrator.model.lifecycle import Event, State, Wish
from orchestrator.model.outcome import Outcome, Terms, of_lost_sink
from orchestrator.model.spec import OnExit, Plan, RestartPolicy, System
from orchestrator.output.console import Kind
from orchestrator.output.presenter import Stage, Tone
from orchestrator.process import tree
from orchestrator.runtime import signals
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor import announcements
from orchestrator.supervisor.banner import Banner
from orchestrator.supervisor.change_requests import Errands
from orchestrator.supervisor.instance import Member
from orchestrator.supervisor.launcher import Household
from orchestrator.supervisor.observer import Witness
from orchestrator.supervisor.registry import Roster
from orchestrator.supervisor.scaling import Scaling, Supply
from orchestrator.supervisor.signal_handler import Signalman
from orchestrator.supervisor.startup_progress import Arrival, Progress
from orchestrator.supervisor.stop_progress import StopProgress, in_words
from orchestrator.supervisor.terminals import Streams

if TYPE_CHECKING:
    from orchestrator.supervisor.keyboard import Keyboard


class Supervisor:
    """Runs one system: decides what the household then does. `plan` is called when the initial steps have succeeded;
    `descriptors` is the soft RLIMIT_NOFILE that components get."""

    def __init__(
        self,
        system: System,
        home: Home,
        loop: Loop,
        stage: Stage,
        descriptors: int,
        terms: Terms,
        plan: Callable[[], Plan] | None = None,
        supply: Supply | None = None,
    ) -> None:
        self.loop = loop
        self.title = system.title
        self._stage = stage
        self._terms = terms
        self._make_plan = plan or (lambda: Plan(system.components))
        self._plan = Plan(())
        self._banner: Banner | None = None
        self._household = Household(system, home, loop, stage, descriptors, self)
        self.roster: Roster = self._household.roster
        self.streams: Streams = self._household.streams
        self.errands = Errands(self.roster, self.start_possible)
        self.errands.decided = lambda verb, members, leaders: self.witness.decided(verb, members, leaders)
        self.witness = Witness()
        self._household.probers.flipped = lambda *report: self.witness.probed(*report)
        self.scaling = Scaling(self.roster, supply, self.streams.rename)
        self.herald: Callable[[str], None] | None = None
        self._listeners: list[Callable[[Member, State], None]] = []
        self._outcome: Outcome | None = None
        self.is_stopping = False
        self._finished = False
        self._exits_told: dict[str, int] = {}  # which incarnation's, by key
        self._progress = Progress(loop, self.waiting, self.tell, lambda text: self.tell(text, tone=Tone.FAILURE))
        self._arrival = Arrival(loop.now, self.tell)
        self._stop_progress = StopProgress(loop, lambda: self.roster.stopping, self._report_stop)
        self.stop_reported: Callable[[list[Member]], None] = lambda members: None
        self._signalman = Signalman(loop, self, terms.hang_up_stops, lambda received: self.witness.signaled(received))
        self._keyboard: Keyboard | None = None
        self.listen(lambda member, _: self.streams.terminals.changed(member))

    def run(self, begun: Callable[[], None] = lambda: None) -> Outcome:
        """Run the system to its end and return how it ended. `begun` is called once, when the first guardians have
        been forked, before anything is heard of them."""
        tree.become_subreaper()
        self._start_next()
        self.loop.call_in(0.0, begun)
        while not self._finished:
            self.loop.turn()
        self._household.probers.close()
        if self._outcome is not None and not self.roster.anyone_stuck:
            return self._outcome
        return self.roster.judge(self._terms.exit_code_from)

    @property
    def is_ready(self) -> bool:
        """Whether all has been ready at once since the start."""
        return self._progress.arrived

    def be_ready_within(self, seconds: float) -> None:
        """Stop the system where it is not ready by then."""
        self._progress.limit(
            seconds, lambda: self.stop(Outcome(NOT_READY_STATUS), f"it was not ready within {seconds:g} s")
        )

    # The terminal's keys

    def read_keys(self, fd: int) -> None:
        """Read the keys of the terminal `fd` until `give_terminal_back`. If it cannot be read without waiting, it stays
        as it is."""
        from orchestrator.supervisor.keyboard import Keyboard, StreamKeys

        keys = StreamKeys(self.loop.now, self._stage.blank, self.tell, self._typed_to)
        try:
            self._keyboard = Keyboard(self.loop, fd, keys.press)
        except OSError:
            return
        self._household.rescue = self._keyboard.rescue
        self._signalman.take_job_control()

    def give_terminal_back(self) -> None:
        """Read no more keys."""
        if self._keyboard is not None:
            self._keyboard.close()
            self._keyboard = None

    def suspend(self) -> None:
        """Give the terminal back and stop, as Ctrl-Z does."""
        if self._keyboard is not None:
            self._keyboard.suspend()
        signals.stop_by(signal.SIGTSTP)
        self.resume()

    def resume(self) -> None:
        """Take the terminal again, if we are in front, and draw its last row again."""
        if self._keyboard is not None:
            self._keyboard.resume()
            self._stage.screen.begin_row()

    def _typed_to(self) -> str:
        """Return the component that somebody would type to: the one that waits for input, or else the first."""
        names = [member.name for member in self.roster.members if member.runs and member.spec.tty]
        waiting = [name for name in names if self.streams.terminals.waiting(name)]
        return (*waiting, *names, "")[0]

    # Start

    def _start_next(self) -> None:
        """Start the next initial step, or, after the last, the components."""
        if step := self.roster.steps.next():
            step.handle(Event.START)
            if limit := step.spec.timeout:
                self.loop.call_in(limit, lambda: self._step_timed_out(step, limit))
            return
        plan = self._plan = self._make_plan()
        self.roster.fill(plan.components)
        self._stage.make_room(m.name for m in self.roster.members)
        for line in plan.notes:
            self.tell(line)
        self._household.probers.fork_if_needed(plan.components)
        self.start_possible()
        if self.roster.members:
            self._check_ready()  # perhaps none of them starts by itself
        else:
            self.stop(None)

    def _step_timed_out(self, step: Member, limit: float) -> None:
        if step.runs and step.status is None and not self.is_stopping:
            step.reason = f"took longer than {limit:g} s"
            self.tell(f"{step.name} {step.reason}", tone=Tone.FAILURE)
            step.handle(Event.STOP)
            step.wish = Wish.NONE  # its end is a failure of its own: 1, and not 143 for our own signal

    def start_possible(self) -> None:
        """Start every member that may start now."""
        if self.is_stopping:  # what becomes ready during the stop lets nobody start any more
            return
        for member in self.roster.startable():
            if not self._household.turns.gives_way(member):
                for reason in self.roster.does_without(member):
                    self.tell(f"{member.name} starts without {reason}")
                member.handle(Event.START)

    # What somebody may ask of one member, and hear of all

    def listen(self, listener: Callable[[Member, State], None]) -> None:
        """Tell `listener` each member's changes of state, with the state before; before anything follows from it."""
        self._listeners.append(listener)

    def scale(self, name: str, count: int) -> tuple[list[Member], list[Member]]:
        """Make `count` instances of a component; returns those that are to be started, and to be stopped. Raises
        OrchestrateError."""
        wanted, surplus = self.scaling.scale(name, count)
        self._stage.make_room(member.name for member in wanted)
        return wanted, surplus

    def add(self, names: Collection[str]) -> None:
        """Add components that were left out at the start; they do not start yet. Raises OrchestrateError."""
        self._stage.make_room(member.name for member in self.scaling.add(names))

    def waiting(self) -> dict[str, str]:
        """For each member whose probes are asked, or whose turn to start will come, in words what it waits for."""
        return self._household.waiting()

    def last_answer(self, member: Member) -> str:
        """What a probe of it was last answered in this incarnation; `owner unknown` where nobody tells whose it was."""
        return self._household.probers.last_answer(member.key)

    # What becomes of a change of state (household.Head)

    def changed(self, member: Member, before: State) -> None:
        """Follow a member's change of state with what it means for the others."""
        self.scaling.remove_if_down(member)
        if member.state is State.STOPPING and member.own_end and not self._ends_well(member):
            self.streams.catch_up(member)  # its last output precedes the report of its exit
        for listener in self._listeners:
            listener(member, before)
        self.errands.go_on()
        if not self.is_stopping:
            self._arrival.see(member, self.roster.members)
        self._follow(member, before)

    def _follow(self, member: Member, before: State) -> None:
        if member.state is State.READY and member not in self.roster.steps:
            if self.is_ready:
                self.tell(f"{member.name} is ready again" if member.incarnations > 1 else f"{member.name} is ready")
            self.start_possible()
            self._check_ready()
        elif member.state is State.UP:
            if member.spec.ready or member in self.roster.steps:
                self._progress.begin()
            self.start_possible()
        elif member.state is State.STOPPING:
            self._stop_progress.begin()
            if member.own_end and not self._ends_well(member):
                self._tell_exit(member)
            if member.own_end and (line := announcements.left_behind(member)):
                self.tell(line, tone=Tone.WARNING)
            if member.pid and member.guardian_pid:  # otherwise `lost` follows, or nothing of it ever ran
                self._end_early([member])
        elif member.state is State.BACKOFF and self.is_stopping:
            self._stop_possible()
        elif member.state is State.BACKOFF:
            self._tell_last_lines(member)
            self.tell(announcements.comeback(member), tone=Tone.WARNING)
            if followers := self.errands.follow(member):
                self.tell(f"restarting with it: {', '.join(m.name for m in followers)}")
            self.start_possible()
        elif member.state in (State.DOWN, State.FAILED) and before is not State.BACKOFF:
            self._ended(member)
        elif member.state in (State.DOWN, State.FAILED):
            self.start_possible()
            self._stop_possible()

    # The end

    def _ended(self, member: Member) -> None:
        if self.is_stopping:
            if not self.roster.is_blamed(member):
                self.tell(f"{member.name} stopped ({member.end_in_words})")
            self._stop_possible()
        elif member not in self.roster.steps and (member.asked or member.due):
            self.tell(f"{member.name} stopped ({member.end_in_words})")
            self.start_possible()
            self._check_ready()
        elif member in self.roster.steps and self.roster.steps.let_go_on(member):
            if self.roster.steps.spares_a_step(member):
                self.tell(f"{member.name} is skipped: what it says `unless` of is so")
            self._start_next()
        elif member.status is not None and self._ends_all(member, is_given_up(member)):
            self._end_because_of(member, is_given_up(member))
        else:
            self._tell_last_lines(member)
            if is_given_up(member):
                again = f"`orchestrate start {member.name}` tries again"
                self.tell(f"{announcements.surrender(member)}; {again}", tone=Tone.FAILURE)
            self.start_possible()
            for name, reason in self.roster.hopeless().items():
                self.tell(f"{name} is not started: {reason}", tone=Tone.WARNING)
            self._check_ready()
            if not self.roster.anyone_active and not self.roster.anyone_put_away and not self.scaling.has_removed_all:
                self.stop(None)

    def _end_because_of(self, member: Member, given_up: bool) -> None:
        self.roster.blame(member)
        others = [] if member in self.roster.steps else self.roster.others_there(member)
        self._tell_exit(member)
        if given_up:
            self.tell(announcements.surrender(member), tone=Tone.FAILURE)
        recent = self.streams.last_words(member, again=True)
        if block := announcements.obituary(member, recent, [other.name for other in others]):
            self.tell(block)
        self.stop(None, culprit=member)

    def lost(self, members: list[Member]) -> None:
        """The guardians of these members were killed; each comes after what it depends on."""
        self._end_early(members)

    def _end_early(self, members: list[Member]) -> None:
        """Stop the others as soon as an exit is known to end the system: what it left has its whole grace period, and
        theirs runs at the same time."""
        for member in members:
            if self.is_stopping or member in self.roster.steps or member.status is None or not member.own_end:
                continue
            event = member.foresee()
            given_up = event is Event.GIVEN_UP and is_limited(member)
            comes_back = event is Event.RETRY or member.asked or member.due or self.roster.follows_a_restart(member)
            if not comes_back and self._ends_all(member, given_up):
                self._end_because_of(member, given_up)

    def _ends_all(self, member: Member, given_up: bool) -> bool:
        named = self._terms.exit_code_from
        if member in self.roster.steps or (named and self.roster.is_called(member, (named,))):
            return True
        if given_up and not member.spec.on_exit_is_set:
            return False
        return member.spec.on_exit is OnExit.STOP and not self.roster.is_awaited(member)

    def _ends_well(self, member: Member) -> bool:
        return self.is_stopping or (member in self.roster.steps and self.roster.steps.let_go_on(member))

    def _tell_exit(self, member: Member) -> None:
        """Report the exit of this incarnation, once."""
        if self._exits_told.get(member.key) != member.incarnations:
            self._exits_told[member.key] = member.incarnations
            self.tell(announcements.death(member), tone=Tone.PLAIN if member.succeeded else Tone.FAILURE)

    def _tell_last_lines(self, member: Member) -> None:
        recent = self.streams.last_words(member)
        if not member.succeeded and (lines := announcements.last_lines(member.name, recent)):
            self.tell(lines)

    def stop(self, outcome: Outcome | None, reason: str = "", culprit: Member | None = None) -> None:
        """End the system; without an outcome, with that of its members. `reason` and `culprit` say why, if it is
        neither a signal nor a request."""
        if self.is_stopping:
            return
        self.witness.stopping(culprit, reason)
        self.is_stopping = True
        self.errands.drop()
        self._outcome = outcome
        self._signalman.stop_began()
        self._progress.end()
        if self._banner is not None:
            self._banner.end()
        self._household.probers.rest()
        self.streams.hurry()
        if self.roster.anyone_runs:
            self.tell("Shutting down components")
        self._stop_possible()

    def _stop_possible(self) -> None:
        if not self.is_stopping:
            return
        for member in self.roster.stoppable():
            if not (member.own_end and self.roster.is_blamed(member)):  # it exits already, and not on request
                member.handle(Event.STOP)
        if not self._finished and not self.roster.anyone_runs and not self._household.bereaved:
            self._finished = True
            if self.is_ready or self._outcome is not None:
                self.tell("Complete")

    def _report_stop(self, members: list[Member]) -> None:
        """Say what a stop waits for. Ctrl-C kills only if the whole system stops, and somebody can press it."""
        can_press = self.is_stopping and self._stage.screen.console.kind is Kind.TERMINAL
        self.tell(in_words(members, self.loop.now(), "Ctrl-C again to kill now" if can_press else ""))
        self.stop_reported(members)

    def kill(self) -> None:
        """Skip the grace of whatever is still there; once nothing is, do not wait for the terminal either."""
        if self._finished:
            self._stage.screen.console.give_up()
        for member in self.roster.everyone:
            member.handle(Event.KILL)
        self._household.bereaved.kill()

    # Events

    def reap(self) -> None:
        """Some child of ours has ended."""
        self._household.reap()

    def resize(self) -> None:
        """Our terminal has another size, and so has each component's."""
        self.streams.resize()

    def say_stuck(self, members: list[Member], why: str) -> None:
        """Say what cannot be killed, and do not wait for it."""
        self.tell(f"unable to kill what is left of {', '.join(m.name for m in members)}: {why}", tone=Tone.FAILURE)
        for member in members:
            for listener in self._listeners:
                listener(member, member.state)
        self._stop_possible()  # nobody waits for it any more

    def _check_ready(self) -> None:
        if not self.is_ready and not self.is_stopping and self.roster.all_ready:
            self._progress.arrive()
            self.witness.became_ready()
            self._arrival.all_ready(self.roster.members)
            self._banner = Banner(self.loop, self._stage, self._plan, self.herald)

    def tell(self, text: str, *, over_echo: bool = False, tone: Tone = Tone.PLAIN) -> None:
        """Show a line of our own, over what the terminal itself has echoed (`^C`) where that is asked for."""
        if over_echo:
            self._stage.screen.begin_row()
        self._stage.tell(text, tone=tone)
        if self.herald is not None:
            self.herald(text)

    def lost_sink(self, error: OSError) -> None:
        """Nobody reads our output any more: end, as a program does that writes into a closed pipe."""
        terminal = self._stage.screen.console.kind is Kind.TERMINAL
        outcome = of_lost_sink(error.errno or 0, terminal, self._terms)
        if outcome is None:
            return
        if not outcome.signal:
            with contextlib.suppress(OSError):  # standard error may be the same full file
                why = f"unable to write to standard output: {error.strerror}; stopping"
                print(f"orchestrate: {why}", file=sys.stderr, flush=True)
        self.stop(outcome, f"its output cannot be written: {(error.strerror or str(error)).lower()}")


def is_given_up(member: Member) -> bool:
    """Whether it would have been restarted, had that not failed too often."""
    return member.state is State.FAILED and is_limited(member)


def is_limited(member: Member) -> bool:
    """Return whether it is restarted, within limits."""
    return member.wish is Wish.REPLACE or member.spec.restart.policy is not RestartPolicy.NEVER
