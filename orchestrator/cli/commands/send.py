"""`orchestrate send`: types a text into a component's terminal."""

from __future__ import annotations

import argparse
import re

from orchestrator.cli import client
from orchestrator.model.control import Request, Verb

_KEYS = {"r": "\r", "n": "\n", "t": "\t", "e": "\x1b", "\\": "\\", "0": "\0"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([rnte0\\]))")


def run(options: argparse.Namespace) -> int:
    """Type it."""
    client.ask(options, Request(Verb.SEND, (options.name,), unescape(options.text)))
    return 0


def unescape(text: str) -> str:
    r"""Read \r \n \t \e \0 \\ and \xHH; what follows any other backslash stands for itself, with it."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _KEYS[m[2]], text)
