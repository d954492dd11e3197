"""`orchestrate version`."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import __version__


@dataclass(frozen=True, slots=True)
class VersionOptions:
    """`version` has no options."""


def run(options: VersionOptions) -> int:
    """Print the version."""
    print(f"orchestrate {__version__}")
    return 0
