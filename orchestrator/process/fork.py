"""Forks the supervisor's own processes, guardians and the prober, through multiprocessing.

The start method is fork, by name: its default differs by platform and version. The supervisor has one thread, so fork
is safe, and everything is imported once, before.

A page stops being shared as soon as one side writes to it: the guardian, or the supervisor before it forks the next
one. So a guardian's memory and start time grow with the number of pages that the two write. Little code runs between
two forks, to keep that number small. Savings, measured for 50 guardians: making all before forking the first 0.5 MB
each (`Forked.fork`), no hooks 0.5 MB (`orchestrator.__main__`), no bootstrap 0.3 MB and no bookkeeping 0.4 MB
(`_Process`). `gc.freeze` keeps the collector from writing to shared pages. It is called in the child: in the
supervisor, garbage of that instant would never be collected.

The rehearsal: before it forks the first guardian, the supervisor runs the code that every guardian runs.

CPython writes to code that it runs for the first time: it counts calls, specializes after eight (PEP 659), fills the
cache of type attributes. Pages written before the fork are shared by all guardians; pages written after it are copied
for each. Measured: 0.3 MB less in each guardian, for 2 ms once.

Only steps without side effects are rehearsed: nothing is forked, and no signal or file is touched.

`ForkBatch` forks the guardians that one turn of the loop requested, back to back.

All work of the supervisor between two forks writes to pages, each of which is then copied for the older guardian (see
above): with 50 guardians 0.5 MB each, and half a millisecond.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing import Pipe, popen_fork
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any, Generic, TypeVar

from orchestrator.model.messages import Down, Launch, Started, Up
from orchestrator.model.spec import StopPlan
from orchestrator.model.stop_sequence import Cause, StopSequence
from orchestrator.process import guardian, leftovers, procfs, tree
from orchestrator.process.channel import Channel, ChannelClosed
from orchestrator.process.drain import DrainLog
from orchestrator.process.launch import rehearse_spawn
from orchestrator.runtime import signals
from orchestrator.runtime.loop import READ, Loop

_context = multiprocessing.get_context("fork")
_DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"

Out = TypeVar("Out")
In = TypeVar("In")


class _Fork(popen_fork.Popen):
    """The running process, as multiprocessing waits for it, without the two pipes that report its exit."""

    def __init__(self, process: ForkProcess) -> None:
        self.returncode = None
        self.finalizer = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                gc.freeze()
                process.run()
            finally:
                os._exit(1)  # the target itself ends with os._exit


class _Process(ForkProcess):
    """A process that runs its target and nothing else, as the first thing in the fork.

    The other work of multiprocessing is for children that use multiprocessing themselves or return: in the child a text
    file over /dev/null as sys.stdin, registries, finalizers; in the parent a check of each earlier child, which costs
    a system call and a page for each.
    """

    def __init__(self, name: str, body: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        super().__init__(name=name)
        self._body = body
        self._arguments = arguments
        self._parent = os.getpid()
        self.highest = -1

    def start(self) -> None:
        """Fork. Raises OSError."""
        self._popen = _Fork(self)

    def run(self) -> None:
        """Run in the fork."""
        self._body(*self._arguments, self.highest, self._parent)


class ForkedProcess(Generic[Out, In]):
    """A process of ours and the channel to it. `pid` is 0 until it is forked, and is kept after its exit."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Prepare to run ``target(*arguments, connection, highest, parent)`` in a fork, all signals blocked there.

        Messages sent before the fork wait in the channel. Raises OSError (EMFILE: too many descriptors).
        """
        ours: Connection[Out, In]
        ours, self._theirs = _context.Pipe(duplex=True)
        self._process = _Process(name, target, (*arguments, self._theirs))
        self.channel: Channel[Out, In] = Channel(ours)
        self.pid: int = 0

    def fork(self, highest: int) -> None:
        """Fork the process, which inherits no descriptor above `highest` (see `highest_descriptor`). Several are forked
        back to back, with nothing in between.

        Raises OSError if the kernel refuses (EAGAIN: too many processes); the caller must close the channel then.
        """
        mask = signals.block_all()
        try:
            self._process.highest = highest
            self._process.start()
        finally:
            signals.restore(mask)
            self._theirs.close()
        self.pid = self._process.pid or 0

    def wake(self, *, children: bool = False) -> None:
        """Continue the process if it was suspended (SIGSTOP): it could not read our messages. Continue its `children`
        too if it may be waiting for one to execute its program, which a suspended child never does."""
        if self.pid:
            tree.send(self.pid, signal.SIGCONT)
            if children:
                tree.send_tree(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process at once; harmless if it has ended."""
        if self.pid:
            tree.send(self.pid, signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, according to the kernel."""
        return self._process.exitcode is not None

    def reap(self) -> None:
        """Wait for the process, which is known to have ended."""
        self._process.join()


def guardian_of(
    launch: Launch, log: Callable[[], DrainLog | None], rescue: Callable[[], None] = lambda: None
) -> ForkedProcess[Down, Up]:
    """Return a guardian to be forked, which then starts `launch`. If we exit first, it calls `rescue`, and `log` opens
    its log.

    Raises OSError.
    """
    launch = dataclasses.replace(launch, environment=leftovers.marked(launch.environment, launch.instance))
    return ForkedProcess(f"guardian of {launch.instance}", guardian.run, launch, log, rescue)


def highest_descriptor() -> int:
    """Return the highest descriptor that is open now. Raises OSError (EMFILE)."""
    return max(map(int, os.listdir(_DESCRIPTORS)))


ROUNDS = 9


@functools.cache
def rehearse() -> None:
    """Run the code of a guardian once, before the first fork. Do nothing if there are too few descriptors."""
    if not procfs.LINUX:  # elsewhere sending a descriptor waits for an answer, and no process here would give it
        return
    with contextlib.suppress(OSError, ChannelClosed):
        rehearse_spawn(ROUNDS)
        for _ in range(ROUNDS):
            ours, theirs = Pipe(duplex=True)
            with ours, theirs:
                _talk(Channel(ours), Channel(theirs))
            procfs.start_time(os.getpid())
            StopSequence(StopPlan()).advance(Cause.CHILD_GONE, 0.0)


def _talk(ours: Channel[Down, Up], theirs: Channel[Up, Down]) -> None:
    _watch(theirs)
    theirs.send(Started(0))
    theirs.send_fd(theirs.fileno())
    ours.receive()
    os.close(ours.receive_fd())


def _watch(channel: Channel[Up, Down]) -> None:
    loop = Loop()
    loop.add(channel.fileno(), READ, lambda _: None)
    loop.call_at(0.0, lambda: None)
    loop.turn()
    loop.remove(channel.fileno())
    loop.close()


class ForkBatch:
    """Guardians that are made and not yet forked, each with callbacks for its fork and for a failed one."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._pending: list[tuple[ForkedProcess[Down, Up], Callable[[int], None], Callable[[OSError], None]]] = []

    def add(
        self,
        forked: ForkedProcess[Down, Up],
        on_forked: Callable[[int], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        """Fork this guardian together with the others of this turn of the loop; `on_forked` gets its pid."""
        if not self._pending:
            self._loop.call_in(0.0, self._fork_all)
        self._pending.append((forked, on_forked, on_failure))

    def _fork_all(self) -> None:
        rehearse()
        pending, self._pending = self._pending, []
        try:
            highest = highest_descriptor()
        except OSError as error:
            for _, _, on_failure in pending:
                on_failure(error)
            return
        for forked, on_forked, on_failure in pending:
            try:
                forked.fork(highest)
            except OSError as error:
                on_failure(error)
            else:
                on_forked(forked.pid)
