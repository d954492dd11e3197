"""The full-screen view: its parts and its loop, the terminal, keys and signals. It is a client of the socket, and the
system does not depend on it.

It waits only for keys, for the socket and for changes of the log files, so a silent system never wakes it up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.output.console import Console
from orchestrator.runtime.loop import READ, Loop, Timer
from orchestrator.runtime.raw_mode import QuietTerminal
from orchestrator.runtime.signals import SignalPipe
from orchestrator.ui.commands import Commands
from orchestrator.ui.component_list import ComponentList
from orchestrator.ui.content import Content
from orchestrator.ui.display import Display
from orchestrator.ui.drawing import Drawing
from orchestrator.ui.keys import ESCAPE_AFTER, KeyReader, Typed
from orchestrator.ui.samples import Sampler
from orchestrator.ui.status_line import StatusLine
from orchestrator.ui.supervisor_link import SupervisorLink
from orchestrator.ui.view_options import Leave, ViewOptions, ViewOutcome

if TYPE_CHECKING:
    from orchestrator.model.control import ShownRow

KEYS_FD, SCREEN_FD = 0, 1
COPY_MAX = 74_000  # bytes that terminals take for the clipboard (xterm)


class View:
    """Owns the terminal from `run` to its return."""

    def __init__(self, options: ViewOptions) -> None:
        """Raise OSError if the terminal cannot be used."""
        self.options = options
        self.loop = Loop()
        self._terminal = QuietTerminal(KEYS_FD, quits=False)  # Ctrl-\ d may have been meant for an attach session
        self._console = Console(self.loop, SCREEN_FD, lambda _: self.leave(Leave.QUIT, signal.SIGHUP))
        self.display = Display(self._console, colors=options.colors)
        self.list = ComponentList()
        leave = (("q", "quit"), ("u", "stream")) if options.owned else (("q", "quit"),)
        self.status = StatusLine(leave)
        self.drawing = Drawing(self)
        self.sampler = Sampler(self.loop, self._visible_rows, lambda: self.list.order, self._on_sample)
        self.focus_on_pane = False
        self.zoom = False
        self.mouse = True
        self.content = Content(self)
        self.commands = Commands(self, self.content)
        self.link = SupervisorLink(self)
        self._keys = KeyReader()
        self._keys_timer: Timer | None = None
        self._signals: SignalPipe | None = None
        self._outcome: ViewOutcome | None = None

    def run(self) -> ViewOutcome:
        """Show the view until it is left; the terminal is restored when this returns or raises."""
        self._signals = SignalPipe(self.options.signals)
        try:
            self._terminal.enter()
            self.loop.add(self._signals.read_fd, READ, lambda _: self._on_signals())
            self.loop.add(KEYS_FD, READ, lambda _: self._on_keys())
            self.loop.after_each_turn(self._end_turn)
            self.link.connect()
            self.display.enter(mouse=self.mouse)
            self.drawing.changed(urgent=True)
            self._end_turn()
            while self._outcome is None:
                self.loop.turn()
            return self._outcome
        finally:
            self._close()

    def _end_turn(self) -> None:
        self._console.flush()
        self.drawing.draw_if_due()

    @property
    def is_open(self) -> bool:
        """Whether the view has not been left."""
        return self._outcome is None

    def leave(self, how: Leave, number: int = 0) -> None:
        """End the view."""
        self._outcome = self._outcome or ViewOutcome(how, number)

    def _close(self) -> None:
        self.sampler.close()
        self.commands.close()
        self.content.close()
        self._release_terminal()
        self.link.close()
        if self._signals is not None:
            self.loop.remove(self._signals.read_fd)
            self._signals.close()

    def _release_terminal(self) -> None:
        """Restore the screen and the modes, also after Ctrl-S, which would keep them until Ctrl-Q."""
        self._terminal.restart_output()
        self.display.leave()
        self._terminal.leave()

    def _visible_rows(self) -> list[ShownRow]:
        names = self.list.visible(self.drawing.last_height)
        return [self.list.instances[name] for name in names]

    def _on_sample(self) -> None:
        self.link.is_suspended_now()
        self.drawing.changed()

    # Keys and signals

    def _on_keys(self) -> None:
        try:
            data = os.read(KEYS_FD, 1 << 14)
        except OSError:  # EIO: the terminal was closed
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
            if self.is_open:
                self.commands.take(one)
        if self.is_open:
            self.link.is_suspended_now()
        self.drawing.changed(urgent=True)

    def _on_signals(self) -> None:
        assert self._signals is not None
        for number in self._signals.read():
            match number:
                case signal.SIGWINCH:
                    self.display.forget()
                    self.drawing.changed(urgent=True)
                case signal.SIGTSTP:
                    self._suspend()
                case signal.SIGCONT:
                    self._resume()
                case signal.SIGINT if self.options.owned:
                    self.leave(Leave.STREAM)  # the supervisor has got it too, and stops the system
                case signal.SIGINT:
                    self.leave(Leave.QUIT)
                case _:
                    self.leave(Leave.QUIT, number)

    def _suspend(self) -> None:
        """Restore the terminal, then suspend this process. SIGCONT resumes it."""
        self._release_terminal()
        signal.raise_signal(signal.SIGSTOP)

    def _resume(self) -> None:
        if not self.display.entered and self._terminal.enter():
            self.display.enter(mouse=self.mouse)
            self.drawing.changed(urgent=True)

    def with_terminal(self, job: Callable[[], str]) -> str:
        """Run `job`, which uses the terminal with its own loop and signals; return its result."""
        assert self._signals is not None
        self._release_terminal()
        self.loop.remove(self._signals.read_fd)
        self._signals.close()
        try:
            return job()
        finally:
            self._signals = SignalPipe(self.options.signals)
            self.loop.add(self._signals.read_fd, READ, lambda _: self._on_signals())
            self._terminal.enter()
            self.display.enter(mouse=self.mouse)
            self.drawing.changed(urgent=True)

    def copy(self, text: str) -> None:
        """Send text to the clipboard of the terminal (OSC 52), and report that."""
        import base64  # not needed for the first frame

        if not text:
            self.status.say("there is nothing to copy")
            return
        data = text.encode()[:COPY_MAX]
        self.display.send(b"\x1b]52;c;" + base64.b64encode(data) + b"\x07")
        lines = text.count("\n") + 1
        self.status.say(f"copied {lines} line{'s' if lines != 1 else ''} to the clipboard of the terminal")
