"""Commands that a guardian runs beside its component, in its tree: exec probes, and a stop command.

Each has a session of its own, no input, and a pipe for what it prints, of which only the end is kept. One that takes
too long is killed with its group; what fled from that is in the component's tree, and goes with it.

Fact: a Popen object that is forgotten before it was waited for is waited for by subprocess, later, by its number; so
each is told its status as soon as the guardian has reaped it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from orchestrator.model import exits
from orchestrator.model.messages import Launch
from orchestrator.process import tree
from orchestrator.process.isolation import as_from_a_shell
from orchestrator.runtime.loop import READ, Loop, Timer

OUTPUT_MAX = 4096  # bytes of its output that are kept: the last ones
LINE_MAX = 200  # characters of its last line that are told
READS = 16  # of its pipe in one turn

Then = Callable[[bool, str], None]


@dataclass(slots=True, eq=False)
class _Errand:
    process: subprocess.Popen[bytes]
    output_fd: int  # -1: closed
    then: Then
    output: bytes = b""
    timer: Timer | None = None
    told: bool = False


class Errands:
    """Runs commands in the directory and environment of `launch`."""

    def __init__(self, loop: Loop, launch: Launch) -> None:
        self._loop = loop
        self._launch = launch
        self._by_pid: dict[int, _Errand] = {}

    def start(self, argv: tuple[str, ...], timeout: float, then: Then) -> None:
        """Run `argv`. `then` is called once: whether it exited with 0 within `timeout` seconds, and its last line, or
        what went wrong."""
        try:
            process = _spawn(argv, self._launch)
        except (OSError, ValueError) as error:
            then(False, f"{(getattr(error, 'strerror', None) or str(error)).lower()}: {argv[0]}")
            return
        assert process.stdout is not None
        errand = _Errand(process, process.stdout.fileno(), then)
        os.set_blocking(errand.output_fd, False)
        self._by_pid[process.pid] = errand
        self._loop.add(errand.output_fd, READ, lambda _: self._read(errand))
        errand.timer = self._loop.call_in(timeout, lambda: self._time_out(errand, timeout))

    def ended(self, pid: int, status: int) -> None:
        """Some child has been reaped; if it was one of these, tell what came of it."""
        errand = self._by_pid.pop(pid, None)
        if errand is None:
            return
        errand.process.returncode = status
        self._read(errand)
        self._close(errand)
        self._tell(errand, status == 0, _last_line(errand.output) or exits.in_words(status))

    def _time_out(self, errand: _Errand, timeout: float) -> None:
        tree.send_group(errand.process.pid, signal.SIGKILL)
        self._tell(errand, False, f"took longer than {timeout:g} s")

    def _tell(self, errand: _Errand, well: bool, text: str) -> None:
        if not errand.told:
            errand.told = True
            if errand.timer is not None:
                errand.timer.cancel()
            errand.then(well, text)

    def _read(self, errand: _Errand) -> None:
        try:
            for _ in range(READS if errand.output_fd >= 0 else 0):
                chunk = os.read(errand.output_fd, 65536)
                errand.output = (errand.output + chunk)[-OUTPUT_MAX:]
                if not chunk:
                    self._close(errand)
                    break
        except BlockingIOError:
            pass

    def _close(self, errand: _Errand) -> None:
        if errand.output_fd >= 0:
            self._loop.remove(errand.output_fd)
            errand.output_fd = -1
            assert errand.process.stdout is not None
            errand.process.stdout.close()


def _spawn(argv: tuple[str, ...], launch: Launch) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        cwd=launch.cwd,
        env=dict(launch.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        restore_signals=False,
        preexec_fn=partial(as_from_a_shell, launch.descriptors),
    )


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:LINE_MAX]
