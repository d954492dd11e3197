"""The frames of the view: when one is drawn, and where its parts are on the screen.

Frames are drawn at least FRAME seconds apart, only as fast as the terminal accepts them, and for at most 5 % of a
processor, or 20 % while more output waits than one frame emulates. The answer to a key is drawn immediately.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.runtime.loop import Timer
from orchestrator.terminal.width import width
from orchestrator.ui.status_line import LIST_KEYS, PANE_KEYS
from orchestrator.ui.styled_text import BOLD, CYAN, DIM, RED, YELLOW, Row, cut, padded, width_of

if TYPE_CHECKING:
    from orchestrator.ui.display import Parts
    from orchestrator.ui.view import View

FRAME = 1 / 30  # seconds between two frames, except those that answer a key
PAUSE = 19  # times the duration of such a frame, until the next one: at most 5 % of a processor
PAUSE_BEHIND = 4  # … while output waits that cannot be skipped: at most 20 %
LIST_WIDTH = 36  # columns of the list beside the name
COLUMNS_MIN, ROWS_MIN = 40, 10
BOTH_MIN = 80  # columns from which on list and pane are side by side
LIST_MIN, LIST_MAX = 30, 58
PANE_ENOUGH = 56  # columns of the pane beyond which the list gets all columns that it needs


@dataclass(frozen=True, slots=True)
class Layout:
    """`list_columns` is 0 if the list is not shown, `pane_columns` 0 if the pane is not. `top` is the first row of
    both, `height` how many they have."""

    rows: int
    columns: int
    top: int
    height: int
    list_columns: int
    pane_column: int
    pane_columns: int

    @property
    def is_too_small(self) -> bool:
        """Whether the screen is too small for the view."""
        return self.columns < COLUMNS_MIN or self.rows < ROWS_MIN


def layout_of(rows: int, columns: int, wanted: int, *, zoom: bool, shows_pane: bool) -> Layout:
    """Return the layout of a screen. `wanted` is the number of columns that the whole list needs; `shows_pane` says
    whether a narrow screen shows the pane instead of the list."""
    if zoom:
        return Layout(rows, columns, 0, rows - 1, 0, 0, columns)
    if columns < BOTH_MIN:
        if shows_pane:
            return Layout(rows, columns, 1, rows - 2, 0, 0, columns)
        return Layout(rows, columns, 1, rows - 2, columns, 0, 0)
    list_columns = max(LIST_MIN, min(LIST_MAX, wanted, max(columns * 2 // 5, columns - 1 - PANE_ENOUGH)))
    return Layout(rows, columns, 1, rows - 2, list_columns, list_columns + 1, columns - list_columns - 1)


class Drawing:
    """Draws the frames of one view. `shows_content` says whether the pane is drawn too."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.shows_content = False  # only after the list is drawn: its imports take as long again
        self._dirty = False
        self._is_urgent = False
        self._next_frame = 0.0
        self._frame_timer: Timer | None = None
        self._layout = layout_of(24, 80, LIST_WIDTH, zoom=False, shows_pane=False)

    def changed(self, *, urgent: bool = False) -> None:
        """Have a frame drawn; immediately if `urgent`, as in answer to a key."""
        self._dirty = True
        self._is_urgent |= urgent

    def draw_if_due(self) -> None:
        """Draw a frame if one is due and the terminal accepts it; otherwise have it drawn later."""
        view = self._view
        if not self._dirty or not view.display.entered or not view.display.is_ready:
            return
        if self._is_urgent or view.loop.now() >= self._next_frame:
            self._draw_now()
        if self._dirty and self._frame_timer is None:  # not due yet, or a frame that has left output to emulate
            self._frame_timer = view.loop.call_at(self._next_frame, self._frame_is_due)

    def _frame_is_due(self) -> None:
        self._frame_timer = None

    def _draw_now(self) -> None:
        view = self._view
        began = view.loop.now()
        self._dirty = self._is_urgent = False
        self._draw()
        if not self.shows_content and view.list.selected:
            self.shows_content = True
            view.content.select_changed()
            view.sampler.wake()
        took = view.loop.now() - began
        pause = PAUSE_BEHIND if view.content.is_behind else PAUSE
        self._next_frame = began + took + max(FRAME, pause * took)

    @property
    def layout(self) -> Layout:
        """The layout of the screen at its current size."""
        view = self._view
        rows, columns = view.display.size
        wanted = LIST_WIDTH + max(map(width, view.list.order), default=8)
        shows_pane = view.focus_on_pane or view.content.shows_text
        return layout_of(rows, columns, wanted, zoom=view.zoom, shows_pane=shows_pane)

    @property
    def last_height(self) -> int:
        """The rows of list and pane in the last frame."""
        return self._layout.height

    def _draw(self) -> None:
        view = self._view
        self._layout = layout = self.layout
        if layout.is_too_small:
            text = f"too small: {layout.columns}x{layout.rows}, needs {COLUMNS_MIN}x{ROWS_MIN}"
            blank: list[Parts] = [{0: padded([], layout.columns)} for _ in range(layout.rows - 1)]
            view.display.draw([{0: padded([(text, b"")], layout.columns)}, *blank][: layout.rows], None)
            return
        view.list.samples = view.sampler.samples
        rows: list[dict[int, Row]] = [{} for _ in range(layout.rows)]
        pane, cursor = view.content.draw(layout.pane_columns, layout.height)
        if layout.list_columns:
            focused = not view.focus_on_pane
            for index, row in enumerate(view.list.draw(layout.list_columns, layout.height, is_focused=focused)):
                rows[layout.top + index][0] = row
        if layout.pane_columns:
            for index, row in enumerate(pane):
                rows[layout.top + index][layout.pane_column] = row
        if layout.list_columns and layout.pane_columns:
            style = CYAN if view.focus_on_pane else DIM
            for index in range(layout.top, layout.top + layout.height):
                rows[index][layout.list_columns] = [("│", style)]
        if not view.zoom:
            self._draw_heads(rows[0], layout)
        keys = PANE_KEYS if view.focus_on_pane else LIST_KEYS
        waiting = tuple(view.list.waiting)
        rows[-1][0] = view.status.draw(layout.columns, keys=keys, waiting=waiting)
        place = None
        if cursor is not None and layout.pane_columns:
            place = (layout.top + cursor[0], layout.pane_column + cursor[1])
        view.display.draw(list(rows), place)

    def _draw_heads(self, row: dict[int, Row], layout: Layout) -> None:
        if layout.list_columns:
            columns = layout.list_columns + bool(layout.pane_columns)
            row[0] = padded(self._system_title(columns - bool(layout.pane_columns)), columns)
        if layout.pane_columns:
            row[layout.pane_column] = padded(cut(self._view.content.title(), layout.pane_columns), layout.pane_columns)

    def _system_title(self, columns: int) -> Row:
        system = self._view.link.system
        if system is None:
            return [(" orchestrate", BOLD), ("  connecting …", DIM)]
        title = system["title"] or "orchestrate"
        ready, count, state = system["ready"], system["components"], system["state"]
        style = RED if state in ("failed", "stuck") else b"" if ready == count else YELLOW
        rest: Row = [(f"  {ready}/{count} ready", style)]
        if self._view.link.is_suspended:
            rest = [("  suspended", RED)]
        elif state in ("starting", "stopping", "restarting", "failed", "stuck"):
            rest.append((f"  {state}", style))
        return [*cut([(f" {title}", BOLD)], columns - width_of(rest)), *rest]
