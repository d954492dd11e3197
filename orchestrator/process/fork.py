"""Forks the supervisor's own processes, guardians and the prober, through multiprocessing.

The start method is fork, by name: its default differs by platform and version. The supervisor has one thread, so fork
is safe, and everything is imported once, before.

A page is a guardian's own as soon as one of the two writes to it: the guardian, or the supervisor before it forks the
next one. So a guardian's memory, and the time its start takes, is the number of pages that both of them touch, and it
is kept small by how little runs between the two, measured for 50 guardians: making all before forking the first
0.5 MB each (`Forked.fork`), no hooks 0.5 MB (`orchestrator.__main__`), no bootstrap 0.3 MB and no bookkeeping 0.4 MB
(`_Process`). `gc.freeze` keeps the collector from touching what the children share; it is done in the child, for in the
supervisor what is garbage at that instant would never be collected.

The rehearsal: what every guardian does, done by the supervisor before it forks the first.

CPython writes to code that it runs for the first time: it counts calls, specialises after eight (PEP 659), fills the
cache of type attributes. Written before the fork, those pages are shared by all guardians; after it, each has its own.
Measured: 0.3 MB less in each guardian, for 2 ms once.

Only what leaves no trace is rehearsed: nothing is forked, no signal and no file is touched.

Forks the guardians that one turn of the loop asked for back to back.

Whatever the supervisor does between two forks writes to pages, and each of them becomes the older guardian's own
(see process.fork): among 50 guardians 0.5 MB each, and half a millisecond.
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
    """The running process, as multiprocessing waits for it, without the two pipes that tell of its end."""

    def __init__(self, process: ForkProcess) -> None:
        self.returncode = None
        self.finalizer = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                gc.freeze()
                process.run()
            finally:
                os._exit(1)  # what runs there ends in os._exit itself


class _Process(ForkProcess):
    """A process that runs its target and nothing else, as the first thing in the fork.

    What multiprocessing does besides is for children that use multiprocessing themselves or return: in the child a text
    file over /dev/null as sys.stdin, registries, finalizers; in the parent a look at each child so far, which is a
    system call and a page of each.
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
        """Be the fork."""
        self._body(*self._arguments, self.highest, self._parent)


class ForkedProcess(Generic[Out, In]):
    """A process of ours and the channel to it. `pid` is 0 until it is forked, and stays known after its end."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Make ready to run ``target(*arguments, connection, highest, parent)`` in a fork, all signals blocked there.

        What is sent before the fork waits in the channel. Raises OSError (EMFILE: too many descriptors).
        """
        ours: Connection[Out, In]
        ours, self._theirs = _context.Pipe(duplex=True)
        self._process = _Process(name, target, (*arguments, self._theirs))
        self.channel: Channel[Out, In] = Channel(ours)
        self.pid: int = 0

    def fork(self, highest: int) -> None:
        """Fork the process, which inherits no descriptor above `highest` (see `highest_descriptor`). Several are forked
        back to back, nothing done in between.

        Raises OSError where the kernel refuses (EAGAIN: too many processes); the channel is to be closed then.
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
        """Let the process go on if somebody has stopped it (SIGSTOP): it could not hear us. Its `children` too, as long
        as it may be waiting for one to execute its program, which a stopped one never does."""
        if self.pid:
            tree.send(self.pid, signal.SIGCONT)
            if children:
                tree.send_tree(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once; harmless where it has ended."""
        if self.pid:
            tree.send(self.pid, signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended; asks the kernel."""
        return self._process.exitcode is not None

    def reap(self) -> None:
        """Wait for the process, which is known to have ended."""
        self._process.join()


def guardian_of(
    launch: Launch, log: Callable[[], DrainLog | None], rescue: Callable[[], None] = lambda: None
) -> ForkedProcess[Down, Up]:
    """Return a guardian to be forked, which then starts `launch`; once we are gone it calls `rescue`, and `log` opens
    what it logs to.

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
    """Go through it; only once, and before the first fork. Does nothing where there are too few descriptors."""
    if not procfs.LINUX:  # elsewhere who sends a descriptor waits for an answer, and here is nobody to give it
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
    """Guardians that are made and not yet forked, each with what is called if its fork fails."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._pending: list[tuple[ForkedProcess[Down, Up], Callable[[OSError], None]]] = []

    def add(self, forked: ForkedProcess[Down, Up], on_failure: Callable[[OSError], None]) -> None:
        """Fork this guardian together with the others of this turn of the loop."""
        if not self._pending:
            self._loop.call_in(0.0, self._fork_all)
        self._pending.append((forked, on_failure))

    def _fork_all(self) -> None:
        rehearse()
        pending, self._pending = self._pending, []
        try:
            highest = highest_descriptor()
        except OSError as error:
            for _, on_failure in pending:
                on_failure(error)
            return
        for forked, on_failure in pending:
            try:
                forked.fork(highest)
            except OSError as error:
                on_failure(error)
