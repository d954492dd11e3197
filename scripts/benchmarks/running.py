"""Runs one contender over some components, from its exec to its end."""

import math
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from benchmarks import processes
from benchmarks.contenders import Component, Contender, environment
from benchmarks.workspace import BenchError, Workspace

PATIENCE = 60.0  # seconds for anything to happen before a measurement is given up
STOP_PATIENCE = 15.0  # seconds for the end after a SIGTERM


@dataclass(frozen=True)
class Settings:
    """`runs` overrides how often a measurement is repeated; `quick` makes everything as small as it can be; `case`
    stands in the names of the cases that are measured."""

    quick: bool = False
    runs: int | None = None
    case: str = ""

    def leaves_out(self, name: str) -> bool:
        """Say whether a case is not to be measured."""
        return self.case not in name

    def repetitions(self, default: int) -> int:
        """Return how often to repeat what is by default repeated so often."""
        return self.runs or (1 if self.quick else default)


class Run:
    """A contender at work, in a session and a directory of its own.

    Its output goes to `stdout_fd`, or else to a pipe that is read here. Times are monotonic seconds; `began` is right
    before its exec. `pid_fd` is readable at its end. `directory` has its Procfile, and is its home.
    """

    def __init__(
        self, contender: Contender, components: Sequence[Component], space: Workspace, stdout_fd: int | None = None
    ) -> None:
        self.directory = directory = space.new_directory()
        argv = contender.argv(directory, list(components))
        self._name = contender.name
        self._errors = directory / "stderr"
        self._components = space.components
        self._read_fd, write_fd = os.pipe() if stdout_fd is None else (-1, stdout_fd)
        self.text = b""
        with self._errors.open("wb") as stderr:
            self.began = time.monotonic()
            self._process = subprocess.Popen(
                argv,
                cwd=directory,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=write_fd,
                stderr=stderr,
                start_new_session=True,
            )
        if stdout_fd is None:
            os.close(write_fd)
        self.pid_fd = os.pidfd_open(self.pid)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it by force, where it was not stopped, close what is open, and remove its files: the next run would be
        slowed by what the kernel still writes of them to the disk."""
        if self._process.returncode is None:
            processes.end_tree(self.pid)
            self._process.wait()
        os.close(self.pid_fd)
        if self._read_fd >= 0:
            os.close(self._read_fd)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The runner itself."""
        return self._process.pid

    def own(self) -> list[int]:
        """Return the pids of the runner and its helpers, the components not; the runner first."""
        return processes.own(self.pid, self._components)

    def wait_for_lines(self, pattern: bytes, count: int) -> float:
        """Read until `count` different matches of `pattern` were there; return when the last one came."""
        seen: set[bytes] = set()
        unseen = 0
        while len(seen) < count:
            if not self._read():
                raise self.failure(f"{len(seen)} of {count} lines came")
            arrived = time.monotonic()
            for match in re.finditer(pattern, self.text[unseen:]):
                seen.add(match.group())
            unseen = self.text.rfind(b"\n") + 1
        return arrived

    def stop(self) -> float:
        """Send SIGTERM and wait for the end, reading what is still said; return the seconds that took.

        Infinite where it has not ended after STOP_PATIENCE.
        """
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        while (left := began + STOP_PATIENCE - time.monotonic()) > 0:
            ready = select.select([self.pid_fd, self._read_fd], [], [], left)[0]
            if self.pid_fd in ready:
                return time.monotonic() - began
            if ready and not self._read():
                select.select([self.pid_fd], [], [], left)
        return math.inf

    def _read(self) -> bool:
        """Read once; False at the end, or where nothing comes."""
        if not select.select([self._read_fd], [], [], PATIENCE)[0]:
            return False
        data = os.read(self._read_fd, 1 << 16)
        self.text += data
        return bool(data)

    def failure(self, what: str) -> BenchError:
        """Return an error that says what went wrong, whether the runner is still there, and what it last said."""
        ended = self._process.poll()
        state = "" if ended is None else f" (it has ended: {ended})"
        words = (self.text[-1000:] + self._errors.read_bytes()[-2000:]).decode("utf-8", "replace")
        return BenchError(f"{self._name}: {what}{state}\n{words}".rstrip())


def silent_components(count: int, space: Workspace) -> list[Component]:
    """Return well-behaved components that say `component N is up` once and are silent from then on."""
    say = space.program("say")
    return [Component(f"c{n}", f"exec {say} 'component {n} is up'") for n in range(count)]


def start_silent(contender: Contender, count: int, space: Workspace) -> tuple[Run, float]:
    """Start so many silent components; return the run, and the seconds until the last one's line was there."""
    run = Run(contender, silent_components(count, space), space)
    try:
        return run, run.wait_for_lines(rb"component \d+ is up", count) - run.began
    except BenchError:
        with run:
            raise
