"""What the supervisor reports to a recorder, beside the changes of state (`Supervisor.listen`).

The methods do nothing here: a system without a record runs the same. Implementations must not raise.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import TYPE_CHECKING

from orchestrator.model.control import Request, Verb
from orchestrator.runtime.signal_fd import Received
from orchestrator.supervisor.instance import Instance

if TYPE_CHECKING:
    from orchestrator.model.control import Row


class ListenerOrder(enum.IntEnum):
    """The listeners to a change of state, in calling order; other instances are affected only after the last one."""

    TERMINALS = enum.auto()  # attached terminals, which end with the run
    STARTUP = enum.auto()  # the shell that waits for `up --detach`
    SERVICE_MANAGER = enum.auto()
    KEYS = enum.auto()  # the row of states
    RECORD = enum.auto()  # before the requests: what is answered is on record
    REQUESTS = enum.auto()
    GROWTH = enum.auto()
    SUMMARY = enum.auto()  # the line that all components were started: after the answers that it follows from


Peer = tuple[int, int]  # pid and uid of the process that sent a request; 0 and -1 if the kernel does not report them


class Observer:
    """Receives requests, decisions, signals and results of probes."""

    def requested(self, request: Request[Row], peer: Peer) -> None:
        """A request arrived; decisions until `handled` follow from it."""

    def pressed(self, key: str, verb: Verb, name: str) -> None:
        """A key in our terminal requests a change; decisions until `handled` follow from it."""

    def handled(self) -> None:
        """The request was carried out, or its effects are under way."""

    def decided(self, verb: Verb, instances: Collection[Instance], leaders: Collection[Instance] = ()) -> None:
        """These instances are to start, stop or restart. They follow `leaders`, if there are any."""

    def renamed(self, instance: Instance, before: str) -> None:
        """An instance has a new name, because its component was scaled; `before` is the old one."""

    def signaled(self, received: Received) -> None:
        """The supervisor got a signal that stops the system."""

    def passed_on(self, received: Received, instances: Collection[Instance]) -> None:
        """The supervisor got a signal, which these instances get now."""

    def stopping(self, culprit: Instance | None, reason: str) -> None:
        """The system begins to stop: because of an instance, or for a reason in words, or because of the request or
        signal that was reported just before."""

    def became_ready(self) -> None:
        """Every component was ready at once, for the first time."""

    def probed(self, instance: Instance, probe: str, passes: bool, answer: str) -> None:
        """A probe passes or fails, and it did not before in this run."""
