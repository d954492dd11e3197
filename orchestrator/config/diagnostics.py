"""Collects all mistakes in a definition, so that they are reported together. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model.errors import ConfigError

FOLDED = 10  # number of problems of one kind up to which each is listed
_VARYING = re.compile(r"'[^']*'|`[^`]*`|\d+|\b(?:components|init)\.[^:\s]+")
_PLACE = re.compile(r"(?P<file>.*?):(?P<line>\d+): ")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: `file` as messages name it, `line` from 1 (0: unknown), and the absolute
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
    """Problems keep a system from starting; notes do not. Each is one line that begins with the place."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _unset: set[str] = field(default_factory=set)  # places of texts that could not be expanded, and so are empty

    def problem(self, place: Place | str, text: str) -> None:
        """Take a problem. A problem of an empty text is ignored if the text could not be expanded."""
        if "''" in text and str(place) in self._unset:
            return
        self.problems.append(f"{place}: {text}")

    def unset(self, place: Place | str, text: str) -> None:
        """Take the problem of a text that cannot be expanded."""
        self._unset.add(str(place))
        self.problems.append(f"{place}: {text}")

    def note(self, text: str) -> None:
        """Take a note; ignore repetitions."""
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
        """Raise ConfigError if there are any problems."""
        if self.problems:
            raise ConfigError(self.in_order(), hint)


def folded(problems: Sequence[str]) -> list[str]:
    """Return the problems; if there are more than ten of one kind, only the first, with their number."""
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
    import difflib  # imported here, because only mistakes need it

    near = difflib.get_close_matches(word, list(known), 1, least)
    return f"; did you mean {near[0]!r}?" if near else ""
