"""The prober: one process that asks over the network whether components are ready. It may block; the loop may not.

A thread for each question, so that one slow answer holds up no other; questions for a URL that is being asked share
its answer, because each request writes a line into the access log of the component that answers. Forked before any
thread exists, and dies with the supervisor (PDEATHSIG).
"""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import signal
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from orchestrator.model.messages import Answer, Question
from orchestrator.model.spec import HttpProbe
from orchestrator.process import tree
from orchestrator.process.isolation import cut_loose
from orchestrator.runtime import signals

BODY_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class _Page:
    status: int
    body: bytes


def run(connection: Connection[Answer, Question], inherited: Collection[int], parent: int) -> None:
    """Answer questions until the supervisor goes: the target of a forked multiprocessing.Process. Never returns."""
    try:
        cut_loose(inherited, connection.fileno())
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
    fault = judge(fetcher.get(question.probe.url, question.probe.timeout), question.probe, question.since)
    try:
        with _sending:
            connection.send(Answer(question.key, not fault, fault or "healthy"))
    except OSError:
        pass


class _Fetcher:
    """Gets pages; those who want one that is on its way wait for that one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[_Page | str]] = {}

    def get(self, url: str, timeout: float) -> _Page | str:
        """Return the page, or in a few words why there is none."""
        with self._lock:
            future = self._under_way.get(url)
            mine = future is None
            if future is None:
                future = self._under_way[url] = Future()
        if not mine:
            return future.result()
        page = _fetch(url, timeout)
        with self._lock:
            del self._under_way[url]
        future.set_result(page)
        return page


def _fetch(url: str, timeout: float) -> _Page | str:
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]  # not a proxy's business
    if url.startswith("https:"):
        # Our own child on a local address: its certificate names the host that others see.
        handlers.append(urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
    try:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(url, timeout=timeout) as response:
            return _Page(response.status, response.read(BODY_MAX))
    except urllib.error.HTTPError as error:
        return _Page(error.code, b"")
    except urllib.error.URLError as error:
        return str(getattr(error.reason, "strerror", None) or error.reason).lower()
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: what is no URL
        return str(error).lower() or type(error).__name__


def judge(page: _Page | str, probe: HttpProbe, since: float) -> str:
    """Say in a few words why `page` does not make `probe` hold; empty where it does. Pure."""
    if isinstance(page, str):
        return page
    if page.status != probe.status:
        return f"HTTP status {page.status}"
    if not probe.healthy and not probe.fresh:
        return ""
    try:
        document = json.loads(page.body)
    except (ValueError, RecursionError):
        return "the answer is no JSON"
    for pointer in probe.healthy:
        if (value := _look_up(document, pointer)) != "healthy":
            return f"{pointer.strip('/')} is {value or 'missing'}"
    for pointer in probe.fresh:
        if (at := _as_time(_look_up(document, pointer))) is None or at <= since:
            return f"{pointer.strip('/')} is {'missing' if at is None else 'older than this start'}"
    return ""


def _look_up(document: Any, pointer: str) -> str | None:
    """Follow a JSON pointer (RFC 6901) through objects to a string."""
    for token in pointer.split("/")[1:]:
        if not isinstance(document, dict):
            return None
        document = document.get(token.replace("~1", "/").replace("~0", "~"))
    return document if isinstance(document, str) else None


def _as_time(text: str | None) -> float | None:
    """Seconds since the epoch of an ISO 8601 time; one without a zone is UTC."""
    # Before CPython 3.11 a fraction of a second has three or six digits, and Z is not understood.
    text = re.sub(r"\.(\d+)", lambda match: "." + match[1][:6].ljust(6, "0"), (text or "").replace("Z", "+00:00"))
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)).timestamp()
