"""Reconstructs a terminal's output from a log and its index, and its screen at any time.

Without an index, or for a part of a log that has none, the timestamps of the lines are the times, and every line feed
came as CR LF.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.output import log_index, log_reader
from orchestrator.output.log_index import Entry

if TYPE_CHECKING:
    from orchestrator.terminal.emulator import Emulator

STANDARD = (24, 80)  # rows and columns of a terminal whose size is not known
FED_MAX = 1_000_000  # bytes of output that make a screen; of earlier output only the modes count
_STAMP = re.compile(rb"(?:(?<=\n)|\A)(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z!? ")
# Sequences that set modes, margins, character sets and the title, or clear all of them.
_STATE = re.compile(
    rb"\x1b\[\?[0-9;]*[hl]|\x1b\[[0-9;]*r|\x1b[c=>]|\x1b[()].|\x1b\[!p|\x1b\][02];[^\x07\x1b]{0,400}(?:\x07|\x1b\\)"
)
_FEED = re.compile(rb"\r?\n")
_NO_SIZE = (0, 0)


@dataclass(frozen=True, slots=True)
class Piece:
    """Output as it was written, without timestamps and with its CRs. `time` is wall-clock seconds, `uptime` monotonic
    ones, 0 if they are not known. `begins` and `ends` say that a run does; `size` is rows and columns, 0 if unknown."""

    data: bytes
    time: float
    uptime: float = 0.0
    size: tuple[int, int] = _NO_SIZE
    begins: bool = False
    ends: bool = False


def pieces_of(directory: Path, instance: str) -> Iterator[Piece]:
    """Yield the kept output of an instance, oldest first. Raises OSError."""
    ages = log_reader.instances(directory).get(instance)
    if ages is None:
        return
    for age in range(ages, -1, -1):
        path = directory / (f"{instance}.log.{age}" if age else f"{instance}.log")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        yield from pieces_in(data, log_index.read(path))


def pieces_in(data: bytes, entries: Iterable[Entry]) -> Iterator[Piece]:
    """Yield the pieces of one log file."""
    known = [entry for entry in entries if entry.offset <= len(data)]
    first = known[0].offset if known else len(data)
    yield from _by_lines(data[:first])
    bounds = [*(entry.offset for entry in known[1:]), len(data)]
    for entry, end in zip(known, bounds, strict=False):
        text = b"" if entry.ends else _restored(data, entry.offset, end, entry.feeds)
        size = (entry.rows, entry.columns)
        if entry.ends and end > entry.offset + 1:  # more than the line end of a finished log: a run without an index
            yield Piece(b"", entry.time, entry.uptime, size, ends=True)
            yield from _by_lines(data[entry.offset : end].removeprefix(b"\n"))
        else:
            yield Piece(text, entry.time, entry.uptime, size, entry.begins, entry.ends)


def _restored(data: bytes, start: int, end: int, feeds: tuple[bool, ...] | bool) -> bytes:
    """Return output of a log without timestamps, and with CR LF for each line feed that is not bare."""
    parts = []
    at = start
    for found in _STAMP.finditer(data, start, end):
        parts.append(data[at : found.start()])
        at = found.end()
    text = b"".join([*parts, data[at:end]])
    if feeds is True:
        return text
    if feeds is False:
        return text.replace(b"\n", b"\r\n")
    lines = text.split(b"\n")
    bare = [*feeds, *[False] * len(lines)]
    ends = [b"\n" if bare[number] else b"\r\n" for number in range(len(lines) - 1)]
    return b"".join([part for pair in zip(lines, [*ends, b""], strict=True) for part in pair])


def _by_lines(data: bytes) -> Iterator[Piece]:
    """Yield a piece for each line, with the time of its timestamp."""
    time = 0.0
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
        if found := _STAMP.match(line):
            time = seconds(found[1])
            line = line[found.end() :]
        yield Piece(line.replace(b"\n", b"\r\n"), time)


def encoded(pieces: Iterable[Piece], stamp: Callable[[float], bytes]) -> tuple[bytes, bytes]:
    """Return pieces as a log and its index; `stamp` makes the timestamp before a line."""
    log, index = bytearray(), bytearray()
    at_start = True
    for piece in pieces:
        feeds = tuple(match[0] == b"\n" for match in _FEED.finditer(piece.data))
        rows, columns = piece.size
        entry = Entry(len(log), piece.time, piece.uptime, rows, columns, piece.begins, piece.ends, feeds)
        index += log_index.pack(entry)
        if piece.data:
            mark = stamp(piece.time)
            body = (mark if at_start else b"") + piece.data.replace(b"\r\n", b"\n").replace(b"\n", b"\n" + mark)
            at_start = piece.data.endswith(b"\n")
            log += body[: -len(mark)] if at_start else body
        if piece.ends and not at_start:
            log += b"\n"
            at_start = True
    return bytes(log), bytes(index)


def seconds(stamp: bytes) -> float:
    """Return the time of a timestamp; 0 if it is invalid."""
    try:
        return datetime.fromisoformat(stamp.decode("ascii")).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Recording:
    """The output of one instance; `pieces` has at least one."""

    pieces: tuple[Piece, ...]

    @property
    def last(self) -> int:
        """The number of pieces."""
        return len(self.pieces)

    def until(self, time: float) -> int:
        """Return how many pieces were written by a time. If the clock was set back, the later ones count."""
        return next((n for n in range(self.last, 0, -1) if self.pieces[n - 1].time <= time), 0)

    def until_exit(self, *, is_running: bool) -> int:
        """Return how many pieces there are up to the last exit; 0 if there was none. A run without a recorded exit was
        killed together with the supervisor: it ended before the next run, and the last run has ended unless the system
        is running."""
        begins = [number for number, piece in enumerate(self.pieces) if piece.begins]
        last = begins[-1] if begins else 0
        if any(piece.ends for piece in self.pieces[last:]) or is_running:
            ended = next((n for n in range(self.last, 0, -1) if self.pieces[n - 1].ends), 0)
            return max(ended, last)
        return self.last

    def begin_of_run(self, count: int) -> int:
        """Return the number of the first piece of a run: of the one that the piece before `count` belongs to."""
        return next((n for n in range(count - 1, -1, -1) if self.pieces[n].begins), 0)

    def screen_after(self, count: int) -> Emulator:
        """Return the terminal as it was after `count` pieces. Raises OrchestrateError without pyte."""
        from orchestrator.terminal.emulator import Emulator

        begin = self.begin_of_run(count)
        size, start = 0, count
        while start > begin and size < FED_MAX:
            start -= 1
            size += len(self.pieces[start].data)
        rows, columns = self.size_at(begin)
        emulator = Emulator(columns, rows)
        for piece in self.pieces[begin:start]:
            feed(emulator, piece, b"".join(_STATE.findall(piece.data)))
        for piece in self.pieces[start:count]:
            feed(emulator, piece, piece.data)
        return emulator

    def size_at(self, number: int) -> tuple[int, int]:
        """Return rows and columns at a piece: its own, or the next that is known."""
        later = (piece.size for piece in self.pieces[number:] if all(piece.size))
        return next(later, next((p.size for p in reversed(self.pieces) if all(p.size)), STANDARD))

    def delay(self, number: int) -> float:
        """Return the seconds between a piece and the one before it, by the monotonic clock if it is known."""
        if not number:
            return 0.0
        before, after = self.pieces[number - 1], self.pieces[number]
        if before.uptime and after.uptime >= before.uptime:
            return after.uptime - before.uptime
        return max(0.0, after.time - before.time)


def feed(emulator: Emulator, piece: Piece, data: bytes) -> None:
    """Show a piece: in a new terminal if a run begins, and at its size."""
    if piece.begins:
        emulator.reset()
    if all(piece.size):
        rows, columns = piece.size
        emulator.resize(columns, rows)
    emulator.feed(data)


def asciicast(recording: Recording, start: int, end: int, version: int) -> Iterator[list[object] | dict[str, object]]:
    """Yield header and events of a recording in asciinema's format 2 or 3, which are JSON values, one for each line.

    It begins with the screen before piece `start`. Times are seconds from the beginning, in version 3 from the event
    before (https://docs.asciinema.org/manual/asciicast/v3/).
    """
    emulator = recording.screen_after(start)
    if not start:
        rows, columns = recording.size_at(0)
        emulator.resize(columns, rows)
    size = emulator.lines, emulator.columns
    first = recording.pieces[start] if start < recording.last else recording.pieces[-1]
    header: dict[str, object] = {"version": version, "timestamp": int(first.time)}
    if version == 2:
        header |= {"width": size[1], "height": size[0]}
    else:
        header |= {"term": {"cols": size[1], "rows": size[0]}}
    yield header
    total = 0.0
    x, y = emulator.cursor
    picture = emulator.screen().ansi().removesuffix("\n").replace("\n", "\r\n")
    yield [0.0, "o", f"{picture}\x1b[{y + 1};{x + 1}H"]
    for number in range(start, end):
        piece = recording.pieces[number]
        delay = recording.delay(number) if number > start else 0.0
        total += delay
        if all(piece.size) and piece.size != size:
            size = piece.size
            yield [_moment(version, total, delay), "r", f"{size[1]}x{size[0]}"]
            delay = 0.0
        clear = "\x1bc" if piece.begins and number > start else ""
        yield [_moment(version, total, delay), "o", clear + piece.data.decode("utf-8", "replace")]


def _moment(version: int, total: float, delay: float) -> float:
    return round(total if version == 2 else delay, 6)
