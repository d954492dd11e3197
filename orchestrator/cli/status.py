"""`orchestrate status`: whether the system runs, in one line; the exit status is 0 where it does and 3 where not."""

from __future__ import annotations

import argparse

from orchestrator.cli import asking
from orchestrator.model.control import Request, Verb


def run(options: argparse.Namespace) -> int:
    """Print it."""
    (row,) = asking.ask(options, Request(Verb.STATUS)).rows
    if options.json:
        asking.print_json((row,))
        return 0
    step = f" {row['step']}" if row["step"] else ""
    count = f"{row['ready']} of {row['components']} components ready" if row["components"] else "nothing started yet"
    title = asking.printable(row["title"])
    print(f"{row['state']}{step}: {title}, {count}, pid {row['pid']}, since {asking.clock(row['since'])}")
    return 0
