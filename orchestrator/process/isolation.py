"""What a forked process does first: cut what ties it to the supervisor; and, before it executes a program, to us."""

from __future__ import annotations

import os
import resource

from orchestrator.runtime import signals


def cut_loose(highest: int, channel_fd: int) -> None:
    """Close all descriptors up to `highest` but the channel, turn 0-2 into /dev/null, and begin a session of its own.

    A sibling's pipe end held here would hide the supervisor's death from that sibling; our stdout held here would
    keep `orchestrate | tee` from ending.
    """
    os.closerange(3, channel_fd)
    os.closerange(max(3, channel_fd + 1), highest + 1)
    null_fd = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null_fd, fd, inheritable=False)
    if null_fd > 2:
        os.close(null_fd)
    os.setsid()


def as_from_a_shell(descriptors: int) -> None:
    """Between fork and exec: no signal is blocked or ignored, and `descriptors` is the soft RLIMIT_NOFILE."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    signals.set_all_default()
