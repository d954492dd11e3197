"""Finds and reads what defines a system: orchestrate.toml, Procfile, standard input, .env files."""

from __future__ import annotations

import argparse
import codecs
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import location
from orchestrator.cli.env_files import EnvFiles
from orchestrator.cli.location import DOTENV, PROCFILE, TOML, Location
from orchestrator.cli.location import STDIN as STDIN_FILE
from orchestrator.cli.surroundings import Surroundings
from orchestrator.config import procfile
from orchestrator.config.definition import Definition, Member
from orchestrator.config.environment import Layers
from orchestrator.config.report import Place, Report
from orchestrator.model.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.cli.airflow_part import AirflowPart
    from orchestrator.config.document import Document

STDIN = "standard input"

_LOOKS_LIKE_TOML = re.compile(rb"""(?:[ \t\r\n]|#[^\n]*\n)*(?:\[|[\w."'-]+[ \t]*=)""")


class MissingFileError(ConfigError):
    """There is nothing that defines a system."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read. `env_files` are the .env files for all, `reader` reads those of the components; `report` holds
    what is wrong, `airflow` is the preset that it contains."""

    definition: Definition
    layers: Layers
    report: Report
    env_files: tuple[str, ...]
    reader: EnvFiles
    airflow: AirflowPart | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    directory: str
    data: bytes

    @property
    def is_toml(self) -> bool:
        """Whether it is TOML: by its name; of standard input, by how it begins."""
        return self.name.endswith(".toml") or (self.name == STDIN and bool(_LOOKS_LIKE_TOML.match(self.data)))


def read(
    options: argparse.Namespace, here: Surroundings, *, needs_components: bool = True, exact: bool = False
) -> Sources:
    """Read everything that the options, or the defaults, name. Raises ConfigError where a file cannot be read.

    Without `needs_components` a directory that defines no system will do: then there is only the environment. With
    `exact` a preset may run programs to find out what it would start.
    """
    if options.preset:
        return _read_preset(options, here, exact)
    report = Report()
    where = location.locate(options)
    layers = Layers(here.environment, options.env_override)
    files = where.files or ((PROCFILE,) if needs_components else ())
    sources = [_read_source(where.base, file, default=not where.named) for file in files]
    document = _document(sources, report)
    if document is not None and "airflow" in document.tree:
        return _with_airflow(document, _title(sources), options, here, exact)
    nothing = Definition(title="", directory=str(where.directory))
    definition = _define(sources, document, report) if sources else nothing
    wanted = _wanted_env_files(options, where, definition, layers, report)
    for path, wanted_by in wanted:
        layers = where.env_files.add(layers, path, wanted_by, report)
    paths = tuple(os.path.abspath(path) for path, _ in wanted)
    return Sources(definition, layers, report, paths, where.env_files)


def _read_source(base: Path, file: str, default: bool) -> _Source:
    if file == STDIN_FILE:
        return _Source(STDIN, str(base.absolute()), sys.stdin.buffer.read())
    path = base / file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        hint = f"write one, or {TOML}, or name a file with -f" if default else "name one with -f FILE"
        raise MissingFileError([f"unable to read {path}: no such file"], hint) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"unable to read {path}: {getattr(error, 'strerror', None) or error}"]) from None
    return _Source(str(path), str(location.directory_of(base, file)), data)


def _title(sources: list[_Source]) -> str:
    return ", ".join(os.path.basename(source.name) for source in sources)


def _document(sources: list[_Source], report: Report) -> Document | None:
    """Return the files merged; None for a single Procfile, which needs none of that. Raises ConfigError."""
    if not sources or (len(sources) == 1 and not sources[0].is_toml):
        return None
    from orchestrator.config import document, toml

    documents: list[Document] = []
    for source in sources:
        root = Place(source.name, 0, source.directory)
        if not source.is_toml:
            documents.append(_as_document(source, document.Document(root), report))
        elif (parsed := toml.parse(source.data, root, report)) is not None:
            documents.append(parsed)
    report.check()
    return document.merge(documents)


def _define(sources: list[_Source], document: Document | None, report: Report) -> Definition:
    if document is None:
        return _define_procfile(sources[0], _title(sources), report)
    from orchestrator.config import reader

    return reader.read(document, _title(sources), report)


# The Airflow preset


def _read_preset(options: argparse.Namespace, here: Surroundings, exact: bool) -> Sources:
    """Read `orchestrate airflow` as a definition that consists of nothing but the table [airflow]."""
    from orchestrator.cli import airflow_part
    from orchestrator.config import document

    tree: dict[str, object] = {"airflow": airflow_part.table_of(options)}
    alone = document.Document(Place(airflow_part.SOURCE, 0, os.getcwd()), tree)
    return _with_airflow(alone, "Airflow", options, here, exact)


def _with_airflow(
    document: Document, title: str, options: argparse.Namespace, here: Surroundings, exact: bool
) -> Sources:
    from orchestrator.cli import airflow_info, airflow_part
    from orchestrator.config import document as documents
    from orchestrator.config import reader

    report = Report()
    early: dict[str, object] = {key: document.tree[key] for key in ("env_file", "airflow") if key in document.tree}
    stand_in: dict[str, object] = {**early, "components": {"_": {"command": ":"}}}
    definition = reader.read(documents.Document(document.root, stand_in, document.places), title, report)
    report.check()
    assert definition.airflow is not None
    where = location.locate(options)
    layers = Layers(here.environment, options.env_override)
    wanted = [] if options.preset else _wanted_env_files(options, where, definition, layers, report)
    for path, wanted_by in wanted:
        layers = where.env_files.add(layers, path, wanted_by, report)
    part = airflow_part.read(
        document,
        title,
        definition.airflow,
        layers,
        here.environment,
        report,
        shows_password=os.isatty(1) and not here.view.json and not options.detach,
    )
    part = part.foreseen(airflow_info.asker(here) if exact else None)
    definition = part.definition(part.components, report)
    files = tuple(os.path.abspath(path) for path, _ in wanted)
    return Sources(definition, layers, report, files, where.env_files, part)


def _entries(source: _Source, report: Report) -> list[procfile.Entry]:
    entries, problems = procfile.parse(
        source.data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"), source.name
    )
    report.problems += problems
    return entries


def _define_procfile(source: _Source, title: str, report: Report) -> Definition:
    members = tuple(
        Member(name=e.name, command=e.command, place=Place(source.name, e.line, source.directory))
        for e in _entries(source, report)
    )
    names = frozenset(member.name for member in members)
    return Definition(title=title, directory=source.directory, components=members, names=names)


def _as_document(source: _Source, document: Document, report: Report) -> Document:
    components: dict[str, object] = {}
    for entry in _entries(source, report):
        components[entry.name] = {"command": entry.command}
        for path in (("components", entry.name), ("components", entry.name, "command")):
            document.places[path] = Place(source.name, entry.line, source.directory)
    document.tree["components"] = components
    return document


# .env files


def _wanted_env_files(
    options: argparse.Namespace, where: Location, definition: Definition, layers: Layers, report: Report
) -> list[tuple[str, Place | str]]:
    """Return the paths of the .env files for all, weakest first, and who wants each."""
    if options.env is not None:
        return [(str(path), "-e") for path in location.named_env_files(options, where.base)]
    pointer = [(str(where.pointer), str(where.pointer))] if where.pointer else []
    if definition.env_file is None:
        path = _default_env(where)
        return [*pointer, *([(str(path), str(path))] if path.exists() and not path.is_dir() else [])]
    from orchestrator.config.environment import expand_at

    def path_of(text: str, place: Place) -> str:
        return os.path.join(place.directory, expand_at(place, text, layers.get, report))

    return [*pointer, *((path_of(text, place), place) for text, place in definition.env_file)]


def _default_env(where: Location) -> Path:
    """Name the .env beside the definition as the user would. A directory of this name is a virtual environment."""
    return where.base / DOTENV if where.base.absolute() == where.directory else where.directory / DOTENV


def add_file_of(sources: Sources, path: str, member: Member, index: int, layers: Layers) -> Layers:
    """Read one of a member's own .env files into the layers."""
    place = member.where("env_file", index)
    return sources.reader.add(layers, os.path.join(place.directory, path), place, sources.report)
