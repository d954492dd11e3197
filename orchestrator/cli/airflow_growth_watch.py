"""Notices that an Airflow has outgrown its set-up, and prints one line a day at most, with the next step.

It does not poll. Each sign is checked at, or shortly after, an event that wakes us up anyway:

- tasks and schedulers in the database: when the scheduler gets ready, and SETTLE after it prints something, not more
  often than every LOOK_INTERVAL. The check is a process in the scheduler's tree, so a slow database delays nothing.
- clients of other machines: when the web component gets ready, and when it prints something (it logs its requests),
  not more often than every PEERS_INTERVAL.
- memory: when the kernel reports pressure (runtime/pressure.py).

`.orchestrate/airflow-growth.json` says when the last line was printed.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from orchestrator.model.lifecycle import State
from orchestrator.output.presenter import Tone
from orchestrator.presets.airflow import growth
from orchestrator.presets.airflow.growth import Sign
from orchestrator.process import socket_owner
from orchestrator.runtime.home import Home, write_private
from orchestrator.runtime.pressure import MemoryPressure

if TYPE_CHECKING:
    from orchestrator.presets.airflow.preset import Preset
    from orchestrator.supervisor.instance import Instance
    from orchestrator.supervisor.supervisor import Supervisor

LOOK_INTERVAL = 300.0  # seconds
SETTLE = 20.0
PEERS_INTERVAL = 10.0  # a check takes 1 ms
LOOK_TIMEOUT = 30.0
SCHEDULER = "scheduler"


class GrowthWatch:
    """Watches one start of `preset`, from its creation. The record is in its home, AIRFLOW_HOME."""

    def __init__(self, supervisor: Supervisor, preset: Preset, home: Home, *, is_service: bool) -> None:
        self._supervisor = supervisor
        self._preset = preset
        self._path = home.state_dir / "airflow-growth.json"
        self._is_service = is_service
        self._printed, self._last = self._read()
        self._next: dict[str, float] = {}  # monotonic seconds of the next check, by component
        self._pressure: MemoryPressure | None = None
        from orchestrator.supervisor.observer import ListenerOrder  # loaded already

        supervisor.listen(self._changed, ListenerOrder.GROWTH)

    def _changed(self, instance: Instance, _: State) -> None:
        if instance.state is State.READY and self._interval(instance):
            self._supervisor.loop.call_in(0.0, lambda: self._begin(instance))

    def _interval(self, instance: Instance) -> float:
        name = instance.spec.component or instance.name
        if name == SCHEDULER:
            return LOOK_INTERVAL
        return PEERS_INTERVAL if name in ("webserver", "api-server") else 0.0

    def _begin(self, instance: Instance) -> None:
        """Watch the output of an instance from now on. Until it was ready, its log probes watched it."""
        if instance.state is not State.READY or self._supervisor.is_stopping:
            return
        if self._pressure is None:
            self._pressure = MemoryPressure(self._supervisor.loop, self._pressed)
        self._supervisor.streams.of(instance).watcher = lambda _: self._has_printed(instance)
        self._next[instance.key] = self._supervisor.loop.now() + self._interval(instance)
        self._look(instance)

    def _has_printed(self, instance: Instance) -> None:
        now = self._supervisor.loop.now()
        if now < self._next.get(instance.key, 0.0):
            return
        self._next[instance.key] = now + self._interval(instance)
        if (instance.spec.component or instance.name) != SCHEDULER:
            self._look(instance)
        elif self._is_due():  # it prints when a task ends, and for a moment that leaves a slot
            self._supervisor.loop.call_in(SETTLE, lambda: self._look(instance))

    def _look(self, instance: Instance) -> None:
        if not self._is_due() or self._supervisor.is_stopping or instance.state is not State.READY:
            return
        if (instance.spec.component or instance.name) == SCHEDULER:
            if command := self._preset.growth_look(instance.run.started_wall):
                self._supervisor.run_aside(instance, command, LOOK_TIMEOUT, self._answered)
        elif setup := self._setup():
            self._report(growth.of_peers(setup, socket_owner.remote_peers(setup.web_port)))

    def _answered(self, well: bool, text: str) -> None:
        setup, load = self._setup(), growth.load_of(text) if well else None
        if setup is not None and load is not None:
            self._report(growth.of_load(setup, load))

    def _pressed(self, report: str) -> None:
        if self._is_due() and (setup := self._setup()):
            self._report(growth.of_pressure(setup, report))

    def _setup(self) -> growth.Setup | None:
        running = [one.spec.component or one.name for one in self._supervisor.registry.instances]
        return self._preset.growth_setup(running, is_service=self._is_service)

    # One line a day

    def _is_due(self) -> bool:
        return not 0.0 <= time.time() - self._printed < growth.DAY  # a future time is from another clock

    def _report(self, signs: Collection[Sign]) -> None:
        sign = growth.choose(signs, self._last)
        if sign is None or not self._is_due() or self._supervisor.is_stopping:
            return
        self._printed, self._last = time.time(), sign.kind.value
        with contextlib.suppress(OSError):  # then it is remembered only during this start
            write_private(self._path, json.dumps({"time": self._printed, "sign": self._last}).encode() + b"\n")
        self._supervisor.tell(sign.text, tone=Tone.WARNING)

    def _read(self) -> tuple[float, str]:
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            return float(record["time"]), str(record["sign"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0, ""
