"""`orchestrate signal`: sends a signal to the process groups of components, and wants nothing else of them."""

from __future__ import annotations

import argparse

from orchestrator.cli import asking
from orchestrator.model.control import Request, Verb


def run(options: argparse.Namespace) -> int:
    """Send it."""
    reply = asking.ask(options, Request(Verb.SIGNAL, tuple(options.names), options.signal))
    if options.json:
        asking.print_json(reply.rows)
    return 0
