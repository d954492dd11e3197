"""What the pane shows: a terminal, a log, the merged stream, or a text, and when it shows something else."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from orchestrator.model.control import Frame, FrameKind
from orchestrator.runtime.loop import Timer
from orchestrator.ui.component_list import WORKING, state_in_words
from orchestrator.ui.connection import Attachment
from orchestrator.ui.styled_text import BOLD, CYAN, DIM, Row, padded

if TYPE_CHECKING:
    from orchestrator.ui.log_lines import LogLines
    from orchestrator.ui.pane import LinesPane, TerminalPane
    from orchestrator.ui.view import View

ATTACH_AFTER = 0.08  # seconds that a selection stays before its terminal is attached, if it changes quickly
LOOK_AFTER = 0.05  # seconds between two looks at logs that grow
SHARE = 9  # such a look is followed by so many times the seconds that it took
RUNNING = WORKING | {"starting", "stopping", "restarting"}


class Shown(enum.Enum):
    """What the pane shows."""

    TERMINAL = "terminal"
    LOG = "log"
    MERGED = "merged stream"
    EVENTS = "events"
    WHY = "why"
    HELP = "help"


class Content:
    """The pane of one view. `lines` is None while it shows a terminal; `instance` is the one that it was opened for."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.shown = Shown.TERMINAL
        self.instance = ""
        self.attachment: Attachment | None = None
        self.lines: LinesPane | None = None
        self.last_rows: list[Row] = []
        self._terminal: TerminalPane | None = None
        self._source: LogLines | None = None
        self._attach_timer: Timer | None = None
        self._look_timer: Timer | None = None
        self._selected_at = 0.0
        self._size = (0, 0)

    def close(self) -> None:
        """Leave what is open."""
        self.detach()
        self._close_source()
        for timer in (self._attach_timer, self._look_timer):
            if timer is not None:
                timer.cancel()

    def rows_changed(self) -> None:
        """Other instances are there, or in other states: attach to what runs now."""
        if self.shown is not Shown.TERMINAL:
            return
        if self._view.list.selected != self.instance:
            self.select_changed()
        elif self.attachment is None and self.can_attach():
            self.attach_viewer()

    def logs_found(self) -> None:
        """The directory of the logs is known."""
        if self.shown is Shown.TERMINAL and self.attachment is None and not self.can_attach():
            self._show_last_output()

    def written(self) -> None:
        """Something was written to the logs."""
        if self._look_timer is None:
            self._look_timer = self._view.loop.call_in(LOOK_AFTER, self._look)

    def _look(self) -> None:
        """Show what is new in the logs, and wait as long as that has cost."""
        self._look_timer = None
        began = self._view.loop.now()
        self._view.watch_logs()
        if self._source is not None and self.lines is not None:
            skipped, lines = self._source.news()
            if skipped and not self.lines.offset:
                self.lines.replace(lines)
            else:
                self.lines.add(lines)
            self.lines.unfinished = self._source.unfinished
            self._view.changed()
            took = self._view.loop.now() - began
            if took > LOOK_AFTER / SHARE:  # a flood: the watch reports no sooner
                self._look_timer = self._view.loop.call_in(SHARE * took, self._look)

    def scroll(self, by: int, *, pages: bool = False) -> None:
        """Go up by so many lines or pages; in a terminal, open its log for that."""
        if self.shown is Shown.TERMINAL and by > 0 and self.lines is None:
            self.show_lines(Shown.LOG)  # a terminal keeps no more than its screen
        if self.lines is None:
            return
        if by > 0 and self.lines.is_at_top:
            self.read_more(2 * len(self.lines))
        if pages:
            self.lines.page(by)
        else:
            self.lines.scroll(by)

    def read_more(self, count: int) -> None:
        """Read so many lines of the log, if it has them."""
        from orchestrator.ui.pane import LINES_MAX

        if self._source is not None and self.lines is not None and self._source.count < LINES_MAX:
            self.lines.replace(self._source.last(min(count, LINES_MAX)))

    def _show_selected(self) -> None:
        self._attach_timer = None
        if self._view.list.selected == self.instance:
            return
        if self.shown is Shown.LOG:
            self.show_lines(Shown.LOG)
        elif self.shown is Shown.TERMINAL:
            self.show_terminal()
        else:
            self.instance = self._view.list.selected
        self._view.changed(urgent=True)

    def show_terminal(self) -> None:
        """Show the terminal of the selected instance; its last output, if it has none now."""
        self.shown = Shown.TERMINAL
        self._close_source()
        self.lines = None
        self._terminal = None
        self.detach()
        self.instance = self._view.list.selected
        if self.can_attach():
            self.attach_viewer()
        else:
            self._show_last_output()

    def can_attach(self) -> bool:
        """Return whether the selected instance runs in a terminal."""
        row = self._view.list.current
        return row is not None and bool(row["tty"]) and (row["state"] in RUNNING)

    def attach_viewer(self) -> None:
        """Show what the selected instance prints from now on."""
        from orchestrator.ui.pane import TerminalPane

        self._size = self._pane_size()
        if self._terminal is None:
            self._terminal = TerminalPane(*self._size)
        self.lines = None
        self._close_source()
        self.instance = self._view.list.selected
        self.attachment = self._view.attach_to(self.instance, self._size, self._on_frames, self._on_attachment_end)
        if self.attachment is None:
            self._show_last_output()

    def _pane_size(self) -> tuple[int, int]:
        layout = self._view.layout
        return layout.height, layout.pane_columns or layout.columns

    def detach(self) -> None:
        """Leave the terminal that is shown."""
        if self.attachment is not None:
            self.attachment.close()
            self.attachment = None

    def _on_frames(self, frames: list[Frame]) -> None:
        assert self._terminal is not None
        for frame in frames:
            if frame.kind is FrameKind.NOTE:
                self._view.status.say(frame.body.decode("utf-8", "replace"))
        self._terminal.take(frames)
        if self._terminal.is_full and self.attachment is not None:
            self.attachment.pause()
        self._view.sampler.wake()
        self._view.changed()

    def _on_attachment_end(self, why: str) -> None:
        self.attachment = None
        if why and self.shown is Shown.TERMINAL:
            self._show_last_output()
        self._view.changed()

    def _show_last_output(self) -> None:
        """Show the end of the log of an instance that has no terminal now."""
        from orchestrator.ui.log_lines import LogLines
        from orchestrator.ui.pane import LinesPane

        self._close_source()
        logs = self._view.sampler.logs
        if logs is None or not self._view.list.selected:
            self.lines = LinesPane()
            return
        try:
            self._source = LogLines(logs, self._view.list.selected)
            self.lines = LinesPane(self._source.last())
            self.lines.unfinished = self._source.unfinished
        except OSError as error:
            self._view.status.say(f"cannot read the log: {error.strerror}", is_error=True)

    def show_lines(self, what: Shown) -> None:
        """Show the log of the selected instance, or the merged stream."""
        from orchestrator.ui.log_lines import LogLines
        from orchestrator.ui.pane import LinesPane

        logs = self._view.sampler.logs
        if logs is None:
            self._view.status.say("no log files are kept (--no-log)", is_error=True)
            return
        self.detach()
        self._close_source()
        instance = self._view.list.selected if what is Shown.LOG else ""
        full_screen = [name for name, row in self._view.list.instances.items() if row.get("full_screen")]
        try:
            self._source = LogLines(logs, instance, full_screen)
            self.lines = LinesPane(self._source.last())
            self.lines.unfinished = self._source.unfinished
        except OSError as error:
            self._view.status.say(f"cannot read the log: {error.strerror}", is_error=True)
            return
        self.shown = what
        self.instance = self._view.list.selected

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def show_text(self, what: Shown, lines: list[bytes]) -> None:
        """Show lines that do not change."""
        from orchestrator.ui.pane import LinesPane

        self.detach()
        self._close_source()
        self.shown = what
        self.lines = LinesPane(lines)

    @property
    def shows_text(self) -> bool:
        """Whether it shows the answer to a key, which a narrow screen shows instead of the list."""
        return self.shown in (Shown.EVENTS, Shown.WHY, Shown.HELP)

    def leave_text(self) -> None:
        """Show the terminal again."""
        self.lines = None
        self.instance = ""
        self.show_terminal()

    def draw(self, columns: int, height: int) -> tuple[list[Row], tuple[int, int] | None]:
        """Return the rows of the pane and the place of the cursor in it."""
        if not columns:
            return [], None
        if self.attachment is not None and (height, columns) != self._size:
            self._size = (height, columns)
            self.attachment.resize(height, columns)
        cursor = None
        if self.lines is not None:
            rows = self.lines.draw(columns, height)
        elif self._terminal is not None:
            if self._terminal.advance():
                self._advance_later()
            elif self.attachment is not None:
                self.attachment.resume()
            rows, cursor = self._terminal.draw(columns, height)
        else:
            rows = [padded([], columns)] * height
        self.last_rows = rows
        return rows, cursor

    def _advance_later(self) -> None:
        """More output waits than one frame emulates: the next frame goes on."""
        self._view.changed()
        if self.attachment is not None and self._terminal is not None and not self._terminal.is_full:
            self.attachment.resume()

    def title(self) -> Row:
        """Return the row above the pane."""
        focused = self._view.focus_on_pane
        row = self._view.list.current
        if self.shown in (Shown.MERGED, Shown.EVENTS, Shown.HELP):
            title = title_of(None, self.shown.value, is_focused=focused)
        elif self.shown is Shown.TERMINAL:
            what = "" if self.lines is None else "last output"
            title = title_of(None if row is None else dict(row), what, is_focused=focused)
        else:
            title = title_of(None if row is None else dict(row), self.shown.value, is_focused=focused)
        if self.lines is not None and self.lines.offset:
            below = self.lines.offset
            title.append((f"  {below} line{'s' if below != 1 else ''} below", BOLD))
        return title

    def select_changed(self) -> None:
        """Another instance may be selected: show it, and if the selection moves quickly, once it stays."""
        name = self._view.list.selected
        if self.shown in (Shown.WHY, Shown.HELP):
            self.leave_text()
        if name == self.instance and (self.attachment is not None or self.lines is not None):
            return
        now = self._view.loop.now()
        quickly, self._selected_at = now - self._selected_at < ATTACH_AFTER, now
        if self._attach_timer is not None:
            self._attach_timer.cancel()
            self._attach_timer = None
        if quickly:
            self._attach_timer = self._view.loop.call_in(ATTACH_AFTER, self._show_selected)
        else:
            self._show_selected()


def title_of(row: dict[str, Any] | None, what: str, *, is_focused: bool) -> Row:
    """Return the row above the pane: the instance, what is shown of it, and its state."""
    style = BOLD + CYAN if is_focused else BOLD
    if row is None:
        return [(f" {what}", style)]
    words = state_in_words(row)
    parts = [f"pid {row['pid']}"] if row.get("pid") else []
    if row.get("restarts"):
        parts.append(f"restarted {row['restarts']}x")
    head: Row = [(f" {row['instance']}", style), (f"  {what}" if what else "", DIM)]
    return [*head, (f"  {words}", b""), ("".join(f"  {part}" for part in parts), DIM)]
