"""`orchestrate up` and `start`: the system of orchestrate.toml or a Procfile, run in the foreground."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# First, so that the guardians' objects are close together, on fewer pages: 0.1 MB less in each (see process.fork).
import orchestrator.process.fork  # noqa: F401

# isort: split
from orchestrator.cli import detach, foreground, location, planning, settings, sources
from orchestrator.cli.arguments import NoCommandError
from orchestrator.cli.options import LocationOptions, PlanOptions, StartOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.cli.sources import MissingFileError, Sources
from orchestrator.config import selection
from orchestrator.config.definition import SHELL
from orchestrator.config.redaction import mask
from orchestrator.model.errors import NotRunningError, UnreachableError, UsageError
from orchestrator.model.spec import ComponentSpec, SystemSpec

if TYPE_CHECKING:
    from orchestrator.cli.airflow_table import AirflowTable
    from orchestrator.config.environment import Variables
    from orchestrator.history import inputs
    from orchestrator.model.spec import StartPlan


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of `up` and `start`; `no_command` is set if the first word may be a mistyped command."""

    location: LocationOptions
    plan: PlanOptions
    start: StartOptions
    dry_run: bool = False
    no_command: NoCommandError | None = None


def run(options: UpOptions) -> int:
    """Run the system until it exits; return the exit status."""
    here = settings.of_start(options.start, options.location.directory, options.plan.quiet)
    read = None
    try:
        read = sources.read(options.location, here)
        resolved, notes = planning.plan(options.plan, read)
    except (UsageError, MissingFileError) as error:
        _check_path(options, error)
        _check_mistyped_command(options, read, error)
        raise
    planning.tell(notes)
    system = _with_terms(options, resolved.system)
    if options.dry_run:
        return _show(system)
    home = location.home_of(options.location)
    if read.airflow is not None and _runs_airflow(read.airflow, system):
        return _run_with_airflow(options, read, read.airflow, system, home, here)
    supply = planning.InstanceFactory(options.plan, lambda: read)
    made = partial(_sources, options.location, read, resolved.variables)
    return detach.run(
        options.start,
        lambda reporter: foreground.run(system, home, here, reporter, supply, partial(_plan, system), made),
    )


def _show(system: SystemSpec) -> int:
    """Print the steps and components that start, in their order, for --dry-run; return the exit status."""
    for spec in (*system.init, *(one for one in system.components if one.autostart)):
        print(_in_words(spec, system))
    return 0


def _in_words(spec: ComponentSpec, system: SystemSpec) -> str:
    if spec.argv[:2] == SHELL:  # a shell line was not expanded
        command = mask("", spec.argv[2])
    else:
        command = " ".join(map(str, spec.argv))
    words = [f"{spec.name}: {command}"]
    details = [f"in {spec.cwd}"]
    if spec in system.init:
        details.insert(0, "an initial step")
    elif port := spec.environment.get("PORT"):
        details.append(f"PORT={port}")
    if spec.depends_on:
        details.append("after " + ", ".join(f"{d.name} ({d.condition.value})" for d in spec.depends_on))
    return "\n".join([*words, f"    {'; '.join(details)}"])


def _check_path(options: UpOptions, error: UsageError | MissingFileError) -> None:
    """Raise UsageError if the first word that is unknown is a path: hivemind takes a Procfile, `foreman -d` a
    directory."""
    first = options.no_command.word if options.no_command else ""
    is_missing = isinstance(error, MissingFileError)
    for word in planning.split(options.plan.names):
        option = "-C" if os.path.isdir(word) else "-f" if os.path.isfile(word) else ""
        if option and (error.message == f"unknown component {word!r}" or (word == first and is_missing)):
            hint = f"did you mean `{option} {shlex.quote(word)}`?"
            if word != first:
                raise UsageError(error.message, hint) from None
            if is_missing:
                raise UsageError(f"unknown command {word!r}", hint) from None
            raise UsageError(f"unknown command or component {word!r}", hint) from None


def _check_mistyped_command(options: UpOptions, read: Sources | None, error: UsageError | MissingFileError) -> None:
    """Raise UsageError if the first word is neither a command nor a component: `orchestrate wrod`."""
    unknown: NoCommandError | None = options.no_command
    if unknown is None:
        return
    names = [instance.name for instance in read.definition.components] if read else []
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


def _sources(options: LocationOptions, read: Sources, variables: Mapping[str, Variables]) -> inputs.InputSources:
    """Return the sources of the definition, for the record."""
    from orchestrator.history import inputs

    where = location.locate(options)
    files = [os.path.abspath(where.base / file.path) for file in where.files if file.path != location.STDIN]
    return inputs.InputSources((*files, *read.env_files), variables, tuple(files))


def _runs_airflow(part: AirflowTable, system: SystemSpec) -> bool:
    return any(component.component in part.names for component in system.components)


def _run_with_airflow(
    options: UpOptions,
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
    recorded = partial(_sources, options.location, read, {})  # the origins of variables are not known before the start
    begun = airflow_start.AirflowStart(part, read, system, chosen, lambda exact: _planned(options, exact), recorded)
    return detach.run(
        options.start,
        lambda reporter: begun.run(home, here, reporter, planning.InstanceFactory(options.plan, lambda: begun.sources)),
    )


def _planned(options: UpOptions, read: Sources) -> SystemSpec:
    resolved, _ = planning.plan(options.plan, read)
    return _with_terms(options, resolved.system)


def _with_terms(options: UpOptions, system: SystemSpec) -> SystemSpec:
    """Return the system with the options on exits applied. Raises UsageError."""
    known = dict.fromkeys(name for one in system.components for name in (one.component or one.name, one.name))
    tags = selection.tagged(system.components)
    if options.start.exit_code_from:
        try:
            selection.matching([options.start.exit_code_from], known, tags)
        except UsageError as error:
            raise UsageError(f"invalid --exit-code-from: {error.message}", error.hint) from None
    selection.matching(planning.split(options.plan.can_end), known, tags)
    return replace(system, components=tuple(planning.with_exit_policy(options.plan, one) for one in system.components))


def start(options: UpOptions) -> int:
    """Start components of the running system; without one, run the system with only these.

    Without names it is for this directory, as `foreman start` is: never for the only system that runs elsewhere.
    """
    from orchestrator.cli import system_lookup
    from orchestrator.cli.commands import remote
    from orchestrator.cli.options import RemoteOptions
    from orchestrator.model.control import StartRequest

    if options.dry_run or (not options.plan.names and system_lookup.is_guessed(options.location)):
        return run(options)
    try:
        asked = RemoteOptions(options.location, options.plan.names, options.start.json)
        return remote.change(asked, StartRequest(asked.names), "started", "is already running")
    except NotRunningError as error:
        if options.location.preset or isinstance(error, UnreachableError):
            raise
        return run(options)
