"""Reports to a service manager (systemd's `Type=notify`): ready, stopping, the status text, and the watchdog ping."""

from __future__ import annotations

from orchestrator.model.lifecycle import State
from orchestrator.runtime.sd_notify import Notifier
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.observer import ListenerOrder
from orchestrator.supervisor.supervisor import Supervisor


class ServiceNotifier:
    """Reports after each change. `watchdog` is the time in seconds after which the manager considers us dead, 0 for
    never; a timer runs only with it."""

    def __init__(self, notifier: Notifier, watchdog: float, supervisor: Supervisor) -> None:
        self._notifier = notifier
        self._watchdog = watchdog
        self._supervisor = supervisor
        self._told: tuple[str, ...] = ()
        self._was_ready = False
        supervisor.listen(self._changed, ListenerOrder.SERVICE_MANAGER)
        if watchdog:
            self._beat()

    def finish(self) -> None:
        """Report that the system has stopped."""
        self._tell("STOPPING=1", "STATUS=stopped")

    def _changed(self, instance: Instance, before: State) -> None:
        supervisor, registry = self._supervisor, self._supervisor.registry
        if supervisor.is_stopping:
            self._tell("STOPPING=1", f"STATUS=stopping: {sum(m.runs for m in registry.everyone)} left")
            return
        ready = sum(m.state is State.READY for m in registry.instances)
        status = f"STATUS={ready} of {len(registry.instances)} components ready"
        if registry.instances and registry.all_ready and not self._was_ready:
            self._was_ready = True
            self._tell("READY=1", status)
        else:
            self._tell(status)

    def _tell(self, *assignments: str) -> None:
        if assignments != self._told:
            self._told = assignments
            self._notifier.send(*assignments)

    def _beat(self) -> None:
        self._notifier.send("WATCHDOG=1")
        self._supervisor.loop.call_in(self._watchdog / 2, self._beat)
