"""`orchestrate events`: each change of a component's state as it happens, until Ctrl-C or the system's end."""

from __future__ import annotations

import argparse

from orchestrator.cli import client
from orchestrator.cli.client import Row
from orchestrator.model.control import Request, Verb


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with client.converse(options) as conversation:
        for reply in client.replies(conversation, Request(Verb.EVENTS, tuple(options.names))):
            if options.json:
                client.print_json(reply.rows)
            else:
                for row in reply.rows:
                    print(_in_words(row), flush=True)
    return 0


def _in_words(row: Row) -> str:
    if "instance" not in row:
        return f"{client.clock(row['time'])} the system has ended (status {row['status']})"
    pid = f" (pid {row['pid']})" if row["pid"] else ""
    end = f" ({row['last_exit']})" if row["last_exit"] else ""
    return client.printable(f"{client.clock(row['time'])} {row['instance']} {row['from']} → {row['state']}{pid}{end}")
