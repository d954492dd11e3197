"""The index beside a log: when each piece of a terminal's output was written, and how large its window was then.

A log has a timestamp for each line, and LF for CR LF. A screen of the past needs more: full-screen programs write
without lines, and some of them write LF alone. So `web.index` has an entry of 32 bytes for each write to `web.log`,
with its offset, wall-clock and monotonic time, rows and columns. It is rotated with its log.

Entries closer than PAUSE seconds are left out unless the size or the kind of line feeds changes, and more of them as
the index grows: it is never larger than half the log may be. A fault costs the index, never the log.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ENDING = ".index"
PAUSE = 0.02  # seconds between two entries that differ only in time
_ENTRY = struct.Struct("=QddHHB3x")  # offset, wall-clock time, monotonic time, rows, columns, flags
_FEEDS = struct.Struct("=Q16sHHB3x")  # offset, bits, their number, 0, flags
_FEEDS_MAX = 128  # line feeds in one entry
_BEGIN, _END, _BARE, _IS_FEEDS = 1, 2, 4, 8
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_FEED = re.compile(rb"\r?\n")
_COARSE = ((8, 1.0), (4, 60.0))  # from this part of the log's size on: seconds between two entries

Size = Callable[[], tuple[int, int]]


def path_of(log: Path) -> Path:
    """Return the path of a log's index: `web.index` of `web.log`, `web.index.1` of `web.log.1`."""
    name, _, age = log.name.rpartition(".log")
    return log.with_name(f"{name}{ENDING}{age}")


class LogIndex:
    """Writes the index of one log. `feeds` is the number of line feeds of the next write so far.

    `size` returns columns and rows as os.get_terminal_size does, 0 if they are not known; `limit` is the size of the
    log in bytes.
    """

    def __init__(self, size: Size, limit: int, *, begins: bool) -> None:
        self._size = size
        self._limit = limit
        self._fd = -1
        self._written = 0
        self._flags = _BEGIN if begins else 0
        self._pause = PAUSE
        self._coarse_from = limit  # bytes of the index beyond which the pause is another one
        self._due = 0.0  # monotonic seconds: when the next entry is due that records only the time
        self._must_add = True
        self._shape = (0, 0)
        self.feeds = 0  # line feeds of this write so far
        self._bare: list[int] = []  # the numbers of those without CR

    def open(self, log: Path, *, is_new: bool) -> None:
        """Continue the index of a log, from its beginning if the log `is_new`."""
        self.close()
        try:
            self._fd = os.open(path_of(log), _FLAGS | (os.O_TRUNC if is_new else 0), 0o600)
            self._written = os.lseek(self._fd, 0, os.SEEK_END)
            self._set_pause()
            if torn := self._written % _ENTRY.size:
                self._written -= torn
                os.ftruncate(self._fd, self._written)
        except OSError:
            self.close()
        self._must_add = True

    def note(self, chunk: bytes, feeds: int) -> None:
        """Note the line feeds of a chunk of the next write, some of which came without CR."""
        found = (match[0] == b"\n" for match in _FEED.finditer(chunk))
        self._bare += [self.feeds + number for number, is_bare in enumerate(found) if is_bare]
        self._must_add = True
        self.feeds += feeds

    def resized(self) -> None:
        """Take note that the terminal's size has changed."""
        self._must_add = True

    def add(self, offset: int) -> None:
        """Add an entry for what was written at `offset`, or let it count as a part of what the entry before is
        about."""
        now = time.monotonic()
        if now < self._due and not self._must_add:
            self.feeds = 0
            return
        feeds, bare = self.feeds, self._bare
        self.feeds, self._bare = 0, []
        if self._fd < 0:
            return
        try:
            columns, rows = self._size()
        except OSError:  # the terminal is closed
            pass
        else:
            self._shape = rows, columns
        is_all = 0 < feeds == len(bare)
        entry = _ENTRY.pack(offset, time.time(), now, *self._shape, self._flags | (_BARE if is_all else 0))
        self._flags = 0
        if bare and not is_all:
            entry += b"".join(_feed_entries(offset, feeds, bare))
        self._write(entry)
        self._due = now + self._pause
        self._must_add = is_all  # the next may be none of that kind

    def end(self, offset: int) -> None:
        """Add an entry for the end of the run, after its output."""
        if self._fd >= 0:
            self._write(_ENTRY.pack(offset, time.time(), time.monotonic(), *self._shape, _END), is_last=True)

    def rename(self, log: Path, new: Path) -> None:
        """Follow a log that is renamed, or removed if it has no new name."""
        try:
            path_of(log).replace(path_of(new))
        except OSError:
            path_of(new).unlink(missing_ok=True)  # it belongs to another log

    def close(self) -> None:
        """Write no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, entry: bytes, *, is_last: bool = False) -> None:
        if self._written > self._limit // 2 and not is_last:
            return
        try:
            self._written += os.write(self._fd, entry)
        except OSError:
            self.close()
        if self._written > self._coarse_from:
            self._set_pause()

    def _set_pause(self) -> None:
        """Set the seconds between two entries by the size of the index."""
        self._pause, self._coarse_from = PAUSE, self._limit // _COARSE[0][0]
        for number, (part, pause) in enumerate(_COARSE):
            if self._written > self._limit // part:
                self._pause = pause
                self._coarse_from = self._limit // _COARSE[number + 1][0] if number + 1 < len(_COARSE) else self._limit


def _feed_entries(offset: int, feeds: int, bare: list[int]) -> Iterator[bytes]:
    """Yield entries that say which line feeds of a write are bare."""
    for start in range(0, feeds, _FEEDS_MAX):
        count = min(_FEEDS_MAX, feeds - start)
        bits = sum(1 << (number - start) for number in bare if start <= number < start + count)
        yield _FEEDS.pack(offset, bits.to_bytes(16, "little"), count, 0, _IS_FEEDS)


@dataclass(frozen=True, slots=True)
class Entry:
    """What was written at `offset`, until the next entry. `begins` and `ends` say that a run does; `feeds` whether each
    line feed came without CR: one value for all, or one for each."""

    offset: int
    time: float
    uptime: float
    rows: int
    columns: int
    begins: bool = False
    ends: bool = False
    feeds: tuple[bool, ...] | bool = False


def pack(entry: Entry) -> bytes:
    """Return an entry as it is in a file; `feeds` has one value for each line feed, or one for all."""
    feeds = entry.feeds if isinstance(entry.feeds, tuple) else ()
    flags = entry.begins * _BEGIN | entry.ends * _END | (entry.feeds is True) * _BARE
    data = _ENTRY.pack(entry.offset, entry.time, entry.uptime, entry.rows, entry.columns, flags)
    bare = [number for number, is_bare in enumerate(feeds) if is_bare]
    return data + b"".join(_feed_entries(entry.offset, len(feeds), bare)) if bare else data


def read(log: Path) -> list[Entry]:
    """Return the entries of a log's index, in order of their offsets; none if its index cannot be read."""
    try:
        data = path_of(log).read_bytes()
    except OSError:
        return []
    entries: list[Entry] = []
    feeds: list[bool] = []
    for at in range(len(data) // _ENTRY.size * _ENTRY.size - _ENTRY.size, -1, -_ENTRY.size):
        offset, wall, uptime, rows, columns, flags = _ENTRY.unpack_from(data, at)
        if flags & _IS_FEEDS:
            _, bits, count, _, _ = _FEEDS.unpack_from(data, at)
            number = int.from_bytes(bits, "little")
            feeds[:0] = [bool(number >> n & 1) for n in range(min(count, _FEEDS_MAX))]
            continue
        all_feeds = tuple(feeds) if feeds else bool(flags & _BARE)
        feeds = []
        entries.append(Entry(offset, wall, uptime, rows, columns, bool(flags & _BEGIN), bool(flags & _END), all_feeds))
    entries.reverse()
    return [entry for number, entry in enumerate(entries) if not number or entry.offset >= entries[number - 1].offset]
