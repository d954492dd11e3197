"""Whose turn it is to start: who lets others go first, because together they would all be slower.

No dependency: one that has ended, or has printed nothing for PATIENCE seconds, is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.lifecycle import State
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.probes import Probes
from orchestrator.supervisor.registry import Registry

STAGGER_TIMEOUT = 15.0  # seconds from a start to the lines that its log probes look for


class StaggeredStart:
    """Reads `start_after`. `go_on` is called when one that was given way to has had its time."""

    def __init__(self, loop: Loop, registry: Registry, probes: Probes, go_on: Callable[[], None]) -> None:
        self._loop = loop
        self._registry = registry
        self._probes = probes
        self._go_on = go_on

    def must_yield(self, member: Instance) -> bool:
        """Whether a member that could start lets another one go first."""
        if not (names := member.spec.start_after):
            return False
        return any(self._goes_first(other) for other in self._registry.members if other.key in names)

    def begun(self, member: Instance) -> None:
        """It runs: give it its time, where others wait for that."""
        if self._probes.is_silent(member.key) and any(
            member.key in other.spec.start_after for other in self._registry.members
        ):
            self._loop.call_at(member.since + STAGGER_TIMEOUT, self._go_on)

    def _goes_first(self, other: Instance) -> bool:
        if other.state is State.UP:
            return self._probes.is_silent(other.key) and self._loop.now() < other.since + STAGGER_TIMEOUT
        return other.state is State.STARTING or self._registry.is_startable(other)
