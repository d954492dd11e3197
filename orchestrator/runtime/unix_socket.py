"""How a socket is reached: its path, or, if that is too long for sockaddr_un, a shorter way to it.

unix(7): sun_path has 108 bytes on Linux, 104 elsewhere. A directory opened with O_PATH is reached through
/proc/self/fd, whatever its length.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PATH_MAX = 100


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of `path` that fits into a socket address, for as long as the context lasts."""
    if len(os.fsencode(path)) <= PATH_MAX:
        yield str(path)
        return
    directory_fd = os.open(path.parent, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory_fd}/{path.name}"
    finally:
        os.close(directory_fd)
