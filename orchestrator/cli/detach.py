"""`up --detach`: the system continues without this terminal; the command returns when everything has been started.

Until then this process copies the standard error of the system to the terminal, through a pipe. So the user sees the
messages of the start, or of an exit during it. A byte that no text contains reports that the system is up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.cli import links
from orchestrator.model import errors
from orchestrator.model.errors import FAILED_STATUS, NOT_READY_STATUS
from orchestrator.model.lifecycle import State
from orchestrator.terminal import hyperlinks

if TYPE_CHECKING:
    from orchestrator.cli.options import StartOptions
    from orchestrator.runtime.loop import Timer
    from orchestrator.supervisor.instance import Instance
    from orchestrator.supervisor.supervisor import Supervisor

STANDS = b"\0"
LATE = b"\1"  # it runs, and is not ready in time
NEVER_READY = b"\2"  # it runs, and something has failed that would have to be ready
SETTLED = 0.5  # seconds without a change after which a start counts: `sh -c` starts, and only then finds no command


class StartupReporter:
    """The detached side, until the system is up."""

    def __init__(self, parent: int, awaited: float | None, link_host: str) -> None:
        """`awaited` is the number of seconds within which everything must be ready; 0 means no limit, None that a start
        suffices. `link_host` is the machine's name if URLs and paths become hyperlinks, or empty."""
        self._parent = parent
        self._awaited = awaited
        self._link_host = link_host
        self._supervisor: Supervisor | None = None
        self._timer: Timer | None = None

    def watch(self, supervisor: Supervisor) -> None:
        """Send event lines to the terminal until every instance has been started."""
        self._supervisor = supervisor
        supervisor.on_report = self._tell
        supervisor.streams.unseen = True
        from orchestrator.supervisor.observer import ListenerOrder  # loaded already

        supervisor.listen(self._changed, ListenerOrder.STARTUP)
        self._timer = supervisor.loop.call_in(SETTLED, self._look)  # in case nothing starts
        if self._awaited:
            supervisor.loop.call_in(self._awaited, self._be_late)

    def _tell(self, text: str) -> None:
        if self._link_host:
            text = hyperlinks.linked(text, self._link_host)
        self._write("".join(f"orchestrate: {line}\n" for line in text.split("\n")).encode("utf-8", "replace"))

    def _changed(self, instance: Instance, before: State) -> None:
        if self._supervisor is None:
            return
        if self._timer is not None:
            if instance.run.number > 1:
                return  # a component that restarts again and again would postpone the look forever
            self._timer.cancel()
        self._timer = self._supervisor.loop.call_in(SETTLED, self._look)

    def _look(self) -> None:
        supervisor, self._timer = self._supervisor, None
        if supervisor is None or supervisor.is_stopping or not supervisor.registry.all_begun:
            return
        from orchestrator.control import waiters  # loaded already

        if self._awaited is not None and (failed := waiters.never_ready(supervisor.registry)):
            self._leave(NEVER_READY, f"cannot become ready: {'; '.join(failed)}; the system keeps running")
        elif self._awaited is None or supervisor.startup.is_ready:
            self._leave(STANDS)

    def _be_late(self) -> None:
        self._leave(LATE, f"not ready within {self._awaited:g} s; the system keeps running")

    def _leave(self, how: bytes, reason: str = "") -> None:
        supervisor = self._supervisor
        if supervisor is None or supervisor.is_stopping:
            return
        if reason:
            self._tell(reason)
        self._supervisor = supervisor.on_report = None
        _signal_on_parent_death(0, self._parent)
        self._write(how)
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the process that started us has exited
            os.write(2, data)


def run(options: StartOptions, job: Callable[[StartupReporter | None], int]) -> int:
    """Run the job here, or with --detach in another process. Return its status if it exits before the system is up."""
    if not options.detach:
        return job(None)
    read_fd, write_fd = os.pipe()
    parent = os.getpid()
    link_host = os.uname().nodename if links.shows_links(sys.stderr) else ""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(write_fd)
        end = _copy(read_fd)
        if end in (LATE, NEVER_READY):
            print("hint: see `orchestrate why`", file=sys.stderr)
            return NOT_READY_STATUS if end == LATE else FAILED_STATUS
        return 0 if end else _status_of(pid)
    os.close(read_fd)
    os.setsid()
    os.dup2(write_fd, 2)
    os.close(write_fd)
    with open(os.devnull, "r+b", buffering=0) as null:
        os.dup2(null.fileno(), 0)
        os.dup2(null.fileno(), 1)
    _signal_on_parent_death(signal.SIGINT, parent)
    return job(StartupReporter(parent, options.wait, link_host))


def _signal_on_parent_death(number: int, parent: int) -> None:
    """Make Ctrl-C at the terminal that waits for the start stop the start; 0 undoes that."""
    from orchestrator.process import tree

    with contextlib.suppress(ProcessLookupError):
        tree.signal_on_parent_death(number, parent)


def _copy(fd: int) -> bytes:
    """Copy to standard error until the other side is up, is late, has failed, or closes the pipe; return which, empty
    for closed."""
    while data := os.read(fd, 65536):
        end = data[-1:] if data[-1:] in (STANDS, LATE, NEVER_READY) else b""
        sys.stderr.buffer.write(data[: len(data) - len(end)])
        sys.stderr.buffer.flush()
        if end:
            return end
    return b""


def _status_of(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return errors.as_code(os.waitstatus_to_exitcode(status))
