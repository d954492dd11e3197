"""What an exit means: whether it is reported, and whether the system ends because of it."""

from __future__ import annotations

from typing import Protocol

from orchestrator.model.lifecycle import Event, State, StopOrigin
from orchestrator.model.spec import OnExit, RestartPolicy
from orchestrator.output.presenter import Tone
from orchestrator.supervisor import announcements
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import Registry
from orchestrator.supervisor.streams import Streams


class Teller(Protocol):
    """Shows a line of our own."""

    def __call__(self, text: str, *, tone: Tone = Tone.PLAIN) -> None: ...


class Exits:
    """Judges and reports exits. `exit_code_from` is the component whose exit ends the system; empty for none."""

    def __init__(self, registry: Registry, streams: Streams, exit_code_from: str, tell: Teller) -> None:
        self._registry = registry
        self._streams = streams
        self._exit_code_from = exit_code_from
        self._tell = tell
        self._reported: dict[str, int] = {}  # the number of the run, by key

    def is_news(self, instance: Instance) -> bool:
        """Return whether a run is ending that was not to end: it exited, or is stopped because a probe failed."""
        if instance.state is State.STOPPING:
            ends = bool(instance.reason) and not instance.asked
        else:
            ends = instance.state is State.EXITED
        return ends and not (instance.is_step and self._registry.steps.let_go_on(instance))

    def report(self, instance: Instance) -> None:
        """Report the exit of this run, once."""
        if self._reported.get(instance.key) != instance.run.number:
            self._reported[instance.key] = instance.run.number
            tone = Tone.PLAIN if instance.succeeded else Tone.FAILURE
            self._tell(announcements.exit_message(instance), tone=tone)

    def report_left_behind(self, instance: Instance) -> None:
        """Report the processes that a leader left."""
        if line := announcements.left_behind(instance):
            self._tell(line, tone=Tone.WARNING)

    def report_last_lines(self, instance: Instance) -> None:
        """Show what it last printed, if it failed and that is not in view."""
        recent = self._streams.last_words(instance)
        if not instance.succeeded and (lines := announcements.last_lines(instance.name, recent)):
            self._tell(lines)

    def report_culprit(self, instance: Instance, *, given_up: bool) -> None:
        """Report that the system ends because of this instance."""
        others = [] if instance.is_step else self._registry.others_there(instance)
        self.report(instance)
        if given_up:
            self._tell(announcements.give_up_message(instance), tone=Tone.FAILURE)
        recent = self._streams.last_words(instance, again=True) or self._streams.recent(instance)  # open until it ends
        if block := announcements.exit_report(instance, recent, [other.name for other in others]):
            self._tell(block)

    def ends_system(self, instance: Instance) -> bool:
        """Return whether the system ends because this instance is at rest."""
        return instance.status is not None and self._ends_all(instance, is_given_up(instance))

    def will_end_system(self, instance: Instance) -> bool:
        """Return whether it is known that the system will end because this instance has exited by itself.

        Then the others stop at once: their grace periods run beside that of the processes that it left.
        """
        if instance.is_step or not instance.exited_by_itself:
            return False
        event = instance.foresee()
        restarts = event is Event.RETRY or instance.asked or instance.due or self._registry.follows_a_restart(instance)
        return not restarts and self._ends_all(instance, self.will_be_given_up(instance))

    @staticmethod
    def will_be_given_up(instance: Instance) -> bool:
        """Return whether it will not be restarted because that failed too often."""
        return instance.foresee() is Event.GIVEN_UP and is_limited(instance)

    def _ends_all(self, instance: Instance, given_up: bool) -> bool:
        named = self._exit_code_from
        if instance.is_step or (named and self._registry.is_called(instance, (named,))):
            return True
        if given_up and not instance.spec.on_exit_is_set:
            return False
        return instance.spec.on_exit is OnExit.STOP and not self._registry.is_awaited(instance)


def is_given_up(instance: Instance) -> bool:
    """Return whether it would have been restarted if that had not failed too often."""
    return instance.state is State.FAILED and is_limited(instance)


def is_limited(instance: Instance) -> bool:
    """Return whether it is restarted, within limits."""
    return instance.stop_origin is StopOrigin.REPLACE or instance.spec.restart.policy is not RestartPolicy.NEVER
