"""Queries Celery's workers over their broker: ``celery_call ACTION [NODE…]``.

- `ping` exits with 0 if the worker of this instance answers.
- `workers` prints all workers that answer, as JSON.
- `seen` prints those of the given nodes that answer, as JSON.

Airflow is imported, which takes seconds, only if the broker has options beyond its URL.
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Mapping
from typing import Any, TypedDict

from . import celery_worker

TIMEOUT = 5.0  # seconds in which one worker has to answer
ALL_ANSWER = 3.0  # seconds to wait for all workers: their number is unknown (1.5 s missed those of a busy host)
URL = "AIRFLOW__CELERY__BROKER_URL"


def simple_url(environ: Mapping[str, str]) -> str:
    """Return the broker's URL if no other option affects the connection; else an empty string."""
    if any(name.startswith(("AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__", f"{URL}_")) for name in environ):
        return ""
    if environ.get("AIRFLOW__CELERY__SSL_ACTIVE", "").lower() in ("true", "1", "t"):
        return ""
    parser = configparser.RawConfigParser(strict=False)
    home = environ.get("AIRFLOW_HOME", os.path.expanduser("~/airflow"))
    parser.read(environ.get("AIRFLOW_CONFIG") or os.path.join(home, "airflow.cfg"))
    if parser.has_section("celery_broker_transport_options") and parser.options("celery_broker_transport_options"):
        return ""
    if parser.get("celery", "ssl_active", fallback="").lower() in ("true", "1", "t"):
        return ""
    url = str(environ.get(URL) or parser.get("celery", "broker_url", fallback=""))
    return "" if "$" in url else url.replace("%%", "%")


def application() -> Any:
    """Return a Celery application that is connected to the broker of Airflow's workers."""
    url = simple_url(os.environ)
    if url:
        from celery import Celery

        return Celery(broker=url)
    return airflow_application()


def airflow_application() -> Any:
    """Return the Celery application of Airflow's executor. Its module differs between versions."""
    try:
        from airflow.providers.celery.executors.celery_executor_utils import app
    except ModuleNotFoundError as error:
        try:
            from airflow.executors.celery_executor import app  # before 2.7
        except ImportError:
            raise error from None
    return app


class RespondingWorker(TypedDict):
    """A worker that answers. Its keys are those of CeleryWorker in workers.py of the package."""

    node: str
    host: str
    queues: list[str]
    running: int


def workers(app: Any) -> list[RespondingWorker]:
    """Return the workers that answer, sorted by node name."""
    queues = app.control.inspect(timeout=ALL_ANSWER).active_queues() or {}
    known = app.control.inspect(destination=list(queues), timeout=TIMEOUT, limit=len(queues))
    active = (known.active() or {}) if queues else {}
    return [
        {
            "node": node,
            "host": node.partition("@")[2],
            "queues": sorted(queue["name"] for queue in queues[node]),
            "running": len(active.get(node) or ()),
        }
        for node in sorted(queues)
    ]


def ping(app: Any, node: str) -> str:
    """Return why a worker is not available; an empty string if it answers."""
    answers = app.control.inspect(destination=[node], timeout=TIMEOUT).ping() or {}
    return "" if node in answers else f"the broker sees no worker {node}"


def seen(app: Any, nodes: list[str]) -> list[str]:
    """Return those of these nodes that answer within TIMEOUT seconds."""
    answers = app.control.inspect(destination=nodes, timeout=TIMEOUT, limit=len(nodes)).ping() or {}
    return sorted(set(answers) & set(nodes))


def node() -> str:
    """Return the node name of this component's worker."""
    return celery_worker.node(os.environ)


def main(arguments: list[str]) -> int:
    """Do one action; return the exit status."""
    action, *nodes = arguments
    try:
        if action == "seen":
            print(json.dumps(seen(application(), nodes)))
            return 0
        if action == "workers":
            print(json.dumps(workers(application())))
            return 0
        fault = ping(application(), node())
    except Exception as error:  # noqa: BLE001 - kombu, transports and Airflow raise anything
        fault = f"cannot reach the broker: {str(error).strip() or type(error).__name__}"
    if fault:
        print(fault)
    return 1 if fault else 0
