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

from orchestrator.cli.surroundings import Surroundings
from orchestrator.config import procfile
from orchestrator.config.definition import Definition, Member
from orchestrator.config.environment import Layers
from orchestrator.config.report import Place, Report
from orchestrator.model.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.config.document import Document

TOML, PROCFILE, DOTENV = "orchestrate.toml", "Procfile", ".env"
STDIN = "standard input"

_LOOKS_LIKE_TOML = re.compile(rb"""(?:[ \t\r\n]|#[^\n]*\n)*(?:\[|[\w."'-]+[ \t]*=)""")


class MissingFileError(ConfigError):
    """There is nothing that defines a system."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read. `env_files` are the .env files for all; `report` holds what is wrong."""

    definition: Definition
    layers: Layers
    report: Report
    env_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    directory: str
    data: bytes

    @property
    def is_toml(self) -> bool:
        """Whether it is TOML: by its name; of standard input, by how it begins."""
        return self.name.endswith(".toml") or (self.name == STDIN and bool(_LOOKS_LIKE_TOML.match(self.data)))


def read(options: argparse.Namespace, here: Surroundings, *, needs_components: bool = True) -> Sources:
    """Read everything that the options, or the defaults, name. Raises ConfigError where a file cannot be read.

    Without `needs_components` a directory that defines no system will do: then there is only the environment.
    """
    report = Report()
    base = Path(options.directory or ".")
    layers = Layers(here.environment, options.env_override)
    early = _named_env_files(options, base) or [base / DOTENV]
    if options.file is None:
        # PROCFILE may stand in .env, so that is read first; what is wrong in it is told when it is read for good.
        early_layers = layers
        for env_file in filter(Path.exists, early):
            early_layers = _add_file(early_layers, str(env_file), "", Report())
        files = [early_layers.get("PROCFILE") or (TOML if (base / TOML).exists() else PROCFILE)]
        if not needs_components and files == [PROCFILE] and not (base / PROCFILE).exists():
            files = []
    else:
        files = options.file
    sources = [_read_source(base, file, default=options.file is None) for file in files]
    definition = _define(sources, report) if sources else Definition(title="", directory=str(base.absolute()))
    wanted = _wanted_env_files(options, base, definition, layers, report)
    for path, wanted_by in wanted:
        layers = _add_file(layers, path, wanted_by, report)
    return Sources(definition, layers, report, tuple(os.path.abspath(path) for path, _ in wanted))


def _read_source(base: Path, file: str, default: bool) -> _Source:
    if file == "-":
        return _Source(STDIN, str(base.absolute()), sys.stdin.buffer.read())
    path = base / file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        hint = f"write one, or {TOML}, or name a file with -f" if default else "name one with -f FILE"
        raise MissingFileError([f"unable to read {path}: no such file"], hint) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"unable to read {path}: {getattr(error, 'strerror', None) or error}"]) from None
    directory = path.absolute().parent if path.is_file() else base.absolute()  # of `-f <(generate)` it is this one
    return _Source(str(path), str(directory), data)


def _define(sources: list[_Source], report: Report) -> Definition:
    title = ", ".join(os.path.basename(source.name) for source in sources)
    if len(sources) == 1 and not sources[0].is_toml:
        return _define_procfile(sources[0], title, report)
    from orchestrator.config import document, reader, toml

    documents: list[Document] = []
    for source in sources:
        root = Place(source.name, 0, source.directory)
        if not source.is_toml:
            documents.append(_as_document(source, document.Document(root), report))
        elif (parsed := toml.parse(source.data, root, report)) is not None:
            documents.append(parsed)
    report.check()
    return reader.read(document.merge(documents), title, report)


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


def _named_env_files(options: argparse.Namespace, base: Path) -> list[Path]:
    return [base / name for text in options.env or () for name in text.split(",") if name]


def _wanted_env_files(
    options: argparse.Namespace, base: Path, definition: Definition, layers: Layers, report: Report
) -> list[tuple[str, Place | str]]:
    """Return the paths of the .env files for all, and who wants each."""
    if options.env is not None:
        return [(str(path), "-e") for path in _named_env_files(options, base)]
    if definition.env_file is None:
        path = _default_env(definition, base)
        return [(str(path), str(path))] if path.exists() else []
    from orchestrator.config.environment import expand_at

    def path_of(text: str, place: Place) -> str:
        return os.path.join(place.directory, expand_at(place, text, layers.get, report))

    return [(path_of(text, place), place) for text, place in definition.env_file]


def _default_env(definition: Definition, base: Path) -> Path:
    """Name the .env beside the definition as the user would."""
    return base / DOTENV if str(base.absolute()) == definition.directory else Path(definition.directory) / DOTENV


def _add_file(layers: Layers, path: str, wanted_by: Place | str, report: Report) -> Layers:
    from orchestrator.config import dotenv

    try:
        text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        report.problem(wanted_by, f"unable to read {path}: {reason}")
        return layers
    assignments, problems = dotenv.parse(text, path)
    report.problems += problems
    return layers.with_file(path, assignments, report)


def add_file_of(sources: Sources, path: str, member: Member, index: int, layers: Layers) -> Layers:
    """Read one of a member's own .env files into the layers."""
    place = member.where("env_file", index)
    return _add_file(layers, os.path.join(place.directory, path), place, sources.report)
