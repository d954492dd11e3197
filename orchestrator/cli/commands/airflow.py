"""`orchestrate airflow`: all of Apache Airflow in the foreground, and commands about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

# First, as in `up`, so that the guardians' objects are close together in memory.
import orchestrator.process.fork  # noqa: F401

# isort: split
from orchestrator.cli import detach, foreground, settings, system_lookup
from orchestrator.cli.options import LocationOptions, PresetOptions, StartOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.presets.airflow import components, servers, workers
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.presets.airflow.facts import EXECUTORS, NAMES
from orchestrator.presets.airflow.options import AirflowOptions
from orchestrator.presets.airflow.preset import Preset

if TYPE_CHECKING:
    from orchestrator.runtime.home import Home
    from orchestrator.supervisor.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class AirflowCommandOptions:
    """The options of `airflow` and of its commands `info`, `password` and `run`; `action` is which of these, if any."""

    location: LocationOptions
    airflow: PresetOptions
    start: StartOptions
    timeout: float | None = None
    quiet: tuple[str, ...] = ()
    action: str = ""
    words: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def run(options: AirflowCommandOptions) -> int:
    """Run one of the command's actions; returns the exit status."""
    shell = settings.of_start(options.start, options.location.directory, options.quiet)
    here = _with_executor(shell, options.airflow.executor)
    airflow_options = read_airflow_options(options.airflow, options.timeout, here)
    if options.action:
        from orchestrator.cli.commands import airflow_info

        return airflow_info.run(options, airflow_options, here)
    installation = airflow_installation.find(options.airflow.airflow, here.environment.get("PATH"))
    home = home_directory(options.location.home)
    preset = Preset(installation, home, here.environment, airflow_options, os.getcwd(), shell.environment)
    return detach.run(
        options.start,
        lambda reporter: foreground.run_made(
            preset.make,
            home,
            here,
            reporter=reporter,
            supply=preset,
            airflow_home=str(home),
            watch=watch_growth(preset, here),
        ),
    )


def watch_growth(preset: Preset, here: CommandSettings) -> Callable[[Supervisor, Home], None]:
    """Return a function that starts the watch for signs that this Airflow has outgrown its set-up."""

    def begin(supervisor: Supervisor, home: Home) -> None:
        from orchestrator.cli.airflow_growth_watch import GrowthWatch

        GrowthWatch(supervisor, preset, home, is_service=bool(here.notify_socket))

    return begin


def _with_executor(here: CommandSettings, executor: str | None) -> CommandSettings:
    if executor is None:
        return here
    return replace(here, environment={**here.environment, "AIRFLOW__CORE__EXECUTOR": EXECUTORS.get(executor, executor)})


def read_airflow_options(given: PresetOptions, timeout: float | None, here: CommandSettings) -> AirflowOptions:
    """Return the settings of the command line; `timeout` is the value of -t. Raises UsageError."""
    return AirflowOptions(
        only=component_names(given.components, "--only"),
        without=component_names(given.left_out, "--except"),
        port=given.port,
        any_port=given.any_port,
        bind=given.bind,
        wait_for_database=given.wait_for_database,
        stop=components.STOP if timeout is None else components.STOP.with_grace(timeout),
        wanted=wanted_workers(given, timeout),
        servers=server_names(_split(given.servers), "argument --with"),
        listen=given.listen or "",
        show_password=here.shows_password,
    )


def wanted_workers(given: PresetOptions, timeout: float | None) -> workers.Wanted:
    """Return the Celery settings of the command line."""
    return workers.Wanted(
        count=given.workers,
        concurrency=given.concurrency,
        queues=",".join(_split(given.queues)),
        grace=_worker_grace(given, timeout),
        flower=given.flower,
    )


def _split(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _worker_grace(given: PresetOptions, timeout: float | None) -> float:
    """Return the seconds that running tasks get to finish; -t counts unless the workers have a separate option."""
    grace = given.worker_grace if given.worker_grace is not None else timeout
    return workers.GRACE if grace is None else grace


def server_names(names: list[str], where: str) -> frozenset[str]:
    """Return the names of servers that can be started with Airflow. Raises UsageError."""
    for name in names:
        if name not in servers.NAMES:
            near = "; did you mean postgresql?" if name.startswith(("postgres", "pg")) else ""
            raise UsageError(f"{where}: unknown server {name!r}{near}", f"there are {', '.join(servers.NAMES)}")
    return frozenset(names)


def component_names(text: str | None, option: str) -> frozenset[str]:
    """Return the names in a comma-separated list. Raises UsageError if no version of Airflow has a name."""
    names = frozenset(name.strip() for name in (text or "").split(",") if name.strip())
    for name in sorted(names - set(NAMES)):
        raise UsageError(f"argument {option}: {name!r} is not a component of Airflow", f"there are {', '.join(NAMES)}")
    if text is not None and not names:
        raise UsageError(f"argument {option}: no component is named")
    return names


def home_directory(named: str | None) -> Path:
    """Return AIRFLOW_HOME; make it if it is missing. Raises OrchestrateError."""
    path = system_lookup.airflow_home(named)
    make_home(path)
    return path


def make_home(path: Path) -> None:
    """Make AIRFLOW_HOME if it is missing. Raises OrchestrateError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OrchestrateError(
            f"cannot make AIRFLOW_HOME {path}: {error.strerror}", "name another with --home DIR"
        ) from None
