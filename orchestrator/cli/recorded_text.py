"""Masks secrets in what a record takes from elsewhere: output, answers of probes, and command lines.

The record of a start has no value of a variable, but a component may print one before it exits, and a probe or a
process that sends a signal may have one on its command line. Known values are masked, as in a bundle, if they have at
least SHORTEST characters: shorter ones occur as words in other texts. In command lines, words that look like a password
are masked too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.config import redaction
from orchestrator.history.record import Origin

SHORTEST = 6
WORDS_MAX = 50  # of a command line
WORD_MAX = 200
_TEXTS = ("reason", "exit", "gave_up")


class RecordedText:
    """`environments` returns the variables of all instances, which `changes` counts: known values are found again only
    if its value is another one."""

    def __init__(self, environments: Callable[[], Iterable[Mapping[str, str]]], changes: Callable[[], int]) -> None:
        self._environments = environments
        self._changes = changes
        self._seen = -1
        self._pattern: re.Pattern[str] | None = None

    def masked(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of an event with each known value masked."""
        found: dict[str, Any] = {name: self._mask(fields[name]) for name in _TEXTS if fields.get(name)}
        if lines := fields.get("lines"):
            found["lines"] = tuple(map(self._mask, lines))
        if (origin := fields.get("origin")) is not None and origin.command:
            assert isinstance(origin, Origin)
            found["origin"] = replace(origin, command=tuple(map(self._mask, origin.command)))
        return {**fields, **found} if found else fields

    def _mask(self, text: str) -> str:
        if self._seen != self._changes():
            self._seen = self._changes()
            variables = {item for environment in self._environments() for item in environment.items()}
            values = {value for item in variables for value in redaction.secrets_in(*item) if len(value) >= SHORTEST}
            longest_first = sorted(values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if values else None
        return text if self._pattern is None else self._pattern.sub(redaction.MASK, text)


def command(argv: Iterable[str]) -> tuple[str, ...]:
    """Return a command line as it is recorded: its first words, without passwords such as in `--password=x`, `--token
    x` and URLs."""
    words: list[str] = []
    follows = False
    for word in list(argv)[:WORDS_MAX]:
        words.append(redaction.MASK if follows else redaction.mask("", word[:WORD_MAX]))
        follows = word.startswith("-") and "=" not in word and redaction.is_secret(word.lstrip("-").replace("-", "_"))
    return tuple(words)
