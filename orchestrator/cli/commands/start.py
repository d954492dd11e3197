"""`orchestrate start`: starts components of a running system; where none runs, the system with only these."""

from __future__ import annotations

import argparse

from orchestrator.cli.commands import change, up
from orchestrator.model.control import Verb
from orchestrator.model.errors import NotRunningError


def run(options: argparse.Namespace) -> int:
    """Ask the running system; without one, run it to its end."""
    if options.dry_run:
        return up.run(options)
    try:
        return change.change(options, Verb.START)
    except NotRunningError:
        if options.preset:
            raise
        return up.run(options)
