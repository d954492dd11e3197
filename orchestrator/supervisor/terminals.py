"""The terminals of all instances: opened and closed as their incarnations come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model import exits
from orchestrator.model.lifecycle import State
from orchestrator.output.stream import Stream
from orchestrator.process import tree
from orchestrator.supervisor.instance import Member
from orchestrator.supervisor.registry import AT_REST

if TYPE_CHECKING:
    from orchestrator.supervisor.attach.session import House, Terminal


class Terminals:
    """One `Terminal` for each instance that has a terminal, by the key of the member."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._by_name: dict[str, Terminal] = {}

    def __getitem__(self, name: str) -> Terminal:
        if name not in self._by_name:
            from orchestrator.supervisor.attach.session import Terminal  # 15 ms, which no first fork has to wait for

            self._by_name[name] = Terminal(name, self._house)
        return self._by_name[name]

    def waiting(self, name: str) -> str:
        """The prompt at which this instance waits for input; empty where it does not."""
        terminal = self._by_name.get(name)
        return terminal.waiting if terminal else ""

    def rename(self, member: Member) -> None:
        """Call its terminal by the new name of the member."""
        if terminal := self._by_name.get(member.key):
            terminal.name = member.name

    def opened(self, member: Member, stream: Stream) -> None:
        """A new incarnation's output is about to be read."""
        if member.spec.tty:
            self[member.key].open(member, stream, lambda: (m.pid for m in tree.descendants(member.guardian_pid)))

    def closed(self, member: Member) -> None:
        """The incarnation's output has been read to its end."""
        if terminal := self._by_name.get(member.key):
            after = "" if member.reason else f" after {member.lasted:.1f} s"
            terminal.close(f"{member.name} {member.end_as_clause}{after}")

    def changed(self, member: Member) -> None:
        """Once an instance is at rest, and is not started again at once, nobody can be attached to it."""
        if member.state is State.BACKOFF and member.key in self._by_name:
            self._by_name[member.key].pause(member.pause)
        if member.state in AT_REST and member.key in self._by_name:
            self._house.loop.call_in(0.0, lambda: self._send_home(member))

    def _send_home(self, member: Member) -> None:
        if member.state in AT_REST:
            why = f"{member.name} {member.end_in_words}"
            self[member.key].end(exits.as_code(member.status or 0), why)
