"""What the pane shows: a terminal, a log, the merged stream, or a text."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING

from orchestrator.model.frames import Frame, FrameKind
from orchestrator.runtime.loop import Timer
from orchestrator.ui.component_list import WORKING, state_in_words
from orchestrator.ui.connection import Attachment
from orchestrator.ui.styled_text import BOLD, CYAN, DIM, Row, padded

if TYPE_CHECKING:
    from orchestrator.model.control import ShownRow
    from orchestrator.ui.log_lines import LogLines
    from orchestrator.ui.pane import LinesPane, TerminalPane
    from orchestrator.ui.view import View

ATTACH_AFTER = 0.08  # seconds until the terminal of a selection is attached, if the selection changes quickly
READ_AFTER = 0.05  # seconds between two reads of logs that grow
PAUSE = 19  # times the duration of a read, until the next one: at most 5 % of a processor
EVENTS_MAX = 1000
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
    """The pane of one view. `lines` is None while it shows a terminal; `instance` is the one that it shows.
    `is_behind` says that more output of the terminal waits than the last frame has emulated."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.shown = Shown.TERMINAL
        self.instance = ""
        self.attachment: Attachment | None = None
        self.lines: LinesPane | None = None
        self.is_behind = False
        self.last_rows: list[Row] = []
        self._terminal: TerminalPane | None = None
        self._source: LogLines | None = None
        self._attach_timer: Timer | None = None
        self._read_timer: Timer | None = None
        self._selected_at = 0.0
        self._size = (0, 0)
        self._events: list[bytes] = []
        self._states: dict[str, str] = {}  # of each instance, in words

    def close(self) -> None:
        """Detach, and close the log files."""
        self.detach()
        self._close_source()
        for timer in (self._attach_timer, self._read_timer):
            if timer is not None:
                timer.cancel()

    def note_events(self) -> None:
        """Record an event for each instance whose state has changed."""
        for name, row in self._view.list.instances.items():
            if self._states.get(name) != (words := state_in_words(row)):
                if name in self._states:
                    self._note_event(name, words)
                self._states[name] = words

    def _note_event(self, name: str, words: str) -> None:
        clock = time.strftime("%H:%M:%S")
        event = f"\x1b[2m{clock}\x1b[m  \x1b[1m{name}\x1b[m  {words}".encode()
        self._events = [*self._events[1 - EVENTS_MAX :], event]
        if self.shown is Shown.EVENTS and self.lines is not None:
            self.lines.replace(self._events)

    def show_events(self) -> None:
        """Show the changes of state since the view was opened."""
        self.show_text(Shown.EVENTS, self._events or [b"\x1b[2mno component has changed its state yet\x1b[m"])

    def rows_changed(self) -> None:
        """Take note of new rows: attach to the selected instance if it runs now."""
        if self.shown is not Shown.TERMINAL:
            return
        if self._view.list.selected != self.instance:
            self.select_changed()
        elif self.attachment is None and self.can_attach():
            self.attach_viewer()

    def logs_found(self) -> None:
        """Take note that the directory of the logs is known."""
        if self.shown is Shown.TERMINAL and self.attachment is None and not self.can_attach():
            self._show_last_output()

    def written(self) -> None:
        """Take note that the logs have changed: read them soon."""
        if self._read_timer is None:
            self._read_timer = self._view.loop.call_in(READ_AFTER, self._read_logs)

    def _read_logs(self) -> None:
        """Show new lines of the logs. Do not read again before a pause that depends on how long this took."""
        self._read_timer = None
        began = self._view.loop.now()
        self._view.link.watch_logs()
        if self._source is not None and self.lines is not None:
            skipped, lines = self._source.news()
            if skipped and not self.lines.offset:
                self.lines.replace(lines)
            else:
                self.lines.add(lines)
            self.lines.unfinished = self._source.unfinished
            self._view.drawing.changed()
            took = self._view.loop.now() - began
            if took > READ_AFTER / PAUSE:  # a flood
                self._read_timer = self._view.loop.call_in(PAUSE * took, self._read_logs)

    def scroll(self, by: int, *, pages: bool = False) -> None:
        """Scroll up by `by` lines or pages; from a terminal, into its log."""
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
        """Show `count` lines of the log, all if it has fewer, and at most LINES_MAX."""
        from orchestrator.ui.pane import LINES_MAX

        if self._source is not None and self.lines is not None and self._source.count < LINES_MAX:
            lines = self._source.last(min(count, LINES_MAX))
            self.lines.replace(lines, has_earlier=count >= LINES_MAX and self._source.has_earlier)

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
        self._view.drawing.changed(urgent=True)

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
        """Attach to the terminal of the selected instance as a viewer."""
        from orchestrator.ui.pane import TerminalPane

        self._size = self._pane_size()
        if self._terminal is None:
            self._terminal = TerminalPane(*self._size)
        self.lines = None
        self._close_source()
        self.instance = self._view.list.selected
        self.attachment = self._view.link.attach_to(self.instance, self._size, self._on_frames, self._on_attachment_end)
        if self.attachment is None:
            self._show_last_output()

    def _pane_size(self) -> tuple[int, int]:
        layout = self._view.drawing.layout
        return layout.height, layout.pane_columns or layout.columns

    def detach(self) -> None:
        """Detach from the terminal that is shown."""
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
        self._view.drawing.changed()

    def _on_attachment_end(self, why: str) -> None:
        self.attachment = None
        if why and self.shown is Shown.TERMINAL:
            self._show_last_output()
        self._view.drawing.changed()

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
            self.lines = LinesPane(self._source.last(), f"orchestrate logs {self._view.list.selected}")
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
            begun = 0.0 if instance else self._view.link.begun
            self._source = LogLines(logs, instance, full_screen, begun)
            self.lines = LinesPane(self._source.last(), f"orchestrate logs {instance}".strip())
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

    def show_text(self, what: Shown, lines: list[bytes], *, from_top: bool = False) -> None:
        """Show lines that do not change: the last ones, or `from_top` the first."""
        from orchestrator.ui.pane import LinesPane

        self.detach()
        self._close_source()
        self.shown = what
        self.lines = LinesPane(lines)
        if from_top:
            height, columns = self._pane_size()
            self.lines.draw(columns, height)
            self.lines.go_to_top()

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
        self.is_behind = False
        if self.lines is not None:
            rows = self.lines.draw(columns, height)
        elif self._terminal is not None:
            self.is_behind = self._terminal.advance()
            if self.is_behind:
                self._advance_later()
            elif self.attachment is not None:
                self.attachment.resume()
            rows, cursor = self._terminal.draw(columns, height)
        else:
            rows = [padded([], columns)] * height
        self.last_rows = rows
        return rows, cursor

    def _advance_later(self) -> None:
        """Continue with the next frame, because one frame emulates only a part of the output that waits."""
        self._view.drawing.changed()
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
            title = title_of(row, what, is_focused=focused)
        else:
            title = title_of(row, self.shown.value, is_focused=focused)
        if self.lines is not None and self.lines.offset:
            below = self.lines.offset
            title.append((f"  {below} line{'s' if below != 1 else ''} below", BOLD))
        return title

    def select_changed(self) -> None:
        """Show the instance that is selected now. If the selection changes quickly, wait until it stops."""
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


def title_of(row: ShownRow | None, what: str, *, is_focused: bool) -> Row:
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
