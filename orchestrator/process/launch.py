"""Starts a component under a pseudo-terminal of its own. This file alone imports pexpect.

Facts (ptyprocess 0.7, measured):
- it runs `preexec_fn` after it has closed all descriptors but 0-2, and reports what that raises; an error of its own
  `cwd=` is raised inside the forked child instead, so the caller changes directory before.
- it resets no signal and no limit; `preexec_fn` does.
- it looks the program up with the PATH in `env`, and an argument list that is empty makes it split the program's name.
- `close()` and `isalive()` wait and kill: never called. The object has to be kept, its destructor closes the master.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping

import pexpect

from orchestrator.process import tree
from orchestrator.process.session_leader import SessionPids

_SPECIAL = re.compile(r"([^\w./+-])", re.ASCII)


def rehearse_spawn(rounds: int) -> None:
    """Go through what starting a leader needs, without a process (see `rehearsal`)."""
    for _ in range(rounds):
        pexpect.spawn(None, timeout=None)
    pexpect.which("sh")


class Pty:
    """One component's terminal and its leader, `pid`, which leads a process group. `session` is the pid of the process
    that leads their session (see `session`), or 0 if the leader does. `master_fd` is non-blocking and stays ours."""

    def __init__(
        self,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        size: tuple[int, int],
        set_up: Callable[[], None],
    ) -> None:
        """Start `argv` in the current directory; `size` is (rows, columns). `set_up` runs in the child before exec.

        Raises OSError with a reason in words where the program cannot be executed. Signals have to be blocked by the
        caller: the child empties the mask right before exec.
        """
        program, *arguments = argv
        if not arguments:
            program = _SPECIAL.sub(r"\\\1", program)
        pids = SessionPids()

        def prepare() -> None:
            pids.separate()
            set_up()

        try:
            self._spawn = pexpect.spawn(
                program, arguments, env=environment, preexec_fn=prepare, dimensions=size, timeout=None
            )
        except pexpect.ExceptionPexpect:
            raise FileNotFoundError(f"command not found: {argv[0]}") from None
        except OSError:
            if pids.leader:
                tree.send(pids.leader, signal.SIGKILL)
            raise
        self.session = pids.leader
        self.pid: int = pids.component or self._spawn.pid
        pids.close()
        self.master_fd: int = self._spawn.child_fd
        os.set_blocking(self.master_fd, False)

    @property
    def output_fds(self) -> tuple[int, ...]:
        """What its output is read from."""
        return (self.master_fd,)
