"""`orchestrate scale`: more or fewer instances of components of a running system."""

from __future__ import annotations

import argparse

from orchestrator.cli import client
from orchestrator.config.selection import ALL, parse_formation
from orchestrator.model.control import Request, Verb
from orchestrator.model.errors import UsageError

HINT = "write orchestrate scale web=2 worker=1"


def run(options: argparse.Namespace) -> int:
    """Ask for each component in turn; returns when its instances run, or are down."""
    formation = parse_formation(",".join(options.formation_words), HINT)
    if not formation or ALL in formation:
        raise UsageError("scale needs the components by name", HINT)
    for name, count in formation.items():
        reply = client.ask(options, Request(Verb.SCALE, (name,), str(count)))
        if options.json:
            client.print_json(reply.rows)
        else:
            for row in reply.rows:
                print(f"{row['instance']} {'started' if row['pid'] else 'stopped'}")
    return 0
