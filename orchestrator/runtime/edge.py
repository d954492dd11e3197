"""Descriptors that are hung up for now: waits for the next thing to happen on one, not for the state it is in.

Fact: epoll(7) reports EPOLLHUP on a pty master for as long as no process has the slave open, asked or not; only
edge-triggered does it tell of it once, and again when something is written.
"""

from __future__ import annotations

import select
from collections.abc import Callable

from orchestrator.runtime.loop import READ, Loop


class EdgeWatch:
    """Calls back for each event on a descriptor; once right after `add` too."""

    def __init__(self, loop: Loop) -> None:
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}
        if hasattr(select, "epoll"):
            self._epoll = select.epoll()  # now: when it is needed there may be no descriptor left
            loop.add(self._epoll.fileno(), READ, lambda _: self._on_events())

    def add(self, fd: int, callback: Callable[[], None]) -> bool:
        """Watch `fd`; False where the system has no such thing."""
        if self._epoll is None:
            return False
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._callbacks[fd] = callback
        return True

    def remove(self, fd: int) -> None:
        """Stop watching `fd`."""
        if self._epoll is not None and fd in self._callbacks:
            del self._callbacks[fd]
            self._epoll.unregister(fd)

    def _on_events(self) -> None:
        if self._epoll is not None:
            for fd, _ in self._epoll.poll(0):
                if callback := self._callbacks.get(fd):
                    callback()
