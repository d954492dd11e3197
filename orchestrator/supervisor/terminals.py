"""The streams of the members: one for each incarnation, a second one where its standard error is apart.

The terminals of all instances: opened and closed as their incarnations come and go.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.model import errors as model_errors
from orchestrator.model.lifecycle import State
from orchestrator.output.multiplexer import Multiplexer
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.output.stream import Stream
from orchestrator.process import tree
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import AT_REST

if TYPE_CHECKING:
    from orchestrator.supervisor.attach.session import AttachedTerminal, SessionHost


class Streams:
    """Hands masters to the multiplexer, and keeps what a member last printed until somebody asks."""

    def __init__(self, loop: Loop, multiplexer: Multiplexer, stage: Presenter) -> None:
        self.loop = loop
        self.terminals = Terminals(self)
        self._multiplexer = multiplexer
        self._presenter = stage
        self._streams: dict[str, Stream] = {}
        self._errors: dict[str, Stream] = {}
        self._last_words: dict[str, bytes] = {}
        self._kept: dict[str, bytes] = {}
        self.unseen = False  # whether the screen is one that nobody sees
        self.on_waiting: list[Callable[[], None]] = []  # called if an instance waits at another prompt, or at none

    def of(self, member: Instance) -> Stream:
        """The stream of the present incarnation, whose terminal is open."""
        return self._streams[member.key]

    def open(self, member: Instance, master_fd: int) -> None:
        """Read the terminal of a new incarnation."""
        stream = self._presenter.stream(member.spec, member.name, master_fd)
        self.terminals.opened(member, stream)
        self._streams[member.key] = self._multiplexer.open(stream)

    def open_errors(self, member: Instance, error_fd: int) -> None:
        """Read its standard error too; who watches its lines sees both."""
        output = self._streams[member.key]
        errors = self._presenter.errors(member.spec, member.name, output, error_fd)
        errors.watcher = lambda whole: output.watcher(whole) if output.watcher else None
        self._errors[member.key] = self._multiplexer.open(errors)

    def rename(self, member: Instance, before: str) -> None:
        """Show what it prints from now on under its new name; `before` is the old one."""
        self._presenter.rename(before, member.name)
        for stream, errors in ((self._streams.get(member.key), False), (self._errors.get(member.key), True)):
            if stream is not None:
                self._multiplexer.catch_up(stream)
                self._presenter.repaint(stream, member.spec, member.name, errors=errors)
        self.terminals.rename(member)

    def catch_up(self, member: Instance) -> None:
        """Show what it has printed until now, before something is said about it."""
        for stream in self._open_of(member):
            self._multiplexer.catch_up(stream)

    def close(self, member: Instance) -> None:
        """Read its last words."""
        streams = self._open_of(member)
        for stream in streams:
            self._multiplexer.close(stream)
        self.terminals.closed(member)
        self._streams.pop(member.key, None)
        self._errors.pop(member.key, None)
        self._last_words[member.key] = b"".join(stream.recent for stream in streams)
        self._kept[member.key] = b"".join(stream.last for stream in streams)

    def _open_of(self, member: Instance) -> list[Stream]:
        return [streams[member.key] for streams in (self._streams, self._errors) if member.key in streams]

    def last_words(self, member: Instance, *, again: bool = False) -> bytes:
        """Return what it last printed; unless `again`, only if that is not in view, and only once."""
        words = self._last_words.pop(member.key, b"")
        return self._kept.get(member.key, b"") if self.unseen or again else words

    def recent(self, member: Instance) -> bytes:
        """Return the end of what it has printed, shown already or not."""
        return b"".join(s.recent + s.splitter.pending for s in self._open_of(member)) or self._kept.get(member.key, b"")

    def type(self, member: Instance, data: bytes) -> int:
        """Write into a member's terminal as a keyboard does; returns how many bytes it took, without waiting."""
        stream = self._streams.get(member.key)
        if stream is None or not stream.terminal:
            return 0
        self.terminals[member.key].typed()
        try:
            return os.write(stream.master_fd, data)
        except OSError:  # EAGAIN: nobody reads there; EIO: nobody has it open
            return 0

    def resize(self) -> None:
        """Give every terminal the size that ours has now."""
        self._presenter.screen.resized()
        self._multiplexer.resize(*self._presenter.pty_size)

    def hurry(self) -> None:
        """From now on slow nobody down: a stop is under way."""
        self._multiplexer.hurry()

    # What terminals ask for (terminal.House)

    @property
    def pty_size(self) -> tuple[int, int]:
        """Rows and columns of a pty to which nobody is attached."""
        return self._presenter.pty_size

    def tell(self, text: str, *, warns: bool = False) -> None:
        """Say a line of our own."""
        self._presenter.tell(text, tone=Tone.WARNING if warns else Tone.PLAIN)

    def waiting_changed(self) -> None:
        """Report that an instance waits at another prompt, or at none."""
        for listener in self.on_waiting:
            listener()

    def lend(self, stream: Stream, *, lent: bool) -> None:
        """Hold a stream's lines back while somebody is attached."""
        self._multiplexer.lend(stream, lent=lent)


class Terminals:
    """One `Terminal` for each instance that has a terminal, by the key of the member."""

    def __init__(self, house: SessionHost) -> None:
        self._host = house
        self._by_name: dict[str, AttachedTerminal] = {}

    def __getitem__(self, name: str) -> AttachedTerminal:
        if name not in self._by_name:
            from orchestrator.supervisor.attach.session import (
                AttachedTerminal,  # 15 ms, which no first fork has to wait for
            )

            self._by_name[name] = AttachedTerminal(name, self._host)
        return self._by_name[name]

    def waiting(self, name: str) -> str:
        """The prompt at which this instance waits for input; empty where it does not."""
        terminal = self._by_name.get(name)
        return terminal.waiting if terminal else ""

    def is_full_screen(self, name: str) -> bool:
        """Whether a full-screen program has the terminal of this instance."""
        terminal = self._by_name.get(name)
        return terminal is not None and terminal.is_full_screen

    def rename(self, member: Instance) -> None:
        """Call its terminal by the new name of the member."""
        if terminal := self._by_name.get(member.key):
            terminal.name = member.name

    def opened(self, member: Instance, stream: Stream) -> None:
        """A new incarnation's output is about to be read."""
        if member.spec.tty:
            self[member.key].open(member, stream, lambda: (m.pid for m in tree.descendants(member.guardian_pid)))

    def closed(self, member: Instance) -> None:
        """The incarnation's output has been read to its end."""
        if terminal := self._by_name.get(member.key):
            after = "" if member.reason else f" after {member.lasted:.1f} s"
            terminal.close(f"{member.name} {member.end_as_clause}{after}")

    def changed(self, member: Instance) -> None:
        """Once an instance is at rest, and is not started again at once, nobody can be attached to it."""
        if member.state is State.BACKOFF and member.key in self._by_name:
            self._by_name[member.key].pause(member.pause)
        if member.state in AT_REST and member.key in self._by_name:
            self._host.loop.call_in(0.0, lambda: self._send_home(member))

    def _send_home(self, member: Instance) -> None:
        if member.state in AT_REST:
            why = f"{member.name} {member.end_in_words}"
            self[member.key].end(model_errors.as_code(member.status or 0), why)
