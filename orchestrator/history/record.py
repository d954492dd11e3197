"""The record of one start: its events, and the files that hold them. Reads; `recorder` writes.

A start has one file, `<home>/.orchestrate/history/000012.jsonl`, with one JSON object per line. The number counts
starts, so two starts in one second have two files, and a clock that is set back does not reorder them. When a file is
full, its older half is in `000012.old.jsonl`. Events are ordered by `number`, never by `time`: the clock may jump.
`cause` names the event that led to another one by its number.

Reading is tolerant. A line that is cut off, damaged or of an unknown kind is skipped, and an unknown or mistyped field
is dropped. Only a file that says that it has another format is rejected (`RecordError`).
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
BYTES_MAX = 1 << 26  # of one file that are read: our files are shorter
_NAME = re.compile(r"(\d{6,})(\.old)?\.jsonl")

StartFacts = Mapping[str, object]  # the description of a start: JSON from a file, so the type of a value is not certain


class RecordError(Exception):
    """A record that cannot be read; the message says which and why."""


class RecordKind(enum.Enum):
    """The kind of an event."""

    START = "start"  # the system starts; `facts` describe it
    CHANGE = "change"  # the state of an instance changed
    PROBE = "probe"  # a probe passes or fails, and it did not before
    REQUEST = "request"  # a second terminal requests a change
    SIGNAL = "signal"  # the supervisor got a signal
    READY = "ready"  # every component was ready at once, for the first time
    STOP = "stop"  # the system begins to stop
    END = "end"  # the supervisor exits
    RENAME = "rename"  # `instance` had the name `by` before
    COPY = "copy"  # a bundle took a copy of the record while the system ran; no event follows
    GAP = "gap"  # `count` events before this one could not be written


class Link(enum.Enum):
    """How an event follows from its cause."""

    NONE = ""
    EXIT = "exit"  # it exited without a request
    POLICY = "policy"  # its exit, and a restart policy or liveness probe
    PROBE = "probe"  # a probe or a time limit failed; `reason` says which
    REQUEST = "request"
    FOLLOW = "follow"  # it depends on `by`, with restart = true
    SIGNAL = "signal"
    SYSTEM = "system"  # the system stops
    LIMIT = "limit"  # not ready in time
    OUTPUT = "output"  # standard output cannot be written
    ALL = "all"  # every component has exited


@dataclass(frozen=True, slots=True)
class Origin:
    """The process that sent a request. `tty` is like `pts/3`, `pane` a tmux pane like `%7`; empty if there is none."""

    uid: int = -1
    pid: int = 0
    command: tuple[str, ...] = ()
    tty: str = ""
    pane: str = ""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One line of a record. `time` is wall-clock seconds, `uptime` seconds since the start, by a monotonic clock.

    Of a change: `phase` and `before` are states of the lifecycle, `state` is the word that users see. `exit` is how the
    run ended, as a clause ("exited with status 3"), empty while it has not; `lasted` its seconds, `lines` its last
    output, `pause` the seconds to the next run, `gave_up` why there is none despite a restart policy. `is_requested`
    says whether that exit was requested.
    """

    number: int
    kind: RecordKind
    time: float = 0.0
    uptime: float = 0.0
    cause: int = 0
    link: Link = Link.NONE
    by: str = ""
    instance: str = ""
    component: str = ""
    run: int = 0
    pid: int = 0
    phase: str = ""
    before: str = ""
    state: str = ""
    exit: str = ""
    status: int = 0
    lasted: float = 0.0
    is_requested: bool = False
    reason: str = ""
    lines: tuple[str, ...] = ()
    pause: float = 0.0
    gave_up: str = ""
    probe: str = ""
    passes: bool = False
    verb: str = ""
    names: tuple[str, ...] = ()
    argument: str = ""
    origin: Origin | None = None
    count: int = 0
    facts: StartFacts = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return one line, all ASCII: text may contain bytes that are not UTF-8. Fields with their default are
        omitted."""
        found: dict[str, object] = {}
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if one.name in _REQUIRED or (value and value != one.default):
                if isinstance(value, enum.Enum):
                    value = value.value
                elif isinstance(value, float):
                    value = round(value, 3)
                elif isinstance(value, Origin):
                    value = {k: v for k, v in dataclasses.asdict(value).items() if v != getattr(_NOBODY, k)}
                found[one.name] = value
        return json.dumps(found, separators=(",", ":")).encode() + b"\n"


_REQUIRED = ("number", "kind")
_NOBODY = Origin()


@dataclass(frozen=True, slots=True)
class StartRecord:
    """The events of one start, in their order. `number` is that of the start; `skipped` lines could not be read."""

    number: int
    events: tuple[RecordedEvent, ...]
    skipped: int = 0

    @property
    def facts(self) -> StartFacts:
        """The description of the start, as of the last change; empty if it is lost."""
        return next((event.facts for event in reversed(self.events) if event.kind is RecordKind.START), {})

    @property
    def facts_at_start(self) -> StartFacts:
        """The start before a request changed the number of instances, as its definition and options describe it."""
        changed = (e.number for e in self.events if e.kind is RecordKind.REQUEST and e.verb in ("scale", "start"))
        until = next(changed, math.inf)
        starts = [event.facts for event in self.events if event.kind is RecordKind.START and event.number < until]
        return starts[-1] if starts else self.facts

    def first(self, kind: RecordKind) -> RecordedEvent | None:
        """Return the first event of a kind."""
        return next((event for event in self.events if event.kind is kind), None)

    def changes(self) -> dict[str, list[RecordedEvent]]:
        """Return the changes of each instance, by its last name."""
        found: dict[str, list[RecordedEvent]] = {}
        for event in self.events:
            if event.kind is RecordKind.CHANGE and event.instance:
                found.setdefault(event.instance, []).append(event)
            elif event.kind is RecordKind.RENAME and event.by in found:
                found[event.instance] = [*found.get(event.instance, []), *found.pop(event.by)]
        return found


def mark_of_copy(found: StartRecord, now: float) -> bytes:
    """Return the line at the end of a copy of the record of a running system; `now` is wall-clock seconds."""
    last = found.events[-1] if found.events else RecordedEvent(0, RecordKind.GAP, time=now)
    uptime = last.uptime + max(0.0, now - last.time)
    return RecordedEvent(last.number + 1, RecordKind.COPY, time=now, uptime=uptime).encode()


# Files


def numbers(directory: Path) -> list[int]:
    """Return the numbers of the starts that have a record, oldest first; empty if the directory does not exist."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted({int(found[1]) for name in names if (found := _NAME.fullmatch(name))})


def path_of(directory: Path, number: int) -> Path:
    """Return the file of a start."""
    return directory / f"{number:06d}.jsonl"


def older_half_of(directory: Path, number: int) -> Path:
    """Return the file that holds its older events once the first is full."""
    return directory / f"{number:06d}.old.jsonl"


def read(
    directory: Path, number: int, choose: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
) -> StartRecord:
    """Read the record of a start: the lines of each file that `choose` returns. Raises RecordError if it cannot be read
    or has another format."""
    lines: list[bytes] = []
    paths = [path for path in (older_half_of(directory, number), path_of(directory, number)) if path.exists()]
    for path in paths:
        lines += choose(_content(path).split(b"\n"))
    if not paths:
        raise RecordError(f"cannot read the record of start {number}: no such file")
    return decode(number, lines, str(paths[-1]))


def read_outline(directory: Path, number: int) -> StartRecord:
    """Read the record of a start without changes and probes, except the last lines. A full record has 20,000 of them,
    which take most of a second. Raises RecordError as `read` does."""
    return read(directory, number, _outline)


def _outline(lines: list[bytes]) -> list[bytes]:
    kept = [line for line in lines[:-ENDING] if not any(kind in line for kind in _FREQUENT)]
    return kept + lines[-ENDING:]


ENDING = 4  # lines at the end of a file that an outline has: the last one may be empty, cut off or damaged
# Quotation marks in texts are escaped, so a text does not contain these.
_FREQUENT = tuple(f'"kind":"{kind.value}"'.encode() for kind in (RecordKind.CHANGE, RecordKind.PROBE))


def _content(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise RecordError(f"cannot read {path}: it is not a file")
            return file.read(BYTES_MAX)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def decode(number: int, lines: Iterable[bytes], name: str = "record") -> StartRecord:
    """Return the record in these lines. Raises RecordError if they have another format than ours."""
    events: dict[int, RecordedEvent] = {}
    skipped = 0
    for line in lines:
        if not line.strip(b"\0 \r"):
            continue
        found = _object(line)
        if found is not None and found.get("kind") == RecordKind.START.value:
            _check_format(found.get("facts"), name)
        event = _event(found) if found is not None else None
        if event is None:
            skipped += 1
        else:
            events[event.number] = event
    return StartRecord(number, tuple(events[key] for key in sorted(events)), skipped)


def _check_format(facts: object, name: str) -> None:
    found = facts.get("format") if isinstance(facts, dict) else None
    if found == FORMAT and type(found) is int:
        return
    age = "newer" if type(found) is int and found > FORMAT else "older"
    raise RecordError(
        f"cannot read {name}: an {age} orchestrate wrote it (format {found!r:.20}, expected {FORMAT})".replace(
            "an newer", "a newer"
        )
    )


def _object(line: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _event(found: dict[str, object]) -> RecordedEvent | None:
    number = found.get("number")
    if type(number) is not int or number <= 0:
        return None
    try:
        kind = RecordKind(found.get("kind"))
    except ValueError:
        return None
    return RecordedEvent(
        number, kind, **{key: value for key, value in _fields(found, RecordedEvent).items() if key not in _REQUIRED}
    )


def _fields(found: Mapping[str, object], kind: type) -> dict[str, Any]:
    """Return the known fields whose values have the right type, which `_READ` checks."""
    result: dict[str, Any] = {}
    for one in dataclasses.fields(kind):
        if one.name in found and (value := _READ[str(one.type)](found[one.name])) is not None:
            result[one.name] = value
    return result


def _whole(value: object) -> int | None:
    return value if type(value) is int and abs(value) < 1 << 53 else None


def _real(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    assert isinstance(value, int | float)
    return float(value) if math.isfinite(value) and abs(value) < 1e11 else None  # the range of datetime


def _texts(value: object) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else None


def _link(value: object) -> Link | None:
    return next((one for one in Link if one.value == value), None)


_READ: dict[str, Callable[[object], Any]] = {
    "int": _whole,
    "float": _real,
    "bool": lambda value: value if isinstance(value, bool) else None,
    "str": lambda value: value if isinstance(value, str) else None,
    "tuple[str, ...]": _texts,
    "Link": _link,
    "RecordKind": lambda value: None,
    "Origin | None": lambda value: Origin(**_fields(value, Origin)) if isinstance(value, dict) else None,
    "StartFacts": lambda value: value if isinstance(value, dict) else None,
}


def map_or_empty(value: object) -> dict[str, object]:
    """Return a value of facts if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def list_or_empty(value: object) -> list[object]:
    """Return a value of facts if it is an array; else an empty one."""
    return value if isinstance(value, list) else []


def text_or_empty(value: object) -> str:
    """Return a value of facts if it is a string; else an empty one."""
    return value if isinstance(value, str) else ""
