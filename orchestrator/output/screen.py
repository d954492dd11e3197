"""The merged stream on the console: whole lines, and below them at most one unfinished line.

The unfinished line (a prompt, a progress bar) stands last, cut to the width. Another component's line erases it,
prints, and it is drawn again below; of several the newest is shown. Only a terminal has one: into a file or a pipe a
line waits for its end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from orchestrator.output.backlog import Flow
from orchestrator.output.console import Console, Kind

ERASE = b"\r\x1b[K"
ROOM = 3  # columns left free at the end of an unfinished line: `^C`, which the terminal echoes, has to stand there too


class Screen:
    """Collects what a turn of the loop shows; at its end everything leaves in one write.

    `cut` shortens shown bytes to a number of columns; None where the terminal cannot erase, and so shows no tails.
    """

    def __init__(self, console: Console, cut: Callable[[bytes, int], bytes] | None) -> None:
        self.console = console
        self.shows_tails = console.kind is Kind.TERMINAL and cut is not None
        self._cut = cut
        self._tails: dict[Hashable, bytes] = {}
        self._drawn = False
        self._last_cut: tuple[bytes, int, bytes] = (b"", 0, b"")
        self.written = 0

    def show(self, shown: bytes, flow: Flow | None = None, *, may_skip: bool = True) -> bool:
        """Show whole lines, of a component with its `flow`; False where they are skipped. `written` counts the bytes of
        those that are not."""
        if self._drawn:
            self._erase()
        taken = self.console.write(shown, flow, may_skip=may_skip)
        if taken:
            self.written += len(shown)
        return taken

    def set_tail(self, owner: Hashable, shown: bytes) -> None:
        """Make this the unfinished line of `owner`; empty bytes remove it."""
        before = self._tails.pop(owner, None)
        if shown:
            self._tails[owner] = shown
        if self._drawn and (before is not None or shown):
            self._erase()

    def begin_row(self) -> None:
        """Overwrite what the terminal itself has echoed, such as `^C`."""
        if self.shows_tails:
            self._erase()

    def end_turn(self) -> None:
        """Draw the newest unfinished line again, and write everything out."""
        if self._tails and not self._drawn and self._cut is not None and not self.console.is_blocked:
            self._drawn = self.console.flush(self._cut_tail())
        else:
            self.console.flush()

    def _cut_tail(self) -> bytes:
        """Return the newest unfinished line, cut to the width; while others flood it is drawn again at every turn."""
        assert self._cut is not None
        columns = (self.console.size() or (80, 24))[0]
        tail = next(reversed(self._tails.values()))
        if self._last_cut[:2] != (tail, columns):
            self._last_cut = (tail, columns, self._cut(tail, max(1, columns - ROOM)))
        return self._last_cut[2]

    def _erase(self) -> None:
        self._drawn = False
        self.console.write(ERASE, may_skip=False)
