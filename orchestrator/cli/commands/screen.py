"""`orchestrate screen`: what a component's terminal shows, or showed at a past time, from its log."""

from __future__ import annotations

import argparse
import json
import sys

from orchestrator.cli import recordings
from orchestrator.terminal import screen_cells


def run(options: argparse.Namespace) -> int:
    """Print the screen."""
    recording = recordings.of(options)
    count = recordings.moment(options, recording, options.at, "--at") if options.at else recording.last
    screen = recording.screen_after(count).screen()
    if options.json:
        found = {"time": recording.pieces[count - 1].time, **screen_cells.as_json(screen)}
        print(json.dumps(found), flush=True)
    else:
        write(screen.text() if options.plain or not sys.stdout.isatty() else screen.ansi())
    return 0


def write(text: str) -> None:
    """Print text, whatever the locale."""
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "replace"))
    sys.stdout.flush()
