"""What is said over the socket in the home: one JSON object a line, each way.

A client sends one `Request`; the supervisor answers with one `Reply`, or with a stream of them until either side
closes. The format is versioned: a request of another version is answered with an error that says so.

    {"version": 1, "verb": "restart", "names": ["web"]}
    {"ok": true, "rows": [{"instance": "web", "state": "ready", …}]}

What goes over the socket once somebody is attached: frames, each way.

`attach` begins as any request, one JSON object a line, and so does its reply. Where that is no error, both sides then
speak frames: one byte that says what it is, four bytes of length (big-endian), and so many bytes.
"""

from __future__ import annotations

import enum
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.model.errors import FAILED_STATUS

VERSION = 1


class Verb(enum.Enum):
    """What can be asked of a running system."""

    PS = "ps"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SCALE = "scale"  # the argument is the number of instances
    KILL = "kill"
    SIGNAL = "signal"
    SEND = "send"
    WHY = "why"
    EVENTS = "events"
    WATCH = "watch"  # rows as of PS, and again each that changes; see `Desk`
    WAIT = "wait"
    STATUS = "status"
    DOWN = "down"
    ATTACH = "attach"  # see `model.control`


class MalformedRequest(Exception):
    """A line that is no request; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """`names` are instances, components or globs, empty for all; `argument` is the signal, the text to send, or what
    to wait for (`ready` or `exit`)."""

    verb: Verb
    names: tuple[str, ...] = ()
    argument: str = ""

    def encode(self) -> bytes:
        """One line."""
        fields = {"version": VERSION, "verb": self.verb.value, "names": self.names, "argument": self.argument}
        return json.dumps(fields).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """`error` says in words why not, where `ok` is false; `status` is the exit status it leads the client to; `rows`
    are objects with plain fields. `progress` says what the supervisor waits for, for the user; the answer follows.
    `last` is false where more replies follow."""

    ok: bool = True
    error: str = ""
    status: int = 0
    rows: tuple[dict[str, Any], ...] = ()
    last: bool = True
    progress: str = ""

    def encode(self) -> bytes:
        """One line, all ASCII: a name or a port may hold bytes that are no UTF-8."""
        return json.dumps(asdict(self)).encode() + b"\n"


def refusal(error: str, status: int = FAILED_STATUS) -> Reply:
    """Say why not, as the last word."""
    return Reply(ok=False, error=error, status=status)


def decode_request(line: bytes) -> Request:
    """Parse a line of a client; raises MalformedRequest."""
    fields = _object(line)
    version = fields.get("version")
    if version != VERSION:
        raise MalformedRequest(f"version {version!r} is not spoken here, {VERSION} is")
    try:
        verb = Verb(fields.get("verb"))
    except ValueError:
        raise MalformedRequest(f"unknown verb {fields.get('verb')!r}") from None
    names, argument = fields.get("names", []), fields.get("argument", "")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MalformedRequest("names must be a list of strings")
    if not isinstance(argument, str):
        raise MalformedRequest("argument must be a string")
    return Request(verb, tuple(names), argument)


def decode_reply(line: bytes) -> Reply:
    """Parse a line of the supervisor; raises MalformedRequest."""
    fields = _object(line)
    known = {name: fields[name] for name in ("ok", "error", "status", "last", "progress") if name in fields}
    rows = fields.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedRequest("rows must be a list of objects")
    return Reply(**known, rows=tuple(rows))


def _object(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedRequest("not a JSON object on one line") from None
    if not isinstance(fields, dict):
        raise MalformedRequest("not a JSON object on one line")
    return fields


FRAME_MAX = 1 << 18
_HEAD = struct.Struct(">cI")


class FrameKind(enum.Enum):
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

    kind: FrameKind
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
