"""What of a stream is not a whole line yet: the unfinished line, and rows that a component draws again and again.

Both are shown when they have stood for a moment, and not more often than a reader can follow.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.output.screen import MergedScreen
from orchestrator.output.stream import Stream
from orchestrator.runtime.loop import Loop
from orchestrator.terminal.row import rewrites

TAIL_AFTER = 0.1  # seconds until an unfinished line is shown
REDRAW_AFTER = 1.0  # seconds between two states of a row that is rewritten
TAIL_MAX = 8192  # bytes of an unfinished line that are looked at


class UnfinishedLines:
    """The timers of all streams' unfinished lines and rows; `show` shows whole lines of one."""

    def __init__(self, loop: Loop, screen: MergedScreen, show: Callable[[Stream, bytes], None]) -> None:
        self._loop = loop
        self._screen = screen
        self._show = show

    def follow(self, stream: Stream, *, began: bool) -> None:
        """Take note of what a stream has printed; `began` says that its unfinished line is a new one."""
        if stream.tail_watcher is not None or stream.tail.standing_timer is not None:
            self._await_standstill(stream)
        if self._screen.shows_tails and stream.visible:
            self._follow_tail(stream, began)
        if stream.splitter.has_changes:
            self._follow_rows(stream)
        if stream.splitter.holds and stream.tail.held_timer is None:
            stream.tail.held_timer = self._loop.call_in(TAIL_AFTER, lambda: self._show_held(stream))

    def let_in(self, stream: Stream) -> None:
        """Show its unfinished line again, which was held back."""
        if self._screen.shows_tails and stream.shown:
            self._follow_tail(stream, began=True)

    def hide(self, stream: Stream) -> None:
        """Take its unfinished line off the screen."""
        if stream.tail.timer is not None:
            stream.tail.timer.cancel()
            stream.tail.timer = None
        stream.tail.since = 0.0
        self._screen.set_tail(stream, b"")

    def close(self, stream: Stream) -> None:
        """Forget all of a stream."""
        for timer in (stream.tail.standing_timer, stream.tail.rows_timer, stream.tail.held_timer):
            if timer is not None:
                timer.cancel()
        self.hide(stream)

    # The unfinished line

    def _await_standstill(self, stream: Stream) -> None:
        """Let `tail_watcher` see the unfinished line once nothing more has come for a while."""
        if stream.tail.standing_timer is not None:
            stream.tail.standing_timer.cancel()
        stream.tail.standing_timer = None
        if stream.tail_watcher is not None and stream.splitter.has_pending:
            stream.tail.standing_timer = self._loop.call_in(TAIL_AFTER, lambda: self._show_standing(stream))

    def _show_standing(self, stream: Stream) -> None:
        stream.tail.standing_timer = None
        if stream.tail_watcher is not None and stream.splitter.has_pending:
            stream.tail_watcher(stream.splitter.pending[-TAIL_MAX:])

    def _follow_tail(self, stream: Stream, began: bool) -> None:
        now = self._loop.now()
        if began or not stream.tail.since:
            stream.tail.since = now
            stream.tail.drawn_at = 0.0
            self._screen.set_tail(stream, b"")
        if not stream.splitter.has_pending:
            self.hide(stream)
        elif stream.tail.timer is None:
            self._arm_tail(stream, max(stream.tail.since, stream.tail.drawn_at) + TAIL_AFTER)

    def _arm_tail(self, stream: Stream, when: float) -> None:
        stream.tail.timer = self._loop.call_at(when, lambda: self._draw_tail(stream))

    def _draw_tail(self, stream: Stream) -> None:
        stream.tail.timer = None
        if not stream.splitter.has_pending or not stream.visible:
            self._screen.set_tail(stream, b"")
            return
        splitter = stream.splitter
        rewritten = rewrites(splitter.pending.rstrip(b"\r"))
        wait = REDRAW_AFTER if rewritten else TAIL_AFTER
        due = max(stream.tail.since + TAIL_AFTER, stream.tail.drawn_at + wait if stream.tail.drawn_at else 0.0)
        now = self._loop.now()
        if now < due:
            self._arm_tail(stream, due)
            return
        stream.tail.drawn_at = now
        if rewritten:
            splitter.compact()
        self._screen.set_tail(stream, stream.painter.paint_tail(splitter.pending[:TAIL_MAX]))

    # Rows that are redrawn, or held

    def _show_held(self, stream: Stream) -> None:
        """Show what waited for what follows: blank rows, and text drawn after a motion."""
        stream.tail.held_timer = None
        if whole := stream.splitter.settle(stream.recent):
            self._show(stream, whole)
        self.follow(stream, began=bool(whole))

    def _follow_rows(self, stream: Stream) -> None:
        stream.tail.touched_at = self._loop.now()
        if stream.tail.rows_timer is None:
            stream.tail.rows_timer = self._loop.call_in(TAIL_AFTER, lambda: self._show_rows(stream))

    def _show_rows(self, stream: Stream) -> None:
        """Show them once a second at most; where that is no terminal only when they have rested for a second."""
        stream.tail.rows_timer = None
        if not stream.splitter.has_changes:
            return
        now = self._loop.now()
        last = stream.tail.released_at if self._screen.shows_tails else stream.tail.touched_at
        if now < last + REDRAW_AFTER:
            stream.tail.rows_timer = self._loop.call_at(last + REDRAW_AFTER, lambda: self._show_rows(stream))
            return
        stream.tail.released_at = now
        if rows := stream.splitter.release():
            self._show(stream, rows)
