"""`orchestrate down`: ends the system, and returns when it has gone."""

from __future__ import annotations

import argparse
import sys

from orchestrator.cli import client
from orchestrator.model.control import Request, Verb
from orchestrator.process.tree import wait_for
from orchestrator.runtime.loop import Loop

RETRY = 0.1  # seconds between looks where the kernel does not tell of the end of a process


def run(options: argparse.Namespace) -> int:
    """Ask for it, wait for the answer, then for the end of the process."""
    with client.converse(options) as conversation:
        pid = conversation.pid
        for _ in client.replies(conversation, Request(Verb.DOWN)):
            pass
    if pid is not None and sys.platform == "linux":
        wait_for(pid, Loop(), RETRY)
    if options.json:
        client.print_json(({"state": "stopped", "pid": pid},))
    return 0
