"""Decodes what is typed at the view into names of keys, mouse events, and pasted text.

Pasted text is one event. If each of its characters were a command, a paste could stop components.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.terminal.key_encoding import KeyEvent, begun_at, split_keys

PASTE_BEGIN, PASTE_END = b"\x1b[200~", b"\x1b[201~"
PASTE_MAX = 1 << 16  # bytes of pasted text that are kept
ESCAPE_AFTER = 0.05  # seconds after which a single ESC is the Esc key

_NAMES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1bOH": "home",
    b"\x1bOF": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[7~": "home",
    b"\x1b[8~": "end",
    b"\x1b[3~": "delete",
    b"\x1b[Z": "backtab",
    b"\x1bOM": "enter",
}
_BYTES = {0x0D: "enter", 0x0A: "enter", 0x09: "tab", 0x1B: "escape", 0x7F: "backspace", 0x08: "backspace"}
_MOUSE = re.compile(rb"\x1b\[<(\d{1,4});(\d{1,5});(\d{1,5})([Mm])")
_WHEEL = {64: "wheel up", 65: "wheel down"}


@dataclass(frozen=True, slots=True)
class Press:
    """A key: its character, or a name such as `page up`."""

    name: str


@dataclass(frozen=True, slots=True)
class Mouse:
    """`what` is `press`, `wheel up` or `wheel down`; row and column count from 0."""

    what: str
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class Paste:
    """Pasted text."""

    text: str


Typed = Press | Mouse | Paste


class KeyReader:
    """Decodes what the terminal sends, in chunks of any size. While `waits`, it keeps the beginning of a sequence: call
    `expire` after ESCAPE_AFTER seconds."""

    def __init__(self) -> None:
        self._begun = b""
        self._pasted: bytearray | None = None

    @property
    def waits(self) -> bool:
        """Whether ESC, or the beginning of a sequence, is kept."""
        return bool(self._begun)

    def feed(self, data: bytes) -> list[Typed]:
        """Return what was typed."""
        typed: list[Typed] = []
        data, self._begun = self._begun + data, b""
        while data:
            if self._pasted is not None:
                data = self._paste(data, typed)
                continue
            keys, begin, rest = data.partition(PASTE_BEGIN)
            if not begin:
                end = begun_at(keys)
                keys, self._begun = keys[:end], keys[end:]
            typed += _keys(keys[: (whole := _whole_characters(keys))])
            self._begun = keys[whole:] + self._begun
            if begin:
                self._pasted = bytearray()
            data = rest
        return typed

    def expire(self) -> list[Typed]:
        """Return the key that was kept, because nothing has followed it."""
        begun, self._begun = self._begun, b""
        return [Press("escape")] if begun[:1] == b"\x1b" and self._pasted is None else []

    def _paste(self, data: bytes, typed: list[Typed]) -> bytes:
        assert self._pasted is not None
        end = (self._pasted + data).find(PASTE_END)
        if end < 0:
            self._pasted += data
            del self._pasted[PASTE_MAX : -len(PASTE_END)]
            return b""
        whole = bytes(self._pasted + data)
        self._pasted = None
        typed.append(Paste(whole[: min(end, PASTE_MAX)].decode("utf-8", "replace")))
        return whole[end + len(PASTE_END) :]


def _whole_characters(data: bytes) -> int:
    """Return where an incomplete character at the end of `data` begins; the length of `data` if there is none."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            return len(data) - back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else len(data)
        if byte < 0x80:
            break
    return len(data)


def _keys(data: bytes) -> list[Typed]:
    typed: list[Typed] = []
    text = bytearray()  # the bytes of one character so far
    for key in split_keys(data):
        if len(key.raw) == 1 and key.raw[0] >= 0x80:
            text += key.raw
            try:
                typed.append(Press(text.decode("utf-8")))
                text.clear()
            except UnicodeDecodeError:
                if len(text) >= 4:
                    text.clear()
            continue
        text.clear()
        if match := _MOUSE.fullmatch(key.raw):
            if mouse := _mouse(match):
                typed.append(mouse)
        elif key.event in (KeyEvent.PRESS, KeyEvent.REPEAT):
            name = _NAMES.get(key.raw, "")
            if not name and key.byte is not None:
                name = _BYTES.get(key.byte) or (chr(key.byte) if key.byte >= 0x20 else f"ctrl-{chr(key.byte + 96)}")
            if name:
                typed.append(Press(name))
    return typed


def _mouse(match: re.Match[bytes]) -> Mouse | None:
    button, column, row = int(match[1]), int(match[2]) - 1, int(match[3]) - 1
    if button in _WHEEL:
        return Mouse(_WHEEL[button], row, column)
    return Mouse("press", row, column) if button == 0 and match[4] == b"M" else None
