"""`orchestrate screen`: what a component's terminal shows, or showed at a past time, from its log."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from orchestrator.cli import client, recorded_output
from orchestrator.cli.recorded_output import RecordingOptions
from orchestrator.terminal import screen_cells


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """The options of `screen`; `at` is a time."""

    source: RecordingOptions
    at: str | None = None
    plain: bool = False
    json: bool = False


def run(options: ScreenOptions) -> int:
    """Print the screen."""
    found = recorded_output.of(options.source)
    recording = found.recording
    count = recorded_output.moment(found, options.at, "--at") if options.at else recording.last
    screen = recording.screen_after(count).screen()
    if options.json:
        client.print_json(({"time": recording.pieces[count - 1].time or None, **screen_cells.as_json(screen)},))
    else:
        write(screen.text() if options.plain or not sys.stdout.isatty() else screen.ansi())
    return 0


def write(text: str) -> None:
    """Print text; replace characters that the locale cannot encode."""
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "replace"))
    sys.stdout.flush()
