"""orchestrate.toml: text to a document whose values know their lines. Pure; imported only where there is one.

On which line of a TOML text each key stands. Pure.

`tomllib` gives values without lines, and neither it nor tomlkit tells them. So this walks the text once more, knowing
of TOML only what says where a key begins and where a value ends. It is given texts that tomllib has accepted; of any
other it makes something, and ends.
"""

from __future__ import annotations

import re
import sys

from orchestrator.config.definition import Document, Path
from orchestrator.config.diagnostics import Place, Report
from orchestrator.model.spec import composed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


def parse(data: bytes, root: Place, report: Report) -> Document | None:
    """Read a TOML file; None, and a problem with its line, where it is none."""
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
    except ValueError as error:  # TOMLDecodeError, and what int() says of a number with thousands of digits
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
_BARE = re.compile(r"[\w-]+")
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
        """Walk over one value; of arrays and tables without recursion, for a text may nest as deep as it likes."""
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
