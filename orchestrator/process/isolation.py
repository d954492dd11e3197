"""What every process that the supervisor forks does first: cut what ties it to the supervisor and its terminal."""

from __future__ import annotations

import os
from collections.abc import Collection


def cut_loose(inherited: Collection[int], channel_fd: int) -> None:
    """Close `inherited` but the channel, turn 0-2 into /dev/null, and begin a session of its own.

    A sibling's pipe end held here would hide the supervisor's death from that sibling; our stdout held here would
    keep `orchestrate | tee` from ending. multiprocessing's two sentinel pipes are younger than `inherited`.
    """
    for fd in inherited:
        if fd > 2 and fd != channel_fd:
            try:
                os.close(fd)
            except OSError:  # filelock closes its own after a fork
                continue
    null_fd = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null_fd, fd, inheritable=False)
    if null_fd > 2:
        os.close(null_fd)
    os.setsid()
