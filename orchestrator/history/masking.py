"""Secrets that leaked into output, replaced by a mask: their known values, as they are and as URLs and JSON have them.

Pure. Only values of at least SHORTEST characters are known well enough: shorter ones are words of other texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import quote

from orchestrator.history.replay import Piece

SHORTEST = 6
MASK = b"********"


class Masker:
    """Replaces these values."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        alternatives = b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._pattern = re.compile(alternatives) if forms else None

    def bytes(self, data: bytes) -> bytes:
        """Return the data with every known value masked."""
        return data if self._pattern is None else self._pattern.sub(MASK, data)

    def pieces(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return pieces of output with every value masked, also one that two pieces share."""
        if self._pattern is None:
            return list(pieces)
        whole = b"".join(piece.data for piece in pieces)
        found = [match.span() for match in self._pattern.finditer(whole)]
        result: list[Piece] = []
        start = 0
        for piece in pieces:
            end = start + len(piece.data)
            result.append(replace(piece, data=_masked(whole, start, end, found)))
            start = end
        return result


def _masked(whole: bytes, start: int, end: int, found: list[tuple[int, int]]) -> bytes:
    """Return a part of the whole. The mask of a value is where the value begins."""
    parts: list[bytes] = []
    at = start
    while found and found[0][1] <= start:
        found.pop(0)
    for first, last in found:
        if first >= end:
            break
        parts.append(whole[at : max(at, first)])
        if first >= start:
            parts.append(MASK)
        at = min(last, end)
    return b"".join([*parts, whole[at:end]])


def _forms(value: str) -> set[bytes]:
    as_json = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    texts = {value, quote(value, safe="", errors="surrogateescape"), quote(value, errors="surrogateescape"), *as_json}
    return {text.encode("utf-8", "surrogateescape") for text in texts if len(text) >= SHORTEST}
