"""`orchestrate signal`: sends a signal to the process groups of components, and wants nothing else of them."""

from __future__ import annotations

import argparse

from orchestrator.cli import client
from orchestrator.model.control import Request, Verb


def run(options: argparse.Namespace) -> int:
    """Send it."""
    reply = client.ask(options, Request(Verb.SIGNAL, tuple(options.names), options.signal))
    if options.json:
        client.print_json(reply.rows)
    return 0
