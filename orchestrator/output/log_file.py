"""The log of one instance: each line as it was written, after a UTC timestamp. Rotated by size, by renaming.

If standard error is separate (`tty = false`), its lines have `!` after the timestamp.

A fault (disk full, read-only) is reported once and affects only the log. Writing is retried; when it works again, the
number of lost bytes is reported and noted in the file. Rotation happens between two lines, so no line is duplicated or
split: `web.log` becomes `web.log.1`, and so on. A reader that holds the old file open can read it to its end. Only an
unfinished line continues in the next file, without a second timestamp.

Two streams of one instance may share one log: each passes only whole lines, so they do not mix within a line.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.output.log_index import LogIndex, Size
from orchestrator.terminal.lines import lf_for_crlf

SIZE = 50 * 1000 * 1000
KEPT = 5
UNENDED_MAX = 1 << 20  # bytes above the size at which a file ends within a line
WRITE_SIZE = 1 << 16  # bytes of one write, if more follows: half the time of one of 40 KB (ext4, 6.18)
TRY_AGAIN = 5.0  # seconds after a fault
LOOK_AGAIN = 0.5  # seconds between two checks whether the file was removed or moved, while lines are written
ERROR = b"!"  # follows the timestamp of a line of standard error
STAMP_WIDTH = len("2026-01-01T00:00:00.000000Z ")


def stamp(now: float) -> bytes:
    """UTC with microseconds, and a blank; `now` is seconds since the epoch."""
    return b"%b.%06dZ " % (_second(int(now)), int(now % 1 * 1_000_000))


@functools.lru_cache(maxsize=2)
def _second(now: int) -> bytes:
    """The beginning of all stamps of a second, cached: strftime costs as much as a read of a pty."""
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S").encode()


class Faults:
    """Reports why logs cannot be written: each reason once, however many logs it affects."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._hit: dict[str, set[Path]] = {}

    def failed(self, path: Path, reason: str, what: str = "write") -> None:
        """Take note that `path` cannot be written, or rotated."""
        key = f"{what}: {reason}"
        is_new = key not in self._hit
        self._hit.setdefault(key, set()).add(path)
        if is_new:
            self._report(f"cannot {what} {path}: {reason}; components continue, retrying")

    def recovered(self, path: Path, lost: int) -> None:
        """Take note that `path` is written again."""
        self._forget(path)
        self._report(f"{path} is written again" + (f"; {lost:,} bytes are missing in it" if lost else ""))

    def given_up(self, path: Path, lost: int) -> None:
        """Take note that `path` could still not be written when the run ended."""
        self._forget(path)
        self._report(f"{lost:,} bytes are missing in {path}")

    def _forget(self, path: Path) -> None:
        for paths in self._hit.values():
            paths.discard(path)
        self._hit = {key: paths for key, paths in self._hit.items() if paths}


class LogFile:
    """Appends chunks of a terminal's bytes to `path`; reports to `faults` when that fails and when it works again."""

    def __init__(
        self, path: Path, faults: Faults, *, continues: bool = False, size: int = SIZE, kept: int = KEPT
    ) -> None:
        """`size` is the number of bytes after which a new file is begun, `kept` the number of files in all. `continues`
        says that the first chunk continues an unfinished line at the end of the file."""
        self.path = path
        self._faults = faults
        self._continues = continues
        self._limit = size
        self._kept = kept
        self._fd = -1
        self._written = 0
        self._at_start = True
        self._held = b""
        self._waiting: list[bytes] = []
        self._waiting_size = self._waiting_counted = 0
        self._lost = 0
        self._is_faulty = False
        self._retry_at = 0.0
        self._look_at = 0.0
        self._index: LogIndex | None = None
        self._rotated = 0  # bytes of the file that was rotated, until the next one is begun

    def keep_index(self, size: Size) -> None:
        """Keep an index beside the log; `size` returns columns and rows of the terminal (`log_index`)."""
        self._index = LogIndex(size, self._limit, begins=not self._continues)

    def resized(self) -> None:
        """Take note that the terminal's size has changed."""
        if self._index is not None:
            self.flush()
            self._index.resized()

    def write(self, chunk: bytes, *, more: bool = False, removed: int = 0, mark: bytes = b"") -> bool:
        """Append a chunk, which may end anywhere in a line, and from which `removed` CRs before LFs have been removed.

        If `more` follows immediately, the write may be delayed; return whether anything waits. An empty chunk means
        that no more follows. `mark` is written after each timestamp.
        """
        if self._held and chunk:
            chunk, self._held = self._held + chunk, b""
        if chunk.endswith(b"\r"):
            chunk, self._held = chunk[:-1], b"\r"
        now = time.time()
        is_current = self._fd >= 0 and self._look_at <= now < self._look_at + LOOK_AGAIN
        if chunk and (is_current or self._is_open(now)):
            time_mark = stamp(now) if not mark else stamp(now)[:-1] + mark + b" "
            lines = chunk
            if b"\r" in lines and b"\r" in (lines := lf_for_crlf(lines)):
                lines = lines.replace(b"\r\n", b"\n")
            body = lines.replace(b"\n", b"\n" + time_mark)
            if (index := self._index) is not None:
                pairs = len(chunk) - len(lines) + removed
                if len(body) - len(lines) == pairs * len(time_mark):
                    index.feeds += pairs
                else:
                    index.note(chunk, (len(body) - len(lines)) // len(time_mark))
            if self._at_start:
                body = time_mark + body
            self._at_start = chunk.endswith(b"\n")
            if self._at_start:
                body = body[: -len(time_mark)]
            self._waiting.append(body)
            self._waiting_size += len(body)
            self._waiting_counted += len(chunk)
        elif chunk:
            self._lost += len(chunk)
        if more and self._waiting_size < WRITE_SIZE:
            return self._waiting_size > 0
        self.flush()
        return False

    def write_errors(self, lines: bytes) -> bool:
        """Append whole lines of standard error, which is separate from the rest."""
        self.flush()
        return self.write(lines, mark=ERROR)

    def _is_open(self, now: float) -> bool:
        """Open the file if nothing waits and it is not open, or was removed or moved; return whether it is open."""
        if self._waiting:
            return True
        if self._fd >= 0:
            self._look_at = now
            if os.fstat(self._fd).st_nlink == 0:
                self._close()
            elif not self._is_in_place():
                self._continue_in_new_file()
        return self._fd >= 0 or self._open()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        body, counted = b"".join(self._waiting), self._waiting_counted
        self._waiting.clear()
        self._waiting_size = self._waiting_counted = 0
        if self._written + len(body) < self._limit:
            self._append(body, counted)
        else:
            self._append_over(body, counted)

    def finish(self) -> None:
        """End an unfinished line and close the file; a later write opens it again."""
        self.flush()
        if self._held and (self._fd >= 0 or self._open()):
            self._append(stamp(time.time()) + self._held if self._at_start else self._held, 1)
            self._held, self._at_start = b"", False
        if self._index is not None and self._fd >= 0:
            self._index.end(self._written)
        elif self._index is not None and self._rotated:  # by the last line of this run
            self._index.open(self._rotated_path, is_new=False)
            self._index.end(self._rotated)
        if self._fd >= 0 and not self._at_start:
            self._append(b"\n", 0)
        if self._is_faulty:
            self._retry_at = 0.0
            if not self._open() and self._lost:
                self._faults.given_up(self.path, self._lost)
                self._lost = 0
        self._at_start = True
        self._close()

    def _open(self) -> bool:
        """Open the file; begin a new line if the last fault or the last run left an unfinished one."""
        if self._is_faulty and time.monotonic() < self._retry_at:
            return False
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, flags, 0o600)
            self._written = os.lseek(self._fd, 0, os.SEEK_END)
            self._rotated = 0
            torn = self._written > 0 and os.pread(self._fd, 1, self._written - 1) != b"\n"
            self._at_start = not (torn and self._continues and not self._is_faulty)
            if torn and self._at_start:
                self._write_all(b"\n")
            if self._lost:
                missing = f"[orchestrate: {self._lost:,} bytes are missing here]\n"
                self._write_all(stamp(time.time()) + missing.encode())
        except OSError as error:
            self._fault(error)
            return False
        if self._index is not None:
            self._index.open(self.path, is_new=self._written == 0)
        if self._is_faulty:
            lost, self._lost, self._is_faulty = self._lost, 0, False
            self._faults.recovered(self.path, lost)  # may lead back here: our own messages are logged too
        return True

    def _append(self, body: bytes, counted: int) -> None:
        if self._fd < 0:
            self._lost += counted
            return
        before = self._written
        try:
            done = os.write(self._fd, body)
            self._written += done
            if done < len(body):
                self._write_all(body[done:])
        except OSError as error:
            whole = body.rfind(b"\n", 0, self._written - before) + 1
            self._lost += counted - counted * whole // len(body)
            self._take_back(before + whole)
            self._fault(error)
            return
        if self._index is not None and counted:
            self._index.add(before)

    def _append_over(self, body: bytes, counted: int) -> None:
        """Append text that exceeds the size: begin a new file after its last whole line."""
        cut = body.rfind(b"\n") + 1
        if cut:
            self._append(body[:cut], counted * cut // len(body))
        elif self._written + len(body) < self._limit + UNENDED_MAX:
            self._append(body, counted)
            return
        if self._fd >= 0:
            self._rotate()
        if rest := body[cut:]:
            if self._fd < 0:
                self._continue_in_new_file()
            self._append(rest, counted - counted * cut // len(body))

    def _write_all(self, body: bytes) -> None:
        view = memoryview(body)
        while view:
            done = os.write(self._fd, view)
            self._written += done
            view = view[done:]

    def _take_back(self, size: int) -> None:
        """Remove the beginning of a line whose rest could not be written."""
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            pass

    def _fault(self, error: OSError) -> None:
        self._close()
        self._retry_at = time.monotonic() + TRY_AGAIN
        if not self._is_faulty:
            self._is_faulty = True
            self._faults.failed(self.path, error.strerror or str(error))

    def renew(self) -> None:
        """Continue in a new file if the present one was moved away (logrotate without copytruncate).

        All that was written before goes to the moved file. A reader that reads it to its end, and then the new file,
        misses nothing.
        """
        if self._fd >= 0 and not self._is_in_place():
            self.flush()
            self._continue_in_new_file()

    def _is_in_place(self) -> bool:
        ours = os.fstat(self._fd)
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _continue_in_new_file(self) -> None:
        """Continue an unfinished line in a new file, without a second timestamp."""
        at_start = self._at_start
        self._close()
        if self._open():
            self._at_start = at_start

    @property
    def _rotated_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.1")

    def _rotate(self) -> None:
        try:
            if self._kept < 2:
                self.path.unlink()
            for number in range(self._kept - 2, 0, -1):
                older = self.path.with_name(f"{self.path.name}.{number}")
                if older.exists():
                    self._move(older, self.path.with_name(f"{self.path.name}.{number + 1}"))
            if self._kept >= 2:
                self._move(self.path, self._rotated_path)
                self._rotated = self._written
        except OSError as error:
            self._faults.failed(self.path, error.strerror or str(error), "rotate")
            self._written = 0  # tried again after as much again
            return
        self._close()

    def _move(self, path: Path, new: Path) -> None:
        path.rename(new)
        if self._index is not None:
            self._index.rename(path, new)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._index is not None:
            self._index.close()


HELD_LINE_MAX = 1 << 20  # bytes of an unfinished line that are kept; a longer one is written in pieces


class LineLog:
    """Collects the chunks of one stream into lines for a log that it shares."""

    def __init__(self, log: LogFile, *, is_error: bool = False) -> None:
        """`is_error` marks the lines as those of standard error."""
        self._log = log
        self._write = log.write_errors if is_error else log.write
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, chunk: bytes, *, more: bool = False, removed: int = 0) -> bool:
        """Take a chunk, which may end anywhere in a line. Its whole lines are written immediately: returns False."""
        end = chunk.rfind(b"\n") + 1
        if end:
            self._write(b"".join((*self._parts, chunk[:end])))
            self._parts, self._size = [], 0
        if end < len(chunk):
            self._parts.append(chunk[end:])
            self._size += len(chunk) - end
            if self._size > HELD_LINE_MAX:
                self._end_line()
        return False

    def resized(self) -> None:
        """Lines have no size."""

    def flush(self) -> None:
        """Nothing waits."""

    def finish(self) -> None:
        """Write an unfinished line, because the run has ended."""
        if self._parts:
            self._end_line()
        self._log.finish()

    def _end_line(self) -> None:
        self._write(b"".join((*self._parts, b"\n")))
        self._parts, self._size = [], 0
