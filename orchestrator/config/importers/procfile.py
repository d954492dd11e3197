"""A Procfile as a draft of orchestrate.toml: of foreman, honcho, overmind, hivemind or goreman. Pure."""

from __future__ import annotations

from orchestrator.config import procfile
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return a component for each line, with the comments above it. A malformed line is a loss."""
    draft = Draft(comments=[f"Converted from {name}."])
    entries, problems = procfile.parse(text, name)
    for problem in problems:
        place, _, reason = problem.removeprefix(f"{name}:").partition(": ")
        draft.lose(int(place) if place.isdecimal() else 0, "line", reason)
    lines = text.removeprefix("\ufeff").splitlines()
    for entry in entries:
        draft.entries.append(DraftEntry(entry.name, {"command": entry.command}, comments_above(lines, entry.line)))
    return draft


def comments_above(lines: list[str], number: int, mark: str = "#") -> list[str]:
    """Return the texts of the comment lines directly above line `number`, which counts from 1."""
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        text = line.strip()
        if not text or text[0] not in mark:
            break
        found.insert(0, text.lstrip(mark).strip())
    return found
