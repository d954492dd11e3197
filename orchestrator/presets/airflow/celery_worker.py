"""Runs a Celery worker of Airflow: ``python celery_worker.py DIRECTORY GRACE AIRFLOW ARGUMENT…``.

Each instance gets a node name, `worker.1@host`, and a pid file in DIRECTORY; only the first serves logs, because all
would listen on the same port. During a warm shutdown the worker no longer answers remote control, so the number of
tasks that it waits for is read in its own process (celery.worker.state) and printed: at once, and every REPORT seconds.

Not part of the package: it imports nothing of orchestrator, and keeps to the syntax of Python 3.8.
"""

from __future__ import annotations

import os
import sys
import threading

if __name__ == "__main__" and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]  # our own directory: nothing in it may stand in for a module of Airflow's

import socket
from collections.abc import Mapping
from typing import Any

REPORT = 5.0  # seconds


def instance(environ: Mapping[str, str]) -> str:
    """Return the name of this instance, which does not change when the component is scaled: `worker.1`."""
    return environ.get("PS") or environ.get("ORCHESTRATE_INSTANCE") or "worker.1"


def node(environ: Mapping[str, str]) -> str:
    """Return Celery's name of this worker."""
    return f"{instance(environ)}@{socket.gethostname()}"


def is_first(environ: Mapping[str, str]) -> bool:
    """Whether this is the instance that serves logs."""
    number = instance(environ).rpartition(".")[2]
    return not number.isdigit() or int(number) == 1


def in_words(count: int, names: list[str], left: float) -> str:
    """Report the tasks that a shutdown waits for; `left` seconds from now they are ended."""
    tasks = "1 task is" if count == 1 else f"{count} tasks are"
    which = f" ({', '.join(names)})" if names else ""
    return f"{tasks} still running{which}; ending {'it' if count == 1 else 'them'} in {left:.0f} s"


def names_of(requests: Any) -> list[str]:
    """Return the process ids of running tasks: the task's own name is inside Airflow's payload."""
    pids = {getattr(request, "worker_pid", None) for request in requests}
    return [f"pid {pid}" for pid in sorted(pid for pid in pids if pid)]


def report(grace: float) -> None:
    """Print how many tasks run until none does, or the grace period is over."""
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
    """Report running tasks once Celery has been asked to shut down."""
    from celery.signals import worker_shutting_down

    def shutting_down(**_: Any) -> None:
        threading.Thread(target=report, args=(grace,), daemon=True).start()

    worker_shutting_down.connect(shutting_down, weak=False)


def main(directory: str, grace: str, command: list[str]) -> int:
    """Run the worker in this process; returns its exit status."""
    try:
        from gunicorn.config import ControlSocketDisable  # 25.1 and later; see launcher.py
    except ImportError:
        pass
    else:
        ControlSocketDisable.default = True
    pid_file = os.path.join(directory, f"airflow-{instance(os.environ)}.pid")
    if os.path.exists(pid_file):  # the home's lock is ours: whoever wrote it has exited
        os.unlink(pid_file)
    sys.argv = [*command, "--celery-hostname", node(os.environ), "--pid", pid_file]
    if not is_first(os.environ):
        sys.argv.append("--skip-serve-logs")
    follow_shutdown(float(grace))
    from airflow.__main__ import main as run

    return run() or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
