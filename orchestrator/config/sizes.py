"""Sizes as users write them: a number of bytes, or a number with a unit. Pure."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
PATTERN = r"^[0-9]+(\.[0-9]+)? ?([kKmMgGtT]([iI]?[bB])?|[bB])?$"  # for JSON Schema
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?:(?P<unit>[kmgt])(?:i?b)?|b)?", re.ASCII | re.IGNORECASE)


def parse_size(text: str) -> int | None:
    """Return the bytes of `512M`, `1.5G`, `1 GiB` or `4096`; None if the text is not one of these. A unit is a power of
    1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    return int(float(match["number"]) * _UNITS[(match["unit"] or "").lower()])


def write_size(size: int) -> str:
    """Return the shortest text that `parse_size` reads as this size."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _UNITS[unit.lower()] == 0:
            return f"{size // _UNITS[unit.lower()]}{unit}"
    return str(size)
