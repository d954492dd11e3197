"""Bytes of one terminal to lines.

The line discipline ends lines with CR LF (OPOST, ONLCR); a component's own CR LF arrives as CR CR LF. The end of a
line is one LF and all CR right before it. A line without an end is bounded: at LINE_MAX bytes it is handed on in
pieces, so that no component can grow our memory.
"""

from __future__ import annotations

LINE_MAX = 1 << 16


class LineSplitter:
    """Collects chunks until a line is whole. `pending` is the unfinished one."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bytes:
        """The unfinished line so far."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; return all that is whole now: bytes that end in LF, or nothing.

        An over-long line is cut by an LF of ours.
        """
        end = chunk.rfind(b"\n") + 1
        if end:
            whole = b"".join((*self._parts, chunk[:end])) if self._parts else chunk[:end]
            self._parts = [chunk[end:]] if end < len(chunk) else []
            self._size = len(chunk) - end
        else:
            whole = b""
            self._parts.append(chunk)
            self._size += len(chunk)
        if self._size > LINE_MAX:
            whole += self.flush()
        return whole

    def flush(self) -> bytes:
        """Return the unfinished line with an end of ours, or nothing; forget it."""
        rest = self.pending
        self._parts = []
        self._size = 0
        return rest + b"\n" if rest else b""
