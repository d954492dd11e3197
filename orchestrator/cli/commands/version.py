"""`orchestrate version`."""

from __future__ import annotations

import argparse

from orchestrator import __version__


def run(options: argparse.Namespace) -> int:
    """Print the version."""
    print(f"orchestrate {__version__}")
    return 0
