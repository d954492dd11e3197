"""The link to the guardian of one run: messages in both directions, and its exit last.

A closed channel is not the guardian's exit: the fork of another guardian may hold the other side open, or the process
still lives. It has exited when the kernel says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from orchestrator.model.messages import Down, Execute, Started, Stop, Up
from orchestrator.process.channel import ChannelClosed
from orchestrator.process.fork import ForkedProcess
from orchestrator.runtime.loop import READ, Loop


class GuardianLink:
    """`heard` is called with each message and the descriptors that came with it, which it then owns; `closed` when the
    channel is closed; `ended` once, when the guardian has ended and all its messages were handled."""

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
        self._last_sent: Down | None = None
        self._is_unread = False
        loop.add(guardian.channel.fileno(), READ, lambda _: self._on_readable())

    @property
    def pid(self) -> int:
        """The pid of the guardian; 0 until it is forked."""
        return self._guardian.pid

    @property
    def has_lost_stop(self) -> bool:
        """Whether the last message was Stop, and the guardian was gone before it read that."""
        return self._is_unread and isinstance(self._last_sent, Stop)

    def send(self, message: Down, *, children: bool) -> None:
        """Send a message, and wake the guardian, and its `children`, if they are suspended (`ForkedProcess.wake`)."""
        self._last_sent = message
        if not self._open:
            self._is_unread = True
            return
        try:
            self._guardian.channel.send(message)
            self._guardian.wake(children=children)
        except ChannelClosed:
            self._is_unread = True  # it ends; `ended` follows

    def ask(self, command: Execute) -> None:
        """Have a command run in its tree."""
        self._last_sent = command
        if self._open:
            with contextlib.suppress(ChannelClosed):
                self._guardian.channel.send(command)

    def see(self) -> None:
        """See whether the guardian, whose channel is closed, has ended: the next fork may have waited for it."""
        if not self._open and not self._over and self._guardian.has_ended:
            self.end()

    def end(self) -> None:
        """The guardian has ended: handle its last messages, and reap it."""
        while self._open:
            self._receive()
        self._guardian.reap()
        self._over = True
        self._ended()

    def close(self) -> None:
        """Close the channel, and read no more messages."""
        if self._open:
            self._open = False
            self._loop.remove(self._guardian.channel.fileno())
            self._guardian.channel.close()
            self._closed()

    def _on_readable(self) -> None:
        self._receive()
        if not self._open:
            self.see()

    def _receive(self) -> None:
        try:
            message = self._guardian.channel.receive()
            fds = self._fds_of(message) if isinstance(message, Started) else ()
        except ChannelClosed as closed:
            self._is_unread = self._is_unread or closed.is_unread
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
