"""One attach session: keys to the socket, output to the screen, until the user or the supervisor ends it.

The user's terminal is restored whenever we can still act: after the detach keys, the component's exit, the
supervisor's, a signal, or an error of ours. Nothing blocks: keys are read even while the screen accepts nothing, so the
detach keys always work; meanwhile the socket is not read, and the supervisor skips output for us.

Facts: a signal that would kill us is only noted (`runtime.signals`), and takes effect after the terminal is restored.
SIGKILL and SIGSTOP cannot be caught, and SIGSEGV, SIGBUS, SIGILL and SIGFPE are not: a handler would return to the
fault. Ctrl-C, Ctrl-Z and Ctrl-\\ are keys in raw mode; as signals they come from elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass

from orchestrator.model.frames import Frame, FrameKind, FrameReader, MalformedFrame, format_size
from orchestrator.output.console import Console
from orchestrator.runtime import signals
from orchestrator.runtime.connection import Outbox
from orchestrator.runtime.loop import READ, WRITE, Loop, Timer
from orchestrator.runtime.raw_mode import RawTerminal
from orchestrator.runtime.signals import SignalPipe
from orchestrator.terminal.detach_keys import DetachKeys, has_ctrl_c
from orchestrator.terminal.modes import SAVE_TITLE, Modes
from orchestrator.terminal.query_answers import Queries

KEYS_FD, SCREEN_FD = 0, 1
SCREEN_MAX = 1 << 16  # bytes waiting for the screen at which the socket is not read
KEYS_MAX = 1 << 20  # typed bytes that the supervisor has not read; more are dropped, with a bell
SCREEN_DRAIN_TIMEOUT = 0.3  # seconds to wait for a stalled screen at the end
RECENTLY = 3.0  # seconds for which a query may still be answered
ANSWER = 1.0  # seconds in which a terminal answers a status query (DSR 5, ctlseqs of xterm), over a slow line
_ARE_YOU_WELL, _WELL = b"\x1b[5n", b"\x1b[0n"
_BELL = b"\a"
_ERASE_BELOW = b"\x1b[J"  # what the component has drawn below its cursor, such as the progress bar of apt


@dataclass(frozen=True, slots=True)
class Detached:
    """The user detached."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The component exited and will not be restarted."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The supervisor disconnected without a last frame."""


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal ended the session."""

    number: int


Outcome = Detached | Ended | Lost | Signalled


class AttachSession:
    """Owns the terminal and the socket from `run` to its return."""

    def __init__(self, connection: socket.socket, keys: DetachKeys, read_only: bool, rest: bytes) -> None:
        """`rest` are bytes that were read from the connection before."""
        self._connection = connection
        self._keys = keys
        self._read_only = read_only
        self._rest = rest
        self._loop = Loop()
        self._terminal = RawTerminal(KEYS_FD)
        self._console = Console(self._loop, SCREEN_FD, lambda _: self._end(Signalled(signal.SIGHUP)))
        self._reader = FrameReader()
        self._modes = Modes()
        self._reports = False  # whether the terminal has been in a mode in which it reports more than keys
        self._keys_timer: Timer | None = None
        self._unsent = Outbox(connection)
        self._queries = Queries()
        self._asked_at = -RECENTLY
        self._answered = 0  # number of its status queries that were certainly answered
        self._listening = False
        self._outcome: Outcome | None = None
        self._signals: SignalPipe | None = None

    def run(self, greeting: str) -> Outcome:
        """Run the session to its end; the terminal is restored when this returns or raises."""
        self._signals = SignalPipe(signals.that_end_or_stop())
        self._connection.setblocking(False)
        try:
            self._terminal.enter()
            self._say(greeting)
            self._loop.add(self._signals.read_fd, READ, lambda _: self._on_signals())
            self._loop.add(KEYS_FD, READ, lambda _: self._on_keys())
            self._loop.after_each_turn(self._balance)
            self._hear(self._rest)
            self._balance()
            while self._outcome is None:
                self._loop.turn()
            return self._outcome
        finally:
            self._leave()
            self._loop.remove(self._signals.read_fd)
            self._signals.close()

    def _leave(self) -> None:
        """Undo the component's changes to the terminal, and ours; show no more output."""
        if self._listening:
            self._loop.remove(self._connection.fileno())
        self._connection.close()
        self._loop.remove(KEYS_FD)
        if self._keys_timer is not None:
            self._keys_timer.cancel()
        self._console.write(self._modes.leave + b"\r\n" + _ERASE_BELOW, may_skip=False)
        self._console.drain(SCREEN_DRAIN_TIMEOUT)
        if (self._reports or self._loop.now() - self._asked_at < RECENTLY) and self._terminal.is_ours:
            # Otherwise the answer to a query of the component, or the release of a key, would be typed into the shell.
            # A terminal answers in order.
            self._console.write(_ARE_YOU_WELL, may_skip=False)
            self._console.flush()
            self._terminal.swallow(self._loop, _WELL, 1 + self._queries.status - self._answered, ANSWER)
        self._terminal.leave()

    def _note_queries(self, output: bytes) -> None:
        before, now = self._queries.status, self._loop.now()
        if self._queries.feed(output):
            if now - self._asked_at > RECENTLY:
                self._answered = before
            self._asked_at = now

    def _end(self, outcome: Outcome) -> None:
        self._outcome = self._outcome or outcome

    # Keys

    def _on_keys(self) -> None:
        try:
            data = os.read(KEYS_FD, 1 << 14)
        except OSError:  # EIO: the terminal has gone
            data = b""
        if not data:
            self._end(Signalled(signal.SIGHUP))
            return
        self._pass_on(*self._keys.typed(data, encoded=self._modes.encodes_keys))

    def _pass_on(self, passed: bytes, leaves: bool) -> None:
        if self._keys_timer is not None:
            self._keys_timer.cancel()
            self._keys_timer = None
        if self._keys.wait is not None:
            self._keys_timer = self._loop.call_in(self._keys.wait, lambda: self._pass_on(*self._keys.expire()))
        if self._read_only:
            leaves = leaves or has_ctrl_c(passed)
        elif len(self._unsent) + len(passed) > KEYS_MAX:
            self._console.write(_BELL)
        elif passed:
            self._send(Frame(FrameKind.INPUT, passed))
        if leaves:
            self._end(Detached())

    def _send(self, frame: Frame) -> None:
        self._unsent.add(frame.encode())
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(OSError):  # it has gone: its last frames are read before the end of the stream is seen
            self._unsent.flush()
        self._balance()

    # Output

    def _on_event(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & READ:
            try:
                data = self._connection.recv(SCREEN_MAX)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self._hear(data)
            else:
                self._end(Lost())

    def _hear(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except MalformedFrame:
            self._end(Lost())
            return
        for frame in frames:
            match frame.kind:
                case FrameKind.OUTPUT:
                    if self._modes.saves_title(frame.body):
                        self._console.write(SAVE_TITLE, may_skip=False)
                    self._modes.feed(frame.body)
                    self._reports = self._reports or self._modes.reports
                    self._note_queries(frame.body)
                    self._console.write(frame.body, may_skip=False)
                case FrameKind.NOTE:
                    self._say(frame.body.decode("utf-8", "replace"))
                case FrameKind.END:
                    status, _, why = frame.body.decode("utf-8", "replace").partition(" ")
                    self._end(Ended(int(status) if status.isdigit() else 1, why))
                case _:
                    self._end(Lost())

    def _say(self, text: str) -> None:
        self._console.write(f"[orchestrate: {text}]\r\n".encode(), may_skip=False)

    def _balance(self) -> None:
        """Read from the socket while the screen keeps up; write to it while something is queued."""
        self._console.flush()
        fd = self._connection.fileno()
        if fd < 0:
            return
        events = (READ if self._console.waiting < SCREEN_MAX else 0) | (WRITE if self._unsent else 0)
        if self._listening and events:
            self._loop.change(fd, events)
        elif self._listening:
            self._loop.remove(fd)
        elif events:
            self._loop.add(fd, events, self._on_event)
        self._listening = bool(events)

    # Signals

    def _on_signals(self) -> None:
        assert self._signals is not None
        for number in self._signals.read():
            match number:
                case signal.SIGWINCH:
                    self._send_size()
                case signal.SIGTSTP:
                    self._suspend()
                case signal.SIGCONT:
                    self._terminal.enter()
                    self._console.write(self._modes.enter, may_skip=False)
                    self._send_size()  # the size has not changed, but a size makes the program redraw
                case _:
                    self._end(Signalled(number))

    def _suspend(self) -> None:
        """Suspend this process for the shell, with the terminal restored; SIGCONT follows."""
        self._console.write(self._modes.leave, may_skip=False)
        self._console.drain(SCREEN_DRAIN_TIMEOUT)
        self._terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _send_size(self) -> None:
        columns, rows = self._console.size() or (80, 24)
        self._send(Frame(FrameKind.SIZE, format_size(rows, columns).encode()))
