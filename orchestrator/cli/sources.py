"""Finds and reads the files that define a system: orchestrate.toml, Procfile, standard input, .env files."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import location
from orchestrator.cli.env_files import EnvFiles
from orchestrator.cli.location import DOTENV, PROCFILE, TOML, File, Location
from orchestrator.cli.location import STDIN as STDIN_FILE
from orchestrator.cli.options import LocationOptions, PresetOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.config import procfile
from orchestrator.config.definition import ComponentDefinition, Definition, EnvFile
from orchestrator.config.diagnostics import Place, Report, did_you_mean
from orchestrator.config.encoding import as_utf8
from orchestrator.config.environment import Layers
from orchestrator.model.errors import ConfigError, UsageError
from orchestrator.model.masked import masked, plain
from orchestrator.model.names import name_fault

if TYPE_CHECKING:
    from orchestrator.cli.airflow_table import AirflowTable
    from orchestrator.config.definition import Document

STDIN = "standard input"

_LOOKS_LIKE_TOML = re.compile(rb"""(?:[ \t\r\n]|#[^\n]*\n)*(?:\[|[\w."'-]+[ \t]*=)""")
_ALMOST = re.compile(r"procfile(?:[._-].+)?|orchestrate.*\.toml", re.IGNORECASE)


class MissingFileError(ConfigError):
    """No file defines a system."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The definition as read. `env_files` are the .env files for all, `reader` reads those of the components; `report`
    holds the mistakes, `airflow` is the preset that it contains."""

    definition: Definition
    layers: Layers
    report: Report
    env_files: tuple[str, ...]
    reader: EnvFiles
    airflow: AirflowTable | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    directory: str
    data: bytes
    prefix: str

    @property
    def is_toml(self) -> bool:
        """Return whether a file is TOML: by its name or, if that does not tell, by its first line."""
        name = os.path.basename(self.name)
        return name.endswith(".toml") or (not name.startswith(PROCFILE) and self.begins_like_toml)

    @property
    def begins_like_toml(self) -> bool:
        """Return whether the first line that is not empty is a header or an assignment."""
        return bool(_LOOKS_LIKE_TOML.match(self.data))


def read(
    options: LocationOptions,
    here: CommandSettings,
    airflow: PresetOptions | None = None,
    *,
    needs_components: bool = True,
    exact: bool = False,
) -> Sources:
    """Read everything that the options, or the defaults, name. Raises ConfigError if a file cannot be read.

    `airflow` are the options of `orchestrate airflow`. Without `needs_components` the directory may define no system:
    then there is only the environment. With `exact` a preset may run programs to determine its components.
    """
    if options.preset:
        return _read_preset(options, airflow, here, exact)
    report = Report()
    where = location.locate(options)
    layers = Layers(here.environment, options.env_override)
    if not where.files and needs_components:
        raise MissingFileError([f"cannot find {TOML} or {PROCFILE} in {where.directory}"], _what_is_there(where))
    if where.is_inherited:
        report.note(f"using {where.files[0].path}: no definition in {where.base.absolute()}")
    sources = [_read_source(where, file) for file in where.files]
    document = _document(sources, where, report, own_env=not options.env)
    if document is not None and "airflow" in document.tree:
        return _with_airflow(document, _title(sources), options, here, exact, report)
    nothing = Definition(title="", directory=str(where.directory))
    definition = _define(sources, document, where, report) if sources else nothing
    wanted = _wanted_env_files(options, where, definition, layers, report)
    for file in wanted:
        layers = where.env_files.add(layers, file.path, file.by, report, required=file.required)
    paths = tuple(os.path.abspath(file.path) for file in wanted if file.is_there)
    return Sources(definition, layers, report, paths, where.env_files)


def _read_source(where: Location, file: File) -> _Source:
    directory = str(where.directory_of(file))
    if file.path == STDIN_FILE:
        return _checked(_Source(STDIN, directory, as_utf8(sys.stdin.buffer.read()), file.prefix))
    path = where.base / file.path
    origin = f" (from {where.origin})" if where.origin else ""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError([f"cannot read {path}: no such file{origin}"], _similar(path)) from None
    except IsADirectoryError:
        inside = [os.path.join(file.path, name) for name in (TOML, PROCFILE) if (path / name).exists()]
        raise ConfigError(
            [f"cannot read {path}: it is a directory{origin}"], f"use `-f {inside[0]}`" if inside else ""
        ) from None
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise ConfigError([f"cannot read {path}: {reason}{origin}"]) from None
    return _checked(_Source(str(path), directory, as_utf8(data), file.prefix))


def _checked(source: _Source) -> _Source:
    """Return the source; raises ConfigError if it is in the format of another tool."""
    from orchestrator.config import foreign_formats

    name = os.path.basename(source.name)
    if kind := foreign_formats.format_of(name, source.data):
        tool = foreign_formats.tool_of(name)
        what = f"{kind}, the format of {tool}" if tool else kind
        example = foreign_formats.line_for(name, source.data)
        raise ConfigError(
            [f"cannot read {source.name}: it is {what}, neither a Procfile nor TOML"],
            f"convert it with `orchestrate import {source.name}`, or write a Procfile with lines like `{example}`",
        )
    return source


def _what_is_there(where: Location) -> str:
    """Return a hint for a directory without a definition: another file to use, or how to write one."""
    from orchestrator.config import foreign_formats

    directory = where.base
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_file())
    except OSError:
        names = []
    if ours := [name for name in names if _ALMOST.fullmatch(name)]:
        others = f" (or {', '.join(ours[1:])})" if ours[1:] else ""
        return f"found {ours[0]}{others}; use it with `-f {ours[0]}`"
    if where.foreign:
        return f"{where.foreign[0]} belongs to another user; if you trust it, name it: `-f {where.foreign[0]}`"
    example, about = foreign_formats.EXAMPLE, ""
    if theirs := [name for name in foreign_formats.NAMES if name in names]:
        about = f"{theirs[0]} is for {foreign_formats.tool_of(theirs[0])}; "
        example = foreign_formats.line_for(theirs[0], (directory / theirs[0]).read_bytes())
    more = "" if example != foreign_formats.EXAMPLE else "\n    worker: python worker.py"
    run = f"convert it with `orchestrate import {theirs[0]}`" if theirs else "run `orchestrate init`"
    how = f"{about}{run}, or write a file named {PROCFILE} with one line for each program:"
    return f"{how}\n    {example}{more}"


def _similar(path: Path) -> str:
    """Return a hint for a file that does not exist."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return ""
    return did_you_mean(path.name, names).removeprefix("; ")


def _title(sources: list[_Source]) -> str:
    return ", ".join(os.path.basename(source.name) for source in sources)


def _document(sources: list[_Source], where: Location, report: Report, *, own_env: bool) -> Document | None:
    """Return the files merged; None for a single Procfile, which needs no merging. Raises ConfigError.

    With `own_env` Procfiles in other directories have their own .env files.
    """
    if not sources or (len(sources) == 1 and not sources[0].is_toml and not sources[0].prefix):
        return None
    from orchestrator.config import definition as config_definition
    from orchestrator.config import toml

    documents: list[Document] = []
    seen: dict[str, Place] = {}
    clashes: list[str] = []
    for source in sources:
        root = Place(source.name, 0, source.directory)
        if not source.is_toml:
            with_env = own_env and source.directory != str(where.directory)
            documents.append(_as_document(source, config_definition.Document(root), with_env, seen, clashes, report))
        elif source.prefix:
            raise UsageError(f"cannot use the name {source.prefix!r} for {source.name}", "only a Procfile can have one")
        elif (parsed := toml.parse(source.data, root, report)) is not None:
            documents.append(parsed)
    report.check(_prefixes(sources) if clashes else "")
    return config_definition.merge(documents)


def _define(sources: list[_Source], document: Document | None, where: Location, report: Report) -> Definition:
    if document is None:
        return _define_procfile(sources[0], _title(sources), report)
    from orchestrator.config import loading

    return replace(loading.read(document, _title(sources), report), directory=str(where.directory))


# The Airflow preset


def _read_preset(
    options: LocationOptions, airflow: PresetOptions | None, here: CommandSettings, exact: bool
) -> Sources:
    """Read `orchestrate airflow` as a definition that consists only of the table [airflow]."""
    from orchestrator.cli import airflow_table
    from orchestrator.config import definition as config_definition

    tree: dict[str, object] = {"airflow": airflow_table.table_of(airflow, options.home)}
    alone = config_definition.Document(Place(airflow_table.SOURCE, 0, os.getcwd()), tree)
    return _with_airflow(alone, "Airflow", options, here, exact, Report())


def _with_airflow(
    document: Document, title: str, options: LocationOptions, here: CommandSettings, exact: bool, report: Report
) -> Sources:
    from orchestrator.cli import airflow_table
    from orchestrator.cli.commands import airflow_info
    from orchestrator.config import definition as documents
    from orchestrator.config import loading

    early: dict[str, object] = {key: document.tree[key] for key in ("env_file", "airflow") if key in document.tree}
    stand_in: dict[str, object] = {**early, "components": {"_": {"command": ":"}}}
    definition = loading.read(documents.Document(document.root, stand_in, document.places), title, report)
    report.check()
    assert definition.airflow is not None
    where = location.locate(options)
    layers = Layers(here.environment, options.env_override)
    wanted = [] if options.preset else _wanted_env_files(options, where, definition, layers, report)
    for file in wanted:
        layers = where.env_files.add(layers, file.path, file.by, report, required=file.required)
    part = airflow_table.read(
        document,
        title,
        definition.airflow,
        layers,
        here.environment,
        report,
        shows_password=here.shows_password,
    )
    part = part.foreseen(airflow_info.asker(here) if exact else None)
    definition = part.definition(part.components, report)
    files = tuple(os.path.abspath(file.path) for file in wanted if file.is_there)
    return Sources(definition, layers, report, files, where.env_files, part)


def _entries(source: _Source, report: Report) -> list[procfile.ProcfileEntry]:
    entries, problems = procfile.parse(source.data.decode("utf-8", "surrogateescape"), source.name)
    if problems and not entries and source.begins_like_toml:
        raise ConfigError([f"cannot read {source.name}: it is TOML"], "give it a name that ends in .toml")
    report.problems += problems
    return entries


def _define_procfile(source: _Source, title: str, report: Report) -> Definition:
    components = tuple(
        ComponentDefinition(name=e.name, command=e.command, place=Place(source.name, e.line, source.directory))
        for e in _entries(source, report)
    )
    names = frozenset(component.name for component in components)
    return Definition(title=title, directory=source.directory, components=components, names=names)


def _as_document(
    source: _Source,
    document: Document,
    with_env: bool,
    seen: dict[str, Place],
    clashes: list[str],
    report: Report,
) -> Document:
    """Return the components of a Procfile. `seen` has those of earlier ones; names in both are added to `clashes`."""
    components: dict[str, object] = {}
    files = [DOTENV] if with_env and os.path.isfile(os.path.join(source.directory, DOTENV)) else []
    for entry in _entries(source, report):
        name = f"{source.prefix}.{entry.name}" if source.prefix else entry.name
        place = Place(source.name, entry.line, source.directory)
        if source.prefix and (fault := name_fault(name)):
            report.problem(place, f"{name!r} is not a valid name: {fault}")
        if name in seen:
            clashes.append(name)
            report.problem(place, f"{name!r} is already defined in {seen[name]}")
            continue
        seen[name] = place
        components[name] = {"command": entry.command, **({"env_file": files} if files else {})}
        for path in (("components", name), ("components", name, "command"), ("components", name, "env_file")):
            document.places[path] = place
    document.tree["components"] = components
    return document


def _prefixes(sources: list[_Source]) -> str:
    """Return the hint with a distinct prefix for each Procfile."""
    if len({os.path.join(source.directory, os.path.basename(source.name)) for source in sources}) < len(sources):
        return "name each file once"
    words = []
    for source in sources:
        file = os.path.basename(source.name)
        name = os.path.basename(source.directory)
        if sum(other.directory == source.directory for other in sources) > 1:
            name = file.removeprefix(PROCFILE).strip("._-") or name
        words.append(f"-f {name}={source.name}" if not source.is_toml else f"-f {source.name}")
    example = words[0].split()[1].partition("=")[0]
    return f"tell them apart with `{' '.join(words)}`: components {example}.NAME, each in its own directory"


# .env files


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A .env file for all, and the place that names it."""

    path: str
    by: Place | str
    required: bool = True

    @property
    def is_there(self) -> bool:
        """Return whether the file is read: it is required, or it exists."""
        return self.required or os.path.exists(self.path)


def _wanted_env_files(
    options: LocationOptions, where: Location, definition: Definition, layers: Layers, report: Report
) -> list[_Wanted]:
    """Return the .env files for all, weakest first."""
    if options.env:
        named = location.named_env_files(options, where.base)
        return [_Wanted(str(path), "-e", required) for path, required in named]
    pointer = [_Wanted(str(where.pointer), str(where.pointer))] if where.pointer else []
    if definition.env_file is None:
        path = _default_env(where)  # a directory of this name is a virtual environment
        return [*pointer, *([_Wanted(str(path), str(path))] if path.exists() and not path.is_dir() else [])]
    from orchestrator.config.environment import expand_at

    def wanted(file: EnvFile, place: Place) -> _Wanted:
        text = expand_at(place, file.path, layers.values, report)
        path = masked(os.path.join(place.directory, plain(text)), os.path.join(place.directory, str(text)))
        return _Wanted(path, place, file.required)

    return [*pointer, *(wanted(file, place) for file, place in definition.env_file)]


def _default_env(where: Location) -> Path:
    """Return the path of the .env beside the definition, as the user would write it."""
    return where.base / DOTENV if where.base.absolute() == where.directory else where.directory / DOTENV


def add_file_of(sources: Sources, path: str, component: ComponentDefinition, index: int, layers: Layers) -> Layers:
    """Read one of a component's own .env files into the layers."""
    place = component.where("env_file", index)
    full = masked(os.path.join(place.directory, plain(path)), os.path.join(place.directory, str(path)))
    required = component.env_file[index].required
    return sources.reader.add(layers, full, place, sources.report, required=required)
