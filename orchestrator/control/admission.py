"""Who may attach, and to what: answers a request of `attach`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Protocol

from orchestrator.model.control import Reply, Request, refusal
from orchestrator.model.errors import USAGE_STATUS
from orchestrator.model.frames import MalformedFrame, decode_seat
from orchestrator.supervisor.instance import Member
from orchestrator.supervisor.registry import AT_REST
from orchestrator.supervisor.supervisor import Supervisor


class Guest(Protocol):
    """Who asks: is sent replies, or gives its connection away."""

    def send(self, reply: Reply) -> None:
        """Send a reply; the last one ends the conversation."""

    def hand_over(self, reply: Reply) -> socket.socket | None:
        """Send a reply and give the connection away; None where it has gone."""


class Admission:
    """Knows the supervisor, and where the logs are, None where none are kept."""

    def __init__(self, supervisor: Supervisor, logs: Path | None) -> None:
        self._supervisor = supervisor
        self._logs = logs

    def handle(self, request: Request, guest: Guest) -> None:
        """Answer: with a seat at one terminal, or, without a name, with where the merged stream is read."""
        if not request.names:
            self._show_stream(guest)
            return
        try:
            seat = decode_seat(request.argument)
        except MalformedFrame as error:
            guest.send(refusal(str(error), USAGE_STATUS))
            return
        found = self._find(request.names)
        if isinstance(found, Reply):
            guest.send(found)
        elif connection := guest.hand_over(Reply(rows=({"instance": found.name},), last=False)):
            self._supervisor.streams.terminals[found.key].admit(connection, seat)

    def _show_stream(self, guest: Guest) -> None:
        """The connection stays open for as long as there is a stream."""
        if self._logs is None:
            guest.send(refusal("unable to show the merged stream again: no log files are kept (--no-log)"))
        else:
            guest.send(Reply(rows=({"logs": str(self._logs)},), last=False))

    def _find(self, names: tuple[str, ...]) -> Member | Reply:
        """Return the one member meant, or why there is none to attach to."""
        wanted = names[0] if len(names) == 1 else ""
        members = self._supervisor.roster.everyone
        found = self._supervisor.roster.instance(wanted)
        if len(found) != 1:
            choice = ", ".join(m.name for m in found or members)
            return refusal(f"unable to attach to {wanted!r}: choose one of {choice or 'none'}", USAGE_STATUS)
        member = found[0]
        if not member.spec.tty:
            return refusal(f"unable to attach to {member.name}: it has no terminal (tty = false)")
        if member.state in AT_REST and (member.incarnations or self._supervisor.is_stopping):
            end = member.end_in_words if member.incarnations else "never started"
            return refusal(f"unable to attach to {member.name}: it is not running ({end})")
        if not self._supervisor.streams.terminals[member.key].has_room:
            return refusal(f"unable to attach to {member.name}: too many are attached already")
        return member
