"""Which SGR sequences (colors and attributes, ECMA-48 8.3.117) are still in force after others.

A style is the sequences as the component wrote them, without those that have no effect any more: `39` after `31` leaves
nothing, `32` after `31` leaves `32`. So a style never holds more than one sequence for each attribute, however long a
component prints without a reset.
"""

from __future__ import annotations

import functools
import re

SGR = re.compile(rb"\x1b\[[0-9;:]{0,250}m")  # longer ones are invalid, and dropped like any other sequence
NO_SGR = re.compile(rb"\x1b(?!\[[0-9;:]{0,250}m)")  # checked before any search for other sequences

REMEMBERED = 16  # sequences of a line up to which their effect is cached

_COLORS = {38: "foreground", 48: "background", 58: "underline color"}
_ON = {
    1: "bold",
    2: "faint",
    3: "italic",
    4: "underline",
    5: "blink",
    6: "blink",
    7: "inverse",
    8: "conceal",
    9: "strike",
    20: "italic",
    21: "underline",
    26: "proportional",
    51: "frame",
    52: "frame",
    53: "overline",
    73: "raised",
    74: "raised",
}
_ON.update(dict.fromkeys(range(11, 20), "font"))
_ON.update(dict.fromkeys(range(60, 65), "ideogram"))
_ON.update(dict.fromkeys((*range(30, 38), *range(90, 98)), "foreground"))
_ON.update(dict.fromkeys((*range(40, 48), *range(100, 108)), "background"))
_OFF = {
    10: ("font",),
    22: ("bold", "faint"),
    23: ("italic",),
    24: ("underline",),
    25: ("blink",),
    27: ("inverse",),
    28: ("conceal",),
    29: ("strike",),
    39: ("foreground",),
    49: ("background",),
    50: ("proportional",),
    54: ("frame",),
    55: ("overline",),
    59: ("underline color",),
    65: ("ideogram",),
    75: ("raised",),
}


def open_style(style: bytes, line: bytes) -> bytes:
    """Return the SGR that is in force after `line`, if `style` was in force before it."""
    sequences = SGR.findall(line)
    if 0 < len(sequences) <= REMEMBERED:
        return _after(style, tuple(sequences))
    return _in_force([*SGR.findall(style), *sequences]) if sequences else style


@functools.lru_cache(maxsize=512)
def _after(style: bytes, sequences: tuple[bytes, ...]) -> bytes:
    return _in_force([*SGR.findall(style), *sequences])


def _in_force(sequences: list[bytes]) -> bytes:
    said: set[str] = set()
    last_words: list[bytes] = []
    for sequence in reversed(sequences):
        resets, attributes = _effects(sequence)
        if not attributes.keys() <= said:
            last_words.append(sequence)
            said |= attributes.keys()
        if resets:
            break
    on: set[str] = set()
    kept: list[bytes] = []
    for sequence in reversed(last_words):
        attributes = _effects(sequence)[1]
        turned_on = {name for name, is_on in attributes.items() if is_on}
        before, on = on, (on | turned_on) - (attributes.keys() - turned_on)
        if not on:
            kept = []
        elif turned_on or on != before:
            kept.append(sequence)
    return b"".join(kept)


@functools.lru_cache(maxsize=512)
def _effects(sequence: bytes) -> tuple[bool, dict[str, bool]]:
    """Return whether a sequence resets everything first, and which attributes it turns on or off after that."""
    resets = False
    attributes: dict[str, bool] = {}
    items = iter(sequence[2:-1].split(b";"))
    for item in items:
        parts = item.split(b":")
        code = int(parts[0] or 0) if len(parts[0]) < 4 else -1
        if code == 0:
            resets = True
            attributes.clear()
        elif code in _COLORS:
            attributes[_COLORS[code]] = True
            if len(parts) == 1:
                for _ in range({b"5": 1, b"2": 3}.get(next(items, b"").lstrip(b"0"), 0)):
                    next(items, b"")
        elif code == 4 and parts[1:2] == [b"0"]:
            attributes["underline"] = False
        elif code in _ON:
            attributes[_ON[code]] = True
        else:
            attributes.update(dict.fromkeys(_OFF.get(code, ()), False))
    return resets, attributes
