"""Waits for the end of a process that is no child of ours (pidfd_open(2))."""

from __future__ import annotations

import os

from orchestrator.runtime.loop import READ, Loop


def wait_for(pid: int | None, loop: Loop, retry: float) -> bool:
    """Return True when `pid` has gone; False, after `retry` seconds, where it cannot be waited for."""
    try:
        pid_fd = os.pidfd_open(pid or 0)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        loop.call_in(retry, lambda: None)
        loop.turn()
        return False
    loop.add(pid_fd, READ, lambda _: None)
    loop.turn()
    loop.remove(pid_fd)
    os.close(pid_fd)
    return True
