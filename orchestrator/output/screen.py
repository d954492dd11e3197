"""The merged stream on the console: whole lines, and below them at most one unfinished line.

The unfinished line (a prompt, a progress bar) stands last, cut to the width. Another component's line erases it,
prints, and it is drawn again below; of several the newest is shown. Only a terminal has one: into a file or a pipe a
line waits for its end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from orchestrator.output.backlog import Flow
from orchestrator.output.console import Console, OutputKind
from orchestrator.output.last_row import LastRow


class MergedScreen:
    """Collects what a turn of the loop shows; at its end everything leaves in one write.

    `cut` shortens shown bytes to a number of columns; None if the terminal cannot erase, and so shows no tails.
    `reflows` is LastRow's.
    """

    def __init__(self, console: Console, cut: Callable[[bytes, int], bytes] | None, *, reflows: bool = True) -> None:
        self.console = console
        is_terminal = console.kind is OutputKind.TERMINAL
        self._row = LastRow(cut, console.size, reflows=reflows) if is_terminal and cut is not None else None
        self.shows_tails = self._row is not None
        self._tails: dict[Hashable, bytes] = {}
        self.written = 0

    def show(self, shown: bytes, flow: Flow | None = None, *, may_skip: bool = True) -> bool:
        """Show whole lines, of a component with its `flow`; False where they are skipped. `written` counts the bytes of
        those that are not."""
        if self._row is not None and self._row.is_drawn:
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
        if self._row is not None and self._row.is_drawn and (before is not None or shown):
            self._erase()

    def begin_row(self) -> None:
        """Overwrite what the terminal itself has echoed, such as `^C`."""
        if self.shows_tails:
            self._erase()

    def resized(self) -> None:
        """The window has another size: draw the unfinished line again, for that."""
        if self._row is not None and self._row.is_drawn:
            self._erase()

    def end_turn(self) -> None:
        """Draw the newest unfinished line again, and write everything out."""
        row = self._row
        if self._tails and row is not None and not row.is_drawn and not self.console.is_blocked:
            row.is_drawn = self.console.flush(row.draw(next(reversed(self._tails.values()))))
        else:
            self.console.flush()

    def _erase(self) -> None:
        if self._row is not None:
            self.console.write(self._row.erase(), may_skip=False)
