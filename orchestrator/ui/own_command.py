"""Runs one of our own commands, such as `why`, and reads its output in the loop of the view without blocking."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from orchestrator.process import tree
from orchestrator.runtime.loop import READ, Loop

OUTPUT_MAX = 1 << 20  # bytes of output that are kept


class OwnCommand:
    """Starts a command when it is created. `done` gets its output, errors included, unless `close` is called first."""

    def __init__(
        self, loop: Loop, argv: list[str], environment: Mapping[str, str], done: Callable[[bytes], None]
    ) -> None:
        """Raise OSError if the command cannot be started."""
        self._loop = loop
        self._done = done
        self._output = bytearray()
        tree.reap_all()  # an earlier command may have exited a moment after it closed its output
        self._read_fd, write_fd = os.pipe()
        try:
            os.posix_spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, write_fd, 1),
                    (os.POSIX_SPAWN_DUP2, write_fd, 2),
                ],
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # CPython ignores them, and that is inherited
            )
        except OSError:
            os.close(self._read_fd)
            raise
        finally:
            os.close(write_fd)
        loop.add(self._read_fd, READ, lambda _: self._read())

    def close(self) -> None:
        """Stop reading. If the command still writes, SIGPIPE ends it."""
        if self._read_fd >= 0:
            self._loop.remove(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1

    def _read(self) -> None:
        data = os.read(self._read_fd, 1 << 16)
        self._output += data[: OUTPUT_MAX - len(self._output)]
        if not data:
            self.close()
            tree.reap_all()
            self._done(bytes(self._output))
