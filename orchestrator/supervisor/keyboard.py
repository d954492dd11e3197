"""The keys that a user types at the terminal of `up`.

Nothing that is typed there is echoed, and none of it reaches the user's shell: a component may have asked for a
password. Keys reach no component here (that is what `attach` is for); the owner of a Keyboard decides what they do.

The terminal is ours only while our process group is in the foreground. A shell sends SIGCONT if it puts a suspended job
in the foreground, but no signal if the job was running (`up &`, then `fg`). So input is watched in the background too,
by edges, but not read there: the first line that is typed after that `fg` makes the terminal ours.
"""

from __future__ import annotations

import os
import termios
from typing import Protocol

from orchestrator.process import procfs
from orchestrator.runtime.loop import EdgeWatch, Loop
from orchestrator.runtime.raw_mode import KeysFd, QuietTerminal
from orchestrator.terminal.key_encoding import Key, KeyEvent, begun_at, split_keys

TYPED_MAX = 3  # keys that arrive at once; more are pasted


class OnKey(Protocol):
    """Handles keys."""

    def __call__(self, key: Key, *, is_pasted: bool) -> None:
        """Take one key; `is_pasted` says that it is part of a text that was pasted."""


class Keyboard:
    """Reads the keys of the terminal `fd`, from its creation to `close`, and calls `on_key` for each of them. Answers
    and reports of the terminal, and releases of keys, are dropped."""

    def __init__(self, loop: Loop, fd: int, on_key: OnKey) -> None:
        """Raise OSError if the terminal cannot be read without waiting."""
        try:
            self._terminal = QuietTerminal(fd)
        except termios.error as error:
            raise OSError(*error.args) from None
        self._on_key = on_key
        self._begun = b""
        self._held = False
        self._session, self._group = os.getsid(0), os.getpgrp()
        self._keys = KeysFd(fd)
        self._watch = EdgeWatch(loop)
        self._terminal.enter()
        if not self._watch.add(self._keys.fd, self._on_input):
            self.close()
            raise OSError("no epoll")

    def suspend(self) -> None:
        """Restore the terminal, because this process is about to be suspended."""
        if not self._held:
            self._terminal.leave()

    def resume(self) -> None:
        """Take the terminal again, if this process is in the foreground now."""
        if not self._held:
            self._terminal.enter()

    def hold(self) -> None:
        """Leave the keys to another process of our group, until `release`. Echo stays off: keys that are typed before
        that process has the terminal must not be echoed either."""
        self._held = True

    def release(self) -> None:
        """Take the terminal again."""
        self._held = False
        self._terminal.enter_again()
        self._on_input()  # an edge is reported once

    @property
    def is_in_front(self) -> bool:
        """Whether the terminal's keys are for us."""
        return self._terminal.is_in_front

    def close(self) -> None:
        """Restore the terminal and stop reading."""
        self._watch.close()
        self._keys.close()
        self._terminal.leave()

    def rescue(self) -> None:
        """Restore the terminal from a guardian, because we were killed. Does nothing if another job is in the
        foreground."""
        leader = procfs.stat_fields(self._session)
        if not leader or int(leader[5]) in (self._group, int(leader[2])):
            self._terminal.rescue()

    def _on_input(self) -> None:
        """Read everything, because an edge is reported once."""
        if self._held or not self._terminal.enter():
            return
        try:
            while data := self._keys.read():
                self._take(data)
        except OSError:  # hung up
            self._watch.remove(self._keys.fd)

    def _take(self, data: bytes) -> None:
        data = self._begun + data
        end = begun_at(data) if data != b"\x1b" else len(data)  # the key Escape alone does not begin a sequence
        self._begun = data[end:]
        keys = [key for key in split_keys(data[:end]) if key.event in (KeyEvent.PRESS, KeyEvent.REPEAT)]
        typed = sum(key.byte is None or not 0x80 <= key.byte < 0xC0 for key in keys)  # characters, not their bytes
        for key in keys:
            self._on_key(key, is_pasted=typed > TYPED_MAX)
