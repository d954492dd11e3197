"""Files with secrets, which only their owner can read. A symlink in their place is refused."""

from __future__ import annotations

import errno
import os
import stat

from .diagnosis import Unusable


def open_private(path: str, flags: int) -> int:
    """Open a file with secrets; return its descriptor. Raises Unusable for a symlink, which could lead a password into
    another file."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unusable("refusing to use " + path + ": it is a symlink; move it away") from None
        raise


def write_private(path: str, text: str) -> None:
    """Write a file that has mode 0600 before it has any content."""
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write(text)


def make_private(path: str) -> None:
    """Remove the permissions of group and others from a password file that we own."""
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & 0o077 and status.st_uid == os.geteuid():
        os.chmod(path, mode & 0o700)
        print(f"Made {path} readable by its owner alone (it was {mode:o})", flush=True)
