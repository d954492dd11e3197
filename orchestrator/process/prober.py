"""The prober: one process that runs the network probes of components. It may block; the loop may not.

Each probe has a thread, so that a slow answer does not delay others. Concurrent probes of the same page share one
request, because each request writes a line into the access log of the component. The prober is forked before any thread
exists, and is killed when the supervisor exits (PDEATHSIG).

An HTTP probe gets a page, notes the owner of the socket that answered, and evaluates the response.

A certificate is not verified: the server is our own child on a local address, and its certificate names its public
host. Proxies are not used. A few redirects are followed.
"""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import os
import re
import signal
import socket
import ssl
import threading
import urllib.parse
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from orchestrator.model.masked import plain
from orchestrator.model.messages import Answer, Question
from orchestrator.model.spec import FileProbe, HttpProbe, TcpProbe, UnixProbe, split_unix_url
from orchestrator.process import procfs, socket_owner, tree
from orchestrator.process.deadline import Deadline, TimedSocket, connect, connect_unix
from orchestrator.process.launch import cut_loose
from orchestrator.process.socket_owner import Evidence, Owner, look
from orchestrator.runtime import signals

TICK = 0.02  # seconds by which a file's time may be behind the clock


def run(connection: Connection[Answer, Question], highest: int, parent: int) -> None:
    """Run probes until the supervisor exits: the target of a forked multiprocessing.Process. Never returns."""
    try:
        cut_loose(highest, connection.fileno())
        tree.signal_on_parent_death(signal.SIGKILL, parent)
        signals.set_all_default()
        fetcher = _Fetcher()
        while True:
            question = connection.recv()
            threading.Thread(target=_answer, args=(connection, fetcher, question), daemon=True).start()
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)


_sending = threading.Lock()


def _answer(connection: Connection[Answer, Question], fetcher: _Fetcher, question: Question) -> None:
    fault, evidence = _ask(fetcher, question)
    text = fault or "healthy"
    if not fault and question.root and evidence.local:
        verdict = socket_owner.owner(evidence, question.root)
        if verdict.owner is Owner.FOREIGN:
            fault = text = f"another process owns that socket: {procfs.describe(verdict.pid)}"
        elif verdict.owner is Owner.UNKNOWN:
            text = f"healthy ({verdict.owner.value})"
    try:
        with _sending:
            connection.send(Answer(question.key, not fault, text))
    except OSError:
        pass


def _ask(fetcher: _Fetcher, question: Question) -> tuple[str, Evidence]:
    """Return the fault (empty if the probe succeeded) and the owner of the socket."""
    probe = question.probe
    if isinstance(probe, FileProbe):
        return _look_for(probe, question.since), Evidence()
    if isinstance(probe, TcpProbe | UnixProbe):
        return _connect(probe)
    page = fetcher.get(probe)
    return judge(page, probe, question.since), page.evidence if isinstance(page, HttpResponse) else Evidence()


def _look_for(probe: FileProbe, since: float) -> str:
    """Return the fault of a file, empty for none. A time stamp is that of the kernel's last tick, at most 10 ms old."""
    try:
        written = os.stat(plain(probe.path)).st_mtime
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if written >= since - TICK else "older than this start"


def _connect(probe: TcpProbe | UnixProbe) -> tuple[str, Evidence]:
    deadline = Deadline(probe.timeout)
    try:
        if isinstance(probe, UnixProbe):
            connection = connect_unix(probe.path, deadline)
        else:
            connection = connect(probe.host, probe.port, deadline)
        with connection:
            return "", socket_owner.look(connection)
    except OSError as error:
        return (error.strerror or str(error)).lower(), Evidence()


class _Fetcher:
    """Gets pages; concurrent requests for the same page share one download."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[object, Future[HttpResponse | str]] = {}

    def get(self, probe: HttpProbe) -> HttpResponse | str:
        """Return the page, or the reason in a few words if that fails."""
        key = probe.url, probe.unix, probe.request_headers, probe.status, probe.timeout
        with self._lock:
            future = self._under_way.get(key)
            mine = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if not mine:
            return future.result()
        page = fetch(probe)
        with self._lock:
            del self._under_way[key]
        future.set_result(page)
        return page


BODY_MAX = 1 << 20
REDIRECTS_MAX = 5
_MOVED = frozenset({301, 302, 303, 307, 308})

Headers = tuple[tuple[str, str], ...]


class InvalidUrl(ValueError):
    """The URL is not one of http or https; the text does not repeat it."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response. `headers` are in their original order."""

    status: int
    body: bytes
    headers: Headers = ()
    evidence: Evidence = field(default=Evidence(), compare=False)


def fetch(probe: HttpProbe) -> HttpResponse | str:
    """GET the page of a probe, within its timeout in all; return the reason in a few words if that fails.

    A redirect is followed unless the probe expects its status.
    """
    url, deadline = probe.url, Deadline(probe.timeout)
    try:
        for _ in range(REDIRECTS_MAX):
            page = _get(url, probe.unix, deadline, probe.request_headers)
            to = {name.lower(): value for name, value in page.headers}.get("location")
            if page.status not in _MOVED or is_wanted(page.status, probe) or not to:
                return page
            url = _following(url, _joined(url, to))
        return "too many redirects"
    except TimeoutError:
        return f"no complete answer within {probe.timeout:g} s"
    except ssl.SSLError as error:
        return str(error.reason or error).lower().replace("_", " ")
    except OSError as error:
        return (error.strerror or str(error) or type(error).__name__).lower()
    except (ValueError, http.client.HTTPException) as error:  # ValueError, InvalidURL: their texts repeat the URL
        is_ours = isinstance(error, InvalidUrl) or not isinstance(error, ValueError | http.client.InvalidURL)
        return (str(error).lower() if is_ours else "not a valid URL") or type(error).__name__


def _joined(url: str, to: str) -> str:
    if url.startswith("http+unix:") and to.startswith("/"):
        return f"http+unix://{urllib.parse.quote(split_unix_url(url)[0], safe='')}{to}"
    return urllib.parse.urljoin(url, to)


def _following(url: str, to: str) -> str:
    """Return the target of a redirect: with the user and password of the URL, if it stays on the same server."""
    before, after = urllib.parse.urlsplit(url), urllib.parse.urlsplit(to)
    user, sign, host = before.netloc.rpartition("@")
    same = (before.scheme, host) == (after.scheme, after.netloc)
    return urllib.parse.urlunsplit(after._replace(netloc=f"{user}{sign}{host}")) if same else to


def is_wanted(status: int, probe: HttpProbe) -> bool:
    """Whether a response with this status satisfies a probe."""
    return any(status in wanted for wanted in probe.status)


def _get(url: str, unix: str, deadline: Deadline, request_headers: Headers) -> HttpResponse:
    parts = urllib.parse.urlsplit(url)
    by_unix = parts.scheme == "http+unix"
    if parts.scheme not in ("http", "https", "http+unix") or not (by_unix or parts.hostname):
        raise InvalidUrl("no http or https URL")
    usual = 443 if parts.scheme == "https" else 80
    if by_unix:
        sock = connect_unix(unix, deadline)
        parts = parts._replace(path=split_unix_url(url)[1], query="")
    else:
        sock = connect(parts.hostname or "", parts.port or usual, deadline)
    try:
        if parts.scheme == "https":
            sock.settimeout(deadline.left)
            sock = ssl._create_unverified_context().wrap_socket(sock, server_hostname=parts.hostname)
        connection = http.client.HTTPConnection("localhost" if by_unix else parts.hostname or "", parts.port or usual)
        connection.default_port = usual
        connection.sock = TimedSocket(sock, deadline)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        headers = {"User-Agent": "orchestrate", "Accept": "*/*", **_authorization(parts), **dict(request_headers)}
        connection.request("GET", target, headers=headers)
        evidence = _look_at_first_byte(sock, deadline)
        with connection.getresponse() as response:
            return HttpResponse(response.status, response.read(BODY_MAX), tuple(response.getheaders()), evidence)
    finally:
        sock.close()


def _authorization(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """Return the header field for the user and password of a URL (RFC 7617)."""
    if parts.username is None:
        return {}
    words = ":".join(urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    return {"Authorization": f"Basic {base64.b64encode(words.encode('utf-8', 'surrogateescape')).decode()}"}


def _look_at_first_byte(sock: socket.socket, deadline: Deadline) -> Evidence:
    """Wait for the response to begin, and gather evidence then: before that the other end may not have accepted yet,
    and afterwards it may have closed. This works on the plain socket below TLS too."""
    sock.settimeout(deadline.left)
    socket.socket.recv(sock, 1, socket.MSG_PEEK)
    try:
        return look(sock)
    except OSError:  # the peer has gone already
        return Evidence()


def judge(page: HttpResponse | str, probe: HttpProbe, since: float) -> str:
    """Say in a few words why `page` does not satisfy `probe`; empty if it does. Pure."""
    if isinstance(page, str):
        return page
    if not is_wanted(page.status, probe):
        return f"HTTP status {page.status}"
    for name, pattern in probe.headers:
        if not any(re.search(pattern, value) for key, value in page.headers if key.lower() == name.lower()):
            return f"header {name} does not match {pattern!r}"
    if probe.body and not re.search(probe.body.encode("utf-8", "surrogateescape"), page.body):
        return f"the body does not match {probe.body!r}"
    if not probe.healthy and not probe.fresh:
        return ""
    try:
        document = json.loads(page.body)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    for pointer in probe.healthy:
        if (value := _look_up(document, pointer)) != "healthy":
            return f"{pointer.strip('/')} is {value or 'missing'}"
    for pointer in probe.fresh:
        if (at := _as_time(_look_up(document, pointer))) is None or at <= since:
            return f"{pointer.strip('/')} is {'missing' if at is None else 'older than this start'}"
    return ""


def _look_up(document: object, pointer: str) -> str | None:
    """Follow a JSON pointer (RFC 6901) through objects to a string."""
    for token in pointer.split("/")[1:]:
        if not isinstance(document, dict):
            return None
        document = document.get(token.replace("~1", "/").replace("~0", "~"))
    return document if isinstance(document, str) else None


def _as_time(text: str | None) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch; a time without a zone is UTC."""
    # Before CPython 3.11 a fraction of a second has three or six digits, and Z is not understood.
    text = re.sub(r"\.(\d+)", lambda match: "." + match[1][:6].ljust(6, "0"), (text or "").replace("Z", "+00:00"))
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)).timestamp()
