"""Types into a pty: a bounded queue in front of its master.

Fact: a master takes no more while the component does not read, as a keyboard's buffer does. It is watched through a
duplicate, because one descriptor is registered with the loop once, and the multiplexer reads it there.
"""

from __future__ import annotations

import os

from orchestrator.runtime.loop import WRITE, Loop

QUEUE_MAX = 1 << 20


class Typist:
    """Types into one master, which its caller keeps open until `close`."""

    def __init__(self, loop: Loop, master_fd: int) -> None:
        self._loop = loop
        self._master_fd = master_fd
        self._queue = bytearray()
        self._watch_fd = -1
        self._closed = False

    def type(self, data: bytes) -> bool:
        """Type this; False where so much is waiting already that none of it is taken."""
        if self._closed or len(self._queue) + len(data) > QUEUE_MAX:
            return False
        self._queue += data
        self._flush()
        return True

    @property
    def waiting(self) -> int:
        """Bytes that the pty has not taken yet."""
        return len(self._queue)

    def close(self) -> None:
        """Forget what was not typed yet."""
        self._closed = True
        self._queue.clear()
        self._unwatch()

    def _flush(self) -> None:
        try:
            while self._queue:
                del self._queue[: os.write(self._master_fd, self._queue)]
        except BlockingIOError:
            if self._watch_fd < 0:
                self._watch_fd = os.dup(self._master_fd)
                self._loop.add(self._watch_fd, WRITE, lambda _: self._flush())
            return
        except OSError:  # EIO: nobody has the slave open
            self._queue.clear()
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watch_fd >= 0:
            self._loop.remove(self._watch_fd)
            os.close(self._watch_fd)
            self._watch_fd = -1
