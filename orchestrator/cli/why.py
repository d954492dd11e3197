"""`orchestrate why`: why a component does not run, is not ready or was started again, and what it last printed."""

from __future__ import annotations

import argparse

from orchestrator.cli import asking
from orchestrator.model.control import Request, Verb


def run(options: argparse.Namespace) -> int:
    """Print it."""
    rows = asking.ask(options, Request(Verb.WHY, tuple(options.names))).rows
    if options.json:
        asking.print_json(rows)
        return 0
    for row in rows:
        print(asking.printable(row["reason"]))
        if row["restarts"] and row["last_exit"]:
            print(f"    last exit: {row['last_exit']} at {asking.clock(row['ended'])}")
        for line in row["lines"]:
            print(f"    {asking.printable(line)}")
    return 0
