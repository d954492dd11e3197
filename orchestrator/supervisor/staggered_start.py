"""`start_after`: an instance starts when another one has printed its first lines; together both would be slower.

This is not a dependency: one that has exited, or has printed nothing for STAGGER_TIMEOUT seconds, is not waited for.
The schedule decides who waits (`model.scheduling`).
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.probes import Probes

STAGGER_TIMEOUT = 15.0  # seconds from a start to the lines that its log probes look for


class StaggeredStart:
    """`go_on` is called when an instance that others wait for has had STAGGER_TIMEOUT seconds."""

    def __init__(self, loop: Loop, probes: Probes, go_on: Callable[[], None]) -> None:
        self._loop = loop
        self._probes = probes
        self._go_on = go_on

    def begun(self, instance: Instance) -> None:
        """The leader of an instance runs: limit the time that others wait for it."""
        if self._probes.is_silent(instance.key):
            self._loop.call_at(instance.run.started + STAGGER_TIMEOUT, self._go_on)

    def is_silent(self, instance: Instance) -> bool:
        """Return whether those that start after it have to wait for a line that its probes look for."""
        return self._probes.is_silent(instance.key) and self._loop.now() < instance.run.started + STAGGER_TIMEOUT
