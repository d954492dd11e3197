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
from orchestrator.model.lifecycle import Event, State, StopOrigin
from orchestrator.model.names import listed
from orchestrator.model.outcome import ExitPolicy, Outcome, of_lost_sink
from orchestrator.model.scheduling import StopOrder
from orchestrator.model.spec import OnExit, RestartPolicy, StartPlan, SystemSpec
from orchestrator.output.console import OutputKind
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.process import tree
from orchestrator.runtime import signals
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor import announcements, startup_progress
from orchestrator.supervisor.banner import Banner
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.launcher import Launcher
from orchestrator.supervisor.observer import Observer
from orchestrator.supervisor.registry import Registry
from orchestrator.supervisor.scaling import InstanceSource, Scaling
from orchestrator.supervisor.signal_handler import SignalHandler
from orchestrator.supervisor.startup_progress import StartupProgress, StartupSummary
from orchestrator.supervisor.stop_progress import StopProgress, in_words
from orchestrator.supervisor.terminals import Streams

if TYPE_CHECKING:
    from orchestrator.supervisor.user_terminal import UserTerminal
    from orchestrator.supervisor.view_process import ViewCommand


class Supervisor:
    """Runs one system: decides what the household then does. `plan` is called when the initial steps have succeeded;
    `descriptors` is the soft RLIMIT_NOFILE that components get."""

    def __init__(
        self,
        system: SystemSpec,
        home: Home,
        loop: Loop,
        stage: Presenter,
        descriptors: int,
        terms: ExitPolicy,
        plan: Callable[[], StartPlan] | None = None,
        supply: InstanceSource | None = None,
    ) -> None:
        self.loop = loop
        self.title = system.title
        self._presenter = stage
        self._terms = terms
        self._make_plan = plan or (lambda: StartPlan(system.components))
        self._plan = StartPlan(())
        self._banner: Banner | None = None
        self._launcher = Launcher(system, home, loop, stage, descriptors, self)
        self.registry: Registry = self._launcher.registry
        self.streams: Streams = self._launcher.streams
        self.change_requests = ChangeRequests(self.registry, self.start_possible)
        self.change_requests.decided = lambda verb, members, leaders: self.observer.decided(verb, members, leaders)
        self.observer = Observer()
        self._launcher.probes.flipped = lambda *report: self.observer.probed(*report)
        self.scaling = Scaling(self.registry, supply, self._rename)
        self._stop_order: StopOrder | None = None
        self.on_report: Callable[[str], None] | None = None
        self._listeners: list[Callable[[Instance, State], None]] = []
        self._outcome: Outcome | None = None
        self.is_stopping = False
        self._finished = False
        self._exits_told: dict[str, int] = {}  # which incarnation's, by key
        self._progress = StartupProgress(loop, self.waiting, self.tell, lambda text: self.tell(text, tone=Tone.FAILURE))
        self._arrival = StartupSummary(loop.now, self.tell)
        self._stop_progress = StopProgress(loop, lambda: self.registry.stopping, self._report_stop)
        self.stop_reported: Callable[[list[Instance]], None] = lambda members: None
        self._signal_handler = SignalHandler(
            loop, self, terms.hang_up_stops, lambda received: self.observer.signaled(received)
        )
        self._terminal: UserTerminal | None = None
        self.listen(lambda member, _: self.streams.terminals.changed(member))

    def run(self, begun: Callable[[], None] = lambda: None) -> Outcome:
        """Run the system to its end and return how it ended. `begun` is called once, when the first guardians have
        been forked, before anything is heard of them."""
        tree.become_subreaper()
        self._start_next()
        self.loop.call_in(0.0, begun)
        while not self._finished:
            self.loop.turn()
        self._launcher.probes.close()
        if self._outcome is not None and not self.registry.any_stuck:
            return self._outcome
        return self.registry.judge(self._terms.exit_code_from)

    @property
    def is_ready(self) -> bool:
        """Whether all has been ready at once since the start."""
        return self._progress.arrived

    def be_ready_within(self, seconds: float) -> None:
        """Stop the system where it is not ready by then."""
        self._progress.limit(seconds, lambda: self._be_late(seconds))

    def _be_late(self, seconds: float) -> None:
        waiting = self.waiting()
        names = f", {startup_progress.in_words(waiting)}" if waiting else ""
        self.stop(Outcome(NOT_READY_STATUS), f"it was not ready within {seconds:g} s{names}")

    # The terminal's keys

    def take_terminal(
        self, fd: int, *, shows_status: bool = True, colors: bool = False, view: ViewCommand | None = None
    ) -> None:
        """Read the keys of the terminal `fd` until `give_terminal_back`, and show the row of states. If it cannot be
        read without waiting, it stays as it is."""
        from orchestrator.supervisor.user_terminal import UserTerminal

        try:
            self._terminal = UserTerminal(
                self.loop, fd, self, self._presenter, shows_status=shows_status, colors=colors, view=view
            )
        except OSError:
            return
        self._launcher.rescue = self._terminal.rescue
        self._launcher.view_pid = lambda: self._terminal.view_pid if self._terminal is not None else 0
        self._signal_handler.take_job_control()

    def open_view(self) -> None:
        """Open the full-screen view on the terminal, if that is ours."""
        if self._terminal is not None:
            self._terminal.open_view()

    def end_view(self) -> None:
        """Wait a moment until the view has left the terminal."""
        if self._terminal is not None:
            self._terminal.end_view()

    def give_terminal_back(self) -> None:
        """Read no more keys."""
        if self._terminal is not None:
            self._terminal.close()

    def suspend(self) -> None:
        """Give the terminal back and stop, as Ctrl-Z does."""
        if self._terminal is not None:
            self._terminal.suspend()
        signals.stop_by(signal.SIGTSTP)
        self.resume()

    def resume(self) -> None:
        """Take the terminal again, if we are in front, and draw its last row again."""
        if self._terminal is not None:
            self._terminal.resume()

    # Start

    def _start_next(self) -> None:
        """Start the next initial step, or, after the last, the components."""
        if step := self.registry.steps.next():
            step.handle(Event.START)
            if limit := step.spec.timeout:
                self.loop.call_in(limit, lambda: self._step_timed_out(step, limit))
            return
        plan = self._plan = self._make_plan()
        self.registry.fill(plan.components)
        self._presenter.make_room(m.name for m in self.registry.members)
        for line in plan.notes:
            self.tell(line)
        self._launcher.probes.fork_if_needed(plan.components)
        self.start_possible()
        if self.registry.members:
            self._check_ready()  # perhaps none of them starts by itself
        else:
            self.stop(None)

    def _step_timed_out(self, step: Instance, limit: float) -> None:
        if step.runs and step.status is None and not self.is_stopping:
            step.reason = f"took longer than {limit:g} s"
            self.tell(f"{step.name} {step.reason}", tone=Tone.FAILURE)
            step.handle(Event.STOP)
            step.stop_origin = StopOrigin.NONE  # its end is a failure of its own: 1, and not 143 for our own signal

    def start_possible(self) -> None:
        """Start every member that may start now."""
        if self.is_stopping:  # what becomes ready during the stop lets nobody start any more
            return
        for member in self.registry.startable():
            if not self._launcher.turns.must_yield(member):
                for reason in self.registry.does_without(member):
                    self.tell(f"{member.name} starts without {reason}")
                member.handle(Event.START)

    # What somebody may ask of one member, and hear of all

    def listen(self, listener: Callable[[Instance, State], None]) -> None:
        """Tell `listener` each member's changes of state, with the state before; before anything follows from it."""
        self._listeners.append(listener)

    def scale(self, name: str, count: int) -> tuple[list[Instance], list[Instance]]:
        """Make `count` instances of a component; returns those that are to be started, and to be stopped. Raises
        OrchestrateError."""
        wanted, surplus = self.scaling.scale(name, count)
        self._presenter.make_room(member.name for member in wanted)
        return wanted, surplus

    def add(self, names: Collection[str]) -> None:
        """Add components that were left out at the start; they do not start yet. Raises OrchestrateError."""
        self._presenter.make_room(member.name for member in self.scaling.add(names))

    def waiting(self) -> dict[str, str]:
        """For each member whose probes are asked, or whose turn to start will come, in words what it waits for."""
        return self._launcher.waiting()

    def last_answer(self, member: Instance) -> str:
        """What a probe of it was last answered in this incarnation; `owner unknown` where nobody tells whose it was."""
        return self._launcher.probes.last_answer(member.key)

    def _rename(self, member: Instance, before: str) -> None:
        self.streams.rename(member, before)
        self.observer.renamed(member, before)

    # What becomes of a change of state (household.Head)

    def changed(self, member: Instance, before: State) -> None:
        """Follow a member's change of state with what it means for the others."""
        self.scaling.remove_if_down(member)
        if member.state is State.STOPPING and member.exited_by_itself and not self._ends_well(member):
            self.streams.catch_up(member)  # its last output precedes the report of its exit
        for listener in self._listeners:
            listener(member, before)
        self.change_requests.go_on(member)
        if self._stop_order is not None and member.runs and member.key not in self._stop_order:
            self._stop_order = None  # it was started before the stop, and runs only now
        if not self.is_stopping and member not in self.registry.steps:
            self._arrival.see(member, self.registry.members)
        self._follow(member, before)

    def _follow(self, member: Instance, before: State) -> None:
        if member.state is State.READY and member not in self.registry.steps:
            if self.is_ready:
                self.tell(f"{member.name} is ready again" if member.run_count > 1 else f"{member.name} is ready")
            self.start_possible()
            self._check_ready()
        elif member.state is State.UP:
            if member.spec.ready or member in self.registry.steps:
                self._progress.begin()
            self.start_possible()
        elif member.state is State.STOPPING:
            self._stop_progress.begin()
            if member.exited_by_itself and not self._ends_well(member):
                self._tell_exit(member)
            if member.exited_by_itself and (line := announcements.left_behind(member)):
                self.tell(line, tone=Tone.WARNING)
            if member.pid and member.guardian_pid:  # otherwise `lost` follows, or nothing of it ever ran
                self._end_early([member])
        elif member.state is State.BACKOFF and self.is_stopping:
            self._stop_possible(member)
        elif member.state is State.BACKOFF:
            self._tell_last_lines(member)
            self.tell(announcements.restart_message(member), tone=Tone.WARNING)
            if followers := self.change_requests.follow(member):
                self.tell(f"restarting with it: {listed(m.name for m in followers)}")
            self.start_possible()
        elif member.state in (State.DOWN, State.FAILED) and before is not State.BACKOFF:
            self._ended(member)
        elif member.state in (State.DOWN, State.FAILED):
            self.start_possible()
            self._stop_possible(member)

    # The end

    def _ended(self, member: Instance) -> None:
        if self.is_stopping:
            if not self.registry.is_blamed(member):
                self.tell(f"{member.name} stopped ({member.end_in_words})")
            self._stop_possible(member)
        elif member not in self.registry.steps and (member.asked or member.due):
            self.tell(f"{member.name} stopped ({member.end_in_words})")
            self.start_possible()
            self._check_ready()
        elif member in self.registry.steps and self.registry.steps.let_go_on(member):
            if self.registry.steps.skips_step(member):
                self.tell(f"{member.name} is skipped: what it says `unless` of is so")
            self._start_next()
        elif member.status is not None and self._ends_all(member, is_given_up(member)):
            self._end_because_of(member, is_given_up(member))
        else:
            self._tell_last_lines(member)
            if is_given_up(member):
                again = f"`orchestrate start {member.name}` tries again"
                self.tell(f"{announcements.give_up_message(member)}; {again}", tone=Tone.FAILURE)
            self.start_possible()
            for name, reason in self.registry.newly_unstartable().items():
                self.tell(f"{name} is not started: {reason}", tone=Tone.WARNING)
            self._check_ready()
            if (
                not self.registry.any_active
                and not self.registry.any_stopped_on_request
                and not self.scaling.has_removed_all
            ):
                self.stop(None)

    def _end_because_of(self, member: Instance, given_up: bool) -> None:
        self.registry.blame(member)
        others = [] if member in self.registry.steps else self.registry.others_there(member)
        self._tell_exit(member)
        if given_up:
            self.tell(announcements.give_up_message(member), tone=Tone.FAILURE)
        recent = self.streams.last_words(member, again=True) or self.streams.recent(member)  # open if it exits early
        if block := announcements.exit_report(member, recent, [other.name for other in others]):
            self.tell(block)
        self.stop(None, culprit=member)

    def lost(self, members: list[Instance]) -> None:
        """The guardians of these members were killed; each comes after what it depends on."""
        self._end_early(members)

    def _end_early(self, members: list[Instance]) -> None:
        """Stop the others as soon as an exit is known to end the system: what it left has its whole grace period, and
        theirs runs at the same time."""
        for member in members:
            if (
                self.is_stopping
                or member in self.registry.steps
                or member.status is None
                or not member.exited_by_itself
            ):
                continue
            event = member.foresee()
            given_up = event is Event.GIVEN_UP and is_limited(member)
            comes_back = event is Event.RETRY or member.asked or member.due or self.registry.follows_a_restart(member)
            if not comes_back and self._ends_all(member, given_up):
                self._end_because_of(member, given_up)

    def _ends_all(self, member: Instance, given_up: bool) -> bool:
        named = self._terms.exit_code_from
        if member in self.registry.steps or (named and self.registry.is_called(member, (named,))):
            return True
        if given_up and not member.spec.on_exit_is_set:
            return False
        return member.spec.on_exit is OnExit.STOP and not self.registry.is_awaited(member)

    def _ends_well(self, member: Instance) -> bool:
        return self.is_stopping or (member in self.registry.steps and self.registry.steps.let_go_on(member))

    def _tell_exit(self, member: Instance) -> None:
        """Report the exit of this incarnation, once."""
        if self._exits_told.get(member.key) != member.run_count:
            self._exits_told[member.key] = member.run_count
            self.tell(announcements.exit_message(member), tone=Tone.PLAIN if member.succeeded else Tone.FAILURE)

    def _tell_last_lines(self, member: Instance) -> None:
        recent = self.streams.last_words(member)
        if not member.succeeded and (lines := announcements.last_lines(member.name, recent)):
            self.tell(lines)

    def stop(self, outcome: Outcome | None, reason: str = "", culprit: Instance | None = None) -> None:
        """End the system; without an outcome, with that of its members. `reason` and `culprit` say why, if it is
        neither a signal nor a request."""
        if self.is_stopping:
            return
        self.observer.stopping(culprit, reason)
        self.is_stopping = True
        self.change_requests.drop()
        self._outcome = outcome
        self._signal_handler.stop_began()
        if self._terminal is not None:
            self._terminal.stopping()
        self._progress.end()
        if self._banner is not None:
            self._banner.end()
        self._launcher.probes.rest()
        self.streams.hurry()
        if self.registry.any_running:
            self.tell("Shutting down components")
        self._stop_possible()

    def _stop_possible(self, changed: Instance | None = None) -> None:
        """Stop those that may stop now; `changed` is the only one that has changed since the last call, if that is
        known."""
        if not self.is_stopping:
            return
        if changed is not None and self._stop_order is not None:
            stoppable = self.registry.stoppable_after(changed, self._stop_order)
        else:
            self._stop_order = self.registry.stop_order()
            stoppable = self.registry.stoppable()
        for member in stoppable:
            if not (
                member.exited_by_itself and self.registry.is_blamed(member)
            ):  # it exits already, and not on request
                member.handle(Event.STOP)
        if self._finished or (self._stop_order is not None and len(self._stop_order)):
            return
        if not self.registry.any_running and not self._launcher.lost_guardians:
            self._finished = True
            if self.is_ready or self._outcome is not None:
                self.tell("Complete")

    def _report_stop(self, members: list[Instance]) -> None:
        """Say what a stop waits for. Ctrl-C kills only if the whole system stops, and somebody can press it."""
        can_press = self.is_stopping and self._presenter.screen.console.kind is OutputKind.TERMINAL
        self.tell(in_words(members, self.loop.now(), "Ctrl-C again to kill now" if can_press else ""))
        self.stop_reported(members)

    def kill(self) -> None:
        """Skip the grace of whatever is still there; once nothing is, do not wait for the terminal either."""
        if self._finished:
            self._presenter.screen.console.give_up()
        for member in self.registry.everyone:
            member.handle(Event.KILL)
        self._launcher.lost_guardians.kill()

    # Events

    def reap(self) -> None:
        """Some child of ours has ended."""
        self._launcher.reap()

    def resize(self) -> None:
        """Our terminal has another size, and so has each component's."""
        self.streams.resize()
        if self._terminal is not None:
            self._terminal.changed()

    def say_stuck(self, members: list[Instance], why: str) -> None:
        """Say what cannot be killed, and do not wait for it."""
        self.tell(f"cannot kill what is left of {listed(m.name for m in members)}: {why}", tone=Tone.FAILURE)
        for member in members:
            for listener in self._listeners:
                listener(member, member.state)
        self.change_requests.go_on()
        self._stop_possible()  # nobody waits for it any more

    def _check_ready(self) -> None:
        if not self.is_ready and not self.is_stopping and self.registry.all_ready:
            self._progress.arrive()
            self.observer.became_ready()
            self._arrival.all_ready(self.registry.members)
            self._banner = Banner(self.loop, self._presenter, self._plan, self.on_report)

    def tell(self, text: str, *, over_echo: bool = False, tone: Tone = Tone.PLAIN) -> None:
        """Show a line of our own, over what the terminal itself has echoed (`^C`) where that is asked for."""
        if over_echo:
            self._presenter.screen.begin_row()
        self._presenter.tell(text, tone=tone)
        if self.on_report is not None:
            self.on_report(text)

    def lost_sink(self, error: OSError) -> None:
        """Nobody reads our output any more: end, as a program does that writes into a closed pipe."""
        terminal = self._presenter.screen.console.kind is OutputKind.TERMINAL
        outcome = of_lost_sink(error.errno or 0, terminal, self._terms)
        if outcome is None:
            return
        if not outcome.signal:
            with contextlib.suppress(OSError):  # standard error may be the same full file
                why = f"cannot write to standard output: {error.strerror}; stopping"
                print(f"orchestrate: {why}", file=sys.stderr, flush=True)
        self.stop(outcome, f"its output cannot be written: {(error.strerror or str(error)).lower()}")


def is_given_up(member: Instance) -> bool:
    """Whether it would have been restarted, had that not failed too often."""
    return member.state is State.FAILED and is_limited(member)


def is_limited(member: Instance) -> bool:
    """Return whether it is restarted, within limits."""
    return member.stop_origin is StopOrigin.REPLACE or member.spec.restart.policy is not RestartPolicy.NEVER
