"""The initial steps: one after another, before the components.

Before a step that says `unless` that command runs, as a member of its own: its check. Where it succeeds the step is
skipped; where it fails, that is no failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.model.spec import ComponentSpec, Hooks
from orchestrator.supervisor.instance import Instance, InstanceHost


class InitialSteps:
    """Looks at steps and checks; what it finds the supervisor does."""

    def __init__(self, specs: Iterable[ComponentSpec], host: InstanceHost) -> None:
        self._members: list[Instance] = []
        self._check_of: dict[Instance, Instance] = {}
        for spec in specs:
            step = Instance(spec, host)
            if spec.unless:
                check = self._check_of[step] = Instance(replace(spec, argv=spec.unless, unless=(), hooks=Hooks()), host)
                self._members.append(check)
            self._members.append(step)

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._members)

    def __contains__(self, member: Instance) -> bool:
        return member in self._members

    @property
    def running(self) -> Instance | None:
        """The step or check that runs now."""
        return next((step for step in self._members if step.runs), None)

    def next(self) -> Instance | None:
        """The first step or check that has not run yet."""
        return next((step for step in self._members if not step.run_count and not self._is_skipped(step)), None)

    def let_go_on(self, step: Instance) -> bool:
        """Whether the end of this step, or check, lets the next one begin."""
        return step.succeeded or self.is_check(step)

    def is_check(self, member: Instance) -> bool:
        """Whether it finds out if a step has to run."""
        return member in self._check_of.values()

    def skips_step(self, member: Instance) -> bool:
        """Whether this is a check that has succeeded."""
        return self.is_check(member) and member.succeeded

    def _is_skipped(self, step: Instance) -> bool:
        check = self._check_of.get(step)
        return check is not None and check.succeeded
