"""The parts of a stream that are not whole lines yet: the unfinished line, and rows that a component keeps redrawing.

Both are shown when they have been unchanged for a moment, and not more often than a reader can follow.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.output.screen import MergedScreen
from orchestrator.output.stream import Stream
from orchestrator.runtime.loop import Loop
from orchestrator.terminal.row import rewrites

UNFINISHED_AFTER = 0.1  # seconds until an unfinished line is shown
REDRAW_AFTER = 1.0  # seconds between two shown states of a row that is rewritten
UNFINISHED_MAX = 8192  # bytes of an unfinished line that are examined


class UnfinishedLines:
    """The timers of all streams' unfinished lines and rows; `show` shows whole lines of one."""

    def __init__(self, loop: Loop, screen: MergedScreen, show: Callable[[Stream, bytes], None]) -> None:
        self._loop = loop
        self._screen = screen
        self._show = show

    def follow(self, stream: Stream, *, began: bool) -> None:
        """Take note of a stream's output; `began` says that its unfinished line is a new one."""
        if stream.unfinished_watcher is not None or stream.unfinished.standing_timer is not None:
            self._await_standstill(stream)
        if self._screen.shows_unfinished and stream.shown and not stream.lent:
            self._follow_line(stream, began)
        splitter = stream.splitter
        if splitter.has_changes:
            self._follow_rows(stream)
        if splitter.holds and stream.unfinished.held_timer is None:
            stream.unfinished.held_timer = self._loop.call_in(UNFINISHED_AFTER, lambda: self._show_held(stream))

    def let_in(self, stream: Stream) -> None:
        """Show its unfinished line again, which was held back."""
        if self._screen.shows_unfinished and stream.shown:
            self._follow_line(stream, began=True)

    def hide(self, stream: Stream) -> None:
        """Take its unfinished line off the screen."""
        if stream.unfinished.timer is not None:
            stream.unfinished.timer.cancel()
            stream.unfinished.timer = None
        stream.unfinished.since = 0.0
        self._screen.set_unfinished(stream, b"")

    def close(self, stream: Stream) -> None:
        """Forget everything about a stream."""
        for timer in (stream.unfinished.standing_timer, stream.unfinished.rows_timer, stream.unfinished.held_timer):
            if timer is not None:
                timer.cancel()
        self.hide(stream)

    # The unfinished line

    def _await_standstill(self, stream: Stream) -> None:
        """Pass the unfinished line to `unfinished_watcher` once it has been unchanged for a while."""
        if stream.unfinished.standing_timer is not None:
            stream.unfinished.standing_timer.cancel()
        stream.unfinished.standing_timer = None
        if stream.unfinished_watcher is not None and stream.splitter.has_pending:
            stream.unfinished.standing_timer = self._loop.call_in(UNFINISHED_AFTER, lambda: self._show_standing(stream))

    def _show_standing(self, stream: Stream) -> None:
        stream.unfinished.standing_timer = None
        if stream.unfinished_watcher is not None and stream.splitter.has_pending:
            stream.unfinished_watcher(stream.splitter.pending[-UNFINISHED_MAX:])

    def _follow_line(self, stream: Stream, began: bool) -> None:
        now = self._loop.now()
        if began or not stream.unfinished.since:
            stream.unfinished.since = now
            stream.unfinished.drawn_at = 0.0
            self._screen.set_unfinished(stream, b"")
        if not stream.splitter.has_pending:
            self.hide(stream)
        elif stream.unfinished.timer is None:
            self._arm_line(stream, max(stream.unfinished.since, stream.unfinished.drawn_at) + UNFINISHED_AFTER)

    def _arm_line(self, stream: Stream, when: float) -> None:
        stream.unfinished.timer = self._loop.call_at(when, lambda: self._draw_line(stream))

    def _draw_line(self, stream: Stream) -> None:
        stream.unfinished.timer = None
        if not stream.splitter.has_pending or not stream.visible:
            self._screen.set_unfinished(stream, b"")
            return
        splitter = stream.splitter
        rewritten = rewrites(splitter.pending.rstrip(b"\r"))
        wait = REDRAW_AFTER if rewritten else UNFINISHED_AFTER
        due = max(
            stream.unfinished.since + UNFINISHED_AFTER,
            stream.unfinished.drawn_at + wait if stream.unfinished.drawn_at else 0.0,
        )
        now = self._loop.now()
        if now < due:
            self._arm_line(stream, due)
            return
        stream.unfinished.drawn_at = now
        if rewritten:
            splitter.compact()
        self._screen.set_unfinished(stream, stream.painter.paint_tail(splitter.pending[:UNFINISHED_MAX]))

    # Rows that are redrawn, or held

    def _show_held(self, stream: Stream) -> None:
        """Show output that was held back until more arrives: blank rows, and text drawn after a motion."""
        stream.unfinished.held_timer = None
        if whole := stream.splitter.settle(stream.recent):
            self._show(stream, whole)
        self.follow(stream, began=bool(whole))

    def _follow_rows(self, stream: Stream) -> None:
        stream.unfinished.touched_at = self._loop.now()
        if stream.unfinished.rows_timer is None:
            stream.unfinished.rows_timer = self._loop.call_in(UNFINISHED_AFTER, lambda: self._show_rows(stream))

    def _show_rows(self, stream: Stream) -> None:
        """Show them at most once a second; on a file or pipe, only after they have been unchanged for a second."""
        stream.unfinished.rows_timer = None
        if not stream.splitter.has_changes:
            return
        now = self._loop.now()
        last = stream.unfinished.released_at if self._screen.shows_unfinished else stream.unfinished.touched_at
        if now < last + REDRAW_AFTER:
            stream.unfinished.rows_timer = self._loop.call_at(last + REDRAW_AFTER, lambda: self._show_rows(stream))
            return
        stream.unfinished.released_at = now
        if rows := stream.splitter.release():
            self._show(stream, rows)
