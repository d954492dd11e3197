"""Runs the stop sequence of one tree: stores its phase, waits for its deadlines, and hands out what is due.

The guardian drives the stop of its own tree with it, and the supervisor that of the trees whose guardians were killed.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.spec import StopPlan
from orchestrator.model.stop_sequence import Act, Cause, Phase, StopSequence
from orchestrator.runtime.loop import Loop, Timer


class StopDriver:
    """`do` carries out one act. It is called after the next deadline is set."""

    def __init__(self, loop: Loop, plan: StopPlan, do: Callable[[Act], None]) -> None:
        self._loop = loop
        self._sequence = StopSequence(plan)
        self._do = do
        self._timer: Timer | None = None

    @property
    def phase(self) -> Phase:
        """The phase of the stop."""
        return self._sequence.phase

    @property
    def leader_gone(self) -> bool:
        """Whether the leader has exited."""
        return self._sequence.leader_gone

    def advance(self, cause: Cause) -> None:
        """Advance the sequence, and carry out the acts that it returns."""
        self._sequence, acts = self._sequence.advance(cause, self._loop.now())
        self.disarm()
        if self._sequence.deadline is not None:
            self._timer = self._loop.call_at(self._sequence.deadline, lambda: self.advance(Cause.DEADLINE))
        for act in acts:
            self._do(act)

    def disarm(self) -> None:
        """Cancel the deadline, because the tree is empty."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
