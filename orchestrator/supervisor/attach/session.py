"""The attached terminals of one instance, and which of them types.

An attach session lives as long as the system. Its terminals stay attached when a run ends and the next begins. The
supervisor is the only reader of the master and copies its output to the viewers, byte by byte. (Passing the master
itself to a client was rejected: two readers would take each other's bytes, and a client that is suspended, or outlives
the supervisor, would hold the terminal open.)

There are several viewers, but one writer. The writer's terminal gives the pty its size, and is the only one that
answers queries: what other viewers' terminals send is dropped. Without a writer, the newest viewer with `sizes`
sets the size; each of these is sent the size of the pty. Without a writer, or while its terminal does not keep up, we
answer queries (query_answers.py). While there is a writer, the lines are held back from the merged stream
(`Stream.lent`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from orchestrator.model.frames import ClientTerminal, Frame, FrameKind, MalformedFrame, parse_size
from orchestrator.output.stream import Stream
from orchestrator.process import input_wait
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.attach.viewer import PtyWriter, Viewer
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.prompts.responder import PromptResponder
from orchestrator.terminal.line_painter import screenful
from orchestrator.terminal.modes import Modes
from orchestrator.terminal.query_answers import QueryAnswers

VIEWERS_MAX = 16
PAUSE_TOLD = 2.0  # seconds
ANSWERS_MAX = 4096  # bytes that the component has not read yet
ANSWER_AFTER = (0.02, 0.1, 0.5)  # seconds between checks whether the terminal is ready for an answer
WIGGLE = 0.15  # seconds with one row less, so that a full-screen program notices and redraws everything


class SessionHost(Protocol):
    """The system as a terminal uses it."""

    loop: Loop

    @property
    def pty_size(self) -> tuple[int, int]:
        """Rows and columns of a pty without attached terminals."""

    def tell(self, text: str, *, warns: bool = False, here: str = "") -> None:
        """Show an event line in the merged stream, with an addition that is not logged."""

    def lend(self, stream: Stream, *, lent: bool) -> None:
        """Hold a stream's lines back from the merged stream, or show them again."""

    def fail(self, instance: Instance, reason: str) -> None:
        """Stop an instance that cannot do its work."""

    def waiting_changed(self) -> None:
        """Report that an instance waits at another prompt, or no longer waits."""


class AttachedTerminal:
    """Open while `stream` is set; between two runs it is None."""

    def __init__(self, name: str, host: SessionHost) -> None:
        self.name = name
        self._host = host
        self._stream: Stream | None = None
        self._modes = Modes()
        self._answers: QueryAnswers | None = None
        self._unanswered = b""
        self._late: Timer | None = None  # checks again whether answers can be typed
        self._pty_writer: PtyWriter | None = None
        self._responder: PromptResponder | None = None
        self._viewers: list[Viewer] = []
        self._writer: Viewer | None = None
        self._wiggle: Timer | None = None
        self._reported = ("", False)  # the prompt, and whether it is full-screen, that were reported last
        self._end = ""  # how the last run ended, if that was not shown to the attached users yet

    # A run

    def open(self, instance: Instance, stream: Stream, tree: Callable[[], Iterable[int]]) -> None:
        """Take the stream of a new run, before it is read; `tree` returns the pids of its processes."""
        self._stream = stream
        self._modes = Modes()
        self._answers = QueryAnswers(self._modes, lambda: stream.size)
        self._pty_writer = PtyWriter(self._host.loop, stream.master_fd)
        self._responder = PromptResponder(instance, stream, tree, self._host.loop, self)
        stream.tap = self
        how = f"{self._end}; started again" if self._end else f"{self.name} started"
        self._end = ""
        for viewer in list(self._viewers):
            viewer.note(f"{how} (pid {instance.pid})")
        if self._writer is not None:
            self._lend()
        else:
            self._take_size()

    def close(self, end: str = "") -> None:
        """End the run, after all its output has been read; the caller closes its master next.

        `end` says in words how it ended.
        """
        self._end = end
        if self._pty_writer is not None and self._responder is not None:
            self._pty_writer.close()
            self._responder.close()
        if self._wiggle is not None:
            self._wiggle.cancel()
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._unanswered = b""
        if self._stream is not None:
            self._stream.tap = None
            self._tell_held()
        self._stream = self._answers = self._pty_writer = self._responder = None
        self.look_at_waiting()
        for viewer in list(self._viewers):
            viewer.show(self._modes.leave + b"\r\n")

    def pause(self, seconds: float) -> None:
        """Tell the attached users if it takes a while until the next run."""
        if seconds >= PAUSE_TOLD:
            for viewer in list(self._viewers):
                viewer.note(f"{self._end}; starting it again in {seconds:.0f} s")
            self._end = ""

    @property
    def has_room(self) -> bool:
        """Whether one more viewer may attach."""
        return len(self._viewers) < VIEWERS_MAX

    def end(self, status: int, why: str) -> None:
        """End all attach sessions, because no other run follows."""
        for viewer in list(self._viewers):
            viewer.end(status, why)

    @property
    def waiting(self) -> str:
        """The prompt at which it waits for input; empty while it does not."""
        return self._responder.waiting if self._responder is not None else ""

    def take(self, data: bytes) -> bytes:
        """Take a chunk of its output, before it is logged or shown; return the part that may be."""
        assert self._responder is not None
        assert self._answers is not None
        escapes = (b"\x1b" in data or b"\xc2" in data or self._modes.is_inside) and self._modes.feed(data)
        whole, seen = data, False
        data = self._responder.take(data)
        if escapes or self._reported[0]:
            self.look_at_waiting()
        if self._viewers:
            encoded = Frame(FrameKind.OUTPUT, data).encode()
            for viewer in list(self._viewers):
                seen |= viewer.give(encoded, len(data)) and viewer is self._writer
        if answers := self._answers.take(whole, escapes=escapes, seen=seen):
            self._answer(answers)
        return data

    def _answer(self, answers: bytes) -> None:
        """Type answers to queries, once the component can read them: with ECHO or ICANON off.

        Otherwise the terminal would echo them, and the answer to a query in a line that is only printed would become
        input of the next program that reads.
        """
        self._unanswered = (self._unanswered + answers)[-ANSWERS_MAX:]
        if self._late is None:
            self._try_to_answer(0)

    def _try_to_answer(self, tries: int) -> None:
        self._late = None
        if self._stream is None or self._pty_writer is None or not self._stream.open:
            self._unanswered = b""
        elif input_wait.is_edited(self._stream.master_fd):
            answers, self._unanswered = self._unanswered, b""
            if self._pty_writer.waiting + len(answers) <= ANSWERS_MAX:  # otherwise it does not read them
                self._pty_writer.type(answers)
        elif tries < len(ANSWER_AFTER):
            self._late = self._host.loop.call_in(ANSWER_AFTER[tries], lambda: self._try_to_answer(tries + 1))
        else:
            self._unanswered = b""

    def typed(self) -> None:
        """Take note that something was typed: the next prompt is a new one."""
        if self._responder is not None:
            self._responder.typed()
            self.look_at_waiting()

    def look_at_waiting(self) -> None:
        """Report if the prompt at which it waits is another one, or another kind of program has the terminal."""
        if self._reported != (now := (self.waiting, self._stream is not None and self.is_full_screen)):
            self._reported = now
            self._host.waiting_changed()

    # For its prompt responder (responder.ResponderHost)

    @property
    def is_attended(self) -> bool:
        """Whether a writer is attached."""
        return self._writer is not None

    @property
    def is_full_screen(self) -> bool:
        """Whether a full-screen program has the terminal."""
        return self._modes.full_screen

    @property
    def modes_set(self) -> bytes:
        """The sequences that set its present modes."""
        return self._modes.enter

    @property
    def row_before_cursor(self) -> str:
        """The text on the cursor's row, to the cursor."""
        return self._answers.row_before_cursor if self._answers is not None else ""

    def type(self, data: bytes) -> bool:
        """Type into it; return False if it accepts no more, or nothing runs."""
        if self._pty_writer is None or not self._pty_writer.type(data):
            return False
        self.typed()
        return True

    def tell(self, text: str, *, warns: bool = False) -> None:
        """Show an event line in the merged stream."""
        self._host.tell(text, warns=warns)

    def fail(self, instance: Instance, reason: str) -> None:
        """Stop an instance that shows a prompt which a rule forbids."""
        self._host.fail(instance, reason)

    # Attached terminals (viewer.ViewerHost)

    def admit(self, connection: socket.socket, terminal: ClientTerminal) -> None:
        """Attach a viewer, and make it the writer if there is none. Takes over the connection."""
        viewer = Viewer(connection, terminal, self._host.loop, self)
        self._viewers.append(viewer)
        if terminal.takes_over and self._writer is not None:
            self._writer.note("the keyboard was taken over from another terminal; from now on you are looking on")
            self._note_size(self._writer, terminal.rows, terminal.columns)
            self._writer = None
        elif self._writer is not None:
            viewer.note("another terminal has the keyboard: you are looking on (--take-over takes it)")
        elif terminal.read_only and not terminal.sizes:
            viewer.note("you are looking on")
        if terminal.sizes and self._stream is not None:
            self._tell_size(viewer)
        if self._modes.full_screen:  # the note must be on the alternate screen, or the user would not see it
            self._show_state(viewer)
        if self._stream is not None and (self._writer is not None or terminal.read_only):
            self._note_size(viewer, *self._stream.size)
        if not self._modes.full_screen:
            self._show_state(viewer)
        if self._writer is None and not terminal.read_only:
            self._make_writer(viewer)
        elif terminal.sizes and self._writer is None:
            self._take_size()

    def hear(self, viewer: Viewer, frame: Frame) -> None:
        """Handle a viewer's frame; ignore input from viewers other than the writer."""
        if frame.kind is FrameKind.SIZE:
            try:
                viewer.rows, viewer.columns = parse_size(frame.body)
            except MalformedFrame:
                viewer.close()
                return
            if viewer is self._writer and self._stream is not None:
                if self._stream.size == (viewer.rows, viewer.columns):  # it was suspended: redraw
                    self._show_state(viewer)
                self._take_size()
            elif viewer.terminal.sizes and self._writer is None and self._stream is not None:
                self._take_size()
        elif frame.kind is not FrameKind.INPUT:
            viewer.close()
        elif viewer is self._writer and self._stream is not None and not self.type(frame.body):
            viewer.note(f"{self.name} does not read what is typed: {len(frame.body)} bytes dropped")

    def caught_up(self, viewer: Viewer) -> None:
        """Show the present state to a viewer that has missed output."""
        skipped, viewer.skipped = viewer.skipped, 0
        viewer.show(b"\x18" + self._modes.leave + b"\r\n")  # CAN ends a sequence that was cut
        if not viewer.terminal.sizes:
            viewer.note(f"your terminal did not keep up: skipped {skipped:,} bytes")
        self._show_state(viewer)
        if self._modes.full_screen or not viewer.terminal.sizes:
            self._redraw()

    def left(self, viewer: Viewer) -> None:
        """Remove a viewer; if it was the writer, the next one becomes the writer."""
        self._viewers.remove(viewer)
        if viewer is self._writer:
            self._writer = None
            heir = next((v for v in self._viewers if not v.terminal.read_only), None)
            if heir is not None:
                heir.note("the keyboard is yours now")
                self._make_writer(heir)
            elif self._stream is not None:
                self._tell_held()
                self._take_size()
        elif viewer.terminal.sizes and self._writer is None and self._stream is not None:
            self._take_size()

    def _make_writer(self, viewer: Viewer) -> None:
        self._writer = viewer
        if self._stream is not None:
            self._lend()

    def _lend(self) -> None:
        assert self._stream is not None
        assert self._writer is not None
        if not self._stream.lent:
            self._host.lend(self._stream, lent=True)
            self._host.tell(f"a terminal is attached to {self.name}", here="; its output is hidden here")
        self._take_size()

    def _take_size(self) -> None:
        """Give the pty the size of the writer's terminal, of a viewer that sizes it, or the usual one; if it has that
        already, the program draws again."""
        if self._stream is None or not self._stream.open:
            return
        sizer = self._writer or next((v for v in reversed(self._viewers) if v.terminal.sizes), None)
        self._stream.sized = sizer is not None
        size = (sizer.rows, sizer.columns) if sizer is not None else self._host.pty_size
        if self._stream.size != size:
            self._resize(*size)
        elif self._writer is not None or (sizer is not None and self._modes.full_screen):
            self._redraw()

    def _note_size(self, viewer: Viewer, rows: int, columns: int) -> None:
        """Tell a viewer that does not size the pty if its terminal is smaller than that."""
        if not viewer.terminal.sizes and (viewer.rows < rows or viewer.columns < columns):
            sizes = f"the terminal of {self.name} is {columns}x{rows}, yours only {viewer.columns}x{viewer.rows}"
            viewer.note(f"{sizes}: the text may look wrong here")

    def _tell_size(self, viewer: Viewer) -> None:
        if self._stream is not None and self._stream.open:
            viewer.tell_size(*self._stream.size)

    def _tell_held(self) -> None:
        assert self._stream is not None
        if self._stream.lent:
            self._host.lend(self._stream, lent=False)
            held, self._stream.held = self._stream.held, 0
            lines = f"; {held:,} lines were hidden" if held > 1 else "; 1 line was hidden" if held else ""
            self._host.tell(f"the terminal has detached from {self.name}", here=lines)

    def _show_state(self, viewer: Viewer) -> None:
        if self._stream is None:
            viewer.note(f"{self.name} is not running; what is started next is shown here")
        elif self._modes.full_screen:
            viewer.show(self._modes.enter)
        else:
            viewer.show(screenful(self._stream.recent, self._stream.splitter.pending, viewer.rows) + self._modes.enter)

    def _resize(self, rows: int, columns: int, *, wiggles: bool = False) -> None:
        if self._wiggle is not None:
            self._wiggle.cancel()
            self._wiggle = None
        if self._stream is not None and self._stream.open:
            self._stream.resize(rows, columns)
            for viewer in self._viewers:
                if viewer.terminal.sizes and not wiggles:
                    viewer.tell_size(rows, columns)
            if self._modes.has_in_band_size and self._writer is None:  # the writer's terminal reports it itself
                self._answer(b"\x1b[48;%d;%d;0;0t" % (rows, columns))

    def _redraw(self) -> None:
        """Make the program redraw: the kernel sends SIGWINCH when the size changes, and programs react to it."""
        if self._stream is None or self._wiggle is not None or not self._stream.open:
            return
        rows, columns = self._stream.size
        self._resize(rows - 1 or 2, columns, wiggles=True)
        self._wiggle = self._host.loop.call_in(WIGGLE, lambda: self._resize(rows, columns))
