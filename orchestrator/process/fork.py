"""Forks the supervisor's own processes, guardians and the prober, through multiprocessing.

The start method is fork, by name: its default differs by platform and version. The supervisor has one thread, so fork
is safe, and everything is imported once, before. `gc.freeze` keeps the collector from touching, and so copying, what
the children share.

Fact: each start of a multiprocessing.Process waits for those that have ended until then (`_cleanup` in its process.py),
and waitid(2) does not show them to us any more. Only `has_ended` does.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from orchestrator.model.messages import Down, Launch, Up
from orchestrator.process import guardian, tree
from orchestrator.process.channel import Channel
from orchestrator.runtime import signals

_context = multiprocessing.get_context("fork")
_DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"

Out = TypeVar("Out")
In = TypeVar("In")


class Forked(Generic[Out, In]):
    """A process of ours and the channel to it. `pid` stays known after its end."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Run ``target(*arguments, connection, inherited, parent)`` in a fork, all signals blocked there.

        Raises OSError where the kernel refuses (EAGAIN: too many processes; EMFILE: too many descriptors).
        """
        ours: Connection[Out, In]
        theirs: Connection[In, Out]
        ours, theirs = _context.Pipe(duplex=True)
        mask = signals.block_all()
        try:
            gc.freeze()
            process = _context.Process(
                target=target,
                args=(*arguments, theirs, _open_descriptors(), os.getpid()),
                name=name,
            )
            process.start()
        except OSError:
            ours.close()
            raise
        finally:
            signals.restore(mask)
            theirs.close()
        self._process = process
        self.channel: Channel[Out, In] = Channel(ours)
        self.pid: int = process.pid or 0

    def wake(self) -> None:
        """Let the process go on if somebody has stopped it (SIGSTOP): it could not hear us."""
        tree.send(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once; harmless where it has ended."""
        tree.send(self.pid, signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended; asks the kernel."""
        return self._process.exitcode is not None

    def reap(self) -> None:
        """Wait for the process, which is known to have ended."""
        self._process.join()


def fork_guardian(launch: Launch, log: Callable[[], guardian.Log | None]) -> Forked[Down, Up]:
    """Fork a guardian that starts `launch` at once; `log` opens the log that it writes once we are gone.

    Raises OSError.
    """
    return Forked(f"guardian of {launch.instance}", guardian.run, launch, log)


def _open_descriptors() -> Collection[int]:
    # The directory's own descriptor is in the list too, and closed by now; closing it again is passed over.
    return [int(name) for name in os.listdir(_DESCRIPTORS)]
