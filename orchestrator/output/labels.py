"""The names in the prefixes, in the order of the definition, and their colors: one choice for every terminal.

They are kept in a file beside the logs, so that `logs` and `attach` show the same colors as `up`. A name that is added
later (more instances, a component started later) gets the next color; existing colors do not change.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.output.palette import CYCLE, OWN
from orchestrator.terminal.line_painter import OWN_NAME

FILE = "labels.json"
_COLOR = re.compile("(bright_)?(black|red|green|yellow|blue|magenta|cyan|white)")


class Labels:
    """Names with their colors, in order. An empty color means the next one. `directory` keeps them; None keeps
    nothing."""

    def __init__(self, colors: Mapping[str, str], directory: Path | None = None) -> None:
        self._directory = directory
        self._colors: dict[str, str] = {}
        self._kept: dict[str, str] = {}
        self._add(colors)
        self._colors.update({name: color for name, color in colors.items() if color})

    def __iter__(self) -> Iterator[str]:
        return iter(self._colors)

    def add(self, names: Iterable[str]) -> None:
        """Give names that are new the next colors, and keep all."""
        self._add(names)
        self._keep()

    def color(self, name: str, chosen: str = "") -> str:
        """Return the color of a name, which becomes `chosen` if it is given."""
        if name == OWN_NAME:
            return OWN
        self._add([name])
        if chosen:
            self._colors[name] = chosen
        self._keep()
        return self._colors[name]

    def rename(self, before: str, name: str) -> None:
        """Give a name the color of the one that it replaces. That one keeps it: its log file has the old name."""
        if before in self._colors:
            self._colors[name] = self._colors[before]
        self._keep()

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._colors and name != OWN_NAME:
                self._colors[name] = CYCLE[len(self._colors) % len(CYCLE)]

    def _keep(self) -> None:
        """Write the file, if there is a directory and something is new. Ignore a failure: only colors would differ."""
        if self._directory is None or self._colors == self._kept:
            return
        path = self._directory / FILE
        new = path.with_name(f"{FILE}.new")
        try:
            new.unlink(missing_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(self._colors, file, ensure_ascii=False)
            new.replace(path)
        except OSError:
            return
        self._kept = dict(self._colors)


def read(directory: Path) -> Labels:
    """Return the labels that were kept last; none if the file is missing or damaged."""
    try:
        content = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Labels({})
    if not isinstance(content, dict):
        return Labels({})
    return Labels({name: color if _COLOR.fullmatch(str(color)) else "" for name, color in content.items()})
