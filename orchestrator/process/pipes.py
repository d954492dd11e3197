"""Starts a component on pipes instead of a terminal: its standard output and standard error separate, no standard
input.

For programs that behave better without a terminal, or whose two streams should be separate. Whether it writes line
by line is up to the program: the C library buffers whole blocks into a pipe (setvbuf(3)).

Facts: subprocess reports what fails between fork and exec in the parent, and reaps that child itself; the object is
kept and never polled, because guardians wait for all their children in one place.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping


class Pipes:
    """One component's pipes and its leader, in a new session. `output_fds` are standard output and error."""

    def __init__(self, argv: tuple[str, ...], environment: Mapping[str, str], set_up: Callable[[], None]) -> None:
        """Start `argv` in the current directory. `set_up` runs in the child before exec.

        Raises OSError if the program cannot be executed. Signals have to be blocked by the caller.
        """
        try:
            self._process = subprocess.Popen(
                argv,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                restore_signals=False,
                preexec_fn=set_up,
            )
        except subprocess.SubprocessError:  # of `set_up`, whose reason is lost
            raise OSError("cannot set its user, priority or limits") from None
        self.pid: int = self._process.pid
        self.session = 0  # without a terminal nothing is hung up when the leader of a session exits
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.output_fds: tuple[int, ...] = (self._process.stdout.fileno(), self._process.stderr.fileno())
        for fd in self.output_fds:
            os.set_blocking(fd, False)
