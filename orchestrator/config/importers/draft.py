"""A draft of orchestrate.toml: tables with comments, and features of the source that it cannot express. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.toml import format_key, format_value
from orchestrator.model.names import NAME_MAX, composed, name_fault

SCHEMA_FILE = ".orchestrate/orchestrate.schema.json"
_LITERAL = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Loss:
    """A key of the source that the draft leaves out or changes. `line` counts from 1; 0 if it is unknown."""

    line: int
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Nearby:
    """The facts that an importer may use beyond its file.

    `directory` is an absolute path, `names` are the names in it, those of directories with a slash at the end. `read`
    returns the text of a file, or None if there is none. `fault` returns why a shell line cannot run there, empty if it
    can.
    """

    directory: str
    names: frozenset[str]
    read: Callable[[str], str | None]
    fault: Callable[[str], str]


@dataclass(slots=True)
class DraftEntry:
    """One table, [components.NAME] or [init.NAME]. Without `is_active` it is written as a comment.

    `comments` are written above it, those of `key_comments` above a key.
    """

    name: str
    keys: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    key_comments: dict[str, str] = field(default_factory=dict)
    section: str = "components"
    is_active: bool = True


@dataclass(slots=True)
class Draft:
    """A definition to write. `keys` are those of the system; `footer` is written below all tables, as a comment."""

    comments: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    entries: list[DraftEntry] = field(default_factory=list)
    footer: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def lose(self, line: int, key: str, text: str = "no counterpart") -> None:
        """Record a key that the draft does not have."""
        self.losses.append(Loss(line, key, text))

    @property
    def components(self) -> list[DraftEntry]:
        """The components that `up` knows."""
        return [entry for entry in self.entries if entry.is_active and entry.section == "components"]

    def rebase(self, path: str) -> None:
        """Let relative paths start at the directory `path`, which is relative to the directory of the draft."""
        if path in ("", "."):
            return
        for entry in self.entries:
            if "cwd" in entry.keys or entry.section != "components":
                entry.keys["cwd"] = _rebased(path, entry.keys.get("cwd", "."))
            if "env_file" in entry.keys:
                entry.keys["env_file"] = [_rebased(path, file) for file in entry.keys["env_file"]]
        if any(entry.section == "components" and "cwd" not in entry.keys for entry in self.entries):
            defaults = self.keys.setdefault("defaults", {})
            defaults["cwd"] = _rebased(path, defaults.get("cwd", "."))
        if "env_file" in self.keys:
            self.keys["env_file"] = [_rebased(path, file) for file in self.keys["env_file"]]

    def drop_missing_dependencies(self) -> None:
        """Remove dependencies of active entries on components that are not active."""
        known = {entry.name for entry in self.components}
        for entry in self.components:
            wanted = entry.keys.get("depends_on")
            if isinstance(wanted, dict):
                left: Any = {name: condition for name, condition in wanted.items() if name in known}
            else:
                left = [name for name in wanted or () if name in known]
            if left:
                entry.keys["depends_on"] = left
            else:
                entry.keys.pop("depends_on", None)


def _rebased(path: str, file: Any) -> Any:
    if isinstance(file, dict):
        return {**file, "path": _rebased(path, file["path"])}
    if file.startswith("$") and not file.startswith("$$"):  # a variable, such as ${HOME}, is taken to be absolute
        return file
    return posixpath.normpath(posixpath.join(path, file))


def usable_name(name: str, taken: Iterable[str] = ()) -> str:
    """Return the name itself if it is valid for a component, else the nearest valid name."""
    wanted = re.sub(r"[^\w.-]+", "-", composed(name)).strip("-.") or "component"
    wanted = re.sub(r"\.(\d+)$", r"-\1", wanted)
    while len(wanted.encode()) > NAME_MAX - 3:
        wanted = wanted[:-1]
    if name_fault(wanted):
        wanted = f"c-{wanted}"
    used, found, number = set(taken), wanted, 1
    while found in used:
        number += 1
        found = f"{wanted}-{number}"
    return found


def render(draft: Draft) -> str:
    """Return the draft as TOML."""
    lines = [f"#:schema {SCHEMA_FILE}", *_comment(draft.comments)]
    plain = {key: value for key, value in draft.keys.items() if not isinstance(value, dict)}
    if plain:
        lines += ["", *(_assignment(key, value) for key, value in plain.items())]
    for key, value in draft.keys.items():
        if isinstance(value, dict):
            lines += ["", *_table(key, value, {})]
    for entry in draft.entries:
        table = _table(f"{entry.section}.{format_key(entry.name)}", entry.keys, entry.key_comments)
        lines += ["", *_comment(entry.comments), *(table if entry.is_active else _comment(table))]
    if draft.footer:
        lines += ["", *_comment(draft.footer)]
    return "\n".join(lines) + "\n"


def _comment(texts: Iterable[str]) -> list[str]:
    # A TOML comment allows no control characters but the tab.
    cleaned = (re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text) for text in texts)
    return [f"# {line}".rstrip() for text in cleaned for line in text.split("\n")]


def _table(path: str, keys: dict[str, Any], comments: dict[str, str]) -> list[str]:
    lines = [f"[{path}]"]
    for key, value in keys.items():
        if key != "environment":
            lines += [*_comment([comments[key]] if key in comments else []), _assignment(key, value)]
    if variables := keys.get("environment"):
        lines += [f"[{path}.environment]", *(_assignment(name, value) for name, value in variables.items())]
    return lines


def _assignment(key: str, value: Any) -> str:
    return f"{format_key(key)} = {_long(value)}"


def _long(value: Any) -> str:
    """Return a text of several lines on several lines; any other value on one line."""
    is_literal = isinstance(value, str) and "\n" in value and "'''" not in value and not value.endswith("'")
    if is_literal and _LITERAL.fullmatch(value):
        return f"'''\n{value}'''"
    return format_value(value)
