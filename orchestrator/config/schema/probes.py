"""The keys `ready` and `alive` of a component: the probes, and how often they run.

A new probe is one entry of PROBES. Values that are expanded later stay texts until then: a command, and an address
`HOST:PORT`, which is kept in `TcpProbe.host`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config.definition import SHELL
from orchestrator.config.http_status import HIGH, LOW, read_status
from orchestrator.config.interpolation import is_template
from orchestrator.config.schema.fields import (
    SECONDS,
    SOON,
    ByType,
    Choice,
    Flag,
    ListOf,
    Made,
    MapOf,
    Number,
    SchemaKey,
    Shape,
    Table,
    Text,
)
from orchestrator.model.spec import (
    AskedProbe,
    DelayProbe,
    ExecProbe,
    FileProbe,
    HttpProbe,
    LogProbe,
    NotifyProbe,
    Ownership,
    Probe,
    PromptProbe,
    TcpProbe,
    UnixProbe,
    split_unix_url,
)

_ALIVE = {"interval": 5.0, "timeout": 5.0, "retries": 3}  # the defaults


def pattern(text: str) -> str:
    """Return a valid regular expression. Raises ValueError."""
    try:
        re.compile(text.encode("utf-8", "surrogateescape"))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a valid regular expression: {error}") from None
    return text


def url(text: str) -> str:
    """Return a valid URL for a probe. Raises ValueError."""
    if text.startswith("http+unix://"):
        split_unix_url(text)
        return text
    if not re.match(r"https?://[^/\s]", text):
        raise ValueError(f"must begin with http:// or https:// and a host, or with http+unix://, not {text!r:.40}")
    from urllib.parse import urlsplit  # imported here, because only such probes need it

    try:
        port = urlsplit(text).port
    except ValueError as error:
        raise ValueError(f"is not a valid URL: {error}") from None
    if port == 0:
        raise ValueError("is not a valid URL: a port is 1 to 65535")
    return text


def template(check: Callable[[str], str]) -> Callable[[str], str]:
    """Accept a text with variables for now; it is checked once they are expanded."""
    return lambda text: text if is_template(text) else check(text)


def address(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, `[HOST]:PORT` or `PORT`, which is on 127.0.0.1. Raises ValueError."""
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"must be HOST:PORT, with [HOST] for IPv6, not {text!r:.60}")
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError(f"must be HOST:PORT or PORT, not {text!r:.60}")
    return host or "127.0.0.1", int(port)


def _address(value: str | int) -> str:
    text = str(value)
    if "$" not in text:
        address(text)
    return text


def pointer(text: str) -> str:
    """Return a valid JSON pointer (RFC 6901). Raises ValueError."""
    if not text.startswith("/") or re.search(r"~(?![01])", text):
        raise ValueError(f"must be a JSON pointer like /scheduler/status, not {text!r:.40}")
    return text


def _program_first(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words[0].strip():
        raise ValueError("begins with an empty word, not with a program")
    return words


def _is_true(flag: bool) -> bool:
    if not flag:
        raise ValueError("must be true; leave it out for false")
    return flag


def _field_fault(name: str) -> str:
    return "" if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) else "a header field has no blanks or colons"


_TEXT = Made(Text("a regular expression"), template(pattern))
_FIELDS = r"^[^\s:]+$"
WORDS = Made(ListOf(Text("an argument", empty=True), least=1), _program_first)
ARGV = ByType(  # of a command that runs beside a component
    {str: Made(Text("a command"), lambda text: (*SHELL, text)), list: WORDS}
)


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """One probe: the shape of its key, its meaning, its options, and its constructor."""

    shape: Shape
    help: str
    options: frozenset[str]
    build: Callable[[Any, Mapping[str, Any]], Probe]


_TIMES = frozenset({"interval", "timeout", "start_period", "retries"})
PROBES: dict[str, ProbeKind] = {
    "log": ProbeKind(
        _TEXT,
        "A line of its output matches this regular expression.",
        frozenset({"about"}),
        lambda pattern, options: LogProbe(pattern, **options),
    ),
    "prompt": ProbeKind(
        _TEXT,
        "An unfinished line of its output matches this regular expression.",
        frozenset(),
        lambda pattern, options: PromptProbe(pattern),
    ),
    "notify": ProbeKind(
        Made(Flag(), _is_true),
        "It sends READY=1 to NOTIFY_SOCKET, as to systemd.",
        frozenset(),
        lambda wanted, options: NotifyProbe(),
    ),
    "delay": ProbeKind(
        SECONDS,
        "Seconds after the start, or after its log and prompt probes have passed.",
        frozenset(),
        lambda seconds, options: DelayProbe(seconds),
    ),
    "tcp": ProbeKind(
        Made(ByType({str: Text("HOST:PORT"), int: Number(1, 65535, whole=True)}), _address),
        "HOST:PORT, or PORT of 127.0.0.1, accepts a connection.",
        _TIMES | {"owner"},
        lambda where, options: TcpProbe(where, 0, **options),
    ),
    "unix": ProbeKind(
        Text("the path of a socket"),
        "This unix socket accepts a connection; relative to the component's directory.",
        _TIMES | {"owner"},
        lambda path, options: UnixProbe(path, **options),
    ),
    "file": ProbeKind(
        Text("a file"),
        "This file exists and was written after the start; relative to the component's directory.",
        _TIMES,
        lambda path, options: FileProbe(path, **options),
    ),
    "http": ProbeKind(
        Made(Text("a URL"), template(url)),
        "GET on this URL answers as `status`, `header` and `body` say; http+unix://run%2Fapp.sock/PATH: a socket.",
        _TIMES | {"owner", "status", "headers", "body", "request_headers", "healthy", "fresh"},
        lambda url, options: HttpProbe(url, **options),
    ),
    "exec": ProbeKind(
        ARGV,
        "This command exits with 0; it runs beside the component, in its environment.",
        _TIMES | {"about"},
        lambda argv, options: ExecProbe(argv, **options),
    ),
}
_STATUS = Made(ByType({int: Number(LOW, HIGH, whole=True), str: Text("a status")}), read_status)
STATUS = ByType(
    {
        int: Made(_STATUS, lambda status: (status,)),
        str: Made(_STATUS, lambda status: (status,)),
        list: ListOf(_STATUS, least=1),
    }
)
_POINTERS = ListOf(Made(Text("a JSON pointer"), pointer), least=1)
OPTIONS = {
    "about": SchemaKey(
        Text(), "What the line means or the command checks, for messages (the expression or command itself)."
    ),
    "healthy": SchemaKey(_POINTERS, 'JSON pointers into the answer to strings that must be "healthy".'),
    "fresh": SchemaKey(_POINTERS, "JSON pointers into the answer to ISO 8601 times that must be later than the start."),
    "status": SchemaKey(STATUS, 'The HTTP statuses that count: 204, "2xx" (the default), "200-299", or a list.'),
    "header": SchemaKey(
        Made(MapOf(_TEXT, _field_fault, _FIELDS), lambda read: tuple(read.items())),
        "Header fields of the answer, each with a regular expression that must match.",
    ),
    "body": SchemaKey(_TEXT, "A regular expression that must match the body of the answer."),
    "request_headers": SchemaKey(
        Made(MapOf(Text(empty=True), _field_fault, _FIELDS), lambda read: tuple(read.items())),
        "Header fields to send.",
    ),
    "owner": SchemaKey(
        Choice({owner.value: owner for owner in Ownership}, {}),
        "Which socket counts on this machine: tree, one of the component's processes (the default), or any.",
    ),
    "interval": SchemaKey(SOON, "Seconds from a result to the next probe (0.5; exec 1; alive 5)."),
    "timeout": SchemaKey(
        SOON, "Seconds for one probe, from the connection to the last byte (30; tcp, unix, file and alive 5)."
    ),
    "start_period": SchemaKey(SECONDS, "Seconds after the start in which a failure does not count (0)."),
    "retries": SchemaKey(
        Number(0, 1000000, whole=True),
        "Number of failed probes in a row that fail the component (0: any number is allowed; alive 3).",
    ),
}
_FIELD_OF = {"header": "headers"}  # fields of the probe class with another name than the key


def _build(read: dict[str, Any], defaults: Mapping[str, Any]) -> tuple[Probe, ...]:
    named = [name for name in PROBES if name in read]
    given = {_FIELD_OF.get(key, key): read[key] for key in OPTIONS if key in read}
    for key in OPTIONS:
        option = _FIELD_OF.get(key, key)
        if option in given and not any(option in PROBES[name].options for name in named):
            fitting = [name for name, kind in PROBES.items() if option in kind.options]
            raise ValueError(f"{key} goes with {', '.join(fitting)} only")
    options = {**defaults, **given}
    return tuple(
        PROBES[name].build(read[name], {k: v for k, v in options.items() if k in PROBES[name].options})
        for name in named
    )


def _ready(read: dict[str, Any]) -> tuple[Probe, ...]:
    if not any(name in read for name in PROBES):
        raise ValueError(f"has no probe; there are: {', '.join(PROBES)}")
    return _build(read, {})


def _alive(read: dict[str, Any]) -> tuple[AskedProbe, ...]:
    asked = [name for name, kind in PROBES.items() if kind.options & _TIMES]
    if not any(name in read for name in asked):
        raise ValueError(f"has no probe; there are: {', '.join(asked)}")
    return tuple(probe for probe in _build(read, _ALIVE) if isinstance(probe, AskedProbe))


def _keys(wanted: Callable[[ProbeKind], bool]) -> dict[str, SchemaKey]:
    return {name: SchemaKey(kind.shape, kind.help) for name, kind in PROBES.items() if wanted(kind)}


_ELSEWHERE = {  # the names in docker compose, process-compose and Kubernetes
    "test": "'exec'",
    "cmd": "'exec'",
    "command": "'exec'",
    "url": "'http'",
    "http_get": "'http'",
    "httpget": "'http'",
    "port": "'tcp'",
    "tcp_socket": "'tcp'",
    "tcpsocket": "'tcp'",
    "log_line": "'log'",
    "ready_log_line": "'log'",
    "headers": "'header' (of the answer) or 'request_headers'",
    "status_code": "'status'",
    "initial_delay_seconds": "'start_period'",
    "initialdelayseconds": "'start_period'",
    "period_seconds": "'interval'",
    "periodseconds": "'interval'",
    "timeout_seconds": "'timeout'",
    "timeoutseconds": "'timeout'",
    "failure_threshold": "'retries'",
    "failurethreshold": "'retries'",
}
_READY = Made(Table({**_keys(lambda kind: True), **OPTIONS}, _ELSEWHERE), _ready)
READY = ByType(
    {
        dict: _READY,
        list: Made(ListOf(_READY, least=1), lambda read: tuple(probe for probes in read for probe in probes)),
    }
)
_FAILED = Made(
    Table({"log": SchemaKey(_TEXT, "The regular expression.", required=True), "about": OPTIONS["about"]}),
    lambda read: LogProbe(read["log"], read.get("about", "")),
)
FAILED = ByType({dict: Made(_FAILED, lambda probe: (probe,)), list: ListOf(_FAILED, least=1)})
ALIVE = Made(Table({**_keys(lambda kind: bool(kind.options & _TIMES)), **OPTIONS}, _ELSEWHERE), _alive)
