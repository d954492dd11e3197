"""The initial steps: one after another, before the components.

If a step has `unless`, that command runs first, as a separate instance: its check. If the check succeeds, the step is
skipped; if it fails, the step runs, and that is not an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from orchestrator.model.lifecycle import Desired
from orchestrator.model.spec import ComponentSpec, Hooks
from orchestrator.supervisor.instance import Instance


class InitialSteps:
    """The steps and their checks, and which of them is next. The supervisor starts them."""

    def __init__(self, specs: Iterable[ComponentSpec], last_line: Callable[[Instance], str]) -> None:
        self._instances: list[Instance] = []
        self._check_of: dict[Instance, Instance] = {}
        for spec in specs:
            step = Instance(spec, last_line, is_step=True)
            if spec.unless:
                check = self._check_of[step] = Instance(
                    replace(spec, argv=spec.unless, unless=(), hooks=Hooks()), last_line, is_step=True
                )
                self._instances.append(check)
            self._instances.append(step)
        for instance in self._instances:
            instance.want(Desired.UP)

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances)

    @property
    def running(self) -> Instance | None:
        """The step or check that runs now."""
        return next((step for step in self._instances if step.runs), None)

    def next(self) -> Instance | None:
        """The first step or check that has not run yet."""
        return next((step for step in self._instances if not step.run.number and not self._is_skipped(step)), None)

    def let_go_on(self, step: Instance) -> bool:
        """Whether the end of this step, or check, lets the next one begin."""
        return step.succeeded or self.is_check(step)

    def is_check(self, instance: Instance) -> bool:
        """Whether it finds out if a step has to run."""
        return instance in self._check_of.values()

    def skips_step(self, instance: Instance) -> bool:
        """Whether this is a check that has succeeded."""
        return self.is_check(instance) and instance.succeeded

    def _is_skipped(self, step: Instance) -> bool:
        check = self._check_of.get(step)
        return check is not None and check.succeeded
