"""The session leader of a component's terminal: a process of ours that only waits.

When the leader of a session that has a controlling terminal exits, the kernel sends SIGHUP to the terminal's foreground
process group (disassociate_ctty, tty(4)). If the component itself led the session, that would happen in the middle of
its stop whenever its first process exits before the rest: `sh -c 'python worker.py'` under dash dies of SIGTERM at
once, a wrapper exits before its child. So, as under an interactive shell, another process leads the session. The
component is a separate process group in it, and has the terminal's foreground.

The process that pexpect forks becomes the session leader. It makes the component with clone(2) and CLONE_PARENT, so
that the guardian, not the session leader, is the component's parent:

- the guardian waits for the component itself; no status has to be reported over a pipe;
- the process group stays orphaned (setpgid(2)), so Ctrl-Z at an attached terminal does not stop a component that
  no process could continue.

Rejected: freezing a leader that would die of the stop signal until its children have exited. It needs no process, but
does not help against a leader that exits by itself.

The session leader blocks every signal but SIGHUP, of which it dies: the kernel sends it when the last descriptor of the
pty's master is closed, that is, when supervisor and guardian have been killed together, and its death hangs up the
component. It has no open descriptor, so it does not keep a pty open that the component has closed. Linux only;
elsewhere, and if clone(2) fails, the component leads the session itself.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal

from orchestrator.process import procfs, tree
from orchestrator.runtime import signals

_WORD = 4
_SLEEP = "/bin/sleep"
_DELAY = 1.0  # seconds
_MASK = signal.valid_signals() - {signal.SIGHUP}
_ARGUMENTS = ["sleep", "2147483647"]  # seconds; `infinity` is not POSIX
_HIGHEST_FD = 65536  # close_range(2) is one system call on Linux, however many are open


def leads_a_session(pid: int, session: int | None = None) -> bool:
    """Whether `pid`, a process of a component's tree, is a session leader of ours. `session` is the number of its
    session, if that is known."""
    if session is None:
        return procfs.arguments_of(pid) == _ARGUMENTS and procfs.session_of(pid) == pid
    return session == pid and procfs.arguments_of(pid) == _ARGUMENTS


class SessionPids:
    """The pids of a session leader and of the component in its session; 0 if there is none.

    A page of memory that the guardian shares with both: ptyprocess has closed every inherited descriptor by then, so
    a pipe cannot be used.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 2 * _WORD)

    @property
    def leader(self) -> int:
        """The session leader's pid."""
        return self._get(0)

    @property
    def component(self) -> int:
        """The component's pid."""
        return self._get(1)

    def separate(self) -> None:
        """Return in the component, a new process group in the foreground of its terminal. The caller stays behind as
        the session leader and never returns.

        Call it between fork and exec, all signals blocked, with the terminal as descriptor 0.
        """
        try:
            pid = tree.fork_sibling()
        except OSError:
            return
        if pid:
            self._set(0, os.getpid())
            _lead()
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())  # from the background this raises SIGTTOU, which is blocked
        self._set(1, os.getpid())

    def close(self) -> None:
        """Free the page."""
        self._page.close()

    def _get(self, index: int) -> int:
        return int.from_bytes(self._page[index * _WORD : (index + 1) * _WORD], "little")

    def _set(self, index: int, pid: int) -> None:
        self._page[index * _WORD : (index + 1) * _WORD] = pid.to_bytes(_WORD, "little")


def _lead() -> None:
    """Wait for SIGHUP or SIGKILL; after a while execute sleep(1).

    A fork of the guardian that stays what it is costs 1 MB, because each page that the guardian writes to afterwards is
    copied; sleep(1) costs 0.1 MB. It is executed later because that takes 0.7 ms of processor time, which 50 components
    that start together would wait for.
    """
    os.closerange(0, _HIGHEST_FD)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signals.restore(_MASK)
    signal.sigtimedwait((), _DELAY)
    with contextlib.suppress(OSError):
        os.execve(_SLEEP, _ARGUMENTS, {})
    while True:
        signal.pause()
