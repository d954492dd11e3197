"""The requests to a running system and their replies: one JSON object a line, each way, over the socket in the home.

A client sends one `Request`; the supervisor answers with one `Reply`, or with a stream of them until either side
closes. The format is versioned: a request of another version is answered with an error that says so.

    {"version": 1, "verb": "restart", "names": ["web"]}
    {"ok": true, "rows": [{"instance": "web", "state": "ready", …}]}

Each verb has a class of requests and, if no other verb has it, a type of rows.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from orchestrator.model.errors import FAILED_STATUS

Row = Mapping[str, object]  # one JSON object on the socket

if TYPE_CHECKING:  # a TypedDict costs time at each start, and frames are only for those who attach
    from typing import TypedDict, final

    from orchestrator.model.frames import ClientTerminal

    # Reports of a running system on itself, its instances and their changes. A row is passed on as it is: to --json, to
    # the view, to a program. Times are seconds since the epoch, or None.

    class StatusRow(TypedDict):
        """The whole system. `step` is the initial step that is running; `states` counts instances by state."""

        state: str
        step: str | None
        title: str
        pid: int
        since: float
        ready: int
        components: int
        states: dict[str, int]

    class RunFields(TypedDict):
        """An instance and its current or last run."""

        instance: str
        component: str
        state: str
        pid: int | None
        guardian: int | None
        started: float | None
        ready_since: float | None
        restarts: int
        port: str | None
        last_exit: str | None
        ended: float | None

    class RunRow(RunFields):
        """A run with the seconds until the instance restarts."""

        restarts_in: float | None

    class InstanceRow(RunRow):
        """An instance with the dependencies that it waits for, and the prompt at which it waits for input."""

        waits_for: list[str]
        waiting: str | None

    class ReasonRow(InstanceRow):
        """An instance with the reason for its state in a sentence, and the last lines of its output."""

        reason: str
        lines: list[str]

    class UsageRow(InstanceRow, total=False):
        """The row of `ps`, which adds what the process tree uses: processors, bytes, and the ports it listens on."""

        cpu: float | None
        memory: int | None
        ports: list[int]
        assigned_port: str | None

    class WhyRow(ReasonRow, total=False):
        """The row of `why`, which adds the fault of an instance that is up."""

        fault: str

    class ShownRow(RunFields):
        """An instance as the view shows it: `restart_at` instead of `restarts_in`, which would change all the time."""

        waits_for: list[str]
        waiting: str | None
        restart_at: int | None
        tags: list[str]
        tty: bool
        full_screen: bool

    class WatchRow(TypedDict, total=False):
        """One of: the system, an instance, or the names of all instances in order."""

        system: StatusRow
        instance: ShownRow
        order: list[str]

    # `from` is a keyword, so the functional form.
    EventRow = TypedDict(
        "EventRow",
        {
            "time": float,
            "instance": str,
            "component": str,
            "from": str,
            "state": str,
            "pid": "int | None",
            "status": "int | None",
            "last_exit": "str | None",
        },
    )

    @final
    class EndRow(TypedDict):
        """The last event: the exit of the system, with its exit status."""

        time: float
        state: str
        status: int

    class AttachRow(TypedDict, total=False):
        """What a client is attached to: an instance, or the directory whose log files are the merged stream, when this
        start began, and the modes of instances that run full-screen programs, by the names of their logs."""

        instance: str
        logs: str
        begun: float
        full_screen: dict[str, str]


VERSION = 1
INSTANCES_MAX = 1000  # of one component
NO_PROMPT = "(no prompt)"  # represents a prompt that has no text


class Verb(enum.Enum):
    """The requests to a running system."""

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
    WATCH = "watch"  # the rows of the view, and again each that changes
    WAIT = "wait"
    STATUS = "status"
    DOWN = "down"
    ATTACH = "attach"


class MalformedRequest(Exception):
    """A line that is not a request, or not a reply; the message says why."""


RowT = TypeVar("RowT", bound="Row", covariant=True)


@dataclass(frozen=True, slots=True)
class Reply(Generic[RowT]):
    """A reply of the supervisor. If `ok` is false, `error` is the reason. `status` is the exit status of the client.
    `progress` says what the supervisor waits for before it answers. `last` is false if more replies follow."""

    ok: bool = True
    error: str = ""
    status: int = 0
    rows: tuple[RowT, ...] = ()
    last: bool = True
    progress: str = ""

    def encode(self) -> bytes:
        """Return one line, all ASCII: a name or a port may hold bytes that are not UTF-8."""
        fields = {name: getattr(self, name) for name in _PLAIN} | {"rows": self.rows}
        return json.dumps(fields).encode() + b"\n"


_PLAIN: dict[str, type] = {"ok": bool, "error": str, "status": int, "last": bool, "progress": str}


def had_ended(row: RunRow, asked_at: float) -> bool:
    """Return whether a run was over before it was asked (Unix time) to end; what the client knew may be older."""
    return row["pid"] is None and (row["ended"] or 0.0) < asked_at


def refusal(error: str, status: int = FAILED_STATUS) -> Reply[Row]:
    """Return the last reply to a request that is refused."""
    return Reply(ok=False, error=error, status=status)


@dataclass(frozen=True, slots=True)
class Request(Generic[RowT]):
    """A request of a client; each verb has a class. `names` are instances, components or globs; empty means all. The
    type parameter is that of the rows in the reply."""

    verb: ClassVar[Verb]
    changes: ClassVar[bool] = False  # whether it changes the system; then it is recorded
    is_secret: ClassVar[bool] = False  # whether the argument may be a password
    absent: ClassVar[Mapping[str, object]] = {}  # values of fields that a supervisor of another version may not send

    names: tuple[str, ...] = ()

    @property
    def argument(self) -> str:
        """The argument beside the names as text, for the socket and for the record of a start."""
        return ""

    @classmethod
    def read(cls, names: tuple[str, ...], argument: str) -> Request[RowT]:
        """Return the request with these fields. Raises MalformedRequest."""
        return cls(names)

    def encode(self) -> bytes:
        """Return one line."""
        fields = {"version": VERSION, "verb": self.verb.value, "names": self.names, "argument": self.argument}
        return json.dumps(fields).encode() + b"\n"

    def read_reply(self, line: bytes) -> Reply[RowT]:
        """Parse a reply to this request. Raises MalformedRequest.

        The supervisor may be of another version: a field that it does not send gets its value in `absent`, and a field
        that is unknown here is kept.
        """
        reply = decode_reply(line)
        return cast("Reply[RowT]", replace(reply, rows=tuple({**self.absent, **row} for row in reply.rows)))


_NO_RUN: dict[str, object] = {
    **dict.fromkeys(("instance", "component", "state"), ""),
    **dict.fromkeys(("restarts_in", "pid", "guardian", "started", "ready_since", "port", "last_exit", "ended")),
    "restarts": 0,
}
_NO_INSTANCE: dict[str, object] = {**_NO_RUN, "waits_for": [], "waiting": None}


class StatusRequest(Request["StatusRow"]):
    """The state of the system, in one row."""

    __slots__ = ()
    verb = Verb.STATUS
    absent = {
        "state": "",
        "step": None,
        "title": "",
        "pid": 0,
        "since": None,
        "ready": 0,
        "components": 0,
        "states": {},
    }


class PsRequest(Request["InstanceRow"]):
    """The state of instances."""

    __slots__ = ()
    verb = Verb.PS
    absent = _NO_INSTANCE


class WhyRequest(Request["WhyRow"]):
    """The reason for the state of instances."""

    __slots__ = ()
    verb = Verb.WHY
    absent = {**_NO_INSTANCE, "reason": "", "lines": []}


class EventsRequest(Request["EventRow | EndRow"]):
    """Each change of a state, until the system exits."""

    __slots__ = ()
    verb = Verb.EVENTS


class WatchRequest(Request["WatchRow"]):
    """All rows that the view shows, and again each that changes."""

    __slots__ = ()
    verb = Verb.WATCH


class StartRequest(Request["RunRow"]):
    """Start instances and what they depend on."""

    __slots__ = ()
    verb = Verb.START
    changes = True
    absent = _NO_RUN


class StopRequest(Request["RunRow"]):
    """Stop instances."""

    __slots__ = ()
    verb = Verb.STOP
    changes = True
    absent = _NO_RUN


class RestartRequest(Request["RunRow"]):
    """Stop instances and start them again."""

    __slots__ = ()
    verb = Verb.RESTART
    changes = True
    absent = _NO_RUN


class KillRequest(Request["RunRow"]):
    """Kill instances."""

    __slots__ = ()
    verb = Verb.KILL
    changes = True
    absent = _NO_RUN


class DownRequest(Request["RunRow"]):
    """Stop the system."""

    __slots__ = ()
    verb = Verb.DOWN
    changes = True


@dataclass(frozen=True, slots=True)
class ScaleRequest(Request["RunRow"]):
    """Change the number of instances of one component."""

    verb = Verb.SCALE
    changes = True
    absent = _NO_RUN

    count: int = 1

    @property
    def argument(self) -> str:
        """The number."""
        return str(self.count)

    @classmethod
    def read(cls, names: tuple[str, ...], argument: str) -> ScaleRequest:
        """Return the request. Raises MalformedRequest."""
        is_number = argument.isdecimal() and len(argument) < 10
        if len(names) != 1 or not is_number or int(argument) > INSTANCES_MAX:
            raise MalformedRequest(f"cannot scale: name a component and a number up to {INSTANCES_MAX}")
        return cls(names, int(argument))


@dataclass(frozen=True, slots=True)
class TextRequest(Request[RowT]):
    """A request whose argument is any text."""

    argument: str = ""

    @classmethod
    def read(cls, names: tuple[str, ...], argument: str) -> TextRequest[RowT]:
        """Return the request."""
        return cls(names, argument)


class SignalRequest(TextRequest["RunRow"]):
    """Send a signal, given by name or number, to instances."""

    __slots__ = ()
    verb = Verb.SIGNAL
    changes = True
    absent = _NO_RUN


class SendRequest(TextRequest["RunRow"]):
    """Type a text into the terminal of one instance."""

    __slots__ = ()
    verb = Verb.SEND
    changes = True
    is_secret = True


class Awaited(enum.Enum):
    """The state that a client waits for."""

    READY = "ready"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class WaitRequest(Request["RunRow"]):
    """Answer when instances are ready, or have exited."""

    verb = Verb.WAIT
    absent = _NO_RUN

    awaited: Awaited = Awaited.READY

    @property
    def argument(self) -> str:
        """The awaited state."""
        return self.awaited.value

    @classmethod
    def read(cls, names: tuple[str, ...], argument: str) -> WaitRequest:
        """Return the request. Raises MalformedRequest."""
        try:
            return cls(names, Awaited(argument))
        except ValueError:
            raise MalformedRequest(f"cannot wait for {argument!r}: ready or exit") from None


@dataclass(frozen=True, slots=True)
class AttachRequest(Request["AttachRow"]):
    """Attach to the terminal of one instance; without a name, follow the merged stream."""

    verb = Verb.ATTACH
    changes = True

    terminal: ClientTerminal | None = None

    @property
    def argument(self) -> str:
        """The terminal of the client, and what it may do."""
        return self.terminal.encode() if self.terminal is not None else ""

    @classmethod
    def read(cls, names: tuple[str, ...], argument: str) -> AttachRequest:
        """Return the request. Raises MalformedRequest."""
        if not names:
            return cls()
        from orchestrator.model.frames import MalformedFrame, decode_terminal

        try:
            return cls(names, decode_terminal(argument))
        except MalformedFrame as error:
            raise MalformedRequest(str(error)) from None


REQUESTS: dict[Verb, type[Request[Row]]] = {
    kind.verb: kind
    for kind in (
        *(PsRequest, StartRequest, StopRequest, RestartRequest, ScaleRequest, KillRequest, SignalRequest, SendRequest),
        *(WhyRequest, EventsRequest, WatchRequest, WaitRequest, StatusRequest, DownRequest, AttachRequest),
    )
}


def decode_request(line: bytes) -> Request[Row]:
    """Parse a line of a client. Raises MalformedRequest."""
    fields = _object(line)
    version = fields.get("version")
    if version != VERSION:
        raise MalformedRequest(f"unsupported protocol version {version!r}, expected {VERSION}")
    try:
        verb = Verb(fields.get("verb"))
    except ValueError:
        raise MalformedRequest(f"unknown verb {fields.get('verb')!r}") from None
    names, argument = fields.get("names", []), fields.get("argument", "")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MalformedRequest("names must be a list of strings")
    if not isinstance(argument, str):
        raise MalformedRequest("argument must be a string")
    return REQUESTS[verb].read(tuple(names), argument)


def decode_reply(line: bytes) -> Reply[Row]:
    """Parse a line of the supervisor. Fields of another type than expected are left out. Raises MalformedRequest."""
    fields = _object(line)
    rows = fields.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedRequest("rows must be a list of objects")
    known: dict[str, Any] = {name: fields[name] for name, kind in _PLAIN.items() if isinstance(fields.get(name), kind)}
    return Reply(**known, rows=tuple(rows))


def _object(line: bytes) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedRequest("not a JSON object on one line") from None
    if not isinstance(fields, dict):
        raise MalformedRequest("not a JSON object on one line")
    return fields
