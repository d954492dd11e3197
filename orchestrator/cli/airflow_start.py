"""Runs a definition that contains the Airflow preset: prepares Airflow, then runs the initial steps and all components.

AIRFLOW_HOME is locked as well as the home of the definition, so that no second Airflow starts on it.
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
from orchestrator.presets.airflow.preset import Preset
from orchestrator.runtime.home import Home
from orchestrator.supervisor.scaling import InstanceSource

if TYPE_CHECKING:
    from orchestrator.history import inputs


@dataclass(slots=True)
class AirflowStart:
    """One start. `system` is the expected system, `names` are its components; `plan` makes a system from sources.
    `sources` are the expected ones until the facts are known, and then the true ones; `recorded` is for the record.
    `preset` is set once Airflow is prepared."""

    part: AirflowTable
    sources: Sources
    system: SystemSpec
    names: Collection[str]
    plan: Callable[[Sources], SystemSpec]
    recorded: Callable[[], inputs.InputSources]
    preset: Preset | None = None

    def run(self, home: Path, here: CommandSettings, reporter: StartupReporter | None, supply: InstanceSource) -> int:
        """Run the system until it exits; return the exit status. Raises HeldError if another one holds AIRFLOW_HOME."""
        own = self.part.home
        airflow.make_home(own.directory)
        if own.directory.samefile(home):
            return self._run(home, here, reporter, supply)
        lock = home_claim.take(own)
        try:
            home_claim.wait_for_old_trees(own)
            home_claim.settle(own, here)
            return self._run(home, here, reporter, supply)
        finally:
            own.forget_holder()
            lock.release()

    def _run(self, home: Path, here: CommandSettings, reporter: StartupReporter | None, supply: InstanceSource) -> int:
        self.preset = self.part.preset_of(self.names)
        return foreground.run_made(
            self._make,
            home,
            here,
            reporter=reporter,
            supply=supply,
            airflow_home=str(self.part.home.directory),
            sources=self.recorded,
            watch=airflow.watch_growth(self.preset, here),
        )

    def _make(self, home: Home) -> tuple[SystemSpec, Callable[[], StartPlan]]:
        assert self.preset is not None
        system, plan = self.preset.make(self.part.home)
        assert plan is not None
        init = (*system.init, *self.system.init)
        labels = (*(step.name for step in system.init), *self.system.labels)
        return replace(self.system, init=init, components=(), labels=labels), lambda: self._plan(plan())

    def _plan(self, found: StartPlan) -> StartPlan:
        report = Report()
        definition = self.part.definition(found.components, report)
        self.sources = replace(self.sources, definition=definition, report=report)
        return replace(found, components=self.plan(self.sources).components)
