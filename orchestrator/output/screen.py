"""The merged stream on the console: whole lines, below them at most one unfinished line, and last a status row.

The unfinished line (a prompt, a progress bar) is drawn last, cut to the width. When another component prints a line,
the unfinished line is erased and drawn again below it; of several, the newest is shown. Only a terminal shows one: in a
file or a pipe a line appears when it is complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

from orchestrator.output.backlog import Flow
from orchestrator.output.console import Console, OutputKind
from orchestrator.output.last_row import LastRow

HELD_MAX = 1 << 15  # bytes that are kept while another program has the terminal


class MergedScreen:
    """Collects the output of a turn of the loop; at its end everything is written at once.

    `cut` shortens shown bytes to a number of columns; None if the terminal cannot erase, and so shows no unfinished
    lines. `reflows` is LastRow's.
    """

    def __init__(self, console: Console, cut: Callable[[bytes, int], bytes] | None, *, reflows: bool = True) -> None:
        self.console = console
        is_terminal = console.kind is OutputKind.TERMINAL
        self._row = LastRow(cut, console.size, reflows=reflows) if is_terminal and cut is not None else None
        self.shows_unfinished = self._row is not None
        self._unfinished: dict[Hashable, bytes] = {}
        self._status = b""
        self._held: deque[bytes] | None = None  # output to show once the terminal is ours again
        self._held_size = 0
        self._dropped = 0  # lines
        self.written = 0
        self.is_in_front: Callable[[], bool] = lambda: True  # a status row is not drawn over a shell's output

    def show(self, shown: bytes, flow: Flow | None = None, *, may_skip: bool = True) -> bool:
        """Show whole lines, of a component with its `flow`; return False if they are skipped. `written` counts the
        bytes of the lines that are not."""
        if self._held is not None:
            self._hold_back(shown)
            return True
        if self._row is not None and self._row.is_drawn:
            self._erase()
        taken = self.console.write(shown, flow, may_skip=may_skip)
        if taken:
            self.written += len(shown)
        return taken

    def set_unfinished(self, owner: Hashable, shown: bytes) -> None:
        """Make this the unfinished line of `owner`; empty bytes remove it."""
        before = self._unfinished.pop(owner, None)
        if shown:
            self._unfinished[owner] = shown
        if self._row is not None and self._row.is_drawn and (before is not None or shown):
            self._erase()

    def set_status(self, shown: bytes) -> None:
        """Show this row below everything; empty bytes remove it. Without a terminal that can erase it is not shown."""
        if self._row is None or shown == self._status:
            return
        if self._row.is_drawn:
            self._erase()
        self._status = shown

    def hold(self) -> None:
        """Do not write to the terminal until `release`, because another program uses it. Keep the output, bounded."""
        if self._row is not None and self._row.is_drawn:
            self._erase()
        self.console.flush()
        self._held = deque()
        self.console.hold()

    def release(self) -> tuple[int, int, list[bytes]]:
        """Write to the terminal again. Return how many lines were held back and how many of them were dropped, and the
        lines that were not, to be shown."""
        held, self._held = list(self._held or ()), None
        self.console.release()
        kept = sum(text.count(b"\n") for text in held)
        dropped, self._dropped, self._held_size = self._dropped, 0, 0
        return kept + dropped, dropped, held

    def _hold_back(self, shown: bytes) -> None:
        assert self._held is not None
        if len(shown) > HELD_MAX:
            end = shown.rfind(b"\n", 0, len(shown) - HELD_MAX) + 1
            self._dropped += shown.count(b"\n", 0, end)
            shown = shown[end:]
        self._held.append(shown)
        self._held_size += len(shown)
        while self._held_size > HELD_MAX and len(self._held) > 1:
            oldest = self._held.popleft()
            self._held_size -= len(oldest)
            self._dropped += oldest.count(b"\n")

    def begin_row(self) -> None:
        """Overwrite what the terminal itself has echoed, such as `^C`."""
        if self.shows_unfinished:
            self._erase()

    def resized(self) -> None:
        """Redraw the unfinished line for a new size of the window."""
        if self._row is not None and self._row.is_drawn:
            self._erase()

    def end_turn(self) -> None:
        """Draw the newest unfinished line again, and write everything out."""
        row = self._row
        if row is None or row.is_drawn or self.console.is_blocked or not (self._unfinished or self._status):
            self.console.flush()
            return
        line = next(reversed(self._unfinished.values())) if self._unfinished else b""
        status = self._status if self._status and self.is_in_front() else b""
        if line or status:
            row.is_drawn = self.console.flush(row.draw(line, status))
        else:
            self.console.flush()

    def _erase(self) -> None:
        if self._row is not None:
            self.console.write(self._row.erase(), may_skip=False)
