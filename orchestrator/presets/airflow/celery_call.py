"""Asks Celery's workers over their broker, under Airflow's interpreter: ``python celery_call.py ping|workers``.

`ping` exits with 0 if this instance's worker answers; `workers` prints all that answer as JSON: node, queues, number of
running tasks. Airflow itself, whose import takes seconds, is needed only if the broker has options beyond its URL.

Not part of the package: it imports nothing of orchestrator, and keeps to the syntax of Python 3.8.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]  # our own directory: nothing in it may stand in for a module of Airflow's

import configparser
import importlib.util
import json
from collections.abc import Mapping
from typing import Any

TIMEOUT = 5.0  # seconds that one worker is given to answer
ALL_ANSWER = 1.5  # seconds that all are given: nothing tells how many there are
URL = "AIRFLOW__CELERY__BROKER_URL"


def simple_url(environ: Mapping[str, str]) -> str:
    """Return the broker's URL if it says everything about the broker; else an empty string."""
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
    """Return a Celery application that reaches Airflow's workers."""
    url = simple_url(os.environ)
    if url:
        from celery import Celery

        return Celery(broker=url)
    return airflow_application()


def airflow_application() -> Any:
    """Return the application of Airflow's executor; its place changed with the versions."""
    try:
        from airflow.providers.celery.executors.celery_executor_utils import app
    except ModuleNotFoundError as error:
        try:
            from airflow.executors.celery_executor import app  # before 2.7
        except ImportError:
            raise error from None
    return app


def workers(app: Any) -> list[dict[str, Any]]:
    """Return the workers that answer, by node name."""
    inspect = app.control.inspect(timeout=ALL_ANSWER)
    queues = inspect.active_queues() or {}
    active = inspect.active() or {}
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
    """Return why a worker does not count as answering; an empty string if it does."""
    answers = app.control.inspect(destination=[node], timeout=TIMEOUT).ping() or {}
    return "" if node in answers else f"the broker sees no worker {node}"


def node() -> str:
    """Return the node name of this component's worker, as celery_worker.py makes it."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "celery_worker.py")
    spec = importlib.util.spec_from_file_location("orchestrate_celery_worker", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.node(os.environ))


def main(action: str) -> int:
    """Do one of the two; returns the exit status."""
    try:
        if action == "workers":
            print(json.dumps(workers(application())))
            return 0
        fault = ping(application(), node())
    except Exception as error:  # noqa: BLE001 - whatever kombu, the transport or Airflow raise
        fault = f"cannot reach the broker: {str(error).strip() or type(error).__name__}"
    if fault:
        print(fault)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
