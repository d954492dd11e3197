"""More or fewer instances of a component while the system runs.

Instances keep their numbers: the highest go first and come back last. One that is not wanted any more is stopped and
stays among the members, down, as after a stop. A new one depends on what its siblings do; nobody depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.spec import Component
from orchestrator.supervise.component import Member
from orchestrator.supervise.roster import Roster

More = Callable[[str, int], tuple[Component, ...]]


class Scaling:
    """`more` gives the specs of a component in so many instances; None where the system cannot be scaled. It may raise
    OrchestrateError."""

    def __init__(self, roster: Roster, more: More | None) -> None:
        self._roster = roster
        self._more = more

    def scale(self, name: str, count: int) -> tuple[list[Member], list[Member]]:
        """Add what instances are missing. Returns those that are to run, and those that are not. Raises
        OrchestrateError."""
        if self._more is None:
            raise OrchestrateError("unable to scale: this system has one instance of each component")
        siblings = {_number(m): m for m in self._roster.members if m.spec.component == name}
        if not siblings:
            raise OrchestrateError(f"unable to scale {name}: there is no component of this name")
        missing = [number for number in range(1, count + 1) if number not in siblings]
        if missing:
            specs = self._more(name, count)
            like = next(iter(siblings.values())).spec
            for number in missing:
                spec = replace(specs[number - 1], depends_on=like.depends_on, on_exit=like.on_exit)
                siblings[number] = self._roster.add(spec)
        wanted = [siblings[number] for number in sorted(siblings) if number <= count]
        return wanted, [siblings[number] for number in sorted(siblings) if number > count]


def _number(member: Member) -> int:
    """Its number among the instances of its component; one that is alone has none in its name, and is the first."""
    rest = member.name.removeprefix(member.spec.component)
    return int(rest[1:]) if rest else 1
