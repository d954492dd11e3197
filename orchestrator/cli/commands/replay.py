"""`orchestrate replay`: a component's terminal as it was, drawn again, or exported for asciinema."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.cli import recorded_output
from orchestrator.cli.commands.screen import write
from orchestrator.cli.recorded_output import RecordingOptions
from orchestrator.history import replay
from orchestrator.history.replay import Recording
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.runtime.loop import Loop
from orchestrator.terminal.screen_cells import row_ansi

_ENTER, _LEAVE = "\x1b[?1049h\x1b[2J", "\x1b[m\x1b[?25h\x1b[?1049l"


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The options of `replay`: two times, the speed, and the file that is written instead."""

    source: RecordingOptions
    begin: str | None = None
    end: str | None = None
    speed: float = 1.0
    asciicast: str | None = None
    asciicast_version: str = "2"


def run(options: ReplayOptions) -> int:
    """Replay or export the recording."""
    found = recorded_output.of(options.source)
    recording = found.recording
    end = recorded_output.moment(found, options.end, "--to") if options.end else recording.last
    if options.begin:
        start = recorded_output.moment(found, options.begin, "--from")
    else:
        start = recording.begin_of_run(end)
    if start > end:
        raise UsageError(f"invalid --from '{options.begin}': it is after the end of the replay")
    if options.asciicast:
        events = replay.asciicast(recording, start, end, int(options.asciicast_version))
        _export(options.asciicast, events)
    elif not sys.stdout.isatty():
        raise OrchestrateError("cannot replay: standard output is not a terminal", "write a file with --asciicast FILE")
    else:
        player = _Player(recording, start, end, options.speed)
        try:
            player.play()
        finally:
            write(_LEAVE + player.emulator.screen().ansi())
    return 0


def _export(path: str, events: Iterable[object]) -> None:
    lines = "".join(f"{json.dumps(event)}\n" for event in events)
    if path == "-":
        write(lines)
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(lines)
    except OSError as error:
        raise OrchestrateError(f"cannot write {path}: {(error.strerror or '').lower()}") from None


class _Player:
    """Draws piece after piece, each when it is due. It never writes the bytes of the component: a terminal would
    answer their queries."""

    def __init__(self, recording: Recording, start: int, end: int, speed: float) -> None:
        self.emulator = recording.screen_after(start)
        self._recording = recording
        self._next, self._end = start, end
        self._speed = speed
        self._loop = Loop()
        self._size = (0, 0)

    def play(self) -> None:
        """Play to the end of the recording."""
        try:
            write(_ENTER)
            self._draw()
            self._loop.call_in(0.0, self._step)
            while self._next < self._end:
                self._loop.turn()
        finally:
            self._loop.close()

    def _step(self) -> None:
        while True:
            piece = self._recording.pieces[self._next]
            replay.feed(self.emulator, piece, piece.data)
            self._next += 1
            if self._next >= self._end:
                break
            if delay := self._recording.delay(self._next) / self._speed:
                self._loop.call_in(delay, self._step)
                break
        self._draw()

    def _draw(self) -> None:
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        changed = self.emulator.take_changed()
        shape = (self.emulator.lines, self.emulator.columns)
        if shape != self._size:
            self._size, changed = shape, set(range(shape[0]))
            write("\x1b[m\x1b[2J")
        rows = [
            f"\x1b[{number + 1}H{row_ansi(self.emulator.row(number)[:columns])}\x1b[K"
            for number in sorted(changed)
            if number < lines
        ]
        x, y = self.emulator.cursor
        visible = "\x1b[?25h" if self.emulator.is_cursor_visible else "\x1b[?25l"
        write("".join([*rows, f"\x1b[{min(y, lines - 1) + 1};{min(x, columns - 1) + 1}H{visible}"]))
