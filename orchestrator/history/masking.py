"""Masks secrets that leaked into output: their known values, unchanged and as encoded in URLs and JSON.

A value is found too if a program has colored parts of it, moved the cursor within it, or wrapped it over several lines:
escape sequences, line ends and other control characters are ignored in the output and in the value.

Pure. Only values of at least SHORTEST characters are masked: shorter ones occur as words in other texts.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote

from orchestrator.history.replay import Piece

SHORTEST = 6
MASK = b"********"
# Invisible bytes: escape sequences (ECMA-48), line ends with the indentation after them, and other control
# characters but TAB.
_INVISIBLE = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]{0,4000}(?:\x07|\x1b\\)|[ -/]*[0-~])"
    rb"|\n[ \t]*|[\x00-\x08\x0b-\x1f\x7f])+"
)

Span = tuple[int, int]
Stretch = tuple[int, int, bool]  # visible bytes of a value, and whether it begins with them


class Masker:
    """Replaces these values."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        visible = {form for form in (_INVISIBLE.sub(b"", form) for form in forms) if len(form) >= SHORTEST}
        alternatives = b"|".join(re.escape(form) for form in sorted(visible, key=len, reverse=True))
        self._pattern = re.compile(alternatives) if visible else None

    def masked(self, data: bytes) -> bytes:
        """Return the data with every known value masked."""
        return _masked(data, 0, len(data), self._find(data))

    def pieces(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return pieces of output with every value masked, also one that several pieces share."""
        whole = b"".join(piece.data for piece in pieces)
        found = self._find(whole)
        result: list[Piece] = []
        start = 0
        for piece in pieces:
            end = start + len(piece.data)
            result.append(replace(piece, data=_masked(whole, start, end, found)) if found else piece)
            start = end
        return result

    def _find(self, data: bytes) -> list[Stretch]:
        """Return the stretches of the data that contain values: in the visible part, and in the rest, such as a
        title."""
        if self._pattern is None:
            return []
        found = [match.span() for match in self._pattern.finditer(data)]
        visible = _INVISIBLE.sub(b"", data)
        if len(visible) == len(data):
            return [(first, last, True) for first, last in found]
        # A stretch of visible bytes begins at `begins` in `visible`, and `shifts` bytes later in the data.
        begins, shifts, removed = [0], [0], 0
        for gap in _INVISIBLE.finditer(data):
            removed += len(gap[0])
            begins.append(gap.end() - removed)
            shifts.append(removed)

        def place(at: int) -> int:
            return at + shifts[bisect_right(begins, at) - 1]

        found += [(place(match.start()), place(match.end() - 1) + 1) for match in self._pattern.finditer(visible)]
        return [stretch for span in _joined(sorted(found)) for stretch in _stretches(data, span)]


def _joined(spans: list[Span]) -> list[Span]:
    """Return the spans, each overlapping group as one."""
    found: list[Span] = []
    for first, last in spans:
        if found and first < found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def _stretches(data: bytes, span: Span) -> Iterator[Stretch]:
    """Yield the visible parts of a value."""
    at, last = span
    begins = True
    for gap in _INVISIBLE.finditer(data, at, last):
        if gap.start() > at:
            yield at, gap.start(), begins
            begins = False
        at = gap.end()
    if at < last:
        yield at, last, begins


def _masked(whole: bytes, start: int, end: int, found: list[Stretch]) -> bytes:
    """Return a part of the whole, and drop what has been `found` before it. The mask of a value is at its
    beginning; invisible bytes inside it stay: colors and line ends."""
    parts: list[bytes] = []
    at = start
    while found and found[0][1] <= start:
        found.pop(0)
    for first, last, begins in found:
        if first >= end:
            break
        parts.append(whole[at : max(at, first)])
        if begins and first >= start:
            parts.append(MASK)
        at = min(last, end)
    return b"".join([*parts, whole[at:end]])


def _forms(value: str) -> set[bytes]:
    as_json = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    texts = {value, quote(value, safe="", errors="surrogateescape"), quote(value, errors="surrogateescape"), *as_json}
    return {text.encode("utf-8", "surrogateescape") for text in texts if len(text) >= SHORTEST}
