"""Durations as users write them: a number of seconds, or numbers with units. Pure."""

from __future__ import annotations

import re

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)[ ]?(ms|[dhms])[ ]?", re.ASCII)
PATTERN = r"^(([0-9]+(\.[0-9]+)?|\.[0-9]+) ?(d|h|m|s|ms) ?)+$"  # for JSON Schema


def parse_duration(text: str) -> float | None:
    """Return the seconds of `5s`, `1m30s`, `500ms` or `1.5h`; None if the text is not one of these.

    Each unit occurs once, the largest first.
    """
    total, at, last = 0.0, 0, float("inf")
    while at < len(text):
        match = _PART.match(text, at)
        if match is None or _UNITS[match[2]] >= last:
            return None
        last = _UNITS[match[2]]
        total += float(match[1]) * last
        at = match.end()
    return total if text else None
