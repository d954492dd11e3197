"""Lines of log files as the merged stream shows them: less what is positioned instead of written, such as the screen
of a full-screen program, and with blocks of rows in their last state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.output.log_reader import Line
from orchestrator.terminal.escapes import ESC
from orchestrator.terminal.redraw import ROWS_MAX
from orchestrator.terminal.row_splitter import RowSplitter


class _Rows:
    """One stream of lines, less what is positioned instead of written (`terminal.row_splitter`)."""

    def __init__(self) -> None:
        self._splitter = RowSplitter()
        self._above: deque[bytes] = deque(maxlen=ROWS_MAX)
        self._waiting: deque[Line] = deque(maxlen=ROWS_MAX)  # of which nothing was handed on so far

    def take(self, line: Line) -> list[Line]:
        """Return the lines that are complete with this one. If there are several, each has the time of its own."""
        if not line.ends:
            return [*self.rest(), line]
        above = b"".join(self._above) if ESC in line.text else b""
        whole = self._splitter.feed(line.text + b"\n", above)
        self._splitter.overwritten.clear()
        if self._splitter.piece:
            self._splitter.piece = b""
        return self._handed_on(whole, line)

    def rest(self) -> list[Line]:
        """Return what was held back, because what follows might have changed it."""
        return self._handed_on(self._splitter.flush(), None)

    @property
    def holds(self) -> bool:
        """Whether blank lines are held back."""
        return self._splitter.holds

    def settle(self) -> list[Line]:
        """Return blank lines that nothing has taken back for a while."""
        return self._handed_on(self._splitter.settle(b"".join(self._above)), None) if self.holds else []

    def unfinished(self, text: bytes) -> bytes:
        """Return what a line without an end shows so far; nothing under a full-screen program."""
        if self._splitter.full_screen:
            return b""
        one = RowSplitter()
        one.feed(text)
        return one.pending

    def _handed_on(self, whole: bytes, line: Line | None) -> list[Line]:
        if line is not None:
            self._waiting.append(line)
        if not whole:
            return []
        texts = whole.split(b"\n")[:-1]
        self._above.extend(text + b"\n" for text in texts)
        times = list(self._waiting)
        self._waiting.clear()
        times = [times[0]] * (len(texts) - len(times)) + times[-len(texts) :] if times else []
        return [replace(one, text=text) for one, text in zip(times, texts, strict=False)]


class Rows:
    """The same for all instances; standard error that is separate is a stream of its own."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, bool], _Rows] = {}

    def take(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield lines as they are shown."""
        for line in lines:
            yield from self._of(line).take(line)

    def rest(self) -> list[Line]:
        """Return what was held back, by time."""
        return sorted((line for one in self._streams.values() for line in one.rest()), key=lambda line: line.stamp)

    @property
    def hold(self) -> bool:
        """Whether blank lines are held back."""
        return any(one.holds for one in self._streams.values())

    def settle(self) -> list[Line]:
        """Return blank lines that nothing has taken back for a while."""
        return [line for one in self._streams.values() for line in one.settle()]

    def unfinished(self, line: Line) -> Line:
        """Return a line without an end as it is shown."""
        return replace(line, text=self._of(line).unfinished(line.text))

    def _of(self, line: Line) -> _Rows:
        key = line.instance, line.is_error
        if key not in self._streams:
            self._streams[key] = _Rows()
        return self._streams[key]
