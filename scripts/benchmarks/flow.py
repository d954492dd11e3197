"""What the parts about output share: producers behind a gate, and a sink in C behind a pipe, a file or a pty."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.running import PATIENCE, Run

_OPTIONS: dict[str, list[str]] = {"pipe": [], "file": ["-f"], "pty": ["-t"]}  # of sink.c
ROWS_COLUMNS = (40, 120)  # of the sink where it is a pty


class Gate:
    """Two FIFOs (gate.h): producers say on one that they are ready or done, and wait at the other."""

    def __init__(self, directory: Path) -> None:
        self.arguments = f"{directory / 'gate'} {directory / 'roll'}"
        for name in ("gate", "roll"):
            os.mkfifo(directory / name)
        self._gate_fd = os.open(directory / "gate", os.O_RDWR)
        self._roll_fd = os.open(directory / "roll", os.O_RDWR)

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._roll_fd)
        if self._gate_fd >= 0:
            os.close(self._gate_fd)

    def wait_ready(self, count: int, run: Run) -> None:
        """Wait until so many producers of `run` stand at the gate."""
        self._wait(b"r", count, run)

    def wait_done(self, count: int, run: Run) -> None:
        """Wait until so many producers of `run` have written everything."""
        self._wait(b"d", count, run)

    def open(self) -> float:
        """Let the producers begin; return the monotonic time of that."""
        began = time.monotonic()
        os.close(self._gate_fd)
        self._gate_fd = -1
        return began

    def _wait(self, word: bytes, count: int, run: Run) -> None:
        while count:
            if self._roll_fd not in select.select([self._roll_fd, run.pid_fd], [], [], PATIENCE)[0]:
                raise run.failure(f"{count} producers did not say {word.decode()!r}")
            count -= os.read(self._roll_fd, count).count(word)


class Sink:
    """A program that reads what a runner writes to `stdout_fd`. `kind` is pipe, file or pty; `stopped`: it reads
    nothing until it is told to go on."""

    def __init__(self, command: Sequence[str | Path], kind: str, directory: Path, *, stopped: bool = False) -> None:
        read_fd, self.stdout_fd = _open(kind, directory)
        program, *arguments = command
        self._is_file = kind == "file"
        self._process = subprocess.Popen([program, *_OPTIONS[kind], *arguments], stdin=read_fd, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._out_fd = self._process.stdout.fileno()
        self._said = b""
        os.close(read_fd)
        if stopped:
            self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._process.kill()
        self._process.communicate()

    def let_go(self) -> None:
        """Close our descriptor of the runner's stdout, once the runner has it: else the sink never sees the end."""
        if self.stdout_fd >= 0:
            os.close(self.stdout_fd)
            self.stdout_fd = -1

    def go_on(self) -> None:
        """End the stop."""
        self._process.send_signal(signal.SIGCONT)

    def wait_complete(self, patience: float) -> bool:
        """Wait until the sink says that it has everything; False where it does not within so many seconds."""
        deadline = time.monotonic() + patience
        while b"complete" not in self._said:
            if not select.select([self._out_fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
            if not (data := os.read(self._out_fd, 1 << 16)):
                return False
            self._said += data
        return True

    def finish(self) -> list[str]:
        """Wait for the sink's end, after that of the runner; return all lines that it said."""
        if self._is_file:
            self._process.terminate()
        while data := os.read(self._out_fd, 1 << 16):
            self._said += data
        self._process.wait()
        return self._said.decode().splitlines()


def _open(kind: str, directory: Path) -> tuple[int, int]:
    """Return the descriptor to read from and the one to write to."""
    if kind == "pipe":
        return os.pipe()
    if kind == "file":
        write_fd = os.open(directory / "sink", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return os.open(directory / "sink", os.O_RDONLY), write_fd
    master_fd, slave_fd = pty.openpty()
    fcntl.ioctl(slave_fd, termios.TIOCSWINSZ, struct.pack("HHHH", *ROWS_COLUMNS, 0, 0))
    return master_fd, slave_fd
