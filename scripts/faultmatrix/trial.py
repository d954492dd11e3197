"""One runner at work, with a terminal or a pipe of its own, below a child subreaper that nothing escapes."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = Path(__file__).parent.parent.parent / "tests" / "programs"
PYTHON = [sys.executable, "-S", "-E"]
sys.path.insert(0, str(PROGRAMS))

from reaper import descendants, stat_of  # noqa: E402

_COMPONENT = re.compile(rb"(?:trees|voices)\.py\0([a-z-]+)|(sleep)\000600|^(yes)\0")
_WINDOW = struct.pack("hhhh", 50, 200, 0, 0)


class Trial:
    """A runner at work. To be used with `with`: at the end nothing of it is left."""

    _look_every: float | None = None  # seconds between two looks at what tells nobody; None where all is told

    def __init__(self, argv: list[str], directory: Path, terminal: bool = False) -> None:
        report_fd, report_write = os.pipe()
        self._out_fd, theirs = pty.openpty() if terminal else os.pipe()
        if terminal:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, _WINDOW)
        command = [*PYTHON, str(PROGRAMS / "reaper.py"), str(report_write), str(int(terminal)), "-1"]
        environment = {name: value for name, value in os.environ.items() if name != "TMUX"}
        self._before = _modes(self._out_fd)
        self._reaper = subprocess.Popen(
            [*command, *argv],
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            cwd=directory,
            pass_fds=[report_write],
            start_new_session=True,
            env={**environment, "TERM": "xterm-256color"},
        )
        os.close(report_write)
        self._theirs = theirs if terminal else -1  # held: with its last descriptor a terminal loses its modes
        if not terminal:
            os.close(theirs)
        self._report, self.output = b"", b""
        self.pid, self.status, self._vacated = 0, None, False
        self._sinks: dict[int, Callable[[bytes], None]] = {report_fd: self._hear, self._out_fd: self._take}
        self.pump(lambda: self.pid, 30)

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self._reaper.terminate()
        self._reaper.wait()
        for fd in (*self._sinks, self._theirs):
            if fd >= 0:
                os.close(fd)

    def pump(self, done: Callable[[], object], seconds: float) -> bool:
        """Read all that is said until `done()`; False where the time is over first."""
        deadline = time.monotonic() + seconds
        while not done():
            left = max(0.0, deadline - time.monotonic())
            for fd in select.select(self._sinks, [], [], min(left, self._look_every or left))[0]:
                self._read(fd)
            if left <= 0:  # what never ceases to be said must not hold us
                return bool(done())
        return True

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if data:
            self._sinks[fd](data)
        else:
            del self._sinks[fd]
            os.close(fd)

    def _take(self, data: bytes) -> None:
        self.output += data

    def _hear(self, data: bytes) -> None:
        *lines, self._report = (self._report + data).split(b"\n")
        for what, value, *_ in map(bytes.split, lines):
            self._learn(what, value)

    def _learn(self, what: bytes, value: bytes) -> None:
        if what == b"started":
            self.pid = int(value)
        elif what == b"exited":
            self.status = int(value)
        elif what == b"vacant":
            self._vacated = True

    def send(self, number: int) -> None:
        """Signal the runner, if it is still there."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def type(self, keys: bytes) -> None:
        """Press keys on its terminal."""
        os.write(self._out_fd, keys)

    def look_away(self) -> None:
        """Read its output no more for now, as a terminal after Ctrl-S."""
        self._sinks.pop(self._out_fd, None)

    def look_back(self) -> None:
        """Read its output again."""
        self._sinks[self._out_fd] = self._take

    def hang_up(self) -> None:
        """Close its terminal."""
        del self._sinks[self._out_fd]
        os.close(self._out_fd)

    @property
    def vacant(self) -> bool:
        """Nothing is left of it."""
        return self._vacated

    @property
    def modes_kept(self) -> bool:
        """Whether its terminal, where there still is one, has the modes that it had before."""
        return self._out_fd not in self._sinks or _modes(self._out_fd) == self._before

    def children(self) -> list[int]:
        """Return the runner's direct children, the first started first."""
        return sorted(pid for pid in descendants(self.pid) if (stat := stat_of(pid)) and stat[2] == self.pid)

    def living(self) -> list[int]:
        """Return all processes that the runner has brought about, and itself."""
        return descendants(self._reaper.pid)

    def left(self) -> dict[str, int]:
        """Return how many processes are left of each component's kind; those of the runner itself as `runner`."""
        counts: dict[str, int] = {}
        for pid in self.living():
            try:
                match = _COMPONENT.search(Path(f"/proc/{pid}/cmdline").read_bytes())
            except OSError:
                continue
            name = next(filter(None, match.groups())).decode() if match else "runner"
            counts[name] = counts.get(name, 0) + 1
        return counts


def _modes(fd: int) -> object:
    try:
        return termios.tcgetattr(fd)
    except termios.error:
        return None


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Make a directory for one trial, and remove it after that."""
    with tempfile.TemporaryDirectory(prefix="orchestrate-faults-", ignore_cleanup_errors=True) as name:
        yield Path(name)
