"""Procfile: ``name: command`` lines, ``#`` comments, order kept. Pure: text in, entries and problems out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.model.names import composed, name_fault

_LINE = re.compile(r"(?P<name>[^\s:]+)\s*:\s*(?P<command>.*)")


@dataclass(frozen=True, slots=True)
class ProcfileEntry:
    """One line: `command` is for ``sh -c``; `line` counts from 1."""

    name: str
    command: str
    line: int


def parse(text: str, source: str) -> tuple[list[ProcfileEntry], list[str]]:
    """Return the entries, and a line for each problem (``Procfile:3: …``). `source` is the file's name."""
    entries: list[ProcfileEntry] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):  # splitlines knows ten more line ends
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        where = f"{source}:{number}"
        match = _LINE.fullmatch(line)
        if not match:
            problems.append(f"{where}: not a `name: command` line: {line[:60]!r}")
            continue
        name, command = composed(match["name"]), match["command"]
        if fault := name_fault(name):
            problems.append(f"{where}: {name!r} is not a valid component name: {fault}")
        elif name in seen:
            problems.append(f"{where}: {name!r} is already defined on line {seen[name]}")
        elif not command:
            problems.append(f"{where}: {name!r} has no command")
        elif "\0" in command:
            problems.append(f"{where}: {name!r} has a NUL byte in its command, which no command line can carry")
        else:
            seen[name] = number
            entries.append(ProcfileEntry(name, command, number))
    if not entries and not problems:
        problems.append(f"{source}: no components in it: write lines like `web: python -m http.server`")
    return entries, problems
