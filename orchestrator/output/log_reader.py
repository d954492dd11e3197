"""Reads log files back: the parts of one instance in order, several instances merged by time.

The format is `output.log_file`'s: a UTC timestamp of fixed width, a blank, the raw line. What stands between two
timestamps without one of its own (a torn line, a foreign file) goes with the line before it. A line may go on from one
file to the next.

Files are known by their inode, and opened from the newest to the oldest: a rotation meanwhile moves a file to where it
is met a second time, never past us. What is open stays readable when it is renamed or removed.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)(!?) ")
_OLDER = re.compile(r"(?P<name>.+)\.log(?:\.(?P<age>\d{1,6}))?")
_BLOCK = 1 << 18
READ_LINE_MAX = 1 << 21  # bytes of a line that are held; a longer one comes in pieces


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `stamp` is the timestamp's text, which sorts as the time does; `text` is raw, without its LF. Where it
    does not end (`ends`) its next piece follows. `is_error` is one of standard error, if that is separate."""

    stamp: bytes
    instance: str
    text: bytes
    ends: bool = True
    is_error: bool = False


def instances(directory: Path) -> dict[str, int]:
    """Return, for each instance that has a log, how many older files it has beside the one being written.

    A directory that is missing has no logs: it may have been moved away a moment ago.
    """
    found: dict[str, int] = {}
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return {}
    for name in names:
        if match := _OLDER.fullmatch(name):
            found[match["name"]] = max(found.get(match["name"], 0), int(match["age"] or 0))
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """An open file and how much of it there was when it was opened."""

    fd: int
    size: int


class LogReader:
    """One instance's log. What there was at the beginning is history; what comes after that is news.

    `missed` turns true when files were rotated away before they could be read.
    """

    def __init__(self, directory: Path, instance: str, oldest: int) -> None:
        """`oldest` is the number of its oldest file. Raises OSError."""
        self.missed = False
        self._path = directory / f"{instance}.log"
        self._instance = instance
        self._parts = self._open_newer_than(None, oldest)
        self._met = {_identity(part.fd) for part in self._parts}
        self._offset = self._parts[-1].size if self._parts else 0
        self._rest = b""
        self._stamp = b""
        self._is_error = False

    def close(self) -> None:
        """Close all files."""
        for part in self._parts:
            os.close(part.fd)
        self._parts = []

    def history(self, since: float, *, whole: bool) -> Iterator[Line]:
        """Yield the lines there were, without files that were last written before `since` (seconds since the epoch).

        `whole` leaves a last line that has no end yet to the news.
        """
        for part in self._parts:
            position = 0
            if os.fstat(part.fd).st_mtime < since and part is not self._parts[-1]:
                continue
            while position < part.size and (block := os.pread(part.fd, min(_BLOCK, part.size - position), position)):
                position += len(block)
                yield from self._split(block)
        if not whole and self._rest:
            yield self._parse(self._rest)

    def last(self, count: int, *, whole: bool) -> list[Line]:
        """Return the last `count` lines there were; `whole` as for `history`."""
        blocks: list[bytes] = []
        ends = 0
        for part in reversed(self._parts):
            position = part.size
            while position > 0 and ends <= count:
                step = min(_BLOCK, position)
                position -= step
                blocks.append(os.pread(part.fd, step, position))
                ends += blocks[-1].count(b"\n")
            if ends > count:
                break
        lines = b"".join(reversed(blocks)).split(b"\n")
        rest = lines.pop()
        if whole:
            self._rest = rest
        elif rest:
            lines.append(rest)
        self._stamp = b""
        return [self._parse(raw) for raw in lines[len(lines) - min(count, len(lines)) :]]

    def news(self) -> Iterator[Line]:
        """Yield what was written since the last call, over any number of rotations."""
        yield from self._read_on()
        ours = self._parts[-1].fd if self._parts else None
        if ours is not None and self._is_current(ours):
            return
        newer = self._open_newer_than(ours, _oldest_beside(self._path))
        for part in newer:
            yield from self._read_on()  # what came between the last look and the rename
            for before in self._parts:
                os.close(before.fd)
            self._parts, self._offset = [part], 0
            self._met.add(_identity(part.fd))
            yield from self._read_on()

    def _open_newer_than(self, fd: int | None, oldest: int) -> list[_Part]:
        """Open the files that are newer than `fd`, or all; the oldest first."""
        known = _identity(fd) if fd is not None else None
        seen = set()
        parts: list[_Part] = []
        age = -1
        while (age := age + 1) <= oldest + 1:
            path = self._path.with_name(f"{self._path.name}.{age}") if age else self._path
            try:
                opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            oldest = max(oldest, age)  # while we look, files are renamed to higher numbers
            identity = _identity(opened)
            if identity == known:
                os.close(opened)
                break
            if identity in seen:
                os.close(opened)
                continue
            seen.add(identity)
            parts.append(_Part(opened, os.fstat(opened).st_size))
        else:
            parts = self._less_older(parts, fd)
            self.missed = self.missed or (self._is_gone(fd) and len(parts) > 1)
        return parts[::-1]

    def _less_older(self, parts: list[_Part], fd: int | None) -> list[_Part]:
        """Drop files that were last written before `fd`, which is none of them: it was moved or removed.

        Of two that were last written within one tick of the file system's clock, the one we have met is older.
        """
        if fd is None:
            return parts
        last = os.fstat(fd).st_mtime_ns
        newer: list[_Part] = []
        for part in parts:
            written = os.fstat(part.fd).st_mtime_ns
            if written > last or (written == last and _identity(part.fd) not in self._met):
                newer.append(part)
            else:
                os.close(part.fd)
        return newer

    def _is_current(self, fd: int) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:  # rotated just now, perhaps not for the first time
            return False
        return (there.st_dev, there.st_ino) == _identity(fd)

    @staticmethod
    def _is_gone(fd: int | None) -> bool:
        return fd is not None and os.fstat(fd).st_nlink == 0

    def _read_on(self) -> Iterator[Line]:
        if not self._parts:
            return
        fd = self._parts[-1].fd
        if os.fstat(fd).st_size < self._offset:  # somebody has emptied it
            self._offset = 0
        while block := os.pread(fd, _BLOCK, self._offset):
            self._offset += len(block)
            yield from self._split(block)

    def _split(self, block: bytes) -> Iterator[Line]:
        *whole, self._rest = (self._rest + block).split(b"\n")
        for raw in whole:
            yield self._parse(raw)
        if len(self._rest) > READ_LINE_MAX:
            yield self._parse(self._rest, ends=False)
            self._rest = b""

    def _parse(self, raw: bytes, *, ends: bool = True) -> Line:
        if match := _STAMP.match(raw):
            self._stamp, self._is_error = match[1], bool(match[2])
            raw = raw[match.end() :]
        return Line(self._stamp, self._instance, raw, ends, self._is_error)

    @property
    def unfinished(self) -> Line | None:
        """The line that has no end yet, once all before it was read."""
        if not self._rest:
            return None
        match = _STAMP.match(self._rest)
        text = self._rest[match.end() :] if match else self._rest
        return Line(match[1] if match else self._stamp, self._instance, text)


def _oldest_beside(path: Path) -> int:
    """Return the number of the oldest file beside `path`."""
    return instances(path.parent).get(path.name.removesuffix(".log"), 0)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def merge(streams: Iterable[Iterable[Line]]) -> Iterator[Line]:
    """Merge lines of several instances by time; what has the same time keeps the order of the streams."""
    return heapq.merge(*streams, key=lambda line: line.stamp)


class Logs:
    """The logs of a directory; `wants` says which instances, also of those that appear later."""

    def __init__(self, directory: Path, wants: Callable[[str], bool]) -> None:
        self._directory = directory
        self._wants = wants
        self.readers: dict[str, LogReader] = {}
        self._open_new()

    def history(self, since: float, *, whole: bool) -> Iterator[Line]:
        """Yield all lines there were, by time; see `LogReader.history`."""
        return merge(reader.history(since, whole=whole) for reader in self.readers.values())

    def last(self, count: int, *, whole: bool) -> Iterator[Line]:
        """Yield the last `count` lines there were of each instance, by time."""
        return merge(reader.last(count, whole=whole) for reader in self.readers.values())

    def news(self) -> list[Line]:
        """Return what was written since the last call, by time."""
        lines = [line for reader in self.readers.values() for line in reader.news()]
        for reader in self._open_new():
            lines += reader.history(0.0, whole=True)
        return sorted(lines, key=lambda line: line.stamp)

    @property
    def missed(self) -> bool:
        """Whether files were rotated away before they could be read."""
        return any(reader.missed for reader in self.readers.values())

    def _open_new(self) -> list[LogReader]:
        names = {n: age for n, age in instances(self._directory).items() if n not in self.readers and self._wants(n)}
        new = {name: LogReader(self._directory, name, age) for name, age in names.items()}
        self.readers.update(new)
        return list(new.values())
