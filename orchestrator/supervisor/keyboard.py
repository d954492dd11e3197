"""The keys that a user types at the terminal of `up`.

Nothing that is typed there is echoed, and none of it reaches the user's shell: a component may have asked for a
password. Keys reach no component here (that is what `attach` is for); who owns a Keyboard decides what they do.

The terminal is ours only while our process group is in front. A shell sends SIGCONT if it puts a job in front that was
stopped, and nothing if the job was running (`up &`, then `fg`). So input is watched in the background too, by edges,
and not read there: the first line that is typed after that `fg` makes the terminal ours.
"""

from __future__ import annotations

import os
import termios
from collections.abc import Callable

from orchestrator.process import procfs
from orchestrator.runtime.loop import EdgeWatch, Loop
from orchestrator.runtime.raw_mode import KeysFd, QuietTerminal
from orchestrator.terminal.key_encoding import Key, KeyEvent, begun_at, split_keys

ENTER = frozenset(b"\r\n")
HINT_EVERY = 60.0  # seconds


class Keyboard:
    """Reads the keys of the terminal `fd`, from its creation to `close`, and calls `on_key` for each of them. Answers
    and reports of the terminal, and releases of keys, are dropped."""

    def __init__(self, loop: Loop, fd: int, on_key: Callable[[Key], None]) -> None:
        """Raise OSError if the terminal cannot be read without waiting."""
        try:
            self._terminal = QuietTerminal(fd)
        except termios.error as error:
            raise OSError(*error.args) from None
        self._on_key = on_key
        self._begun = b""
        self._session, self._group = os.getsid(0), os.getpgrp()
        self._keys = KeysFd(fd)
        self._watch = EdgeWatch(loop)
        self._terminal.enter()
        if not self._watch.add(self._keys.fd, self._on_input):
            self.close()
            raise OSError("no epoll")

    def suspend(self) -> None:
        """Give the terminal back: this process is about to stop."""
        self._terminal.leave()

    def resume(self) -> None:
        """Take the terminal again, if this process is in front now."""
        self._terminal.enter()

    def close(self) -> None:
        """Give the terminal back, and read no more."""
        self._watch.remove(self._keys.fd)
        self._keys.close()
        self._terminal.leave()

    def rescue(self) -> None:
        """Give the terminal back in a guardian: we were killed. Does nothing if another job is in front."""
        leader = procfs.stat_fields(self._session)
        if not leader or int(leader[5]) in (self._group, int(leader[2])):
            self._terminal.rescue()

    def _on_input(self) -> None:
        """Read to the end: an edge comes once."""
        if not self._terminal.enter():
            return
        try:
            while data := self._keys.read():
                self._take(data)
        except OSError:  # hung up
            self._watch.remove(self._keys.fd)

    def _take(self, data: bytes) -> None:
        data = self._begun + data
        end = begun_at(data) if data != b"\x1b" else len(data)  # the key Escape alone begins nothing
        self._begun = data[end:]
        for key in split_keys(data[:end]):
            if key.event in (KeyEvent.PRESS, KeyEvent.REPEAT):
                self._on_key(key)


class StreamKeys:
    """What keys do under the merged stream: Enter adds a blank line, and others do nothing but bring a hint, once a
    minute at most. `whom` returns the name of a component that could be typed to, or nothing."""

    def __init__(
        self, now: Callable[[], float], blank: Callable[[], None], tell: Callable[[str], None], whom: Callable[[], str]
    ) -> None:
        self._now = now
        self._blank = blank
        self._tell = tell
        self._whom = whom
        self._told_at = -HINT_EVERY

    def press(self, key: Key) -> None:
        """Act on one key."""
        if key.byte in ENTER:
            self._blank()
        elif self._now() >= self._told_at + HINT_EVERY:
            self._told_at = self._now()
            name = self._whom()
            self._tell("keys do not reach components here" + (f"; orchestrate attach {name}" if name else ""))
