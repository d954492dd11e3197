"""The initial steps: one after another, before the components.

Before a step that says `unless` that command runs, as a member of its own: its check. Where it succeeds the step is
skipped; where it fails, that is no failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.model.spec import Component, Hooks
from orchestrator.supervisor.instance import Host, Member


class Steps:
    """Looks at steps and checks; what it finds the supervisor does."""

    def __init__(self, specs: Iterable[Component], host: Host) -> None:
        self._members: list[Member] = []
        self._check_of: dict[Member, Member] = {}
        for spec in specs:
            step = Member(spec, host)
            if spec.unless:
                check = self._check_of[step] = Member(replace(spec, argv=spec.unless, unless=(), hooks=Hooks()), host)
                self._members.append(check)
            self._members.append(step)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def __contains__(self, member: Member) -> bool:
        return member in self._members

    @property
    def running(self) -> Member | None:
        """The step or check that runs now."""
        return next((step for step in self._members if step.runs), None)

    def next(self) -> Member | None:
        """The first step or check that has not run yet."""
        return next((step for step in self._members if not step.incarnations and not self._is_skipped(step)), None)

    def let_go_on(self, step: Member) -> bool:
        """Whether the end of this step, or check, lets the next one begin."""
        return step.succeeded or self.is_check(step)

    def is_check(self, member: Member) -> bool:
        """Whether it finds out if a step has to run."""
        return member in self._check_of.values()

    def spares_a_step(self, member: Member) -> bool:
        """Whether this is a check that has succeeded."""
        return self.is_check(member) and member.succeeded

    def _is_skipped(self, step: Member) -> bool:
        check = self._check_of.get(step)
        return check is not None and check.succeeded
