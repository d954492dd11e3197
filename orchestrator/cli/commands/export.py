"""`orchestrate export`: the definition for another engine, and a list of what that engine has no counterpart for."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import links, location, planning, settings, sources
from orchestrator.cli.commands import airflow
from orchestrator.cli.location import STDIN
from orchestrator.cli.options import LocationOptions, PlanOptions, PresetOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.config.environment import FROM_SHELL
from orchestrator.config.resolve import Resolved
from orchestrator.export import compose, helm_values, kubernetes, simple, systemd
from orchestrator.export.source import Export, ExportedFile, Source, check_commands, notes_file
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.spec import ComponentSpec
from orchestrator.presets.airflow import generated_secrets, join_file, servers, workers
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.runtime.home import write_private

TARGETS = ("systemd", "compose", "kubernetes", "helm-values", "procfile", "supervisord")
_NEED_IMAGE = ("compose", "kubernetes")


Given = str | float | bool | Iterable[str] | None  # the value of an option


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The options of `export`: the target, the directory for the files, and options of single targets."""

    target: str
    location: LocationOptions
    plan: PlanOptions
    airflow: PresetOptions
    output: str | None = None
    force: bool = False
    image: str | None = None
    whole: bool = False
    scope: str | None = None
    join_file: str | None = None


def run(options: ExportOptions) -> int:
    """Write the files; raises OrchestrateError if one exists and --force is not given."""
    target = options.target
    if target in _NEED_IMAGE and not options.image:
        raise UsageError(f"cannot export to {target} without an image", "name one that has your project: --image NAME")
    if options.whole and target != "systemd":
        raise UsageError(f"--whole is for systemd, not for {target}")
    here = settings.read()
    directory = Path(options.output or target).absolute()
    if options.join_file is not None:
        source = _workers(options, options.join_file, here)
        made = systemd.whole(source, _absolute(source.path), str(directory), user=_account(options), persistent=True)
        return _finish(options, directory, source, made)
    rerun = _rerun(options)
    read = sources.read(options.location, here, options.airflow, exact=True)
    resolved, notes = planning.plan(options.plan, read)
    planning.tell(notes)
    source = _source(options.location, read, resolved, here, rerun)
    return _finish(options, directory, source, _export(options, source, str(directory), read))


def _finish(options: ExportOptions, directory: Path, source: Source, made: Export) -> int:
    """Write the files, and report that; returns the exit status."""
    _write(directory, (*made.files, notes_file(options.target, source, made)), force=options.force)
    print(links.linked(f"wrote {_count(len(made.files) + 1, 'file')} to {directory}"))
    if made.losses:
        print(f"{_count(len(made.losses), 'feature')} without a counterpart: see EXPORT-NOTES.txt")
    return 0


def _export(options: ExportOptions, source: Source, directory: str, read: sources.Sources) -> Export:
    user = _is_for_user(options)
    if options.target == "systemd" and options.whole:
        return systemd.whole(source, _absolute(source.path), directory, user=_account(options))
    if options.target == "helm-values":
        version = read.airflow.version if read.airflow is not None else ""
        return helm_values.export(source, version, options.image or "")
    if read.airflow is not None and read.airflow.airflow_options.servers and not servers.stored(read.airflow.home):
        names = " and ".join(sorted(read.airflow.airflow_options.servers))
        raise OrchestrateError(
            f"cannot export {names} before their first start: they have no passwords yet", "run the system once"
        )
    if read.airflow is not None and read.airflow.unset_secrets:
        unset = generated_secrets.options(read.airflow.unset_secrets)
        raise OrchestrateError(
            f"cannot export Airflow before its first start: {unset} not configured, and no value is generated yet",
            "run the system once",
        )
    check_commands((*source.init, *source.components))
    match options.target:
        case "systemd":
            return systemd.services(source, _absolute(source.path), directory, user=user)
        case "compose":
            return compose.export(source, options.image or "")
        case "kubernetes":
            return kubernetes.export(source, options.image or "")
        case "procfile":
            return simple.procfile(source)
        case _:
            return simple.supervisord(source, directory)


def _is_for_user(options: ExportOptions) -> bool:
    return options.scope == "user" or (options.scope is None and os.geteuid() != 0)


def _account(options: ExportOptions) -> str | None:
    """Return the account of a unit of the system, empty for root; None for a unit of the user."""
    if _is_for_user(options):
        return None
    return pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else ""


def _workers(options: ExportOptions, join: str, here: CommandSettings) -> Source:
    """Return the system of `orchestrate airflow worker`, as far as its unit needs it.

    Raises UsageError for another target, and ConfigError if the file cannot be used.
    """
    if not options.whole:
        raise UsageError(
            "--env FILE is for the unit of a host of workers",
            "orchestrate airflow export systemd --whole --env FILE",
        )
    path = Path(os.path.expanduser(join)).absolute()
    join_file.read(path)
    airflow_installation.find(options.airflow.airflow, here.environment.get("PATH"))
    wanted = airflow.wanted_workers(options.airflow, options.plan.timeout)
    home = airflow.home_directory(options.location.home)
    given = _of_preset(options.airflow, Path.cwd())
    repeated: dict[str, Given] = {"--env": str(path), "--home": options.location.home and str(home)}
    own = ("--airflow", "--concurrency", "--queues", "--worker-grace", "--workers")
    repeated |= {flag: given[flag] for flag in own} | {"-t": options.plan.timeout}
    stop = workers.stop_plan(wanted.grace)
    worker = ComponentSpec(name=workers.WORKER, argv=(workers.WORKER,), cwd=os.getcwd(), environment={}, stop=stop)
    return Source(
        name="airflow-worker",
        title="Airflow worker",
        directory=os.getcwd(),
        init=(),
        components=(worker,),
        variables={},
        path=here.environment.get("PATH", ""),
        needed=_airflow_variables(here),
        rerun=(*_own_words(), "airflow", "worker", *_words(repeated)),
        ps=shlex.join(("orchestrate", "airflow", "ps", "--home", str(home))),
    )


def _source(
    options: LocationOptions, read: sources.Sources, resolved: Resolved, here: CommandSettings, rerun: tuple[str, ...]
) -> Source:
    """Return the system with the variables that the definition sets."""
    airflows = _airflow_variables(here) if read.airflow is not None else {}
    variables = {
        name: {key: one.value for key, one in found.items() if one.origin != FROM_SHELL or key in airflows}
        for name, found in resolved.variables.items()
    }
    init = resolved.system.init
    if read.airflow is not None:
        step, its = _database(read, resolved.system.components)
        init = (step, *init)
        variables[step.name] = variables.get(its, {})
    directory = os.path.abspath(read.definition.directory)
    name = os.path.basename(directory) if not options.preset else options.preset
    return Source(
        name=name,
        title=name,
        directory=directory,
        init=init,
        components=resolved.system.components,
        variables=variables,
        path=here.environment.get("PATH", ""),
        needed=_taken_from_shell(options, variables, here, read.airflow is not None),
        rerun=rerun,
        ps=_ps(options, read, directory),
    )


def _ps(options: LocationOptions, read: sources.Sources, directory: str) -> str:
    """Return the command that lists what runs, from any directory."""
    if options.preset and read.airflow is not None:
        return shlex.join(("orchestrate", options.preset, "ps", "--home", str(read.airflow.home.directory)))
    return shlex.join(("orchestrate", "ps", "-C", directory))


def _database(read: sources.Sources, components: tuple[ComponentSpec, ...]) -> tuple[ComponentSpec, str]:
    """Return the initial step of Airflow, and the component whose variables it has."""
    assert read.airflow is not None
    names = read.airflow.names
    own = (one for one in components if (one.component or one.name) in names - frozenset(servers.NAMES))
    first = next(own, components[0])
    words = tuple(str(word).replace("$$", "$") for word in read.airflow.database_step()["command"])
    return ComponentSpec(name="airflow", argv=words, cwd=first.cwd, environment=first.environment), first.name


def _taken_from_shell(
    options: LocationOptions,
    variables: Mapping[str, Mapping[str, str]],
    here: CommandSettings,
    has_airflow: bool,
) -> dict[str, str]:
    """Return the variables of this shell that the definition's files name, and those of Airflow."""
    airflows = _airflow_variables(here) if has_airflow else {}
    if options.preset:
        return airflows
    where = location.locate(options)
    set_here = {name for found in variables.values() for name in found}
    named: set[str] = set()
    for file in where.files:
        if file.path != STDIN:
            text = (where.base / file.path).read_text(encoding="utf-8", errors="replace")
            named.update(re.findall(r"(?<!\$)\$\{?([A-Za-z_]\w*)", text))
    usual = {"PATH", "HOME", "PWD", "USER", "SHELL", "PORT", "PS"}
    wanted = sorted(name for name in named if name in here.environment and name not in set_here | usual)
    return airflows | {name: here.environment[name] for name in wanted}


def _airflow_variables(here: CommandSettings) -> dict[str, str]:
    """Return the variables of this shell that configure Airflow."""
    return {name: value for name, value in sorted(here.environment.items()) if name.startswith("AIRFLOW_")}


def _rerun(options: ExportOptions) -> tuple[str, ...]:
    """Return the command line that runs the system, with the options of this one, in any directory.

    Raises UsageError if the definition is standard input.
    """
    location, plan = options.location, options.plan
    if options.whole and STDIN in location.file:
        raise UsageError("cannot export standard input as a unit", "write the definition to a file")
    base = Path(location.directory or ".").absolute()
    words = [*_own_words(), "airflow" if location.preset else "up"]
    repeated: dict[str, Given] = {
        "-f": [_absolute_paths(base, names) for names in location.file],
        "--root": location.root and str(base / location.root),
        "-e": [_absolute_paths(base, names) for names in location.env],
        "--home": location.home and str(base / location.home),
        "--env-override": location.env_override,
        "-t": plan.timeout,
        "--any-port": plan.any_port,
    }
    repeated |= _of_preset(options.airflow, base) if location.preset else _of_plan(plan)
    return (*words, *_words(repeated), *plan.names)


def _own_words() -> list[str]:
    """Return the command that runs this orchestrate."""
    script = os.path.abspath(sys.argv[0])
    return [script] if os.access(script, os.X_OK) else [sys.executable, "-m", "orchestrator"]


def _words(repeated: Mapping[str, Given]) -> list[str]:
    """Return the words that set these options."""
    return [word for flag, value in repeated.items() for word in _repeat(flag, value)]


def _of_plan(plan: PlanOptions) -> dict[str, Given]:
    return {
        "--no-port": plan.no_port,
        "--only": plan.only,
        "--except": plan.without,
        "--profile": plan.profile,
        "-m": plan.formation,
        "--no-tty": plan.no_tty,
        "-p": plan.base_port,
        "--no-deps": plan.no_deps,
        "--no-init": plan.no_init,
    }


def _of_preset(preset: PresetOptions, base: Path) -> dict[str, Given]:
    return {
        "--airflow": preset.airflow and str(base / preset.airflow),
        "--executor": preset.executor,
        "--port": preset.port,
        "--bind": preset.bind,
        "--listen": preset.listen,
        "--concurrency": preset.concurrency,
        "--queues": preset.queues,
        "--worker-grace": preset.worker_grace,
        "--with": preset.servers,
        "--only": preset.components,
        "--except": preset.left_out,
        "--flower": preset.flower,
        "--workers": preset.workers if preset.workers != 1 else None,
    }


def _repeat(flag: str, value: Given) -> list[str]:
    """Return the words that set an option to this value; none for an option that was not given."""
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, str | int | float):
        return [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return [word for one in value for word in (flag, one)]


def _absolute_paths(base: Path, names: str) -> str:
    """Return a list of files, separated by commas, with absolute paths; `?` before one says that it may be missing."""
    parts = names.split(",")
    return ",".join("?" * part.startswith("?") + os.path.join(base, part.removeprefix("?")) for part in parts)


def _absolute(path: str) -> systemd.Resolve:
    def resolve(program: str) -> str:
        found = shutil.which(program, path=path)
        if found is None:
            raise OrchestrateError(f"cannot export {program}: it is not on PATH, and systemd needs its path")
        return os.path.abspath(found)

    return resolve


def _write(directory: Path, files: tuple[ExportedFile, ...], *, force: bool) -> None:
    """Write all files, or none if one exists."""
    there = [file.name for file in files if (directory / file.name).exists()]
    if there and not force:
        raise OrchestrateError(
            f"cannot write {directory / there[0]}: it already exists", "use --force to replace it, or name another DIR"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = directory / file.name
            if file.private:
                write_private(path, file.text.encode("utf-8", "surrogateescape"))
            else:
                path.write_bytes(file.text.encode("utf-8", "surrogateescape"))
                path.chmod(0o755 if file.executable else 0o644)
    except OSError as error:
        raise OrchestrateError(f"cannot write {directory}: {(error.strerror or str(error)).lower()}") from None


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
