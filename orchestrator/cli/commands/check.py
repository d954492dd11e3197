"""`orchestrate check`: everything that is wrong in the definition, at once."""

from __future__ import annotations

import argparse

from orchestrator.cli import planning, settings, sources
from orchestrator.config import selection

NAMES_MAX = 50  # that are listed


def run(options: argparse.Namespace) -> int:
    """Read and resolve everything, whatever its profile; start nothing. Raises ConfigError with all problems."""
    here = settings.read(options)
    read = sources.read(options, here)
    if not (options.names or options.only or options.profile):
        options.profile = [selection.ALL_PROFILES]
    resolved, notes = planning.plan(options, read)
    planning.tell(notes)
    system = resolved.system
    steps = f"{len(system.init)} initial steps, " if len(system.init) > 1 else "1 initial step, " * len(system.init)
    names = ", ".join(component.name for component in system.components[:NAMES_MAX])
    if (more := len(system.components) - NAMES_MAX) > 0:
        names += f" and {more} more"
    print(f"{system.title} is valid: {steps}{_count(len(system.components))}: {names}")
    return 0


def _count(number: int) -> str:
    return "1 component" if number == 1 else f"{number} components"
