"""Collects everything that is wrong in a definition, so that a user hears of it at once. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model.errors import ConfigError

FOLDED = 10  # problems of one kind are all told
_VARYING = re.compile(r"'[^']*'|`[^`]*`|\d+|\b(?:components|init)\.[^:\s]+")
_PLACE = re.compile(r"(?P<file>.*?):(?P<line>\d+): ")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: `file` as messages name it, `line` from 1 (0: unknown), and the absolute
    `directory` that relative paths in it start from."""

    file: str
    line: int = 0
    directory: str = "/"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def nearest(places: Mapping[tuple[str | int, ...], Place], path: tuple[str | int, ...], otherwise: Place) -> Place:
    """Return the place of a key, or of the nearest thing around it that has one."""
    for end in range(len(path), 0, -1):
        if place := places.get(path[:end]):
            return place
    return otherwise


@dataclass(slots=True)
class Report:
    """Problems keep a system from starting; notes are worth a line. Both are one line each, the place first."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, place: Place | str, text: str) -> None:
        """Take a problem."""
        self.problems.append(f"{place}: {text}")

    def note(self, text: str) -> None:
        """Take a note; the same one only once."""
        if text not in self.notes:
            self.notes.append(text)

    def in_order(self) -> list[str]:
        """Return the problems, each once, by line within the same file."""
        files: dict[str, int] = {}

        def key(line: str) -> tuple[int, int]:
            match = _PLACE.match(line)
            file, number = (match["file"], int(match["line"])) if match else (line.partition(": ")[0], 0)
            return files.setdefault(file, len(files)), number

        return sorted(dict.fromkeys(self.problems), key=key)

    def check(self, hint: str = "") -> None:
        """Raise ConfigError where there is any problem."""
        if self.problems:
            raise ConfigError(self.in_order(), hint)


def folded(problems: Sequence[str]) -> list[str]:
    """Return the problems; of more than ten of one kind only the first, with how many there are."""
    kinds = [_VARYING.sub("", _PLACE.sub("", problem, count=1)) for problem in problems]
    counts = Counter(kinds)
    shown: list[str] = []
    seen: set[str] = set()
    for problem, kind in zip(problems, kinds, strict=True):
        if counts[kind] <= FOLDED:
            shown.append(problem)
        elif kind not in seen:
            seen.add(kind)
            shown.append(f"{problem} (and {counts[kind] - 1} more of this kind)")
    return shown


def did_you_mean(word: str, known: Iterable[str], least: float = 0.6) -> str:
    """Return `; did you mean 'x'?` for the nearest known word that is `least` alike, from 0 to 1, or nothing."""
    import difflib  # only a mistake pays for it

    near = difflib.get_close_matches(word, list(known), 1, least)
    return f"; did you mean {near[0]!r}?" if near else ""
