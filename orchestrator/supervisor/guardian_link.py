"""The contact to the guardian of one incarnation: what is said to it, what it says in its order, and its end last.

A channel that is closed is no end yet: the fork of another guardian may hold its other side open, or the process still
lives. It has ended when the kernel says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from orchestrator.model.messages import Down, Run, Started, Up
from orchestrator.process.channel import ChannelClosed
from orchestrator.process.fork import ForkedProcess
from orchestrator.runtime.loop import READ, Loop


class GuardianLink:
    """`heard` is told each message, with the descriptors that follow it, which are then its own; `closed` that the
    channel is closed; `ended` once that the guardian has ended, after everything it said."""

    def __init__(
        self,
        guardian: ForkedProcess[Down, Up],
        loop: Loop,
        heard: Callable[[Up, tuple[int, ...]], None],
        ended: Callable[[], None],
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._guardian = guardian
        self._loop = loop
        self._heard = heard
        self._ended = ended
        self._closed = closed
        self._open = True
        self._over = False
        loop.add(guardian.channel.fileno(), READ, lambda _: self._on_readable())

    @property
    def pid(self) -> int:
        """The guardian's; 0 until it is forked."""
        return self._guardian.pid

    def send(self, message: Down, *, children: bool) -> None:
        """Say something that it has to hear also where somebody has stopped it, and its `children` (`Forked.wake`)."""
        if self._open:
            try:
                self._guardian.channel.send(message)
                self._guardian.wake(children=children)
            except ChannelClosed:
                pass  # it ends; `ended` follows

    def ask(self, command: Run) -> None:
        """Have a command run in its tree."""
        if self._open:
            with contextlib.suppress(ChannelClosed):
                self._guardian.channel.send(command)

    def see(self) -> None:
        """See whether the guardian, whose channel is closed, has ended: the next fork may have waited for it."""
        if not self._open and not self._over and self._guardian.has_ended:
            self.end()

    def end(self) -> None:
        """The guardian's process has ended: hear what it still said."""
        while self._open:
            self._receive()
        self._guardian.reap()
        self._over = True
        self._ended()

    def close(self) -> None:
        """Hear no more of it."""
        if self._open:
            self._open = False
            self._loop.remove(self._guardian.channel.fileno())
            self._guardian.channel.close()
            self._closed()

    def _on_readable(self) -> None:
        self._receive()
        self.see()

    def _receive(self) -> None:
        try:
            message = self._guardian.channel.receive()
            fds = self._fds_of(message) if isinstance(message, Started) else ()
        except ChannelClosed:
            self.close()
            return
        self._heard(message, fds)

    def _fds_of(self, started: Started) -> tuple[int, ...]:
        output_fd = self._guardian.channel.receive_fd()
        if not started.errors_apart:
            return (output_fd,)
        try:
            return output_fd, self._guardian.channel.receive_fd()
        except ChannelClosed:
            os.close(output_fd)
            raise
