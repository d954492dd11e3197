"""The frames that supervisor and client exchange once a client is attached.

`attach` begins like any request of `model.control`, with one JSON object a line, and so does its reply. If that is not
an error, both sides then send frames: one byte for the kind, four bytes of length (big-endian), and that number of
bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

FRAME_MAX = 1 << 18
_HEAD = struct.Struct(">cI")


class FrameKind(enum.Enum):
    """What a frame carries: bytes as they are, a size as `ROWSxCOLUMNS`, or UTF-8 text."""

    INPUT = b"i"  # from the client: typed bytes
    SIZE = b"s"  # from the client: of its terminal; to a viewer with `sizes`: of the component's terminal
    OUTPUT = b"o"  # to the client: bytes for its terminal
    NOTE = b"n"  # to the client: a message for its user
    END = b"e"  # to the client, last: an exit status, a blank, and the reason


class MalformedFrame(Exception):
    """Bytes that are not a frame, or an argument of `attach` that is not a terminal; the message says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: FrameKind
    body: bytes

    def encode(self) -> bytes:
        """Return the bytes of the frame."""
        return _HEAD.pack(self.kind.value, len(self.body)) + self.body


class FrameReader:
    """Collects chunks until frames are whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        """Add a chunk; return the frames that are whole now. Raises MalformedFrame; after that, nothing can be read."""
        self._rest += chunk
        frames: list[Frame] = []
        while len(self._rest) >= _HEAD.size:
            mark, size = _HEAD.unpack_from(self._rest)
            try:
                kind = FrameKind(mark)
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
class ClientTerminal:
    """The terminal of a client that attaches: its size, and whether it only reads or takes over from the writer.

    With `sizes`, a client that only reads sets the size of the component's terminal while no writer is attached. It
    receives the current size.
    """

    rows: int
    columns: int
    read_only: bool = False
    takes_over: bool = False
    sizes: bool = False

    def encode(self) -> str:
        """Return the argument of the request."""
        words = [format_size(self.rows, self.columns)]
        words += ["read-only"] * self.read_only + ["take-over"] * self.takes_over
        words += ["sizes"] * self.sizes
        return " ".join(words)


def decode_terminal(text: str) -> ClientTerminal:
    """Return the terminal that the argument of a request describes. Raises MalformedFrame."""
    size, *words = text.split() or [""]
    if not set(words) <= {"read-only", "take-over", "sizes"}:
        raise MalformedFrame(f"unknown way to attach: {text!r}")
    read_only = "read-only" in words
    return ClientTerminal(
        *parse_size(size.encode()),
        read_only=read_only,
        takes_over="take-over" in words,
        sizes=read_only and "sizes" in words,
    )


def format_size(rows: int, columns: int) -> str:
    """Return the body of a SIZE frame, as text."""
    return f"{rows}x{columns}"


def parse_size(body: bytes) -> tuple[int, int]:
    """Return rows and columns of a SIZE frame; raises MalformedFrame."""
    rows, _, columns = body.partition(b"x")
    if not all(word.isdigit() and len(word) < 6 and 0 < int(word) < 1 << 16 for word in (rows, columns)):
        raise MalformedFrame(f"no size: {body[:20]!r}")
    return int(rows), int(columns)
