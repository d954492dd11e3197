"""Hyperlinks (OSC 8) of URLs and absolute paths in messages, tables and reports outside the merged stream.

They are printed only to a terminal that is known to show them.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from orchestrator.cli import settings


def linked(text: str, stream: TextIO | None = None) -> str:
    """Return printable text with hyperlinks, if `stream` (default: standard output) shows them."""
    if not shows_links(stream):
        return text
    from orchestrator.terminal import hyperlinks  # imported here: guardians inherit what `up` imports

    return hyperlinks.linked(text, os.uname().nodename)


def shows_links(stream: TextIO | None = None) -> bool:
    """Return whether `stream` (default: standard output) is a terminal that is known to show hyperlinks."""
    return (stream or sys.stdout).isatty() and settings.shows_hyperlinks()
