"""Requests to change instances, from a second terminal, a key or a restart: which instances, and to which state.

The latest request counts: a stop cancels a start that is still to come, a start makes a stop a restart. A restart,
requested or automatic, includes the dependents with `restart = true` in `depends_on`, and theirs. The order in which
instances then stop and start is decided in `model.scheduling`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from orchestrator.model.control import Verb
from orchestrator.model.lifecycle import AT_REST, Desired, Event, State
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import Registry

# A start that is requested in these states leads to a new run.
ENDING = AT_REST | {State.BACKOFF, State.EXITED, State.STOPPING, State.KILLING, State.STUCK}


class ChangeRequests:
    """`handle` advances an instance, and `go_on` carries out what follows. `decided` is called before a decision
    is carried out, with the verb, the instances and those that they follow."""

    def __init__(
        self, registry: Registry, handle: Callable[[Instance, Event], None], go_on: Callable[[], None]
    ) -> None:
        self._registry = registry
        self._handle = handle
        self._go_on = go_on
        self.decided: Callable[[Verb, Collection[Instance], Collection[Instance]], None] = lambda *_: None

    def start(self, instances: Collection[Instance]) -> None:
        """Start these and what they need; those that run already stay as they are."""
        instances = [m for m in instances if not m.surplus]
        for instance in instances:
            if instance.is_leaving and not instance.asked and not instance.due:
                self._registry.want(instance, Desired.UP)  # its turn to stop has not come
        wanted = [m for m in self._registry.needed_by(instances) if m.state in ENDING or m.is_leaving]
        self.decided(Verb.START, wanted, ())
        for instance in wanted:
            self._registry.want(instance, Desired.RESTART if instance.is_leaving else Desired.UP)
        self._registry.forget_failures(wanted)
        self._go_on()

    def stop(self, instances: Collection[Instance]) -> None:
        """Stop these; they stay down until a start is requested."""
        self.decided(Verb.STOP, instances, ())
        for instance in instances:
            self._registry.want(instance, Desired.DOWN)
        self._go_on()

    def restart(self, instances: Collection[Instance]) -> None:
        """Stop these and their followers, and start them when they are down; those that do not run are started."""
        instances = [m for m in instances if not m.surplus]
        followers = self._registry.restarting_with(instances)
        self._replace([*instances, *followers])
        self.decided(Verb.RESTART, instances, ())
        if followers:
            self.decided(Verb.RESTART, followers, instances)
        self.start(instances)

    def restart_dependents(self, instance: Instance) -> list[Instance]:
        """An instance restarts by itself: restart its followers, and return them."""
        if followers := self._registry.restarting_with([instance]):
            self._replace(followers)
            self.decided(Verb.RESTART, followers, [instance])
            self._go_on()
        return followers

    def _replace(self, instances: Collection[Instance]) -> None:
        for instance in instances:
            if instance.runs:
                self._registry.want(instance, Desired.RESTART)

    def kill(self, instances: Collection[Instance]) -> None:
        """Kill these without a grace period; they stay down until a start is requested."""
        self.decided(Verb.KILL, instances, ())
        for instance in instances:
            self._registry.want(instance, Desired.DOWN)
            self._handle(instance, Event.KILL)
        self._go_on()

    def stop_all(self) -> None:
        """Stop the whole system."""
        for instance in self._registry.instances:
            self._registry.want(instance, Desired.DOWN)
