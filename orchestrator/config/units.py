"""Durations and sizes as users write them: a number of seconds or bytes, or numbers with units. Pure."""

from __future__ import annotations

import re

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)[ ]?(ms|[dhms])[ ]?", re.ASCII)
DURATION_PATTERN = r"^(([0-9]+(\.[0-9]+)?|\.[0-9]+) ?(d|h|m|s|ms) ?)+$"  # for JSON Schema

_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?([kKmMgGtT]([iI]?[bB])?|[bB])?$"  # for JSON Schema
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?:(?P<unit>[kmgt])(?:i?b)?|b)?", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> float | None:
    """Return the seconds of `5s`, `1m30s`, `500ms` or `1.5h`; None if the text is not one of these.

    Each unit occurs once, the largest first.
    """
    total, at, last = 0.0, 0, float("inf")
    while at < len(text):
        match = _DURATION_PART.match(text, at)
        if match is None or _SECONDS[match[2]] >= last:
            return None
        last = _SECONDS[match[2]]
        total += float(match[1]) * last
        at = match.end()
    return total if text else None


def parse_size(text: str) -> int | None:
    """Return the bytes of `512M`, `1.5G`, `1 GiB` or `4096`; None if the text is not one of these. A unit is a power of
    1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    return int(float(match["number"]) * _BYTES[(match["unit"] or "").lower()])


def write_size(size: int) -> str:
    """Return the shortest text that `parse_size` reads as this size."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _BYTES[unit.lower()] == 0:
            return f"{size // _BYTES[unit.lower()]}{unit}"
    return str(size)
