"""A system as its files define it, before variables are expanded, components selected and instances counted. Frozen.

`Document` is a definition as a tree of plain values, with the place of each. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.diagnostics import Place, nearest
from orchestrator.model.prompt_rules import Rule
from orchestrator.model.spec import AskedProbe, Dependency, Limits, LogProbe, OnExit, Probe, RestartPlan, StopPlan

# A value of a TOML file, without dates, which no key has.
TomlValue = str | int | float | bool | Sequence["TomlValue"] | Mapping[str, "TomlValue"]

Command = str | tuple[str, ...]  # a line for SHELL, or an argv without a shell
SHELL = ("/bin/sh", "-c")
Path = tuple[str | int, ...]

_STOP = StopPlan()
_LIMITS = Limits()
_RESTART = RestartPlan()


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A file of variables, as the definition names it. One that is not `required` may be missing."""

    path: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDefinition:
    """One component or initial step. `place` is its table in the file, `places` those of its keys.

    Of a component: `replicas`, `profiles`, `port` (a number, or text that becomes one), `depends_on`, `ready`,
    `failed`, `alive`, `restart`, `on_exit`, `success_exit_codes`, `expect`, `color`, `start_after`, `stop_before`,
    `autostart`. Of a step: `unless`, `timeout` (seconds), `needed_by` (components; empty for all).
    """

    name: str
    command: Command
    place: Place
    places: Mapping[Path, Place] = field(default_factory=dict)
    cwd: str = "."
    environment: Mapping[str, str] = field(default_factory=dict)
    env_file: tuple[EnvFile, ...] = ()
    shell: tuple[str, ...] = SHELL
    unset: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tty: bool = True
    stop: StopPlan = _STOP
    replicas: int = 1
    profiles: tuple[str, ...] = ()
    port: int | str | None = None
    depends_on: tuple[Dependency, ...] = ()
    ready: tuple[Probe, ...] = ()
    failed: tuple[LogProbe, ...] = ()
    alive: tuple[AskedProbe, ...] = ()
    restart: RestartPlan = _RESTART
    on_exit: OnExit | None = None
    success_exit_codes: frozenset[int] = frozenset({0})
    unless: Command = ()
    timeout: float | None = None
    needed_by: tuple[str, ...] = ()
    autostart: bool = True
    expect: tuple[Rule, ...] = ()
    color: str = ""
    start_after: tuple[str, ...] = ()
    stop_before: tuple[str, ...] = ()
    user: str = ""
    group: str = ""
    umask: int | None = None
    nice: int | None = None
    limits: Limits = _LIMITS
    on_failure: Command = ()
    after_exit: Command = ()

    def where(self, *path: str | int) -> Place:
        """Return the place of a key, or of the nearest thing around it that has one."""
        return nearest(self.places, path, self.place)


@dataclass(frozen=True, slots=True)
class PresetTable:
    """A table that adds the components of a preset: its keys, and their places in the file."""

    values: Mapping[str, Any]
    place: Place
    places: Mapping[Path, Place]

    def where(self, *path: str | int) -> Place:
        """Return the place of a key."""
        return nearest(self.places, path, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A whole system. `env_file` is None if no file names any: then `.env` is read if it exists. `names` holds
    every name that is defined, even if its definition is invalid."""

    title: str
    directory: str
    env_file: tuple[tuple[EnvFile, Place], ...] | None = None
    init: tuple[ComponentDefinition, ...] = ()
    components: tuple[ComponentDefinition, ...] = ()
    names: frozenset[str] = frozenset()
    airflow: PresetTable | None = None


@dataclass(slots=True)
class Document:
    """`tree` holds plain TOML values; `places` maps the path of each key to its file and line."""

    root: Place
    tree: dict[str, object] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return the place of a value, or of the nearest thing around it that has one."""
        return nearest(self.places, path, self.root)


def merge(documents: Iterable[Document]) -> Document:
    """Merge documents in order: tables key by key; for everything else the later document wins."""
    first, *others = documents
    merged = Document(first.root, _copy(first.tree), dict(first.places))
    for document in others:
        _merge_into(merged.tree, document.tree)
        merged.places.update(document.places)
    return merged


def _merge_into(target: dict[str, object], source: Mapping[str, object]) -> None:
    for key, value in source.items():
        present = target.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge_into(present, value)
        else:
            target[key] = _copy(value) if isinstance(value, dict) else value


def _copy(table: Mapping[str, object]) -> dict[str, object]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in table.items()}
