"""Airflow versions: seconds of each step that a user waits for, with `orchestrate airflow` on each version.

Cold is a start on an empty AIRFLOW_HOME, until the banner; a login gets a token, or its first page, with the password
that was made; the DAG has three tasks, one after another, from its trigger to its success; a stop is from SIGTERM until
no process is left; warm is the next start on the same home.

Installs Airflow as scripts/airflow-env does. The client is that of the tests (tests/support/airflow_rest.py).
"""

import signal
import sys
import time
from typing import Any

from benchmarks.contenders import CHECKOUT
from benchmarks.report import Column, Row, median
from benchmarks.running import Settings
from benchmarks.workspace import BenchError, Workspace

VERSIONS = ("3.3.2", "3.1.8", "3.0.6", "2.11.2", "2.6.3")
REPETITIONS = 3
STEPS = ("cold", "login", "dag", "stop", "warm")

COLUMNS = (
    Column("version", "Airflow"),
    Column("cold", "cold s", ".1f"),
    Column("login", "login s", ".1f"),
    Column("dag", "DAG run s", ".1f"),
    Column("stop", "stop s", ".1f"),
    Column("warm", "warm s", ".1f"),
)


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row of medians for each version."""
    sys.path[:0] = [str(CHECKOUT / "tests" / "support"), str(CHECKOUT / "tests")]
    versions = [version for version in VERSIONS if settings.case in version]
    return [row(version, settings, space) for version in (versions[:1] if settings.quick else versions)]


def row(version: str, settings: Settings, space: Workspace) -> Row:
    """Measure one version."""
    samples = [steps(version, space) for _ in range(settings.repetitions(REPETITIONS))]
    return {"version": version, **{step: median([sample[step] for sample in samples]) for step in STEPS}}


def steps(version: str, space: Workspace) -> dict[str, float]:
    """Start a version twice on a new home; the seconds of each step. Raises BenchError if the DAG fails."""
    from airflow_rest import Airflow

    airflow = Airflow(version, space.new_directory())
    seconds: dict[str, float] = {}
    run, rest = timed(seconds, "cold", lambda: started(airflow))
    timed(seconds, "login", rest._login if version[0] == "3" else lambda: rest.get("/api/v1/dags"))
    rest.wait_for_dag("three")
    state = timed(seconds, "dag", lambda: rest.to_the_end(rest.trigger("three")))
    timed(seconds, "stop", lambda: stopped(run))
    run, _ = timed(seconds, "warm", lambda: started(airflow))
    stopped(run)
    if state != "success":
        raise BenchError(f"Airflow {version}: the DAG run ended as {state}")
    return seconds


def started(airflow: Any) -> tuple[Any, Any]:
    """Start and wait for the banner."""
    run = airflow.start()
    return run, airflow.wait_ready(run)


def stopped(run: Any) -> None:
    """Stop, and wait until nothing is left. Raises BenchError."""
    run.signal(signal.SIGTERM)
    run.wait()
    if left := run.survivors(30):
        raise BenchError(f"left behind: {left}")


def timed(seconds: dict[str, float], step: str, action: Any) -> Any:
    """Run an action and keep its seconds."""
    begun = time.monotonic()
    result = action()
    seconds[step] = time.monotonic() - begun
    return result
