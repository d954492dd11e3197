"""The streams of the instances: one for each run, and a second one if its standard error is separate.

This file also keeps the terminals of all instances, which are opened and closed with their runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.model import errors as model_errors
from orchestrator.model.lifecycle import AT_REST, State
from orchestrator.output.multiplexer import Multiplexer
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.output.stream import Stream
from orchestrator.process import tree
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance

if TYPE_CHECKING:
    from orchestrator.supervisor.attach.session import AttachedTerminal, SessionHost


class Streams:
    """Hands masters to the multiplexer, and keeps the last output of each instance until it is requested."""

    def __init__(
        self, loop: Loop, multiplexer: Multiplexer, presenter: Presenter, fail: Callable[[Instance, str], None]
    ) -> None:
        self.loop = loop
        self._fail = fail
        self.terminals = Terminals(self)
        self._multiplexer = multiplexer
        self._presenter = presenter
        self._streams: dict[str, Stream] = {}
        self._errors: dict[str, Stream] = {}
        self._last_words: dict[str, bytes] = {}
        self._kept: dict[str, bytes] = {}
        self.unseen = False  # whether the merged stream is not visible to a user
        self.on_waiting: list[Callable[[], None]] = []  # called if the prompt of an instance changes

    def of(self, instance: Instance) -> Stream:
        """The stream of the present run, whose terminal is open."""
        return self._streams[instance.key]

    def open(self, instance: Instance, master_fd: int) -> None:
        """Read the terminal of a new run."""
        stream = self._presenter.stream(instance.spec, instance.name, master_fd)
        self.terminals.opened(instance, stream)
        self._streams[instance.key] = self._multiplexer.open(stream)

    def open_errors(self, instance: Instance, error_fd: int) -> None:
        """Read its standard error too; its watcher gets the lines of both."""
        output = self._streams[instance.key]
        errors = self._presenter.errors(instance.spec, instance.name, output, error_fd)
        errors.watcher = lambda whole: output.watcher(whole) if output.watcher else None
        self._errors[instance.key] = self._multiplexer.open(errors)

    def rename(self, instance: Instance, before: str) -> None:
        """Show what it prints from now on under its new name; `before` is the old one."""
        self._presenter.rename(before, instance.name)
        for stream, errors in ((self._streams.get(instance.key), False), (self._errors.get(instance.key), True)):
            if stream is not None:
                self._multiplexer.catch_up(stream)
                self._presenter.repaint(stream, instance.spec, instance.name, errors=errors)
        self.terminals.rename(instance)

    def catch_up(self, instance: Instance) -> None:
        """Show the output so far, before an event line about the instance."""
        for stream in self._open_of(instance):
            self._multiplexer.catch_up(stream)

    def close(self, instance: Instance) -> None:
        """Read its last output and close its streams."""
        streams = self._open_of(instance)
        for stream in streams:
            self._multiplexer.close(stream)
        self.terminals.closed(instance)
        self._streams.pop(instance.key, None)
        self._errors.pop(instance.key, None)
        self._last_words[instance.key] = b"".join(stream.recent for stream in streams)
        self._kept[instance.key] = b"".join(stream.last for stream in streams)

    def _open_of(self, instance: Instance) -> list[Stream]:
        return [streams[instance.key] for streams in (self._streams, self._errors) if instance.key in streams]

    def last_words(self, instance: Instance, *, again: bool = False) -> bytes:
        """Return what it last printed; unless `again`, only if that is not in view, and only once."""
        words = self._last_words.pop(instance.key, b"")
        return self._kept.get(instance.key, b"") if self.unseen or again else words

    def recent(self, instance: Instance) -> bytes:
        """Return the end of its output, whether it was shown or not."""
        return b"".join(s.recent + s.splitter.pending for s in self._open_of(instance)) or self._kept.get(
            instance.key, b""
        )

    def type(self, instance: Instance, data: bytes) -> int:
        """Write into an instance's terminal as a keyboard does; return how many bytes it accepted, without waiting."""
        stream = self._streams.get(instance.key)
        if stream is None or not stream.terminal:
            return 0
        self.terminals[instance.key].typed()
        try:
            return os.write(stream.master_fd, data)
        except OSError:  # EAGAIN: its input buffer is full; EIO: no process has it open
            return 0

    def resize(self) -> None:
        """Give every terminal the present size of ours."""
        self._presenter.screen.resized()
        self._multiplexer.resize(*self._presenter.pty_size)

    def hurry(self) -> None:
        """Stop slowing components, because a stop is in progress."""
        self._multiplexer.hurry()

    # For attached terminals (session.SessionHost)

    @property
    def pty_size(self) -> tuple[int, int]:
        """Rows and columns of a pty without attached terminals."""
        return self._presenter.pty_size

    def tell(self, text: str, *, warns: bool = False, here: str = "") -> None:
        """Show an event line, with an addition that is not logged."""
        self._presenter.tell(text, tone=Tone.WARNING if warns else Tone.PLAIN, here=here)

    def fail(self, instance: Instance, reason: str) -> None:
        """Stop an instance that shows a prompt which a rule forbids."""
        self._fail(instance, reason)

    def waiting_changed(self) -> None:
        """Report that an instance waits at another prompt, or no longer waits."""
        for listener in self.on_waiting:
            listener()

    def lend(self, stream: Stream, *, lent: bool) -> None:
        """Hold a stream's lines back while a terminal is attached, or show them again."""
        self._multiplexer.lend(stream, lent=lent)


class Terminals:
    """One AttachedTerminal for each instance with a terminal, by the key of the instance."""

    def __init__(self, host: SessionHost) -> None:
        self._host = host
        self._by_name: dict[str, AttachedTerminal] = {}

    def __getitem__(self, name: str) -> AttachedTerminal:
        if name not in self._by_name:
            from orchestrator.supervisor.attach.session import (
                AttachedTerminal,  # 15 ms, which must not delay the first fork
            )

            self._by_name[name] = AttachedTerminal(name, self._host)
        return self._by_name[name]

    def waiting(self, name: str) -> str:
        """The prompt at which this instance waits for input; empty if it does not wait."""
        terminal = self._by_name.get(name)
        return terminal.waiting if terminal else ""

    def is_full_screen(self, name: str) -> bool:
        """Whether a full-screen program has the terminal of this instance."""
        terminal = self._by_name.get(name)
        return terminal is not None and terminal.is_full_screen

    def full_screen_modes(self) -> dict[str, str]:
        """Return the sequences that set the modes of each full-screen program, by the key of its instance."""
        found = {key: one.modes_set for key, one in self._by_name.items() if one.is_full_screen}
        return {key: modes.decode("latin-1") for key, modes in found.items()}

    def rename(self, instance: Instance) -> None:
        """Call its terminal by the new name of the instance."""
        if terminal := self._by_name.get(instance.key):
            terminal.name = instance.name

    def opened(self, instance: Instance, stream: Stream) -> None:
        """Open the terminal of a new run, before its output is read."""
        if instance.spec.tty:
            self[instance.key].open(instance, stream, lambda: (m.pid for m in tree.descendants(instance.guardian_pid)))

    def closed(self, instance: Instance) -> None:
        """Close the terminal of a run whose output has been read to its end."""
        if terminal := self._by_name.get(instance.key):
            after = instance.exit.after if instance.exit is not None else ""
            terminal.close(f"{instance.name} {instance.end_as_clause}{after}")

    def changed(self, instance: Instance, _: State) -> None:
        """End attach sessions once an instance is at rest and is not restarted immediately."""
        if instance.state is State.BACKOFF and instance.key in self._by_name:
            self._by_name[instance.key].pause(instance.pause)
        if instance.state in AT_REST and instance.key in self._by_name:
            self._host.loop.call_in(0.0, lambda: self._send_home(instance))

    def _send_home(self, instance: Instance) -> None:
        if instance.state in AT_REST:
            why = f"{instance.name} {instance.end_in_words}"
            self[instance.key].end(model_errors.as_code(instance.status or 0), why)
