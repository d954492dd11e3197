"""Answers the checks of workers' hosts, on the first host: ``host_answers DAG_FOLDER``.

Only the first host can tell whether it reaches the log server of another host by name, and which DAG files it has now.
Requests come over the broker by Celery's remote control, to the node orchestrate@HOST, so no further port is needed.
They need the broker's password, with which a client could run tasks as well.
"""

from __future__ import annotations

import signal
import socket
from typing import Any

from . import celery_call, dag_files

REACH, DAGS = "orchestrate_reach", "orchestrate_dags"
TIMEOUT = 3.0  # seconds in which a log server has to answer
ANSWER_TIMEOUT = 8.0  # seconds in which this program has to answer
READY = "answers the checks of other hosts"


def node(host: str) -> str:
    """Return the node name of this program on a host."""
    return f"orchestrate@{host}"


# On the other host


def ask(app: Any, first: str, method: str, **arguments: Any) -> Any:
    """Return the answer of the first host; None if there is none, or it is an error."""
    answers = app.control.broadcast(
        method, arguments=arguments, destination=[node(first)], reply=True, timeout=ANSWER_TIMEOUT, limit=1
    )
    answer = next((one[node(first)] for one in answers or [] if node(first) in one), None)
    return None if isinstance(answer, dict) and set(answer) == {"error"} else answer


# On the first host


def reach(host: str, port: int, word: str) -> str:
    """Connect to a host that sends `word` to each client. Return why that fails; an empty string if it does not."""
    try:
        connection = socket.create_connection((host, port), timeout=TIMEOUT)
        with connection, connection.makefile("rb") as answer:
            said = answer.readline(len(word) + 1).decode("ascii", "replace").strip()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if said == word else "another program or host answers there"


def handlers(folder: str) -> dict[str, Any]:
    """Return the function for each request. Celery passes its state first, which is empty here."""

    def dags(_: Any) -> Any:
        try:
            return {"files": dag_files.digests(folder)}
        except OSError as error:
            return {"fault": (error.strerror or str(error)).lower()}

    return {REACH: lambda _, host, port, word: {"fault": reach(host, port, word)}, DAGS: dags}


def answer(app: Any, name: str, answers: dict[str, Any], ready: Any = print) -> None:
    """Answer requests until the connection is lost. Ignore those for Celery's workers."""
    mailbox = app.control.mailbox
    with app.connection_for_read() as connection:
        connection.ensure_connection(errback=report_retry, interval_start=1, interval_step=2, interval_max=15)
        with connection.channel() as channel:
            box = mailbox.Node(name, handlers=answers, channel=channel)

            def receive(body: Any, message: Any) -> None:
                if body.get("method") in answers:
                    box.handle_message(body, message)

            with box.listen(channel=channel, callback=receive):
                ready(f"{name} {READY}", flush=True)
                while True:
                    connection.drain_events()


def report_retry(error: BaseException, interval: float) -> None:
    """Report that the broker does not answer."""
    print(f"the broker does not answer: {error}; retrying in {interval:.0f} s", flush=True)


def main(arguments: list[str]) -> int:
    """Answer requests until this process is stopped."""
    (folder,) = arguments
    app = celery_call.application()
    if not app.connection_for_read().supports_exchange_type("fanout"):
        print(f"the broker has no remote control: nothing {READY}", flush=True)
        signal.pause()
    while True:
        connection = app.connection_for_read()
        try:
            answer(app, node(socket.gethostname()), handlers(folder))
        except (*connection.connection_errors, *connection.channel_errors) as error:
            print(f"lost the broker: {error}", flush=True)
