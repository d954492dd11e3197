"""One log for two streams of one instance: each hands it whole lines only, so that they do not mix within a line."""

from __future__ import annotations

from orchestrator.output.log_file import LogFile

LINE_MAX = 1 << 20  # bytes of an unfinished line that are kept; a longer one is written in pieces


class LineLog:
    """Collects the chunks of one stream into lines for a log that it shares."""

    def __init__(self, log: LogFile, *, is_error: bool = False) -> None:
        """`is_error` marks the lines as those of standard error."""
        self._log = log
        self._write = log.write_errors if is_error else log.write
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, chunk: bytes, *, more: bool = False) -> bool:
        """Take a chunk, which may end anywhere in a line. What is whole of it is written at once: returns False."""
        end = chunk.rfind(b"\n") + 1
        if end:
            self._write(b"".join((*self._parts, chunk[:end])))
            self._parts, self._size = [], 0
        if end < len(chunk):
            self._parts.append(chunk[end:])
            self._size += len(chunk) - end
            if self._size > LINE_MAX:
                self._end_line()
        return False

    def flush(self) -> None:
        """Nothing waits."""

    def finish(self) -> None:
        """Write an unfinished line; the incarnation has ended."""
        if self._parts:
            self._end_line()
        self._log.finish()

    def _end_line(self) -> None:
        self._write(b"".join((*self._parts, b"\n")))
        self._parts, self._size = [], 0
