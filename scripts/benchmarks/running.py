"""Runs one contender over some components, from its exec to its end."""

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from benchmarks import processes
from benchmarks.contenders import Component, Contender, environment
from benchmarks.workspace import BenchError, Workspace

PATIENCE = 120.0  # seconds for anything to happen before a measurement is given up


@dataclass(frozen=True)
class Settings:
    """`runs` overrides how often a measurement is repeated; `quick` makes everything as small as it can be."""

    quick: bool = False
    runs: int | None = None

    def repetitions(self, default: int) -> int:
        """Return how often to repeat what is by default repeated so often."""
        return self.runs or (1 if self.quick else default)


class Run:
    """A contender at work, in a session and a directory of its own. Its output goes to `stdout_fd`, or else to a pipe
    that is read here. Times are monotonic seconds; `began` is right before its exec."""

    def __init__(
        self, contender: Contender, components: Sequence[Component], space: Workspace, stdout_fd: int | None = None
    ) -> None:
        directory = space.new_directory()
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
        self._pid_fd = os.pidfd_open(self.pid)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, by force after an error, and close what is open."""
        if self._process.returncode is None:
            self.stop() if kind is None else self._process.kill()
            self._process.wait()
        os.close(self._pid_fd)
        if self._read_fd >= 0:
            os.close(self._read_fd)

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
                raise BenchError(f"{self._name}: {len(seen)} of {count} lines came\n{self._last_words()}")
            arrived = time.monotonic()
            for match in re.finditer(pattern, self.text[unseen:]):
                seen.add(match.group())
            unseen = self.text.rfind(b"\n") + 1
        return arrived

    def stop(self) -> float:
        """Send SIGTERM and wait for the end, reading what is still said; return the seconds that took."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        while not self._wait_ended():
            self._read()
        ended = time.monotonic()
        self._process.wait()
        return ended - began

    def _wait_ended(self) -> bool:
        fds = [self._pid_fd] if self._read_fd < 0 else [self._pid_fd, self._read_fd]
        ready = select.select(fds, [], [], PATIENCE)[0]
        if not ready:
            raise BenchError(f"{self._name} does not end\n{self._last_words()}")
        return self._pid_fd in ready

    def _read(self) -> bool:
        """Read once; False at the end, or where nothing comes."""
        if not select.select([self._read_fd], [], [], PATIENCE)[0]:
            return False
        data = os.read(self._read_fd, 1 << 16)
        if not data and self._process.poll() is None:
            select.select([self._pid_fd], [], [], PATIENCE)
        self.text += data
        return bool(data)

    def _last_words(self) -> str:
        return (self.text[-1000:] + self._errors.read_bytes()[-2000:]).decode("utf-8", "replace")


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
