"""Lines of log files as the merged stream shows them: without text that is positioned instead of written, such as the
screen of a full-screen program, and with rows that are redrawn in their last state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.output.log_reader import Line
from orchestrator.terminal.escapes import ESC
from orchestrator.terminal.redraw import ROWS_MAX
from orchestrator.terminal.row_splitter import RowSplitter, is_plain


def is_kept(text: bytes) -> bool:
    """Return whether a line is shown as it is, unless earlier ones have left a motion, a mode or blank lines."""
    return is_plain(text) and text.strip(b"\r") != b""


class _Rows:
    """One stream of lines, without text that is positioned instead of written (`terminal.row_splitter`)."""

    def __init__(self) -> None:
        self._splitter = RowSplitter()
        self._above: deque[bytes] = deque(maxlen=ROWS_MAX)
        self._waiting: deque[Line] = deque(maxlen=ROWS_MAX)  # lines that were not passed on so far

    def take(self, line: Line) -> list[Line]:
        """Return the lines that this one completes. If there are several, each keeps its time."""
        if not line.ends:
            return [*self.rest(), line]
        if self.passes and is_kept(line.text):
            text = line.text + b"\n"
            self._above.append(text)
            self._splitter.pass_over(text)
            return [line]
        above = b"".join(self._above) if ESC in line.text else b""
        whole = self._splitter.feed(line.text + b"\n", above)
        self._splitter.overwritten.clear()
        if self._splitter.piece:
            self._splitter.piece = b""
        return self._handed_on(whole, line)

    def set_modes(self, modes: bytes) -> None:
        """Begin in the modes that these sequences set."""
        self._splitter.feed(modes)

    @property
    def passes(self) -> bool:
        """Whether it returns each line for which `is_kept` is true unchanged and immediately."""
        return self._splitter.passes and not self._waiting

    def pass_over(self, texts: list[bytes]) -> None:
        """Take lines for which `is_kept` is true, while it `passes`."""
        self._above.extend([text + b"\n" for text in texts[-ROWS_MAX:]])
        self._splitter.pass_over(b"\n".join(texts) + b"\n")

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
        """Return what an unfinished line shows so far; nothing under a full-screen program."""
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
    """The same for all instances; separate standard error counts as another stream."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, bool], _Rows] = {}

    def set_modes(self, instance: str, modes: bytes) -> None:
        """Begin in these modes, which the lines before the first one have set."""
        self._stream(instance, False).set_modes(modes)

    def take(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield lines as they are shown."""
        for line in lines:
            yield from self._of(line).take(line)

    def passes(self, instance: str) -> bool:
        """Whether the next line of an instance is shown as it is, if `is_kept` is true of it."""
        streams = self._streams.get((instance, False)), self._streams.get((instance, True))
        return all(one is None or one.passes for one in streams)

    def pass_over(self, instance: str, texts: list[bytes], *, is_error: bool) -> None:
        """Take lines of which nothing is to be shown: `is_kept` is true of each, and the instance `passes`."""
        if texts:
            self._stream(instance, is_error).pass_over(texts)

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
        """Return an unfinished line as it is shown."""
        return replace(line, text=self._of(line).unfinished(line.text))

    def _of(self, line: Line) -> _Rows:
        return self._stream(line.instance, line.is_error)

    def _stream(self, instance: str, is_error: bool) -> _Rows:
        key = instance, is_error
        if key not in self._streams:
            self._streams[key] = _Rows()
        return self._streams[key]
