"""Reads log files back: parts of one instance in order, several instances merged by time.

The format is `output.logfile`'s: a UTC timestamp of fixed width, a blank, the raw line. What stands between two
timestamps without one of its own (a torn line, a foreign file) goes with the line before it.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.output.logfile import STAMP_WIDTH

_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ")
_OLDER = re.compile(r"(?P<name>.+)\.log(?:\.(?P<age>\d+))?")
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `stamp` is the timestamp's text, which sorts as the time does; `text` is raw, without its LF."""

    stamp: bytes
    instance: str
    text: bytes


def instances(directory: Path) -> dict[str, list[Path]]:
    """Return, for each instance that has a log, its files from the oldest to the one being written."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in directory.iterdir():
        if match := _OLDER.fullmatch(path.name):
            found.setdefault(match["name"], []).append((int(match["age"] or 0), path))
    return {name: [path for _, path in sorted(files, reverse=True)] for name, files in sorted(found.items())}


def parse(raw: bytes, instance: str, stamp: bytes) -> Line:
    """Split a line, without its LF; `stamp` is that of the line before it."""
    if _STAMP.match(raw):
        return Line(raw[: STAMP_WIDTH - 1], instance, raw[STAMP_WIDTH:])
    return Line(stamp, instance, raw)


def history(paths: Iterable[Path], instance: str, since: bytes) -> Iterator[Line]:
    """Yield the lines of one instance that are not older than `since` (a timestamp, or nothing for all)."""
    stamp = b""
    for path in paths:
        try:
            file = path.open("rb")
        except FileNotFoundError:  # rotated away meanwhile
            continue
        with file:
            for raw in file:
                line = parse(raw.rstrip(b"\n"), instance, stamp)
                stamp = line.stamp
                if stamp >= since:
                    yield line


def last_lines(paths: list[Path], instance: str, count: int) -> list[Line]:
    """Return the last `count` lines of one instance, read from the end."""
    collected: list[bytes] = []
    for path in reversed(paths):
        try:
            collected = _tail(path, count - len(collected)) + collected
        except FileNotFoundError:
            continue
        if len(collected) >= count:
            break
    lines: list[Line] = []
    for raw in collected:
        lines.append(parse(raw, instance, lines[-1].stamp if lines else b""))
    return lines


def _tail(path: Path, count: int) -> list[bytes]:
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        while position > 0 and data.count(b"\n") <= count:
            step = min(max(_BLOCK, len(data)), position)
            position -= step
            file.seek(position)
            data = file.read(step) + data
    return data.splitlines()[-count:] if count else []


def merge(streams: Iterable[Iterable[Line]]) -> Iterator[Line]:
    """Merge lines of several instances by time; what has the same time keeps the order of the streams."""
    return heapq.merge(*streams, key=lambda line: line.stamp)


class Follower:
    """Reads what is appended to the logs of a directory, over rotation and restarts."""

    def __init__(self, directory: Path, wanted: Iterable[str] | None) -> None:
        """Begin at the present end of every log; `wanted` names instances, None means all, also later ones."""
        self._directory = directory
        self._wanted = None if wanted is None else frozenset(wanted)
        self._files: dict[str, _Followed] = {}
        for name, paths in instances(directory).items():
            if self._follows(name) and paths[-1].suffix == ".log":
                self._files[name] = _Followed(paths[-1], name, at_end=True)

    def news(self) -> list[Line]:
        """Return whole lines that came since the last call, by time."""
        for name, paths in instances(self._directory).items():
            if self._follows(name) and name not in self._files and paths[-1].suffix == ".log":
                self._files[name] = _Followed(paths[-1], name, at_end=False)
        return sorted((line for file in self._files.values() for line in file.read()), key=lambda line: line.stamp)

    def _follows(self, name: str) -> bool:
        return self._wanted is None or name in self._wanted


class _Followed:
    """One log that is being written: an open descriptor, which stays on the file when that is renamed."""

    def __init__(self, path: Path, instance: str, *, at_end: bool) -> None:
        self._path = path
        self._instance = instance
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._rest = b""
        self._stamp = b""
        if at_end:
            os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> list[Line]:
        lines = self._read_on()
        while self._was_rotated():
            lines += self._read_on()  # what came between the last read and the rename
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            os.close(self._fd)
            self._fd = fd
            lines += self._read_on()
        return lines

    def _was_rotated(self) -> bool:
        try:
            there, ours = os.stat(self._path), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _read_on(self) -> list[Line]:
        pieces = [self._rest]
        while data := os.read(self._fd, 1 << 20):
            pieces.append(data)
        *whole, self._rest = b"".join(pieces).split(b"\n")
        lines: list[Line] = []
        for raw in whole:
            line = parse(raw, self._instance, self._stamp)
            self._stamp = line.stamp
            lines.append(line)
        return lines
