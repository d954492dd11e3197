"""Writes the record of one start: one write(2) per event, and nothing in between.

Events are not buffered: a SIGKILL loses at most the line that is being written. We do not fsync either: a crash of
the machine may lose the last seconds, but a slow disk does not block the supervisor. Events that cannot be written are
counted; the next line that can is preceded by a `gap`. No method raises OSError after `__init__`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.history import record
from orchestrator.history.record import FORMAT, RecordedEvent, RecordKind, StartFacts

STARTS = 20
SIZE = 5_000_000
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Recorder:
    """Appends events to the file of this start. `lost` is called once for each series of failures, with the reason."""

    def __init__(
        self,
        directory: Path,
        facts: StartFacts,
        lost: Callable[[str], object],
        *,
        starts: int = STARTS,
        size: int = SIZE,
        age: float = 0.0,
        now: Callable[[], float] = time.time,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a new file, and remove those of the oldest starts. The caller holds the lock on the home; the system
        started `age` seconds ago. Raises OSError."""
        self._directory = directory
        self._half = max(1, size // 2)
        self._lost = lost
        self._now, self._uptime, self._began = now, uptime, uptime() - age
        self._count = 0
        self._missing = 0
        self._is_torn = False
        self._kept: dict[tuple[str, RecordKind | str], bytes] = {}
        known = record.numbers(directory)
        self.number = known[-1] + 1 if known else 1
        self._fd = os.open(record.path_of(directory, self.number), _FLAGS | os.O_EXCL, 0o600)
        for number in known[: max(0, len(known) + 1 - max(1, starts))]:
            for path in (record.path_of(directory, number), record.older_half_of(directory, number)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        self._written = 0
        self._head = b""
        self.append(RecordKind.START, time=now() - age, facts={**facts, "format": FORMAT})

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._uptime() - self._began

    def append(self, kind: RecordKind, *, time: float | None = None, **fields: Any) -> int:
        """Write one event and return its number, by which later events refer to it as their cause."""
        self._count += 1
        when = self._now() if time is None else time
        event = RecordedEvent(self._count, kind, time=when, uptime=self.uptime, **fields)
        line = event.encode()
        self._keep(event, line)
        if self._written + len(line) > self._half and self._written:
            self._rotate()
        if self._missing:
            gap = RecordedEvent(self._count - 1, RecordKind.GAP, time=self._now(), count=self._missing).encode()
            line = gap + line
        if self._put(line):
            self._missing = 0
            self._written += len(line)
        return event.number

    def _keep(self, event: RecordedEvent, line: bytes) -> None:
        """Keep what a reader needs if the older half is removed: the facts, the last changes of each instance, and the
        first one to each phase, which say how the system started."""
        if event.kind is RecordKind.START:
            self._head = self._head or line
            self._kept["", RecordKind.START] = line
        elif event.kind is RecordKind.CHANGE:
            key = event.instance, RecordKind.START if event.phase == "starting" and not event.pid else RecordKind.CHANGE
            self._kept[key] = line
            self._kept.setdefault((event.instance, event.phase), line)
        elif event.kind is RecordKind.RENAME:
            for kind in (RecordKind.START, RecordKind.CHANGE):
                if (kept := self._kept.pop((event.by, kind), None)) is not None:
                    self._kept[event.instance, kind] = kept
            self._kept[event.instance, event.kind] = line
        elif event.kind is not RecordKind.PROBE:
            self._kept["", event.kind] = line

    def _rotate(self) -> None:
        path, older = (f(self._directory, self.number) for f in (record.path_of, record.older_half_of))
        try:
            path.replace(older)
            fd = os.open(path, _FLAGS, 0o600)
        except OSError:
            return  # continue in the old file
        os.close(self._fd)
        self._fd, self._written, self._is_torn = fd, 0, False
        self._put(b"".join([self._head, *self._kept.values()]))

    def _put(self, data: bytes) -> bool:
        """Write, on a new line if the last write was cut off."""
        if self._fd < 0:
            return False
        self._reopen_if_removed()
        data = b"\n" + data if self._is_torn else data
        try:
            written = os.write(self._fd, data)
            reason = "" if written == len(data) else "no space left on device"
        except OSError as error:
            written, reason = 0, (error.strerror or str(error)).lower()
        if not reason:
            self._is_torn = False
            return True
        self._is_torn = self._is_torn or written > 0
        self._missing += 1
        if self._missing == 1:
            self._lost(f"cannot write {record.path_of(self._directory, self.number)}: {reason}")
        return False

    def _reopen_if_removed(self) -> None:
        """Begin the file again if the home was cleaned (git clean -fdx): one fstat(2) per event."""
        if os.fstat(self._fd).st_nlink:
            return
        try:
            self._directory.parent.mkdir(mode=0o700, exist_ok=True)
            self._directory.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(record.path_of(self._directory, self.number), _FLAGS, 0o600)
            os.write(fd, b"".join([self._head, *self._kept.values()]))
        except OSError:
            return
        os.close(self._fd)
        self._fd, self._is_torn = fd, False

    def close(self) -> None:
        """Write no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
