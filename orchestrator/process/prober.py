"""The prober: one process that asks over the network whether components are ready or alive. It may block; the loop may
not.

A thread for each question, so that one slow answer holds up no other; questions for a page that is being asked share
its answer, because each request writes a line into the access log of the component that answers. Forked before any
thread exists, and dies with the supervisor (PDEATHSIG).
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future
from multiprocessing.connection import Connection

from orchestrator.model.masked import plain
from orchestrator.model.messages import Answer, Question
from orchestrator.model.spec import FileProbe, HttpProbe, TcpProbe, UnixProbe
from orchestrator.process import procfs, socket_owner, tree
from orchestrator.process.deadline import Deadline, connect, connect_unix
from orchestrator.process.isolation import cut_loose
from orchestrator.process.pages import Page, fetch, judge
from orchestrator.process.socket_owner import Evidence, Owner
from orchestrator.runtime import signals

TICK = 0.02  # seconds by which a file's time may be behind the clock


def run(connection: Connection[Answer, Question], highest: int, parent: int) -> None:
    """Answer questions until the supervisor goes: the target of a forked multiprocessing.Process. Never returns."""
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
            fault = text = f"somebody else answers there: {procfs.describe(verdict.pid)}"
        elif verdict.owner is Owner.UNKNOWN:
            text = f"healthy ({verdict.owner.value})"
    try:
        with _sending:
            connection.send(Answer(question.key, not fault, text))
    except OSError:
        pass


def _ask(fetcher: _Fetcher, question: Question) -> tuple[str, Evidence]:
    """Return what is wrong, empty for nothing, and whose the socket was."""
    probe = question.probe
    if isinstance(probe, FileProbe):
        return _look_for(probe, question.since), Evidence()
    if isinstance(probe, TcpProbe | UnixProbe):
        return _connect(probe)
    page = fetcher.get(probe)
    return judge(page, probe, question.since), page.evidence if isinstance(page, Page) else Evidence()


def _look_for(probe: FileProbe, since: float) -> str:
    """Say what is wrong with a file, empty for nothing. A time stamp is of the kernel's last tick, 10 ms at most."""
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
    """Gets pages; those who want one that is on its way wait for that one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[object, Future[Page | str]] = {}

    def get(self, probe: HttpProbe) -> Page | str:
        """Return the page, or in a few words why there is none."""
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
