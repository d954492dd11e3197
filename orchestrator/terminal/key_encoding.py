"""Keys as a terminal sends them, in every encoding that a program can request.

A key event becomes the byte that a terminal without any of these protocols would send for it. So a sequence of keys is
recognized in the same way whatever protocol the component has enabled:

- the keyboard protocol of kitty: `CSI code:shifted:base ; modifiers:event ; text u`. It applies to a key with
  Ctrl, or to every key, and may report releases, repeats and the modifier keys themselves.
- modifyOtherKeys of xterm: `CSI 27 ; modifiers ; code ~`, and `CSI code ; modifiers u` (formatOtherKeys).
- win32-input-mode: `CSI key ; scan code ; character ; down ; state ; repeats _`.

Sources: kitty's "Comprehensive keyboard handling in terminals" with its legacy table, ctlseqs of xterm, and the
specification of Windows Terminal. A sequence may be cut anywhere.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

ESC = 0x1B
SEQUENCE_MAX = 128  # bytes; longer ones are not keys


class KeyEvent(enum.Enum):
    """The kind of an event. OTHER is not a key: an answer, the mouse, the focus, or a modifier key."""

    PRESS = enum.auto()
    REPEAT = enum.auto()
    RELEASE = enum.auto()
    OTHER = enum.auto()


@dataclass(frozen=True, slots=True)
class Key:
    """One event as it came (`raw`). `byte` is the legacy encoding of the key, None if that is not one byte."""

    raw: bytes
    byte: int | None
    event: KeyEvent = KeyEvent.PRESS


_CSI = rb"\x1b\[(?P<parameters>[0-?]{0,64})[ -/]{0,2}(?P<final>[@-~])"
_TOKEN = re.compile(
    rb"\x1b\[M[^\x1b]{3}"  # the mouse, in the oldest encoding
    rb"|" + _CSI + rb"|\x1bO[@-~]"  # SS3: a function key
    rb"|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"  # the answer to a query
    rb"|[\x00-\xff]",
    re.DOTALL,
)
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,2})?\Z")
_NO_KEY = frozenset(b"IOMRcmnty")  # focus, mouse, answers; R is also F3, which cannot be a detach key

# The others are super, hyper and meta. 64 and 128 are caps lock and num lock, which do not change a key.
_SHIFT, _ALT, _CTRL, _OTHERS = 1, 2, 4, 8 | 16 | 32
_MODIFIER_KEYS = {57358, 57359, 57360, *range(57441, 57455)}  # caps lock, scroll lock, num lock, left shift, ...
_KEYPAD = dict(zip([*range(57399, 57414), 57415], b"0123456789./*-+=", strict=True)) | {57414: 13}
_EVENTS = {2: KeyEvent.REPEAT, 3: KeyEvent.RELEASE}

# Used only if the terminal sends neither the text nor the shifted key: Shift on a PC-101 keyboard.
_SHIFTED = dict(zip(b"`1234567890-=[]\\;',./", b'~!@#$%^&*()_+{}|:"<>?', strict=True))
# What Ctrl makes of a key that is not a letter: kitty's legacy table, which is that of VT220 and xterm.
_WITH_CTRL = {
    **dict(zip(b" @2", b"\0\0\0", strict=True)),
    **dict(zip(b"[3\\4]5", b"\x1b\x1b\x1c\x1c\x1d\x1d", strict=True)),
    **dict(zip(b"^~6_/7?8", b"\x1e\x1e\x1e\x1f\x1f\x1f\x7f\x7f", strict=True)),
}


def split_keys(data: bytes) -> Iterator[Key]:
    """Yield the events in `data`. Bytes of text are single keys."""
    for match in _TOKEN.finditer(data):
        raw = match.group()
        if len(raw) == 1:
            yield Key(raw, raw[0])
        elif match["final"] is None:  # mouse, answer, or function key
            yield Key(raw, None, KeyEvent.PRESS if raw.startswith(b"\x1bO") else KeyEvent.OTHER)
        else:
            yield _key(raw, match["parameters"], match["final"])


def begun_at(data: bytes) -> int:
    """Return where a sequence begins that the end of `data` cuts off; the length of `data` if none does."""
    begun = _BEGUN.search(data, max(0, len(data) - SEQUENCE_MAX))
    return begun.start() if begun else len(data)


def _key(raw: bytes, parameters: bytes, final: bytes) -> Key:
    if parameters[:1] in (b"?", b"<", b">", b"=") or final[0] in _NO_KEY:
        return Key(raw, None, KeyEvent.OTHER)
    fields = [_numbers(field) for field in parameters.split(b";")]
    fields += [[]] * (6 - len(fields))
    if final == b"_":
        return _windows_key(raw, fields)
    if final == b"~" and _first(fields[0]) == 27:  # modifyOtherKeys: the code is the character, with Shift
        code = _first(fields[2])
        return Key(raw, _legacy([code, code], _first(fields[1], 1) - 1, []))
    event = _EVENTS.get(fields[1][1], KeyEvent.PRESS) if len(fields[1]) > 1 else KeyEvent.PRESS
    if final != b"u":
        return Key(raw, None, event)
    if _first(fields[0]) in _MODIFIER_KEYS:
        return Key(raw, None, KeyEvent.OTHER)
    return Key(raw, _legacy(fields[0], _first(fields[1], 1) - 1, fields[2]), event)


def _windows_key(raw: bytes, fields: list[list[int]]) -> Key:
    character, state = _first(fields[2]), _first(fields[4])
    if _first(fields[0]) in (16, 17, 18, 20, 144, 145):  # shift, ctrl, alt, and the locks
        return Key(raw, None, KeyEvent.OTHER)
    alt = bool(state & 3) and not state & 12  # AltGr is Ctrl and Alt
    byte = character if character < 128 and not alt else None
    return Key(raw, byte, KeyEvent.PRESS if _first(fields[3]) else KeyEvent.RELEASE)


def _legacy(codes: list[int], modifiers: int, text: list[int]) -> int | None:
    """Return the byte for a key. `codes` are its character, that with Shift, and that of the same key on a PC-101
    keyboard."""
    if modifiers & (_ALT | _OTHERS):
        return None
    code, shifted, base = (*codes, 0, 0, 0)[:3]
    code = _KEYPAD.get(code, code)
    if code > 127:  # a Cyrillic letter: the position of the key counts, as for the terminal
        code = base
    if not 0 < code < 128:
        return None
    is_letter = chr(code).isalpha()
    if modifiers & _CTRL:
        if code < 32 or code == 127:
            return code
        if is_letter:
            return None if modifiers & _SHIFT else code & 0x1F
        return _WITH_CTRL.get(_with_shift(code, shifted) if modifiers & _SHIFT else code)
    if is_letter:
        return code & ~32 if modifiers & _SHIFT else code
    if len(text) == 1 and 0 < text[0] < 128:
        return text[0]
    return _with_shift(code, shifted) if modifiers & _SHIFT else code


def _with_shift(code: int, shifted: int) -> int:
    return shifted if 0 < shifted < 128 else _SHIFTED.get(code, code)


def _numbers(field: bytes) -> list[int]:
    return [int(number[:9] or b"0") for number in field.split(b":") if number.isdigit() or not number]


def _first(numbers: list[int], default: int = 0) -> int:
    return (numbers[0] if numbers else 0) or default
