"""What every process that the supervisor forks does first: cut what ties it to the supervisor and its terminal."""

from __future__ import annotations

import os


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
