"""On which line of a TOML text each key stands. Pure.

`tomllib` gives values without lines, and neither it nor tomlkit tells them. So this walks the text once more, knowing
of TOML only what says where a key begins and where a value ends. It is given texts that tomllib has accepted; of any
other it makes something, and ends.
"""

from __future__ import annotations

import re

from orchestrator.config.definition import Path

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
