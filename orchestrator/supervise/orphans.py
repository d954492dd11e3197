"""What a guardian left behind that was killed: the supervisor is a subreaper too, adopts it and empties it.

Every child of ours that we did not fork ourselves is such an orphan. Which dead guardian it belonged to is not told by
the kernel; so all members whose guardian died wait until no orphan is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from orchestrator.model.ending import Act, Cause, Ending, KillTree, ReportStuck, SendStep, SendTree
from orchestrator.model.spec import StopPlan
from orchestrator.process import proc, tree
from orchestrator.runtime.loop import Loop, Timer


class Orphanage:
    """Ends adopted trees. `own` returns the pids of our own children; `done` is called when no orphan is left, and
    `stuck` with the names of those that cannot be killed."""

    def __init__(
        self, loop: Loop, own: Callable[[], set[int]], done: Callable[[], None], stuck: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._own = own
        self._done = done
        self._stuck = stuck
        self._ending: Ending | None = None
        self._timer: Timer | None = None

    def empty(self) -> None:
        """A guardian died: begin, or begin again, with all that is adopted now."""
        self._ending = Ending(StopPlan())
        self._advance(Cause.LEADER_GONE)
        self.check()

    def kill(self) -> None:
        """Skip the grace."""
        self._advance(Cause.KILL)

    def check(self) -> None:
        """Some child ended: go on, or be done."""
        if self._ending is None:
            return
        if tree.descendants(os.getpid(), self._own()):
            self._advance(Cause.CHILD_GONE)
            return
        self._ending = None
        self._disarm()
        self._done()

    def _advance(self, cause: Cause) -> None:
        if self._ending is None:
            return
        self._ending, acts = self._ending.advance(cause, self._loop.now())
        self._disarm()
        if self._ending.deadline is not None:
            self._timer = self._loop.call_at(self._ending.deadline, lambda: self._advance(Cause.DEADLINE))
        for act in acts:
            self._do(act)

    def _do(self, act: Act) -> None:
        match act:
            case SendTree(number) | SendStep(number):
                tree.send_tree(os.getpid(), number, self._own())
                tree.send_tree(os.getpid(), signal.SIGCONT, self._own())
            case KillTree():
                tree.kill_tree(os.getpid(), self._own())
            case ReportStuck():
                left = tree.descendants(os.getpid(), self._own())
                self._stuck(", ".join(proc.describe(m.pid) for m in left[:5]))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
