"""`up --detach`: the system runs on without this terminal; the command returns when everything has been started.

What the system says until then, its last words if it ends first included, comes through a pipe: its standard error is
the one end, and this process copies the other to the terminal. A byte that no text holds says that it stands.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.model import errors
from orchestrator.model.errors import NOT_READY_STATUS
from orchestrator.model.lifecycle import State

if TYPE_CHECKING:
    from orchestrator.runtime.loop import Timer
    from orchestrator.supervisor.instance import Instance
    from orchestrator.supervisor.supervisor import Supervisor

STANDS = b"\0"
LATE = b"\1"  # it runs, and is not ready in time
SETTLED = 0.5  # seconds without a change after which a start counts: `sh -c` starts, and only then finds no command


class StartupReporter:
    """The detached side, until it stands."""

    def __init__(self, parent: int, awaited: float | None) -> None:
        """`awaited` is how many seconds everything has to be ready within; 0 means however long, None that a start
        will do."""
        self._parent = parent
        self._awaited = awaited
        self._supervisor: Supervisor | None = None
        self._timer: Timer | None = None

    def watch(self, supervisor: Supervisor) -> None:
        """Tell the terminal what is said, until every member has been started."""
        self._supervisor = supervisor
        supervisor.on_report = self._tell
        supervisor.streams.unseen = True
        supervisor.listen(self._changed)
        self._timer = supervisor.loop.call_in(SETTLED, self._look)  # it may be that nothing starts
        if self._awaited:
            supervisor.loop.call_in(self._awaited, lambda: self._leave(LATE))

    def _tell(self, text: str) -> None:
        self._write("".join(f"orchestrate: {line}\n" for line in text.split("\n")).encode("utf-8", "replace"))

    def _changed(self, member: Instance, before: State) -> None:
        if self._supervisor is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._supervisor.loop.call_in(SETTLED, self._look)

    def _look(self) -> None:
        supervisor = self._supervisor
        if supervisor is None or supervisor.is_stopping or not supervisor.registry.all_begun:
            return
        if self._awaited is None or supervisor.is_ready:
            self._leave(STANDS)

    def _leave(self, how: bytes) -> None:
        supervisor = self._supervisor
        if supervisor is None or supervisor.is_stopping:
            return
        self._supervisor = supervisor.on_report = None
        _die_with(0, self._parent)
        self._write(how)
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # who started us has gone
            os.write(2, data)


def run(options: argparse.Namespace, job: Callable[[StartupReporter | None], int]) -> int:
    """Do the job here; with --detach in a process of its own, and return its status where it ends before it stands."""
    if not options.detach:
        return job(None)
    read_fd, write_fd = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(write_fd)
        end = _copy(read_fd)
        if end == LATE:
            print(f"orchestrate: not ready within {options.wait:g} s; it runs on", file=sys.stderr)
            return NOT_READY_STATUS
        return 0 if end else _status_of(pid)
    os.close(read_fd)
    os.setsid()
    os.dup2(write_fd, 2)
    os.close(write_fd)
    with open(os.devnull, "r+b", buffering=0) as null:
        os.dup2(null.fileno(), 0)
        os.dup2(null.fileno(), 1)
    _die_with(signal.SIGINT, parent)
    return job(StartupReporter(parent, options.wait))


def _die_with(number: int, parent: int) -> None:
    """Have a Ctrl-C at the terminal that waits for the start mean the start; 0 takes that back."""
    from orchestrator.process import tree

    with contextlib.suppress(ProcessLookupError):
        tree.signal_on_parent_death(number, parent)


def _copy(fd: int) -> bytes:
    """Copy to standard error until the other side stands, is late, or is closed; returns which, empty for closed."""
    while data := os.read(fd, 65536):
        end = data[-1:] if data[-1:] in (STANDS, LATE) else b""
        sys.stderr.buffer.write(data[: len(data) - len(end)])
        sys.stderr.buffer.flush()
        if end:
            return end
    return b""


def _status_of(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return errors.as_code(os.waitstatus_to_exitcode(status))
