"""What is said over the socket in the home: one JSON object a line, each way.

A client sends one `Request`; the supervisor answers with one `Reply`, or with a stream of them until either side
closes. The format is versioned: a request of another version is answered with an error that says so.

    {"version": 1, "verb": "restart", "names": ["web"]}
    {"ok": true, "rows": [{"instance": "web", "state": "ready", …}]}
"""

from __future__ import annotations

import enum
import json
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
    ATTACH = "attach"  # see `model.frames`


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
        raise MalformedRequest("names is no list of strings")
    if not isinstance(argument, str):
        raise MalformedRequest("argument is no string")
    return Request(verb, tuple(names), argument)


def decode_reply(line: bytes) -> Reply:
    """Parse a line of the supervisor; raises MalformedRequest."""
    fields = _object(line)
    known = {name: fields[name] for name in ("ok", "error", "status", "last", "progress") if name in fields}
    rows = fields.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedRequest("rows is no list of objects")
    return Reply(**known, rows=tuple(rows))


def _object(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedRequest("not a JSON object on one line") from None
    if not isinstance(fields, dict):
        raise MalformedRequest("not a JSON object on one line")
    return fields
