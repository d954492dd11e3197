"""`orchestrate airflow worker`: Celery workers of an Airflow whose other components run on another host."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# First, as in `up`, so that the guardians' objects are close together in memory.
import orchestrator.process.fork  # noqa: F401

# isort: split
from orchestrator.cli import detach, foreground, settings
from orchestrator.cli.commands import airflow
from orchestrator.cli.options import LocationOptions, PresetOptions, StartOptions
from orchestrator.model.errors import UsageError
from orchestrator.presets.airflow import components, join_file
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.presets.airflow.worker_preset import WorkerPreset


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of `airflow worker`; `join_file` is what `airflow join` wrote."""

    location: LocationOptions
    airflow: PresetOptions
    start: StartOptions
    timeout: float | None = None
    quiet: tuple[str, ...] = ()
    join_file: str | None = None
    check_only: bool = False


def run(options: WorkerOptions) -> int:
    """Check this host, and run the workers; returns the exit status."""
    here = settings.of_start(options.start, options.location.directory, options.quiet)
    if not options.join_file:
        raise UsageError(
            "cannot start worker: no --env FILE names the first host's settings",
            "write the file on the first host: orchestrate airflow join > worker.env",
        )
    wanted = airflow.wanted_workers(options.airflow, options.timeout)
    join = join_file.read(Path(os.path.expanduser(options.join_file)))
    installation = airflow_installation.find(options.airflow.airflow, here.environment.get("PATH"))
    home = airflow.home_directory(options.location.home)
    stop = components.STOP if options.timeout is None else components.STOP.with_grace(options.timeout)
    made = WorkerPreset(installation, here.environment, join, wanted, os.getcwd(), stop, options.check_only)
    return detach.run(
        options.start,
        lambda reporter: foreground.run_made(
            made.make, home, here, reporter=reporter, supply=made, airflow_home=str(home)
        ),
    )
