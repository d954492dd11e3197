"""`orchestrate wait`: returns when components are ready, or have ended; Ctrl-C ends only the waiting."""

from __future__ import annotations

import argparse

from orchestrator.cli import client
from orchestrator.model.control import Request, Verb
from orchestrator.model.errors import NOT_READY_STATUS, OrchestrateError


class NotYetError(OrchestrateError):
    """The time is over."""

    status = NOT_READY_STATUS


def run(options: argparse.Namespace) -> int:
    """Wait; the exit status is 0 or, with --exit, that of the first component named."""
    request = Request(Verb.WAIT, tuple(options.names), options.awaited)
    try:
        reply = client.ask(options, request, options.limit)
    except TimeoutError:
        words = ", ".join(options.names) or "the system"
        raise NotYetError(
            f"{words}: no {options.awaited} within {options.limit:g} s", "see `orchestrate why`"
        ) from None
    if options.json:
        client.print_json(reply.rows)
    return reply.status
