"""Queues text for standard output and decides the order in which it is written. Uses no descriptors and no clock.

By default all text waits in one line, first in, first out. That is the only queue for a file or pipe. On a terminal, a
component that prints more than the terminal accepts is a *flood*: its text waits in a separate queue, and the line is
written first. So the text of quiet components overtakes floods, and quiet components keep the order of their writes.
Floods take turns. The text of one component always stays in order.

A component becomes a flood when LIGHT_MAX bytes of it wait in the line. The reader of the ptys slows floods while the
terminal makes progress, and decides when a flood is over (`Flow.is_flood`). If it may not slow any component, `keep`
bounds the queue of each flood: the oldest text is dropped and counted.
"""

from __future__ import annotations

import collections
import re

LIGHT_MAX = 1 << 14  # bytes of one component in the line, beyond which it is a flood
PIECE = 1 << 16  # bytes that are offered at once while floods wait: a pty accepts no more
JOIN_MAX = 1 << 20  # bytes that are copied for the sake of one write
ALL_KEPT = 1 << 26  # bytes of all floods together that `keep` may add up to
KEEP_MIN = 1 << 13  # … but at least this many for each of them

_LF = re.compile(rb"\n")


class Flow:
    """One component's text in a Backlog, which writes it. `in_line` bytes wait in the line, `size` bytes in its own
    queue, `chunks`. A reader may set `is_flood` to False while that queue is empty."""

    __slots__ = ("chunks", "in_line", "is_flood", "size")

    def __init__(self) -> None:
        self.chunks: collections.deque[bytes] = collections.deque()
        self.in_line = 0
        self.size = 0
        self.is_flood = False


LAST = Flow()  # of text that is dropped unless it can be written right now: see Backlog.settle


class Backlog:
    """Bytes in order. `fair` lets the line pass the floods. `has_rest` says that something was left when the sink last
    accepted no more, and `last_has_begun` that the text of LAST, or its beginning, is written.

    `keep` bounds each flood's queue in bytes; None does not. `skipped_bytes` and `skipped_lines` count what was dropped
    for it, or by `skip`.
    """

    def __init__(self, *, fair: bool) -> None:
        self.size = 0
        self.flood_size = 0
        self.has_rest = False
        self.last_has_begun = False
        self.keep: int | None = None
        self.skipped_bytes = 0
        self.skipped_lines = 0
        self._fair = fair
        self._line: collections.deque[tuple[bytes | memoryview, Flow | None]] = collections.deque()
        self._staggered: dict[Flow, None] = {}  # floods that have text, the next one first
        self._unsorted = False  # whether the line has text of floods in it
        self._is_cut = False  # whether the beginning of the line's first chunk is written

    def append(self, shown: bytes, flow: Flow | None = None) -> None:
        """Add text that ends a line, of `flow` or of orchestrate itself."""
        self.size += len(shown)
        if not self._fair:
            flow = None
        if flow is LAST:
            self.last_has_begun = False
        if flow is not None:
            if self.has_rest and self._goes_apart(flow, len(shown)):
                flow.chunks.append(shown)
                self._queued(flow, len(shown))
                if self.keep is not None:
                    self._trim(flow, self.keep)
                return
            flow.in_line += len(shown)
        self._line.append((shown, flow))

    def head(self) -> bytes | memoryview:
        """Return the bytes to write next; empty if nothing waits. Call `consume` afterwards."""
        line = self._line
        if not line:
            if not self._staggered:
                self.has_rest = self._unsorted = False
                return b""
            self._take_turns()
        if len(line) == 1 or len(line[0][0]) >= PIECE:
            return line[0][0]
        if not self._fair and self.size <= JOIN_MAX:
            joined = b"".join([chunk for chunk, _ in line])
            line.clear()
            line.append((joined, None))
            return joined
        chunks, size = [], 0
        for chunk, _ in line:
            chunks.append(chunk)
            size += len(chunk)
            if size >= (PIECE if self.has_rest else JOIN_MAX):
                break
        return b"".join(chunks)

    def consume(self, count: int) -> None:
        """Remove `count` bytes, which were written."""
        self.size -= count
        line = self._line
        while count:
            chunk, flow = line[0]
            done = min(count, len(chunk))
            count -= done
            self._is_cut = done < len(chunk)
            if self._is_cut:
                line[0] = memoryview(chunk)[done:], flow
            else:
                line.popleft()
            if flow is not None:
                flow.in_line -= done
                if flow is LAST:
                    self.last_has_begun = True
        if not self.size:
            self.has_rest = self._unsorted = False

    def settle(self) -> None:
        """Sort the rest, because the sink accepts no more for now. Text of LAST is dropped unless it has begun."""
        if self._fair and (self._unsorted or not self.has_rest):
            self._sort()
        self.has_rest = bool(self._line)
        self._unsorted = False

    def merge(self, flow: Flow) -> None:
        """Put all text of `flow` at the end of the line, so that what is appended next comes after it."""
        if flow.in_line:  # it must not be sorted out of the line any more
            self._line = collections.deque((chunk, None if its is flow else its) for chunk, its in self._line)
            flow.in_line = 0
        if flow.size:
            self._line.extend((chunk, None) for chunk in flow.chunks)
            self.flood_size -= flow.size
            flow.size = 0
            flow.chunks.clear()
            del self._staggered[flow]

    def trim(self) -> None:
        """Apply `keep` to text that is queued already."""
        if self.keep is not None:
            for flow in list(self._staggered):
                self._trim(flow, self.keep)

    def skip(self, shown: bytes) -> None:
        """Count text that is not appended."""
        self.skipped_bytes += len(shown)
        self.skipped_lines += shown.count(b"\n")

    def clear(self) -> None:
        """Drop everything."""
        for flow in self._staggered:
            flow.chunks.clear()
            flow.size = 0
        self._staggered.clear()
        self._line.clear()
        self.size = self.flood_size = 0
        self.has_rest = self._unsorted = self._is_cut = False

    # The floods

    @staticmethod
    def _goes_apart(flow: Flow, size: int) -> bool:
        if not flow.is_flood:
            flow.is_flood = flow.in_line + size > LIGHT_MAX
        return flow.is_flood

    def _queued(self, flow: Flow, size: int) -> None:
        flow.size += size
        self.flood_size += size
        self._staggered[flow] = None

    def _take_turns(self) -> None:
        """Move about PIECE of the floods into the line, which is empty."""
        self._unsorted = True
        size = 0
        while self._staggered and size < PIECE:
            flow = next(iter(self._staggered))
            del self._staggered[flow]
            chunk = flow.chunks.popleft()
            size += len(chunk)
            flow.size -= len(chunk)
            flow.in_line += len(chunk)
            self.flood_size -= len(chunk)
            self._line.append((chunk, flow))
            if flow.size:
                self._staggered[flow] = None

    def _sort(self) -> None:
        """Move text of floods out of the line, but for the line of text that has begun."""
        entries = list(self._line)
        self._line.clear()
        if self._is_cut:
            chunk, flow = entries.pop(0)
            end = found.end() if (found := _LF.search(chunk)) else len(chunk)
            self._line.append((chunk[:end], flow))
            if end < len(chunk):
                entries.insert(0, (bytes(chunk[end:]), flow))
        waiting: dict[Flow, int] = {}
        for chunk, flow in entries:
            if flow is not None:
                waiting[flow] = waiting.get(flow, 0) + len(chunk)
        for flow, size in waiting.items():
            flow.is_flood |= size > LIGHT_MAX
        turns, self._staggered = self._staggered, {}
        kept = []
        for chunk, flow in reversed(entries):
            if flow is LAST:
                self.size -= len(chunk)
                flow.in_line -= len(chunk)
            elif flow is not None and flow.is_flood:
                flow.in_line -= len(chunk)
                flow.chunks.appendleft(bytes(chunk))
                self._queued(flow, len(chunk))
            else:
                kept.append((chunk, flow))
        self._line.extend(reversed(kept))
        self._staggered = dict(reversed(self._staggered.items())) | turns
        if self.keep is not None:
            self.trim()

    def _trim(self, flow: Flow, keep: int) -> None:
        """Drop the oldest text of a flood as long as `keep` bytes are left."""
        keep = max(KEEP_MIN, min(keep, ALL_KEPT // len(self._staggered)))
        while flow.size - len(flow.chunks[0]) >= keep:
            dropped = flow.chunks.popleft()
            self.skip(dropped)
            flow.size -= len(dropped)
            self.flood_size -= len(dropped)
            self.size -= len(dropped)
