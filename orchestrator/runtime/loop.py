"""The only place that waits: one selector, one heap of deadlines.

It knows nothing of processes or output. Callbacks are called with the mask of ready events; a callback may remove
any descriptor, also one whose event is still to be delivered in the same turn.

Kernel facts: epoll(7) refuses regular files (EPERM), so those are never given to the loop: they are always writable.

`EdgeWatch` watches descriptors that are hung up for now: it waits for the next event on one, not for its state.

Fact: epoll(7) reports EPOLLHUP on a pty master for as long as no process has the slave open, requested or not. Only
edge-triggered, it reports it once, and again when something is written.
"""

from __future__ import annotations

import heapq
import itertools
import select
import selectors
import time
from collections.abc import Callable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

Callback = Callable[[int], None]


class Timer:
    """A deadline in monotonic seconds; `cancel` makes it never fire."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the callback. The heap drops the entry when its time comes."""
        self.callback = None


class Loop:
    """Waits on descriptors and deadlines and calls back; `turn` is one wait."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._after_turn: list[Callable[[], None]] = []

    def add(self, fd: int, events: int, callback: Callback) -> None:
        """Watch `fd` for READ, WRITE or both. The caller keeps owning it."""
        self._keys[fd] = self._selector.register(fd, events, callback)

    def change(self, fd: int, events: int) -> None:
        """Watch `fd`, which is watched already, for other events."""
        key = self._keys[fd]
        if key.events != events:
            self._keys[fd] = self._selector.modify(fd, events, key.data)

    def remove(self, fd: int) -> None:
        """Stop watching `fd`; unknown ones are ignored, so that owners can close in any order."""
        if self._keys.pop(fd, None) is not None:
            self._selector.unregister(fd)

    @staticmethod
    def now() -> float:
        """The clock of all deadlines: monotonic seconds."""
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back once at monotonic time `when`."""
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._count), timer))
        return timer

    def call_in(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once in `seconds`."""
        return self.call_at(time.monotonic() + seconds, callback)

    def after_each_turn(self, callback: Callable[[], None]) -> None:
        """Call back at the end of every turn, where all output of the turn is written at once."""
        self._after_turn.append(callback)

    def turn(self) -> None:
        """Wait for one descriptor or deadline, then call back all that are due."""
        for key, mask in self._selector.select(self._timeout()):
            if self._keys.get(key.fd) is key:
                key.data(mask)
        self._fire()
        for callback in self._after_turn:
            callback()

    def close(self) -> None:
        """Close the selector's own descriptor."""
        self._selector.close()

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _fire(self) -> None:
        if not self._timers:
            return
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if (callback := timer.callback) is not None:
                timer.callback = None
                callback()


class EdgeWatch:
    """Calls back for each event on a descriptor; once right after `add` too."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}
        if hasattr(select, "epoll"):
            self._epoll = select.epoll()  # created now, because later there may be no descriptor left
            loop.add(self._epoll.fileno(), READ, lambda _: self._on_events())

    def add(self, fd: int, callback: Callable[[], None]) -> bool:
        """Watch `fd`; return False if the system does not support it."""
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

    def close(self) -> None:
        """Stop watching all of them."""
        self._callbacks.clear()
        if self._epoll is not None:
            self._loop.remove(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _on_events(self) -> None:
        if self._epoll is not None:
            for fd, _ in self._epoll.poll(0):
                if callback := self._callbacks.get(fd):
                    callback()


class PriorityWatch:
    """Calls back on an exceptional condition of `fd` (EPOLLPRI), such as memory pressure.

    Fact: a selector does not support EPOLLPRI, so a second epoll is placed in between. A pressure trigger forgets its
    event as soon as anything polls it (psi_trigger_poll). So the inner epoll being readable counts, not its events.
    """

    def __init__(self, loop: Loop, fd: int, callback: Callable[[], None]) -> None:
        """Raises OSError if the system does not support it."""
        if not hasattr(select, "epoll"):
            raise OSError("this system has no epoll")
        self._loop = loop
        self._epoll = select.epoll()
        try:
            self._epoll.register(fd, select.EPOLLPRI)
        except OSError:
            self._epoll.close()
            raise
        self._callback = callback
        loop.add(self._epoll.fileno(), READ, lambda _: self._on_event())

    def _on_event(self) -> None:
        self._epoll.poll(0)
        self._callback()

    def close(self) -> None:
        """Watch no more; the owner of the descriptor closes it."""
        self._loop.remove(self._epoll.fileno())
        self._epoll.close()
