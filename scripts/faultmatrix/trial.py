"""One runner over all trees, one fault, and what is left: counted below a child subreaper, which nothing escapes."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = Path(__file__).parent.parent.parent / "tests" / "programs"
sys.path.insert(0, str(PROGRAMS))

from reaper import descendants, stat_of  # noqa: E402

PATIENCE = 30.0  # seconds until all components run
_TREE = re.compile(rb"trees\.py\0([a-z-]+)")


class Trial:
    """A runner at work. To be used with `with`: at the end nothing of it is left."""

    def __init__(self, argv, directory: Path, terminal: bool) -> None:
        self._report_fd, report_write = os.pipe()
        if terminal:
            self._out_fd, theirs = pty.openpty()
        else:
            self._out_fd, theirs = os.pipe()
        command = [sys.executable, "-S", "-E", str(PROGRAMS / "reaper.py"), str(report_write), str(int(terminal)), "-1"]
        self._reaper = subprocess.Popen(
            [*command, *argv],
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            cwd=directory,
            pass_fds=[report_write],
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(theirs)
        os.close(report_write)
        self._terminal, self._directory = terminal, directory
        self._report, self.output = b"", b""
        self.pid, self.status = 0, None
        self._open = {self._report_fd, self._out_fd}
        self.pump(lambda: self.pid, PATIENCE)

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self._reaper.terminate()
        self._reaper.wait()
        for fd in self._open:
            os.close(fd)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def vacant(self) -> bool:
        """Nothing is left."""
        return b"vacant" in self._report

    def pump(self, done, seconds: float) -> bool:
        """Read all that is said until `done()`; False where the time is over first."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            ready = select.select(self._open, [], [], max(0.0, left))[0]
            for fd in ready:
                self._read(fd)
            if not ready or left <= 0:  # what never ceases to be said must not hold us
                return bool(done())
        return True

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if not data:
            self._open.discard(fd)
            os.close(fd)
        elif fd == self._out_fd:
            self.output += data
        else:
            self._report += data
            for what, *values in (line.split() for line in self._report.splitlines()):
                if what == b"started":
                    self.pid = int(values[0])
                elif what == b"exited":
                    self.status = int(values[0])

    def send(self, number: int) -> None:
        """Signal the runner, if it is still there."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def type(self, key: bytes) -> None:
        """Press a key on its terminal."""
        os.write(self._out_fd, key)

    def hang_up(self) -> None:
        """Close its terminal."""
        self._open.discard(self._out_fd)
        os.close(self._out_fd)

    def children(self) -> list[int]:
        """Return the runner's direct children, the first started first."""
        return sorted(pid for pid in descendants(self.pid) if (stat := stat_of(pid)) and stat[2] == self.pid)

    def left(self) -> dict[str, int]:
        """Return how many processes are left of each tree; those of the runner itself as `runner`."""
        counts: dict[str, int] = {}
        for pid in descendants(self._reaper.pid):
            try:
                match = _TREE.search(Path(f"/proc/{pid}/cmdline").read_bytes())
            except OSError:
                continue
            name = match[1].decode() if match else "runner"
            counts[name] = counts.get(name, 0) + 1
        return counts


def directory() -> Path:
    """Make a directory for one trial."""
    return Path(tempfile.mkdtemp(prefix="orchestrate-faults-"))
