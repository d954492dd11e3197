"""The supervisor: one thread, one loop, all instances of one system from the first fork to the last reaped child.

It runs the initial steps one after another, then starts every component whose dependencies allow it. The system ends
on a signal or a request, when a component exits that it cannot do without, or when all have exited.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Collection

from orchestrator.model import errors
from orchestrator.model.errors import NOT_READY_STATUS
from orchestrator.model.lifecycle import Event, ImpossibleEvent, State
from orchestrator.model.messages import Signal
from orchestrator.model.names import listed
from orchestrator.model.outcome import ExitPolicy, Outcome
from orchestrator.model.spec import StartPlan, SystemSpec
from orchestrator.output.console import OutputKind
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.process import tree
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop
from orchestrator.runtime.signal_fd import Received
from orchestrator.supervisor import announcements
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.exits import Exits, is_given_up
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.launcher import Launcher
from orchestrator.supervisor.observer import ListenerOrder, Observer
from orchestrator.supervisor.registry import Registry
from orchestrator.supervisor.scaling import InstanceSource, Scaling
from orchestrator.supervisor.signal_handler import SignalHandler
from orchestrator.supervisor.startup_progress import Startup
from orchestrator.supervisor.stop_progress import StopProgress, in_words
from orchestrator.supervisor.streams import Streams
from orchestrator.supervisor.terminal_control import TerminalControl


class Supervisor:
    """Runs one system. `plan` is called when the initial steps have succeeded; `descriptors` is the soft RLIMIT_NOFILE
    that components get."""

    def __init__(
        self,
        system: SystemSpec,
        home: Home,
        loop: Loop,
        presenter: Presenter,
        descriptors: int,
        exit_policy: ExitPolicy,
        plan: Callable[[], StartPlan] | None = None,
        supply: InstanceSource | None = None,
    ) -> None:
        self.loop = loop
        self.title = system.title
        self.begun = time.time()
        self._presenter = presenter
        self._exit_policy = exit_policy
        self._make_plan = plan or (lambda: StartPlan(system.components))
        self._launcher = Launcher(system, home, loop, presenter, descriptors, self)
        self.registry: Registry = self._launcher.registry
        self.streams: Streams = self._launcher.streams
        self.change_requests = ChangeRequests(self.registry, self.handle, self.go_on)
        self.change_requests.decided = lambda verb, instances, leaders: self.observer.decided(verb, instances, leaders)
        self.observer = Observer()
        self._launcher.probes.flipped = lambda *report: self.observer.probed(*report)
        self.scaling = Scaling(self.registry, supply, self._rename)
        self._is_going_on = False
        self._events: dict[Instance, collections.deque[Event]] = {}  # of those that are in a transition
        self.on_report: Callable[[str], None] | None = None
        self._listeners: list[tuple[ListenerOrder, Callable[[Instance, State], None]]] = []
        self._outcome: Outcome | None = None
        self._stopped_any = False  # whether the stop began on request, or with components to stop
        self.is_stopping = False
        self.is_over = False  # everything has ended; only output may still wait for its reader
        self.was_asked_to_stop = False
        self._exits = Exits(self.registry, self.streams, exit_policy.exit_code_from, self.tell)
        self.startup = Startup(loop, presenter, self.registry, self.waiting, self.tell)
        self._stop_progress = StopProgress(loop, lambda: self.registry.stopping, self._report_stop)
        self.stop_reported: Callable[[list[Instance]], None] = lambda instances: None
        self._signal_handler = SignalHandler(
            loop, self, exit_policy.hang_up_stops, lambda received: self.observer.signaled(received)
        )
        self.terminal = TerminalControl(self, presenter, self._launcher, self._signal_handler)
        self.listen(self.streams.terminals.changed, ListenerOrder.TERMINALS)
        self.listen(self.startup.changed, ListenerOrder.SUMMARY)

    def run(self, begun: Callable[[], None] = lambda: None) -> Outcome:
        """Run the system to its end and return how it ended. `begun` is called once, when the first guardians have
        been forked, before anything is heard of them."""
        tree.become_subreaper()
        self._start_next()
        self.loop.call_in(0.0, begun)
        while not self.is_over:
            self.loop.turn()
        self._launcher.probes.close()
        return self._final_outcome

    @property
    def _final_outcome(self) -> Outcome:
        if self._outcome is not None and not self.registry.any_stuck:
            return self._outcome
        return self.registry.judge(self._exit_policy.exit_code_from)

    def be_ready_within(self, seconds: float) -> None:
        """Stop the system if it is not ready by then."""
        self.startup.limit(seconds, lambda reason: self.stop(Outcome(NOT_READY_STATUS), reason))

    # The terminal

    def suspend(self) -> None:
        """Give the terminal back and stop, as Ctrl-Z does."""
        self.terminal.suspend()

    def resume(self) -> None:
        """Take the terminal again, if we are in front."""
        self.terminal.resume()

    # Start

    def _start_next(self) -> None:
        """Start the next initial step, or, after the last, the components."""
        if step := self.registry.steps.next():
            self.handle(step, Event.START)
            if limit := step.spec.timeout:
                self.loop.call_in(limit, lambda: self._step_timed_out(step, limit))
            return
        plan = self.startup.plan = self._make_plan()
        self.registry.fill(plan.components)
        self._presenter.make_room(m.name for m in self.registry.instances)
        for line in plan.notes:
            self.tell(line)
        self._launcher.probes.fork_if_needed(plan.components)
        self.go_on()
        if self.registry.instances:
            self._check_ready()  # perhaps none of them starts by itself
        else:
            self.stop(None)

    def _step_timed_out(self, step: Instance, limit: float) -> None:
        if step.runs and step.status is None and not self.is_stopping:
            self.fail(step, f"took longer than {limit:g} s")  # a failure of its own: 1, and not 143 for our own signal

    def start_possible(self) -> None:
        """Start what has waited for the first lines of another instance, which has printed them or has had its time."""
        self.registry.note_silence()
        self.go_on()

    def go_on(self) -> None:
        """Start and stop what may start or stop now, in the order that the schedule decides.

        Each action is a change, from which more may follow. The outermost call carries these out too: nested calls
        would be as deep as there are instances.
        """
        if self._is_going_on:
            return
        self._is_going_on = True
        try:
            while (action := self.registry.next_action()) is not None:
                instance, event = action
                if event is Event.START:
                    for reason in self.registry.does_without(instance):
                        self.tell(f"{instance.name} starts without {reason}")
                self.handle(instance, event)
        finally:
            self._is_going_on = False

    # What others may request and hear

    def listen(self, listener: Callable[[Instance, State], None], order: ListenerOrder) -> None:
        """Tell `listener` each change of state, with the state before, in the written order."""
        self._listeners.append((order, listener))
        self._listeners.sort(key=lambda entry: entry[0])

    def scale(self, name: str, count: int) -> tuple[list[Instance], list[Instance]]:
        """Give a component `count` instances. Return those that are to be started, and those to be stopped. Raises
        OrchestrateError."""
        wanted, surplus = self.scaling.scale(name, count)
        self._presenter.make_room(instance.name for instance in wanted)
        return wanted, surplus

    def add(self, names: Collection[str]) -> None:
        """Add components that were left out at the start; they do not start yet. Raises OrchestrateError."""
        self._presenter.make_room(instance.name for instance in self.scaling.add(names))

    def waiting(self) -> dict[str, str]:
        """Return what each instance that is not ready, or may start soon, waits for."""
        return self._launcher.waiting()

    def last_answer(self, instance: Instance) -> str:
        """Return the last answer to a probe in this run; `owner unknown` if the socket may be another process's."""
        return self._launcher.probes.last_answer(instance.key)

    def run_aside(
        self, instance: Instance, argv: tuple[str, ...], timeout: float, then: Callable[[bool, str], None]
    ) -> None:
        """Run a command in the tree of a running instance, with its environment. `then` is called with whether
        it exited with 0 within `timeout` seconds, and its last line; it is not called if the tree ends first."""
        self._launcher.probes.run_aside(instance, argv, timeout, then)

    def _rename(self, instance: Instance, before: str) -> None:
        self.streams.rename(instance, before)
        self.observer.renamed(instance, before)

    # Transitions

    def handle(self, instance: Instance, event: Event) -> None:
        """Advance an instance, and carry out what that asks for.

        An event that this brings about for the same instance waits until the transition is complete.
        """
        if (waiting := self._events.get(instance)) is not None:
            waiting.append(event)
            return
        waiting = self._events[instance] = collections.deque([event])
        try:
            while waiting:
                self._carry_out(instance, waiting[0])
                waiting.popleft()
        finally:
            del self._events[instance]

    def _carry_out(self, instance: Instance, event: Event) -> None:
        try:
            transition = instance.handle(event)
        except ImpossibleEvent as error:
            self.tell(f"internal error: {instance.name}: {error}; please report it", tone=Tone.FAILURE)
            return
        for action in transition.actions:
            self._launcher.perform(instance, action)
        if transition.after is not transition.before:
            self._changed(instance, transition.before)
        else:  # but perhaps it was told to stop
            self.registry.note(instance)

    def fail(self, instance: Instance, reason: str, *, restarts: bool = False) -> None:
        """Stop an instance that failed a probe, or cannot do its work; see `Instance.note_fault`."""
        if instance.note_fault(reason, restarts=restarts):
            self.handle(instance, Event.UNHEALTHY)

    def _changed(self, instance: Instance, before: State) -> None:
        """Report an instance's change of state, and carry out what it means for the others."""
        self.registry.note(instance)
        if instance.surplus:
            self.scaling.remove_if_down(instance)
        is_ending = instance.state in (State.EXITED, State.STOPPING)
        is_news = is_ending and not self.is_stopping and self._exits.is_news(instance)
        if is_news:
            self.streams.catch_up(instance)  # its last output precedes the report of its exit
        for _, listener in self._listeners:
            listener(instance, before)
        if is_news:
            self._exits.report(instance)
        self._act_on_change(instance, before)
        self.go_on()
        if self.is_stopping:
            self._finish_if_over()

    def _act_on_change(self, instance: Instance, before: State) -> None:
        if instance.state is State.READY:
            if not instance.is_step:
                self._is_ready(instance)
        elif instance.state is State.UP:
            if instance.spec.ready or instance.is_step:
                self.startup.begin()
        elif instance.state is State.EXITED:
            self._stop_progress.begin()
            self._exits.report_left_behind(instance)
            if instance.pid and instance.guardian_pid:  # otherwise `lost` follows, or nothing of it ever ran
                self._end_early(instance)
        elif instance.state is State.STOPPING:
            self._stop_progress.begin()
        elif instance.state is State.BACKOFF and not self.is_stopping:
            self._exits.report_last_lines(instance)
            self.tell(announcements.restart_message(instance), tone=Tone.WARNING)
            if followers := self.change_requests.restart_dependents(instance):
                self.tell(f"restarting with it: {listed(m.name for m in followers)}")
        elif instance.state in (State.DOWN, State.FAILED) and before is not State.BACKOFF:
            self._ended(instance)

    def _is_ready(self, instance: Instance) -> None:
        if self.startup.is_ready:
            state = "ready" if instance.spec.ready else "running"
            self.tell(f"{instance.name} is {state}{' again' if instance.run.number > 1 else ''}")
        self._check_ready()

    # The end

    def _ended(self, instance: Instance) -> None:
        if self.is_stopping:
            if not self.registry.is_blamed(instance):
                self.tell(f"{instance.name} stopped ({instance.end_in_words})")
        elif not instance.is_step and (instance.asked or instance.due):
            self.tell(f"{instance.name} stopped ({instance.end_in_words})")
            self._check_ready()
        elif instance.is_step and self.registry.steps.let_go_on(instance):
            if self.registry.steps.skips_step(instance):
                self.tell(f"{instance.name} is skipped: its `unless` command succeeded")
            self._start_next()
        elif self._exits.ends_system(instance):
            self._end_because_of(instance, given_up=is_given_up(instance))
        else:
            self._exits.report_last_lines(instance)
            if is_given_up(instance):
                again = f"`orchestrate start {instance.name}` tries again"
                self.tell(f"{announcements.give_up_message(instance)}; {again}", tone=Tone.FAILURE)
            self.go_on()
            for name, reason in self.registry.newly_unstartable().items():
                self.tell(f"{name} is not started: {reason}", tone=Tone.WARNING)
            self._check_ready()
            if (
                not self.registry.any_active
                and not self.registry.any_stopped_on_request
                and not self.scaling.has_removed_all
            ):
                self.stop(None)

    def _end_because_of(self, instance: Instance, *, given_up: bool) -> None:
        self.registry.blame(instance)
        self._exits.report_culprit(instance, given_up=given_up)
        self.stop(None, culprit=instance)

    def lost(self, instances: list[Instance]) -> None:
        """The guardians of these instances were killed; each comes after what it depends on."""
        for instance in instances:
            self._end_early(instance)

    def _end_early(self, instance: Instance) -> None:
        if not self.is_stopping and self._exits.will_end_system(instance):
            self._end_because_of(instance, given_up=self._exits.will_be_given_up(instance))

    def stop(self, outcome: Outcome | None, reason: str = "", culprit: Instance | None = None) -> None:
        """End the system; without an outcome, with that of its instances. `reason` and `culprit` say why, if it is
        neither a signal nor a request."""
        if self.is_stopping:
            return
        self.observer.stopping(culprit, reason)
        self.is_stopping = True
        self.change_requests.stop_all()
        self._outcome = outcome
        self.was_asked_to_stop = outcome is not None and not reason
        self._signal_handler.stop_began()
        self.terminal.stopping()
        self.startup.end()
        self._launcher.probes.rest()
        self.streams.hurry()
        self._stopped_any = outcome is not None or self.registry.any_running
        if self.registry.any_running:
            self.tell("Shutting down components")
        for step in self.registry.steps:
            if (step.runs and not self.registry.is_ending_by_itself(step)) or step.state is State.BACKOFF:
                self.handle(step, Event.STOP)
        self.go_on()
        self._finish_if_over()

    def _finish_if_over(self) -> None:
        if self.is_over or self.registry.schedule.running:
            return
        if not self.registry.any_running and not self._launcher.lost_guardians:
            self.is_over = True
            if self.startup.is_ready or self._stopped_any or not self._final_outcome.code:
                self.tell("Complete")

    def _report_stop(self, instances: list[Instance]) -> None:
        """Report what a stop waits for. Ctrl-C kills only if the whole system stops and has a terminal."""
        can_press = self.is_stopping and self._presenter.screen.console.kind is OutputKind.TERMINAL
        key = f"Ctrl-C {'again' if self._signal_handler.was_interrupted else 'twice'} to kill now"
        self.tell(in_words(instances, self.loop.now(), key if can_press else ""))
        self.stop_reported(instances)

    def kill(self) -> None:
        """Kill everything that is left, without a grace period; if nothing is, stop waiting for the terminal."""
        if self.is_over:
            self._presenter.screen.console.give_up()
        for instance in self.registry.everyone:
            self.handle(instance, Event.KILL)
        self._launcher.lost_guardians.kill()

    # Events

    def pass_on(self, received: Received) -> None:
        """Send a signal to every running component."""
        there = [m for m in self.registry.instances if m.pid and m.runs]
        self.observer.passed_on(received, there)
        what = f"sent to {listed(m.name for m in there)}" if there else "no component is running"
        self.tell(f"{errors.signal_name(received.number)} received; {what}")
        for instance in there:
            instance.send(Signal(received.number))

    def reap(self) -> None:
        """Reap the children that have ended."""
        self._launcher.reap()

    def resize(self) -> None:
        """Our terminal has another size, and so has each component's."""
        self.streams.resize()
        self.terminal.resized()

    def say_stuck(self, instances: list[Instance], why: str) -> None:
        """Report instances that cannot be killed, and stop waiting for them."""
        self.tell(f"cannot kill what is left of {listed(m.name for m in instances)}: {why}", tone=Tone.FAILURE)
        for instance in instances:
            self.handle(instance, Event.STUCK)

    def _check_ready(self) -> None:
        if not self.is_stopping and self.startup.arrives():
            self.observer.became_ready()
            self.startup.announce(self.on_report)

    def tell(self, text: str, *, over_echo: bool = False, tone: Tone = Tone.PLAIN) -> None:
        """Show an event line; with `over_echo`, over the `^C` that the terminal has echoed."""
        if over_echo:
            self.terminal.take_back()
            self._presenter.screen.begin_row()
        self._presenter.tell(text, tone=tone)
        if self.on_report is not None:
            self.on_report(text)
