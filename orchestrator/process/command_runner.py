"""Commands that a guardian runs beside its component, in its tree: exec probes, and a stop command.

Each has a new session, no input, and a pipe for its output, of which only the end is kept. A command that takes too
long is killed with its group; processes that left the group are in the component's tree and are killed with it.

Fact: subprocess waits later, by pid, for any Popen object that is discarded before it was waited for. So each object
gets its status as soon as the guardian has reaped the process.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from orchestrator.model import errors
from orchestrator.model.messages import Launch
from orchestrator.process import tree
from orchestrator.process.launch import as_from_a_shell
from orchestrator.runtime.loop import READ, Loop, Timer

OUTPUT_MAX = 4096  # bytes of its output that are kept: the last ones
LAST_LINE_MAX = 200  # characters of its last line that are reported
READS = 16  # of its pipe in one turn

Then = Callable[[bool, str], None]


@dataclass(slots=True, eq=False)
class _Running:
    process: subprocess.Popen[bytes]
    output_fd: int  # -1: closed
    then: Then
    output: bytes = b""
    timer: Timer | None = None
    told: bool = False
    with_status: bool = False


class CommandRunner:
    """Runs commands in the directory and environment of `launch`."""

    def __init__(self, loop: Loop, launch: Launch) -> None:
        self._loop = loop
        self._launch = launch
        self._by_pid: dict[int, _Running] = {}

    def start(
        self,
        argv: tuple[str, ...],
        timeout: float,
        then: Then,
        environment: Mapping[str, str] | None = None,
        *,
        with_status: bool = False,
    ) -> None:
        """Run `argv`; a hook has additional variables. `then` is called once: whether it exited with 0 within `timeout`
        seconds, and its last line or the fault; `with_status` also its status before its last line."""
        try:
            process = _spawn(argv, self._launch, environment or {})
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            then(False, f"{(getattr(error, 'strerror', None) or str(error)).lower()}: {argv[0]}")
            return
        assert process.stdout is not None
        running = _Running(process, process.stdout.fileno(), then, with_status=with_status)
        os.set_blocking(running.output_fd, False)
        self._by_pid[process.pid] = running
        self._loop.add(running.output_fd, READ, lambda _: self._read(running))
        running.timer = self._loop.call_in(timeout, lambda: self._time_out(running, timeout))

    def ended(self, pid: int, status: int) -> None:
        """Take note of a reaped child; if it was one of these commands, report its result."""
        running = self._by_pid.pop(pid, None)
        if running is None:
            return
        running.process.returncode = status
        self._read(running)
        self._close(running)
        line, words = _last_line(running.output), errors.in_words(status)
        self._tell(running, status == 0, f"{words}: {line}" if line and running.with_status else line or words)

    def _time_out(self, running: _Running, timeout: float) -> None:
        tree.send_group(running.process.pid, signal.SIGKILL)
        self._tell(running, False, f"took longer than {timeout:g} s")

    def _tell(self, running: _Running, well: bool, text: str) -> None:
        if not running.told:
            running.told = True
            if running.timer is not None:
                running.timer.cancel()
            running.then(well, text)

    def _read(self, running: _Running) -> None:
        try:
            for _ in range(READS if running.output_fd >= 0 else 0):
                chunk = os.read(running.output_fd, 65536)
                running.output = (running.output + chunk)[-OUTPUT_MAX:]
                if not chunk:
                    self._close(running)
                    break
        except BlockingIOError:
            pass

    def _close(self, running: _Running) -> None:
        if running.output_fd >= 0:
            self._loop.remove(running.output_fd)
            running.output_fd = -1
            assert running.process.stdout is not None
            running.process.stdout.close()


def _spawn(argv: tuple[str, ...], launch: Launch, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        cwd=launch.cwd,
        env={**launch.environment, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        restore_signals=False,
        preexec_fn=partial(as_from_a_shell, launch, limited=False),
    )


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:LAST_LINE_MAX]
