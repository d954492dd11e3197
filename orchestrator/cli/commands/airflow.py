"""`orchestrate airflow`: all of Apache Airflow in the foreground, and commands about it."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

# First, as in `up`: so that what guardians use lies together in memory.
import orchestrator.process.fork  # noqa: F401

# isort: split
from orchestrator.cli import detach, foreground, settings, system_lookup
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.presets.airflow import components, servers, workers
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.presets.airflow.facts import EXECUTORS, NAMES
from orchestrator.presets.airflow.preset import AirflowOptions, Preset


def run(options: argparse.Namespace) -> int:
    """Run one of the command's actions; returns the exit status."""
    shell = settings.read(options)
    here = _with_executor(shell, options.executor)
    airflow_options = read_airflow_options(options, here)
    if options.action:
        from orchestrator.cli.commands import airflow_info

        return airflow_info.run(options, airflow_options, here)
    installation = airflow_installation.find(options.airflow, here.environment.get("PATH"))
    home = home_directory(options.home)
    preset = Preset(installation, home, here.environment, airflow_options, os.getcwd(), shell.environment)
    return detach.run(
        options,
        lambda birth: foreground.run_made(preset.make, home, here, birth=birth, supply=preset, airflow_home=str(home)),
    )


def _with_executor(here: CommandSettings, executor: str | None) -> CommandSettings:
    if executor is None:
        return here
    return replace(here, environment={**here.environment, "AIRFLOW__CORE__EXECUTOR": EXECUTORS.get(executor, executor)})


def read_airflow_options(options: argparse.Namespace, here: CommandSettings) -> AirflowOptions:
    """Return what the command line asks for. Raises UsageError."""
    return AirflowOptions(
        only=component_names(options.only, "--only"),
        without=component_names(options.without, "--except"),
        port=options.port,
        any_port=options.any_port,
        bind=options.bind,
        wait_for_database=options.wait_for_database,
        stop=components.STOP if options.timeout is None else components.STOP.with_grace(options.timeout),
        wanted=workers.Wanted(
            count=options.workers,
            concurrency=options.concurrency,
            queues=",".join(_split(options.queues)),
            grace=_worker_grace(options),
            flower=options.flower,
        ),
        servers=server_names(_split(options.servers), "argument --with"),
        show_password=os.isatty(1) and not here.view.json and not options.detach,
    )


def _split(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _worker_grace(options: argparse.Namespace) -> float:
    """Return the seconds that running tasks are given; -t counts unless there is an option of the workers' own."""
    grace: float | None = options.worker_grace if options.worker_grace is not None else options.timeout
    return workers.GRACE if grace is None else grace


def server_names(names: list[str], where: str) -> frozenset[str]:
    """Return the names of servers that can be started with Airflow. Raises UsageError."""
    for name in names:
        if name not in servers.NAMES:
            near = "; did you mean postgresql?" if name.startswith(("postgres", "pg")) else ""
            raise UsageError(f"{where}: unknown server {name!r}{near}", f"there are {', '.join(servers.NAMES)}")
    return frozenset(names)


def component_names(text: str | None, option: str) -> frozenset[str]:
    """Return the names in a comma-separated list. Raises UsageError where no version of Airflow has such a one."""
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
