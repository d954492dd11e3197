"""The keys of the merged stream, and the row below it that shows them with the state of each instance.

The row is redrawn only after a change or a key; no timer runs while nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from orchestrator.output.status_row import Item, status_row
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.terminal.key_encoding import Key
from orchestrator.terminal.width import width

ENTER = frozenset(b"\r\n")
ESCAPES = frozenset(b"\x1b\x7f\x08")  # Escape and backspace
HINT_EVERY = 60.0  # seconds
TOGETHER = 0.05  # seconds for which changes are collected
MORE = "r restart … · ? keys"
VIEW = "u view"
HELP = "{view}r NAME restart · Enter blank line · Ctrl-C stop · Ctrl-Z suspend"
PROMPT = "restart which component? type the beginning of its name; Esc cancels"
TYPE = "type the beginning of a name · Esc cancels"


class System(Protocol):
    """The system that keys act on."""

    def blank(self) -> None:
        """Show a blank line."""

    def note(self, text: str) -> None:
        """Show a line on this screen only."""

    def typed_to(self) -> str:
        """Return the component that can be attached to; empty for none."""

    def names(self) -> list[str]:
        """Return the present instances."""

    def items(self) -> Iterable[Item]:
        """Return the row's entries for them."""

    def restart_by_key(self, name: str) -> None:
        """Restart an instance and report it."""

    def open_view(self) -> None:
        """Open the full-screen view."""


class StreamKeys:
    """Acts on `system`. `draw` shows the row, and returns whether there is one; `columns` returns the width of the
    terminal. `has_view` says whether a view can be opened."""

    def __init__(
        self, loop: Loop, system: System, draw: Callable[[bytes], bool], columns: Callable[[], int], *, colors: bool
    ) -> None:
        self.has_view = False
        self._loop = loop
        self._system = system
        self._draw = draw
        self._columns = columns
        self._colors = colors
        self._told_at = -HINT_EVERY
        self._typed: str | None = None  # the beginning of a name, after `r`
        self._begun = b""  # the first bytes of a character
        self._note = ""  # the result of the last key, until the next one
        self._timer: Timer | None = None
        self._closed = False

    def press(self, key: Key, *, is_pasted: bool = False) -> None:
        """Act on one key. Ignore pasted text, because it was meant for a component."""
        text = self._text_of(key)
        if self._begun:
            return
        self._note = ""
        if self._typed is not None and not is_pasted:
            self._type(key, text)
        elif key.byte in ENTER:
            self._system.blank()
        elif is_pasted:
            self._hint()
        elif text == "u" and self.has_view:
            self._system.open_view()
        elif text == "r":
            self._typed = ""
            if not self._show():
                self._system.note(PROMPT)
        elif text == "?":
            self._system.note(HELP.format(view="u view · " if self.has_view else ""))
        else:
            self._hint()
        self._show()

    def _text_of(self, key: Key) -> str:
        """Return the character that a key completes; empty for another key, and for bytes that are none yet."""
        if key.byte is None or key.byte < 0x80:
            self._begun = b""
            return chr(key.byte) if key.byte is not None and 32 < key.byte < 127 else ""
        begun, self._begun = self._begun + bytes([key.byte]), b""
        try:
            return begun.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                self._begun = begun
            return ""

    def _hint(self) -> None:
        """Show the keys, at most once a minute."""
        if self._loop.now() >= self._told_at + HINT_EVERY:
            self._told_at = self._loop.now()
            name = self._system.typed_to()
            view = "u view, " if self.has_view else ""
            attach = f"; orchestrate attach {name}" if name else ""
            self._system.note(f"keys do not reach components here ({view}r restart, ? keys){attach}")

    def changed(self) -> None:
        """Redraw, because an instance's state or the terminal's size has changed."""
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_in(TOGETHER, self._show_changed)

    def open(self) -> None:
        """Show the row again after `close`."""
        self._closed = False

    def close(self) -> None:
        """Remove the row."""
        self._closed = True
        self._draw(b"")

    def _type(self, key: Key, text: str) -> None:
        assert self._typed is not None
        names = self._system.names()
        if key.byte in ENTER and self._typed in names:
            self._restart(self._typed)
        elif text:
            self._typed += text
            found = [name for name in names if name.startswith(self._typed)]
            if len(found) == 1:
                self._restart(found[0])
            elif not found:
                self._end(f"no component begins with {self._typed!r}")
        elif key.byte in ESCAPES or key.byte in ENTER:
            self._end("")

    def _restart(self, name: str) -> None:
        self._typed = None
        self._system.restart_by_key(name)

    def _end(self, note: str) -> None:
        self._typed = None
        self._note = note
        if note and not self._show():
            self._system.note(note)

    def _show_changed(self) -> None:
        self._timer = None
        self._show()

    def _show(self) -> bool:
        if self._closed:
            return False
        columns = self._columns() - 1
        if self._typed is not None:
            names = [name for name in self._system.names() if name.startswith(self._typed)]
            which = f" ({', '.join(names)})" if self._typed else ""
            return self._draw(
                status_row((), _cut(f"restart: {self._typed}_{which} · {TYPE}", columns), columns, colors=self._colors)
            )
        keys = self._note or (f"{VIEW} · {MORE}" if self.has_view else MORE)
        return self._draw(status_row(self._system.items(), keys, columns, colors=self._colors))


def _cut(text: str, columns: int) -> str:
    if width(text) <= columns:
        return text
    text = text[: max(0, columns - 1)]
    while width(text) >= columns > 0:
        text = text[:-1]
    return text + "…"
