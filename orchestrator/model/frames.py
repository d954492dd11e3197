"""What goes over the socket once somebody is attached: frames, each way.

`attach` begins as any request, one JSON object a line, and so does its reply. Where that is no error, both sides then
speak frames: one byte that says what it is, four bytes of length (big-endian), and so many bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

FRAME_MAX = 1 << 18
_HEAD = struct.Struct(">cI")


class Kind(enum.Enum):
    """What a frame carries: bytes as they are, a size as `ROWSxCOLUMNS`, or UTF-8 text."""

    INPUT = b"i"  # client: typed
    SIZE = b"s"  # client: its terminal's; supervisor: that of the component's, to a viewer with `sizes`
    OUTPUT = b"o"  # supervisor: for the terminal
    NOTE = b"n"  # supervisor: a line for whoever sits there
    END = b"e"  # supervisor: the last frame; an exit status, a blank, and why


class MalformedFrame(Exception):
    """The other side does not speak this."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: Kind
    body: bytes

    def encode(self) -> bytes:
        """The bytes of it."""
        return _HEAD.pack(self.kind.value, len(self.body)) + self.body


class FrameReader:
    """Collects chunks until frames are whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take a chunk; return what is whole now. Raises MalformedFrame; nothing can be read after that."""
        self._rest += chunk
        frames: list[Frame] = []
        while len(self._rest) >= _HEAD.size:
            mark, size = _HEAD.unpack_from(self._rest)
            try:
                kind = Kind(mark)
            except ValueError:
                raise MalformedFrame(f"unknown frame {mark!r}") from None
            if size > FRAME_MAX:
                raise MalformedFrame(f"a frame of {size} bytes")
            end = _HEAD.size + size
            if len(self._rest) < end:
                break
            frames.append(Frame(kind, bytes(self._rest[_HEAD.size : end])))
            del self._rest[:end]
        return frames


@dataclass(frozen=True, slots=True)
class Seat:
    """How a client attaches: the size of its terminal, only to read, or to take the keyboard from the writer.

    With `sizes` a client that only reads gives the component's terminal its size while there is no writer, and learns
    the size that it has.
    """

    rows: int
    columns: int
    read_only: bool = False
    takes_over: bool = False
    sizes: bool = False

    def encode(self) -> str:
        """As the argument of the request."""
        words = [format_size(self.rows, self.columns)]
        words += ["read-only"] * self.read_only + ["take-over"] * self.takes_over
        words += ["sizes"] * self.sizes
        return " ".join(words)


def decode_seat(text: str) -> Seat:
    """Read the argument of a request; raises MalformedFrame."""
    size, *words = text.split() or [""]
    if not set(words) <= {"read-only", "take-over", "sizes"}:
        raise MalformedFrame(f"unknown way to attach: {text!r}")
    read_only = "read-only" in words
    return Seat(
        *parse_size(size.encode()),
        read_only=read_only,
        takes_over="take-over" in words,
        sizes=read_only and "sizes" in words,
    )


def format_size(rows: int, columns: int) -> str:
    """The body of a SIZE frame, as text."""
    return f"{rows}x{columns}"


def parse_size(body: bytes) -> tuple[int, int]:
    """Return rows and columns of a SIZE frame; raises MalformedFrame."""
    rows, _, columns = body.partition(b"x")
    if not all(word.isdigit() and len(word) < 6 and 0 < int(word) < 1 << 16 for word in (rows, columns)):
        raise MalformedFrame(f"no size: {body[:20]!r}")
    return int(rows), int(columns)
