"""`orchestrate help [COMMAND]`: what `orchestrate COMMAND --help` prints."""

from __future__ import annotations

import argparse

from orchestrator.cli import arguments


def run(options: argparse.Namespace) -> int:
    """Print the help of a command. Raises UsageError if there is none of this name."""
    arguments.build().parse_args([*options.words, "--help"])
    raise AssertionError("argparse exits after it has printed the help")
