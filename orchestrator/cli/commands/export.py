"""`orchestrate export`: the definition for another engine, and a list of what that engine has no counterpart for."""

from __future__ import annotations

import argparse
import os
import pwd
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from orchestrator.cli import location, planning, settings, sources
from orchestrator.cli.settings import CommandSettings
from orchestrator.config.environment import FROM_SHELL
from orchestrator.export import compose, helm_values, kubernetes, simple, systemd
from orchestrator.export.source import Export, ExportedFile, Source, check_commands, notes_file
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.spec import ComponentSpec
from orchestrator.presets.airflow import servers
from orchestrator.runtime.home import write_private

TARGETS = ("systemd", "compose", "kubernetes", "helm-values", "procfile", "supervisord")
_NEED_IMAGE = ("compose", "kubernetes")
_REPEATED = (  # options of `up` that the unit of --whole repeats
    *(
        ("file", "-f"),
        ("root", "--root"),
        ("env", "-e"),
        ("no_port", "--no-port"),
        ("only", "--only"),
        ("without", "--except"),
        ("profile", "--profile"),
    ),
    *(("formation", "-m"), ("no_tty", "--no-tty"), ("base_port", "-p"), ("home", "--home"), ("timeout", "-t")),
    *(("airflow", "--airflow"), ("executor", "--executor"), ("port", "--port"), ("bind", "--bind")),
    *(("concurrency", "--concurrency"), ("queues", "--queues"), ("worker_grace", "--worker-grace")),
    *(("servers", "--with"), ("env_override", "--env-override"), ("no_deps", "--no-deps")),
    *(("no_init", "--no-init"), ("any_port", "--any-port"), ("flower", "--flower")),
)


_PATHS = ("file", "env", "home", "root", "airflow")


def run(options: argparse.Namespace) -> int:
    """Write the files; raises OrchestrateError if one exists and --force is not given."""
    target = options.target
    if target in _NEED_IMAGE and not options.image:
        raise UsageError(f"cannot export to {target} without an image", "name one that has your project: --image NAME")
    if options.whole and target != "systemd":
        raise UsageError(f"--whole is for systemd, not for {target}")
    rerun = _rerun(options)
    here = settings.read(options)
    read = sources.read(options, here, exact=True)
    resolved, notes = planning.plan(options, read)
    planning.tell(notes)
    directory = Path(options.output or target).absolute()
    source = _source(options, read, resolved, here, rerun)
    made = _export(options, source, str(directory), read)
    _write(directory, (*made.files, notes_file(target, source, made)), force=options.force)
    print(f"wrote {_count(len(made.files) + 1, 'file')} to {directory}")
    if made.losses:
        print(f"{_count(len(made.losses), 'feature')} without a counterpart: see EXPORT-NOTES.txt")
    return 0


def _export(options: argparse.Namespace, source: Source, directory: str, read: sources.Sources) -> Export:
    user = options.scope == "user" or (options.scope is None and os.geteuid() != 0)
    if options.target == "systemd" and options.whole:
        name = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else ""
        return systemd.whole(source, _absolute(source.path), user=None if user else name)
    if options.target == "helm-values":
        version = read.airflow.version if read.airflow is not None else ""
        return helm_values.export(source, version, options.image or "")
    if read.airflow is not None and read.airflow.airflow_options.servers and not servers.stored(read.airflow.home):
        names = " and ".join(sorted(read.airflow.airflow_options.servers))
        raise OrchestrateError(
            f"cannot export {names} before their first start: they have no passwords yet", "run the system once"
        )
    check_commands((*source.init, *source.components))
    match options.target:
        case "systemd":
            return systemd.services(source, _absolute(source.path), directory, user=user)
        case "compose":
            return compose.export(source, options.image)
        case "kubernetes":
            return kubernetes.export(source, options.image)
        case "procfile":
            return simple.procfile(source)
        case _:
            return simple.supervisord(source, directory)


def _source(
    options: argparse.Namespace, read: sources.Sources, resolved: Any, here: CommandSettings, rerun: tuple[str, ...]
) -> Source:
    """Return the system with the variables that the definition sets."""
    variables = {
        name: {key: one.value for key, one in found.items() if one.origin != FROM_SHELL}
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
        needed=_taken_from_shell(options, variables, here),
        rerun=rerun,
    )


def _database(read: sources.Sources, components: tuple[ComponentSpec, ...]) -> tuple[ComponentSpec, str]:
    """Return the initial step of Airflow, and the component whose variables it has."""
    assert read.airflow is not None
    names = read.airflow.names
    own = (one for one in components if (one.component or one.name) in names - frozenset(servers.NAMES))
    first = next(own, components[0])
    words = tuple(str(word).replace("$$", "$") for word in read.airflow.database_step()["command"])
    return ComponentSpec(name="airflow", argv=words, cwd=first.cwd, environment=first.environment), first.name


def _taken_from_shell(
    options: argparse.Namespace, variables: dict[str, dict[str, str]], here: CommandSettings
) -> tuple[str, ...]:
    """Return the variables of this shell that the definition's files name."""
    if options.preset:
        return ()
    where = location.locate(options)
    set_here = {name for found in variables.values() for name in found}
    named: set[str] = set()
    for file in where.files:
        if file.path != location.STDIN:
            text = (where.base / file.path).read_text(encoding="utf-8", errors="replace")
            named.update(re.findall(r"(?<!\$)\$\{?([A-Za-z_]\w*)", text))
    usual = {"PATH", "HOME", "PWD", "USER", "SHELL", "PORT", "PS"}
    return tuple(sorted(name for name in named if name in here.environment and name not in set_here | usual))


def _rerun(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the command line that runs the system, with the options of this one, in any directory.

    Raises UsageError if the definition is standard input.
    """
    if options.whole and location.STDIN in (options.file or ()):
        raise UsageError("cannot export standard input as a unit", "write the definition to a file")
    base = Path(options.directory or ".").absolute()
    script = os.path.abspath(sys.argv[0])
    words = [script] if os.access(script, os.X_OK) else [sys.executable, "-m", "orchestrator"]
    words.append("airflow" if options.preset else "up")
    for name, flag in _REPEATED:
        value = getattr(options, name, None)
        if name in _PATHS and value:
            value = [_absolute_paths(base, one) for one in value] if name in ("file", "env") else str(base / value)
        if value is True:
            words.append(flag)
        elif isinstance(value, list | tuple):
            words += [word for one in value for word in (flag, str(one))]
        elif value not in (None, False):
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    if options.preset and options.workers != 1:
        words += ["--workers", str(options.workers)]
    return (*words, *options.names)


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
