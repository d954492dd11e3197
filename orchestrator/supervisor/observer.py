"""What the supervisor reports to whoever keeps a record of it, beside the changes of state (`Supervisor.listen`).

The methods do nothing here: a system without a record runs the same. Implementations must not raise.
"""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.model.control import Request, Verb
from orchestrator.runtime.signal_fd import Received
from orchestrator.supervisor.instance import Instance

Peer = tuple[int, int]  # pid and uid of the process that sent a request; 0 and -1 if the kernel does not report them


class Observer:
    """Is told requests, decisions, signals and answers of probes."""

    def requested(self, request: Request, peer: Peer) -> None:
        """A request arrived; what is decided until `handled` follows from it."""

    def pressed(self, key: str, verb: Verb, name: str) -> None:
        """A key in our terminal requests a change; what is decided until `handled` follows from it."""

    def handled(self) -> None:
        """The request was carried out, or its effects are under way."""

    def decided(self, verb: Verb, members: Collection[Instance], leaders: Collection[Instance] = ()) -> None:
        """These instances are to start, stop or restart. They follow `leaders`, if there are any."""

    def renamed(self, member: Instance, before: str) -> None:
        """An instance has a new name, because its component was scaled; `before` is the old one."""

    def signaled(self, received: Received) -> None:
        """The supervisor got a signal."""

    def stopping(self, culprit: Instance | None, reason: str) -> None:
        """The system begins to stop: because of an instance, or for a reason in words, or because of the request or
        signal that was reported just before."""

    def became_ready(self) -> None:
        """Every component was ready at once, for the first time."""

    def probed(self, member: Instance, probe: str, passes: bool, answer: str) -> None:
        """A probe passes or fails, and it did not before in this run."""
