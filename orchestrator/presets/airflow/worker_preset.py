"""Workers for an Airflow on another host: from the file of `orchestrate airflow join` to a system.

The check is an initial step, so it is supervised like the workers. The home is a separate AIRFLOW_HOME for logs and,
unless configured otherwise, DAG files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.spec import ComponentSpec, StartPlan, StopPlan, SystemSpec
from orchestrator.presets.airflow import base_environment, cache, network, preconditions, preparation, programs, workers
from orchestrator.presets.airflow import components as airflow_components
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.installation import Installation
from orchestrator.presets.airflow.join_file import JoinFile
from orchestrator.presets.airflow.workers import Programs, Wanted
from orchestrator.runtime.home import Home, write_private

STEP = "check"
TITLE = "Airflow worker"
EXPECTED = "airflow-join.json"  # describes the first host for the check; no secrets


@dataclass(slots=True)
class WorkerPreset:
    """One start of workers. `environment` is theirs without the settings in the file. With `only_check` no worker is
    started."""

    installation: Installation
    environment: Mapping[str, str]
    join: JoinFile
    wanted: Wanted
    directory: str
    check_stop: StopPlan = airflow_components.STOP
    only_check: bool = False
    _planned: Callable[[int], tuple[ComponentSpec, ...]] | None = None

    def make(self, home: Home) -> tuple[SystemSpec, Callable[[], StartPlan] | None]:
        """Return the system, with the check as its initial step. Raises OrchestrateError."""
        if not self.wanted.count:
            raise UsageError("invalid --workers 0: expected 1 or more")
        preconditions.refuse_older(home, airflow_installation.version(self.installation.python))
        environment = self._environment(home)
        expected = home.state_dir / EXPECTED
        write_private(expected, self.join.expected().encode())
        report = preparation.report_path(home)
        report.unlink(missing_ok=True)
        step = ComponentSpec(
            name=STEP,
            argv=programs.command(
                self.installation.python, "worker_check", str(report), str(expected), str(self.wanted.count)
            ),
            cwd=self.directory,
            environment={**environment, "PYTHONWARNINGS": "ignore"},  # the workers print the same warnings
            source=workers.SOURCE,
            stop=self.check_stop,
        )
        system = SystemSpec(title=TITLE, init=(step,), labels=(STEP, workers.WORKER))
        return system, lambda: self._plan(home, environment)

    def _environment(self, home: Home) -> dict[str, str]:
        """Return the environment of the check and the workers. The file takes precedence over our environment."""
        given = {name: value for name, value in self.environment.items() if not _is_overridden(name, self.join)}
        variables = {**given, **self.join.variables}
        return base_environment.prepared(variables, self.installation, home.directory, self.directory)

    def _plan(self, home: Home, environment: Mapping[str, str]) -> StartPlan:
        facts = preparation.read_report(home)
        if facts.major > 2:
            facts = replace(facts, database="", sqlite_file="")  # a worker reaches it through the execution API
        if self.only_check:
            return StartPlan(())
        environment = {**environment, **network.task_retries(facts)}
        components = self._components(home, facts, environment, self.wanted)
        cache.write(
            cache.facts_path(home),
            facts,
            self.installation,
            environment,
            valid=False,
            url="",
            components=(workers.WORKER,),
            changes=base_environment.changes(self.environment, environment),
        )
        self._planned = lambda count: self._components(home, facts, environment, replace(self.wanted, count=count))
        missing = preconditions.missing_dags(facts, self.directory)
        return StartPlan(
            components=components,
            notes=(
                f"Airflow {facts.version} ({self.installation.command}), home {facts.home}, worker of {self.join.host}",
                *filter(None, (missing,)),
            ),
            banner=("", f"The {'worker is' if len(components) == 1 else 'workers are'} ready", ""),
        )

    def _components(
        self, home: Home, facts: Facts, environment: Mapping[str, str], wanted: Wanted
    ) -> tuple[ComponentSpec, ...]:
        python = self.installation.python
        found = Programs(
            worker=programs.command(python, "celery_worker", str(programs.run_directory(home))),
            call=programs.command(python, "celery_call"),
            airflow=self.installation.command,
        )
        return workers.worker(facts, wanted, found, self.directory, environment, airflow_components.RESTART)

    def instances(self, name: str, count: int) -> tuple[ComponentSpec, ...]:
        """Return the specs of workers, for `scale`. Raises OrchestrateError before the start."""
        if name != workers.WORKER or self._planned is None:
            raise OrchestrateError(f"cannot scale {name}: this system has only workers")
        return self._planned(count)

    def missing(self, names: Collection[str], present: Collection[str]) -> tuple[ComponentSpec, ...]:
        """Raise OrchestrateError: this system has only workers."""
        raise OrchestrateError("this system has no other components")


def _is_overridden(name: str, join: JoinFile) -> bool:
    """Return whether a variable sets an option of the file by a command or a secrets backend."""
    return any(name.removesuffix(kind) in join.variables for kind in ("_CMD", "_SECRET") if name.endswith(kind))
