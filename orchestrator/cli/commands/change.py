"""`stop`, `restart` and `kill`: what changes components of a running system. Each returns when it has come to be."""

from __future__ import annotations

import argparse

from orchestrator.cli import client
from orchestrator.model.control import Request, Verb

DONE = {Verb.START: "started", Verb.RESTART: "restarted", Verb.STOP: "stopped", Verb.KILL: "killed"}


def run(options: argparse.Namespace) -> int:
    """Ask for it, and say what came of it."""
    return change(options, Verb(options.verb))


def change(options: argparse.Namespace, verb: Verb) -> int:
    """The same for a verb."""
    try:
        reply, failure = client.ask(options, Request(verb, tuple(options.names))), None
    except client.RequestRefused as error:
        reply, failure = error.reply, error
    if options.json:
        client.print_json(reply.rows)
    elif failure is None:
        for row in reply.rows:
            pid = f" (pid {row['pid']})" if row["pid"] else ""
            print(f"{row['instance']} {DONE[verb]}{pid}")
    if failure is not None:
        raise failure
    return 0
