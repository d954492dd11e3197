"""`orchestrate up`: the system of orchestrate.toml or a Procfile, run in the foreground."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# First, so that what guardians use lies together in memory, on fewer pages: 0.1 MB less in each (see process.fork).
import orchestrator.process.fork  # noqa: F401

# isort: split
from orchestrator.cli import detach, foreground, location, planning, settings, sources
from orchestrator.cli.options import NoCommandError
from orchestrator.cli.settings import CommandSettings
from orchestrator.cli.sources import MissingFileError, Sources
from orchestrator.config import selection
from orchestrator.model.errors import UsageError
from orchestrator.model.spec import SystemSpec

if TYPE_CHECKING:
    from orchestrator.cli.airflow_table import AirflowTable
    from orchestrator.config.environment import Variables
    from orchestrator.history import inputs
    from orchestrator.model.spec import StartPlan


def run(options: argparse.Namespace) -> int:
    """Run the system to its end; returns the exit status."""
    here = settings.read(options)
    read = None
    try:
        read = sources.read(options, here)
        resolved, notes = planning.plan(options, read)
    except (UsageError, MissingFileError) as error:
        _blame_the_command(options, read, error)
        raise
    planning.tell(notes)
    system = _with_terms(options, resolved.system)
    if options.dry_run:
        from orchestrator.cli.commands import dry_run

        return dry_run.show(system)
    home = location.home_of(options)
    if read.airflow is not None and _runs_airflow(read.airflow, system):
        return _run_with_airflow(options, read, read.airflow, system, home, here)
    supply = planning.InstanceFactory(options, lambda: read)
    made = partial(_sources, options, read, resolved.variables)
    return detach.run(
        options, lambda birth: foreground.run(system, home, here, birth, supply, partial(_plan, system), made)
    )


def _blame_the_command(options: argparse.Namespace, read: Sources | None, error: UsageError | MissingFileError) -> None:
    """Raise UsageError if the first word, which was taken for a component (`orchestrate wrod`), is none either."""
    unknown: NoCommandError | None = options.no_command
    if unknown is None:
        return
    names = [member.name for member in read.definition.components] if read else []
    try:
        selection.matching([unknown.word], names)
    except UsageError as no_component:
        if "did you mean" in str(unknown):
            raise unknown from None
        if read is None:
            raise UsageError(f"unknown command {unknown.word!r}", unknown.hint) from None
        raise UsageError(f"unknown command or component {unknown.word!r}", no_component.hint or error.hint) from None


def _plan(system: SystemSpec) -> StartPlan:
    from orchestrator.model.spec import StartPlan  # after the first fork, if there are initial steps

    return StartPlan(system.components, planning.taken_ports(system))


def _sources(options: argparse.Namespace, read: Sources, variables: Mapping[str, Variables]) -> inputs.InputSources:
    """Return what the definition was read from, for the record."""
    from orchestrator.history import inputs

    where = location.locate(options)
    files = [os.path.abspath(where.base / file.path) for file in where.files if file.path != location.STDIN]
    return inputs.InputSources((*files, *read.env_files), variables)


def _runs_airflow(part: AirflowTable, system: SystemSpec) -> bool:
    return any(component.component in part.names for component in system.components)


def _run_with_airflow(
    options: argparse.Namespace,
    read: Sources,
    part: AirflowTable,
    system: SystemSpec,
    home: Path,
    here: CommandSettings,
) -> int:
    """Run a system that contains the Airflow preset. It holds AIRFLOW_HOME too, and is planned again when the facts
    are known."""
    from orchestrator.cli import airflow_start

    chosen = {component.component for component in system.components}
    recorded = partial(_sources, options, read, {})  # the origins of variables are not known before the start
    begun = airflow_start.AirflowStart(part, read, system, chosen, lambda exact: _planned(options, exact), recorded)
    return detach.run(
        options,
        lambda birth: begun.run(home, here, birth, planning.InstanceFactory(options, lambda: begun.sources)),
    )


def _planned(options: argparse.Namespace, read: Sources) -> SystemSpec:
    resolved, _ = planning.plan(options, read)
    return _with_terms(options, resolved.system)


def _with_terms(options: argparse.Namespace, system: SystemSpec) -> SystemSpec:
    """Return the system with what the options say of ends. Raises UsageError."""
    known = dict.fromkeys(name for one in system.components for name in (one.component or one.name, one.name))
    tags = selection.tagged(system.components)
    if options.exit_code_from:
        try:
            selection.matching([options.exit_code_from], known, tags)
        except UsageError as error:
            raise UsageError(f"invalid --exit-code-from: {error.message}", error.hint) from None
    selection.matching(planning.split(options.can_end), known, tags)
    return replace(system, components=tuple(planning.with_exit_policy(options, one) for one in system.components))
