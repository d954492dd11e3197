"""Runs a definition that contains the Airflow preset: the helper before the initial steps, then all components.

AIRFLOW_HOME is held as well as the home of the definition, so that no second Airflow starts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import foreground, home_claim
from orchestrator.cli.airflow_table import AirflowTable
from orchestrator.cli.commands import airflow
from orchestrator.cli.detach import StartupReporter
from orchestrator.cli.settings import CommandSettings
from orchestrator.cli.sources import Sources
from orchestrator.config.diagnostics import Report
from orchestrator.model.spec import StartPlan, SystemSpec
from orchestrator.runtime.home import Home
from orchestrator.supervisor.scaling import InstanceSource

if TYPE_CHECKING:
    from orchestrator.history import inputs


@dataclass(slots=True)
class AirflowStart:
    """One start. `system` is what is expected, `names` the components in it; `plan` makes a system of sources.
    `sources` are those expected until the facts are known, and then the true ones; `recorded` is for the record."""

    part: AirflowTable
    sources: Sources
    system: SystemSpec
    names: Collection[str]
    plan: Callable[[Sources], SystemSpec]
    recorded: Callable[[], inputs.InputSources]

    def run(self, home: Path, here: CommandSettings, birth: StartupReporter | None, supply: InstanceSource) -> int:
        """Run it to its end; returns the exit status. Raises HeldError if another system holds AIRFLOW_HOME."""
        own = self.part.home
        airflow.make_home(own.directory)
        if own.directory.samefile(home):
            return self._run(home, here, birth, supply)
        lock = home_claim.take(own)
        try:
            home_claim.wait_for_old_trees(own)
            home_claim.settle(own, here)
            return self._run(home, here, birth, supply)
        finally:
            own.forget_holder()
            lock.release()

    def _run(self, home: Path, here: CommandSettings, birth: StartupReporter | None, supply: InstanceSource) -> int:
        return foreground.run_made(
            self._make,
            home,
            here,
            birth=birth,
            supply=supply,
            airflow_home=str(self.part.home.directory),
            sources=self.recorded,
        )

    def _make(self, home: Home) -> tuple[SystemSpec, Callable[[], StartPlan]]:
        system, plan = self.part.start(self.names)
        assert plan is not None
        init = (*system.init, *self.system.init)
        labels = (*(step.name for step in system.init), *self.system.labels)
        return replace(self.system, init=init, components=(), labels=labels), lambda: self._plan(plan())

    def _plan(self, found: StartPlan) -> StartPlan:
        report = Report()
        definition = self.part.definition(found.components, report)
        self.sources = replace(self.sources, definition=definition, report=report)
        return replace(found, components=self.plan(self.sources).components)
