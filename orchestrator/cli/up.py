"""`orchestrate up`: the system of orchestrate.toml or a Procfile, run in the foreground."""

from __future__ import annotations

import argparse

from orchestrator.cli import foreground, planning, sources, surroundings


def run(options: argparse.Namespace) -> int:
    """Run the system to its end; returns the exit status."""
    here = surroundings.read(options)
    read = sources.read(options, here)
    resolved, notes = planning.plan(options, read)
    planning.tell(notes)
    if options.dry_run:
        from orchestrator.cli import dry_run

        return dry_run.show(resolved.system)
    return foreground.run(resolved.system, planning.home_of(options, read), here)
