"""The full-screen view: its loop, its screen, and what is shown in it. A client of the socket; nothing of the system
depends on it.

It waits for keys, for the socket and for changes of the log files, and for nothing else: a silent system wakes it up
never. Frames are drawn at most as fast as the terminal takes them and as drawing costs a tenth of a processor; a key is
answered at once.
"""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.model.control import Frame, Reply, Request, Verb
from orchestrator.output.console import Console
from orchestrator.runtime.inotify import ChangeWatch
from orchestrator.runtime.loop import READ, Loop, Timer
from orchestrator.runtime.raw_mode import QuietTerminal
from orchestrator.runtime.signals import SignalPipe
from orchestrator.terminal.width import width
from orchestrator.ui.commands import Commands
from orchestrator.ui.component_list import ComponentList
from orchestrator.ui.connection import Attachment, NotRunning, ViewConnection
from orchestrator.ui.content import Content
from orchestrator.ui.display import Display, Parts
from orchestrator.ui.keys import ESCAPE_AFTER, KeyReader, Typed
from orchestrator.ui.layout import COLUMNS_MIN, ROWS_MIN, Layout, layout_of
from orchestrator.ui.outcome import Leave, ViewOutcome
from orchestrator.ui.samples import Sampler
from orchestrator.ui.status_line import LIST_KEYS, PANE_KEYS, StatusLine
from orchestrator.ui.styled_text import BOLD, CYAN, DIM, RED, YELLOW, Row, cut, padded

KEYS_FD, SCREEN_FD = 0, 1
FRAME = 1 / 30  # seconds between two frames that no key has asked for
SHARE = 9  # such a frame is followed by so many times the seconds that it took
RECONNECTS = 3
COPY_MAX = 74_000  # bytes that terminals take for the clipboard (xterm)
LIST_WIDTH = 36  # columns of the list beside the name


@dataclass(frozen=True, slots=True)
class Options:
    """`control` is the socket. `owned` says that the system belongs to this terminal, `can_background` that it can
    leave it. `attach` runs a whole attach session and returns what to say after it; `detach_keys` names its keys.
    `wrap` colors text by the name of a color."""

    control: Path
    colors: bool
    attach: Callable[[str], str]
    detach_keys: str = ""
    owned: bool = False
    can_background: bool = False
    signals: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)


class View:
    """Owns the terminal from `run` to its return."""

    def __init__(self, options: Options) -> None:
        """Raise OSError if the terminal cannot be used."""
        self.options = options
        self.loop = Loop()
        self._terminal = QuietTerminal(KEYS_FD, quits=False)  # Ctrl-\ d was meant for an attach session
        self._console = Console(self.loop, SCREEN_FD, lambda _: self.leave(Leave.QUIT, signal.SIGHUP))
        self.display = Display(self._console, colors=options.colors)
        self.list = ComponentList()
        leave = (("q", "quit"), ("u", "stream")) if options.owned else (("q", "quit"),)
        self.status = StatusLine(leave)
        self.sampler = Sampler(self.loop, self._visible_rows, lambda: self.list.order, self.changed)
        self.system: dict[str, Any] = {}
        self.focus_on_pane = False
        self.zoom = False
        self.mouse = True
        self.content = Content(self)
        self._commands = Commands(self, self.content)
        self._keys = KeyReader()
        self._keys_timer: Timer | None = None
        self._signals: SignalPipe | None = None
        self._outcome: ViewOutcome | None = None
        self._rows: ViewConnection | None = None
        self._failed_connects = 0
        self._logs_connection: ViewConnection | None = None
        self._watch: ChangeWatch | None = None
        # What is due
        self._dirty = False
        self._is_urgent = False
        self._next_frame = 0.0
        self._frame_timer: Timer | None = None
        self._layout = layout_of(24, 80, LIST_WIDTH, zoom=False, shows_pane=False)

    def run(self) -> ViewOutcome:
        """Show the view until it is left; the terminal is restored when this returns or raises."""
        self._signals = SignalPipe(self.options.signals)
        try:
            self._terminal.enter()
            self.loop.add(self._signals.read_fd, READ, lambda _: self._on_signals())
            self.loop.add(KEYS_FD, READ, lambda _: self._on_keys())
            self.loop.after_each_turn(self._end_turn)
            self._connect()
            self.display.enter(mouse=self.mouse)
            self.changed(urgent=True)
            self._end_turn()
            import orchestrator.ui.pane  # noqa: F401 - imports pyte, which costs more than a first frame may take

            self.content.select_changed()
            while self._outcome is None:
                self.loop.turn()
            return self._outcome
        finally:
            self._close()

    def leave(self, how: Leave, number: int = 0) -> None:
        """End the view."""
        self._outcome = self._outcome or ViewOutcome(how, number)

    def _close(self) -> None:
        self.sampler.close()
        self.content.close()
        self.display.leave()
        self._terminal.leave()
        for conversation in (self._rows, self._logs_connection):
            if conversation is not None:
                conversation.close()
        if self._signals is not None:
            self.loop.remove(self._signals.read_fd)
            self._signals.close()

    # The system

    def _connect(self) -> None:
        """Ask for the rows, and for the directory of the logs; that connection stays open while the system runs."""
        try:
            self._rows = ViewConnection(
                self.options.control, Request(Verb.WATCH), self.loop, self._on_rows, self._on_rows_lost
            )
            if self._logs_connection is None:
                self._logs_connection = ViewConnection(
                    self.options.control, Request(Verb.ATTACH), self.loop, self._on_logs, self._on_system_lost
                )
        except (NotRunning, OSError):
            self.leave(Leave.ENDED)

    def _on_rows(self, reply: Reply) -> None:
        self._failed_connects = 0
        if not reply.ok:
            self.status.say(reply.error, is_error=True)
        for row in reply.rows:
            if "system" in row:
                self.system = row["system"]
            elif "order" in row:
                self.list.set_order(row["order"])
            elif "instance" in row:
                self.list.update(row["instance"])
        self._commands.rows_changed()
        self.content.rows_changed()
        self.sampler.wake()
        self.changed()

    def _on_rows_lost(self) -> None:
        """The supervisor cuts a client off that does not read, as during an attach: ask again."""
        self._failed_connects += 1
        if self._outcome is None and self._failed_connects <= RECONNECTS:
            self._connect()

    def _on_logs(self, reply: Reply) -> None:
        if not reply.ok or not reply.rows:
            return
        self.sampler.logs = Path(reply.rows[0]["logs"])
        self._watch = ChangeWatch(self.loop, self.sampler.logs, self._on_written)
        self.content.logs_found()

    def _on_system_lost(self) -> None:
        self.leave(Leave.ENDED)

    def _on_written(self) -> None:
        self.sampler.wake()
        self.content.written()

    def watch_logs(self) -> None:
        """Report the next change of the logs."""
        if self._watch is not None:
            self._watch.again()

    def _visible_rows(self) -> list[dict[str, Any]]:
        names = self.list.visible(self._layout.height)
        return [dict(self.list.instances[name]) for name in names]

    # Keys and signals

    def _on_keys(self) -> None:
        try:
            data = os.read(KEYS_FD, 1 << 14)
        except OSError:  # EIO: the terminal has gone
            data = b""
        if not data:
            self.leave(Leave.QUIT, signal.SIGHUP)
            return
        self._take(self._keys.feed(data))
        if self._keys_timer is not None:
            self._keys_timer.cancel()
            self._keys_timer = None
        if self._keys.waits:
            self._keys_timer = self.loop.call_in(ESCAPE_AFTER, lambda: self._take(self._keys.expire()))

    def _take(self, typed: list[Typed]) -> None:
        for one in typed:
            if self._outcome is None:
                self._commands.take(one)
        self.changed(urgent=True)

    def _on_signals(self) -> None:
        assert self._signals is not None
        for number in self._signals.read():
            match number:
                case signal.SIGWINCH:
                    self.display.forget()
                    self.changed(urgent=True)
                case signal.SIGTSTP:
                    self._suspend()
                case signal.SIGCONT:
                    self._resume()
                case signal.SIGINT if self.options.owned:
                    self.leave(Leave.STREAM)  # it has reached the supervisor too, which stops
                case signal.SIGINT:
                    self.leave(Leave.QUIT)
                case _:
                    self.leave(Leave.QUIT, number)

    def _suspend(self) -> None:
        """Stop as the shell wants it, with its terminal in order; SIGCONT follows."""
        self.display.leave()
        self._terminal.leave()
        signal.raise_signal(signal.SIGSTOP)

    def _resume(self) -> None:
        if not self.display.entered and self._terminal.enter():
            self.display.enter(mouse=self.mouse)
            self.changed(urgent=True)

    def with_terminal(self, job: Callable[[], str]) -> str:
        """Lend the terminal to `job`, which has a loop and signals of its own; return what it returns."""
        assert self._signals is not None
        self.display.leave()
        self._terminal.leave()
        self.loop.remove(self._signals.read_fd)
        self._signals.close()
        try:
            return job()
        finally:
            self._signals = SignalPipe(self.options.signals)
            self.loop.add(self._signals.read_fd, READ, lambda _: self._on_signals())
            self._terminal.enter()
            self.display.enter(mouse=self.mouse)
            self.changed(urgent=True)

    # Requests

    def ask(self, request: Request, doing: str, done: Callable[[Reply], str]) -> None:
        """Send a request; the status line says what it does, then what came of it."""
        self.status.say(f"{doing} …")

        def answered(reply: Reply) -> None:
            if reply.progress:
                self.status.say(reply.progress)
            elif not reply.ok:
                self.status.say(reply.error, is_error=True)
            else:
                self.status.say(done(reply))
            self.changed(urgent=True)

        try:
            ViewConnection(self.options.control, request, self.loop, answered, lambda: None)
        except (NotRunning, OSError) as error:
            self.status.say(f"cannot ask the system: {error}", is_error=True)

    def attach_to(
        self, name: str, size: tuple[int, int], frames: Callable[[list[Frame]], None], ended: Callable[[str], None]
    ) -> Attachment | None:
        """Open a component's terminal; None if that is not possible."""
        try:
            return Attachment(self.options.control, name, size, self.loop, frames, ended)
        except (NotRunning, OSError):
            return None

    def copy(self, text: str) -> None:
        """Send text to the clipboard of the terminal (OSC 52), and say so."""
        data = text.encode()[:COPY_MAX]
        self.display.send(b"\x1b]52;c;" + base64.b64encode(data) + b"\x07")
        lines = text.count("\n") + 1 if text else 0
        self.status.say(f"copied {lines} line{'s' if lines != 1 else ''} to the clipboard of the terminal")

    # Frames

    def changed(self, *, urgent: bool = False) -> None:
        """Something is to be drawn; at once, if it answers a key."""
        self._dirty = True
        self._is_urgent |= urgent

    def _end_turn(self) -> None:
        """Draw a frame if one is due and the terminal takes it; otherwise have it drawn later."""
        self._console.flush()
        if not self._dirty or not self.display.entered or not self.display.is_ready:
            return
        now = self.loop.now()
        if not self._is_urgent and now < self._next_frame:
            if self._frame_timer is None:
                self._frame_timer = self.loop.call_at(self._next_frame, self._frame_is_due)
            return
        self._dirty = self._is_urgent = False
        self._draw()
        took = self.loop.now() - now
        self._next_frame = now + took + max(FRAME, SHARE * took)

    def _frame_is_due(self) -> None:
        self._frame_timer = None

    @property
    def layout(self) -> Layout:
        """Where everything is on the present screen."""
        rows, columns = self.display.size
        wanted = LIST_WIDTH + max(map(width, self.list.order), default=8)
        shows_pane = self.focus_on_pane or self.content.shows_text
        return layout_of(rows, columns, wanted, zoom=self.zoom, shows_pane=shows_pane)

    def _draw(self) -> None:
        self._layout = layout = self.layout
        if layout.is_too_small:
            text = f"too small: {layout.columns}x{layout.rows}, needs {COLUMNS_MIN}x{ROWS_MIN}"
            blank: list[Parts] = [{0: padded([], layout.columns)} for _ in range(layout.rows - 1)]
            self.display.draw([{0: padded([(text, b"")], layout.columns)}, *blank][: layout.rows], None)
            return
        self.list.samples = self.sampler.samples
        rows: list[dict[int, Row]] = [{} for _ in range(layout.rows)]
        pane, cursor = self.content.draw(layout.pane_columns, layout.height)
        if layout.list_columns:
            focused = not self.focus_on_pane
            for index, row in enumerate(self.list.draw(layout.list_columns, layout.height, is_focused=focused)):
                rows[layout.top + index][0] = row
        if layout.pane_columns:
            for index, row in enumerate(pane):
                rows[layout.top + index][layout.pane_column] = row
        if layout.list_columns and layout.pane_columns:
            style = CYAN if self.focus_on_pane else DIM
            for index in range(layout.top, layout.top + layout.height):
                rows[index][layout.list_columns] = [("│", style)]
        if not self.zoom:
            self._draw_heads(rows[0], layout)
        keys = PANE_KEYS if self.focus_on_pane else LIST_KEYS
        waiting = tuple(self.list.waiting)
        rows[-1][0] = self.status.draw(layout.columns, keys=keys, waiting=waiting)
        place = None
        if cursor is not None and layout.pane_columns:
            place = (layout.top + cursor[0], layout.pane_column + cursor[1])
        self.display.draw(list(rows), place)

    def _draw_heads(self, row: dict[int, Row], layout: Layout) -> None:
        if layout.list_columns:
            row[0] = padded(self._system_title(), layout.list_columns + bool(layout.pane_columns))
        if layout.pane_columns:
            row[layout.pane_column] = padded(cut(self.content.title(), layout.pane_columns), layout.pane_columns)

    def _system_title(self) -> Row:
        system = self.system
        if not system:
            return [(" orchestrate", BOLD), ("  connecting …", DIM)]
        title = str(system.get("title") or "orchestrate")
        ready, count = system.get("ready", 0), system.get("components", 0)
        state = str(system.get("state", ""))
        style = RED if state in ("failed", "stuck") else b"" if ready == count else YELLOW
        row: Row = [(f" {title}", BOLD), (f"  {ready}/{count} ready", style)]
        if state in ("starting", "stopping", "restarting", "failed", "stuck"):
            row.append((f"  {state}", style))
        return row
