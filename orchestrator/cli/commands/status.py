"""`orchestrate status`: whether the system runs, in one line; the exit status is 0 where it does and 3 where not."""

from __future__ import annotations

import argparse

from orchestrator.cli import client
from orchestrator.cli.client import Row
from orchestrator.model.control import Request, Verb


def run(options: argparse.Namespace) -> int:
    """Print it."""
    (row,) = client.ask(options, Request(Verb.STATUS)).rows
    if options.json:
        client.print_json((row,))
        return 0
    title = client.printable(row["title"])
    print(f"{row['state']}: {title}, {_count(row)}, pid {row['pid']}, since {client.clock(row['since'])}")
    return 0


def _count(row: Row) -> str:
    if row["step"]:
        return f"initial step {row['step']} is running"
    others = [f"{count} {state}" for state, count in row["states"].items() if state not in ("ready", "running")]
    count = f"{row['ready']} of {row['components']} components ready"
    return f"{count} ({', '.join(others)})" if others else count
