"""Parses orchestrate.toml into a document with the line of each value, and writes plain values as TOML. Pure; imported
only if such a file is read or written.

`tomllib` returns values without lines, and tomlkit does not report lines either. So `locate` scans the text once more.
It parses only as much of TOML as is needed to find where a key begins and where a value ends. The text must have been
accepted by tomllib; for any other the result is undefined, but the scan ends.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping

from orchestrator.config.definition import Document, Path, TomlValue
from orchestrator.config.diagnostics import Place, Report
from orchestrator.model.names import composed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key that needs no quotes; ASCII only, as TOML 1.0
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


def parse(data: bytes, root: Place, report: Report) -> Document | None:
    """Read a TOML file; return None and report a problem with its line if it is not valid TOML."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        _problem(report, root, data.count(b"\n", 0, error.start) + 1, "not UTF-8, as TOML must be")
        return None
    text = text.removeprefix("\ufeff")
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        report.problem(root, "nests too deep")
        return None
    except ValueError as error:  # TOMLDecodeError, or int() of a number with thousands of digits
        words, match = str(error), _WHERE.search(str(error))
        line = int(match["line"] or text.count("\n") + 1) if match else 0
        from orchestrator.config import toml_errors

        _problem(report, root, line, f"not TOML: {toml_errors.explain(_WHERE.sub('', words), text, line)}")
        return None
    text = text.replace("\r\n", "\n")
    places = {_composed(path): Place(root.file, line, root.directory) for path, line in locate(text).items()}
    return Document(root, tree if text.isascii() else _with_composed_names(tree), places)


def _with_composed_names(tree: dict[str, object]) -> dict[str, object]:
    """Return the tree with its keys, and the names in lists of dependencies, in composed Unicode."""

    def copy(value: object, is_name: bool = False) -> object:
        if isinstance(value, dict):
            return {composed(key): copy(element, key == "depends_on") for key, element in value.items()}
        if isinstance(value, list):
            return [copy(element, is_name) for element in value]
        return composed(value) if is_name and isinstance(value, str) else value

    return {composed(key): copy(value) for key, value in tree.items()}


def _composed(path: Path) -> Path:
    return tuple(composed(key) if isinstance(key, str) else key for key in path)


def _problem(report: Report, root: Place, line: int, text: str) -> None:
    report.problem(Place(root.file, line), text)


_BLANK = re.compile(r"[ \t]*")
_VOID = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|' r"'''.*?'''+|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^\s,\]}#]+(?: [0-9:.]+[^\s,\]}#]*)?")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def locate(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every key and of every element of an array."""
    return _Walk(text).run()


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counted_to = 0
        self._line = 1
        self._arrays: dict[Path, int] = {}

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip(_VOID) and self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> Path:
        many = self._text.startswith("[[", self._at)
        begin = self._at
        self._at += 1 + many
        names = self._key()
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end
        path: Path = ()
        for name in names[:-1]:
            self._mark((*path, name), begin)
            path = self._inside((*path, name))
        path = (*path, *names[-1:])
        if many:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self._mark(path, begin)
            path = (*path, self._arrays[path])
        self._mark(path, begin)
        return path

    def _inside(self, path: Path) -> Path:
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _pair(self, table: Path) -> None:
        begin = self._at
        names = self._key()
        path = table
        for name in names:
            path = (*path, name)
            self._mark(path, begin)
        self._skip(_BLANK)
        if self._text.startswith("=", self._at):
            self._at += 1
            self._skip(_BLANK)
            self._value(path)
        if self._at == begin:
            self._at += 1

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_BLANK)
            if match := _BARE.match(self._text, self._at):
                names.append(match[0])
            elif match := _STRING.match(self._text, self._at):
                names.append(_unquote(match[0]))
            else:
                return names
            self._at = match.end()
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        """Walk over one value; without recursion for arrays and tables, because a text may nest to any depth."""
        open_ones: list[tuple[str, Path, int]] = []  # closing bracket, path, index of the next element
        while True:
            here = self._text[self._at : self._at + 1]
            if here == "[":
                open_ones.append(("]", path, 0))
                self._at += 1
            elif here == "{":
                open_ones.append(("}", path, 0))
                self._at += 1
            elif match := (_STRING if here in ('"', "'") else _SCALAR).match(self._text, self._at):
                self._at = match.end()
            found = self._next_element(open_ones)
            if found is None:
                return
            path = found

    def _next_element(self, open_ones: list[tuple[str, Path, int]]) -> Path | None:
        """Go to the beginning of the next value inside the open brackets and return its path; None at the end."""
        while open_ones:
            self._skip(_VOID)
            here = self._text[self._at : self._at + 1]
            closing, outer, index = open_ones[-1]
            if not here:
                return None
            if here == closing:
                open_ones.pop()
                self._at += 1
            elif here == ",":
                self._at += 1
            elif closing == "]":
                open_ones[-1] = (closing, outer, index + 1)
                self._mark((*outer, index), self._at)
                return (*outer, index)
            else:
                return self._inline_key(outer)
        return None

    def _inline_key(self, outer: Path) -> Path:
        begin = self._at
        path = outer
        for name in self._key():
            path = (*path, name)
            self._mark(path, begin)
        self._skip(_BLANK)
        self._at += self._text.startswith("=", self._at) or self._at == begin
        self._skip(_BLANK)
        return path

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return True

    def _mark(self, path: Path, at: int) -> None:
        self._line += self._text.count("\n", self._counted_to, at)
        self._counted_to = max(at, self._counted_to)
        self._lines.setdefault(path, self._line)


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    return _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] in "uU" else _ESCAPES.get(m[1], m[1]), text[1:-1])


def write(tree: Mapping[str, TomlValue]) -> str:
    """Return a definition as TOML: a table for each component, with `environment` as a table below it."""
    lines = [f"{key} = {format_value(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    for section, components in tree.items():
        if isinstance(components, dict):
            for name, component in components.items():
                assert isinstance(component, dict)
                lines += ["", *_component(f"{section}.{format_key(name)}", component)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _component(path: str, component: Mapping[str, TomlValue]) -> list[str]:
    lines = [f"[{path}]"]
    lines += [f"{format_key(key)} = {format_value(value)}" for key, value in component.items() if key != "environment"]
    if isinstance(variables := component.get("environment"), dict) and variables:
        lines += [
            f"[{path}.environment]",
            *(f"{format_key(key)} = {format_value(value)}" for key, value in variables.items()),
        ]
    return lines


def format_key(key: str) -> str:
    """Return a key as TOML."""
    return key if _BARE.fullmatch(key) else format_value(key)


def format_value(value: TomlValue) -> str:
    """Return a value as TOML, on one line."""
    match value:
        case dict():
            return (
                "{ "
                + ", ".join(f"{format_key(key)} = {format_value(element)}" for key, element in value.items())
                + " }"
            )
        case list():
            return "[" + ", ".join(map(format_value, value)) + "]"
        case str():  # TOML has JSON's escapes, but requires DEL to be escaped too
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)
