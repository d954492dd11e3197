"""The initial step that prepares Airflow, and the report that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.spec import ComponentSpec, StopPlan
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow import programs
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.installation import Installation
from orchestrator.runtime.home import Home

STEP = "airflow"
OWN_BROKER = "ORCHESTRATE_OWN_BROKER"  # set if the broker of --with redis starts later; also in inside/executors.py


def step(
    installation: Installation,
    home: Home,
    environment: Mapping[str, str],
    stop: StopPlan,
    directory: str,
    *task: str,
) -> ComponentSpec:
    """Return the initial step that prepares Airflow. `task` are the arguments after the path of the report."""
    report_path(home).unlink(missing_ok=True)
    return ComponentSpec(
        name=STEP,
        argv=programs.command(installation.python, "prepare", str(report_path(home)), *task),
        cwd=directory,
        environment=environment,
        source="the Airflow preset",
        stop=stop,
    )


def report_path(home: Home) -> Path:
    """Return the path of the report."""
    return home.state_dir / "airflow-report.json"


def read_report(home: Home, stamped: Facts | None = None) -> Facts:
    """Return the facts in the report, or `stamped` if it says that nothing has changed. Raises OrchestrateError."""
    try:
        text = report_path(home).read_text(encoding="utf-8")
    except OSError as error:
        raise OrchestrateError(f"cannot read the facts about Airflow: {error.strerror}") from None
    report_path(home).unlink()
    if stamped is not None and text.strip() == "{}":
        return stamped
    return facts_module.parse(text)
