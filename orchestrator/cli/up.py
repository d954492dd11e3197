"""`orchestrate up`: the system of orchestrate.toml or a Procfile, run in the foreground."""

from __future__ import annotations

import argparse

# First, so that what guardians use lies together in memory, on fewer pages: 0.1 MB less in each (see process.fork).
import orchestrator.process.rehearsal  # noqa: F401

# isort: split
from orchestrator.cli import detach, foreground, planning, sources, surroundings
from orchestrator.cli.sources import MissingFileError
from orchestrator.model.errors import UsageError


def run(options: argparse.Namespace) -> int:
    """Run the system to its end; returns the exit status."""
    here = surroundings.read(options)
    try:
        read = sources.read(options, here)
        resolved, notes = planning.plan(options, read)
    except (UsageError, MissingFileError) as error:
        if options.no_command:  # `orchestrate wrod` was taken for `orchestrate up wrod`
            raise UsageError(options.no_command, f"and as a component: {error}") from None
        raise
    planning.tell(notes)
    if options.dry_run:
        from orchestrator.cli import dry_run

        return dry_run.show(resolved.system)
    home = planning.home_of(options, read)
    return detach.run(options, lambda birth: foreground.run(resolved.system, home, here, birth))
