"""Runs a Celery worker of Airflow: ``celery_worker DIRECTORY GRACE AIRFLOW ARGUMENT…``.

Each instance gets a node name, `worker.1@host`, and a pid file in DIRECTORY; only the first serves logs, because all
would listen on the same port. During a warm shutdown the worker no longer answers remote control. So its own process
reads the number of running tasks (celery.worker.state) and prints it, at once and every REPORT seconds.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

from . import airflow_command

REPORT = 5.0  # seconds


def instance(environ: Mapping[str, str]) -> str:
    """Return the name of this instance, which does not change when the component is scaled: `worker.1`."""
    return environ.get("PS") or environ.get("ORCHESTRATE_INSTANCE") or "worker.1"


def node(environ: Mapping[str, str]) -> str:
    """Return Celery's name of this worker."""
    return f"{instance(environ)}@{socket.gethostname()}"


def is_first(environ: Mapping[str, str]) -> bool:
    """Return whether this is the instance that serves logs."""
    number = instance(environ).rpartition(".")[2]
    return not number.isdigit() or int(number) == 1


def in_words(count: int, names: list[str], left: float) -> str:
    """Return a line about the tasks that a shutdown waits for. They are killed in `left` seconds."""
    tasks = "1 task is" if count == 1 else f"{count} tasks are"
    which = f" ({', '.join(names)})" if names else ""
    return f"{tasks} still running{which}; ending {'it' if count == 1 else 'them'} in {left:.0f} s"


def names_of(requests: Any) -> list[str]:
    """Return the process ids of running tasks. Their names are not available: they are in Airflow's payload."""
    pids = {getattr(request, "worker_pid", None) for request in requests}
    return [f"pid {pid}" for pid in sorted(pid for pid in pids if pid)]


def report(grace: float) -> None:
    """Print the number of running tasks until there are none, or the grace period is over."""
    from celery.worker import state

    left = grace
    waiting = threading.Event()
    while left > 0:
        running = list(state.active_requests)
        if not running:
            return
        print(in_words(len(running), names_of(running), left), flush=True)
        waiting.wait(REPORT)
        left -= REPORT


def follow_shutdown(grace: float) -> None:
    """Report running tasks from the time when Celery begins a warm shutdown."""
    from celery.signals import worker_shutting_down

    def shutting_down(**_: Any) -> None:
        threading.Thread(target=report, args=(grace,), daemon=True).start()

    worker_shutting_down.connect(shutting_down, weak=False)


def name_worker(name: str) -> None:
    """Set the node name by Celery's own option. With Airflow's `--celery-hostname`, some versions of the Celery
    provider query other workers with the application of the worker, which then receives tasks but never runs them
    (apache/airflow#59707)."""
    from celery import Celery

    original = Celery.worker_main

    def worker_main(app: Any, argv: Any = None) -> Any:
        return original(app, [*(sys.argv if argv is None else argv), "--hostname", name])

    Celery.worker_main = worker_main


def main(arguments: list[str]) -> NoReturn:
    """Run the worker in this process, and exit with its status."""
    directory, grace, *command = arguments
    airflow_command.disable_control_socket()
    pid_file = os.path.join(directory, f"airflow-{instance(os.environ)}.pid")
    if os.path.exists(pid_file):  # we hold the lock of the home, so the process that wrote it has exited
        os.unlink(pid_file)
    sys.argv = [*command, "--pid", pid_file]
    if not is_first(os.environ):
        sys.argv.append("--skip-serve-logs")
    name_worker(node(os.environ))
    follow_shutdown(float(grace))
    from airflow.__main__ import main as run

    sys.exit(run())
