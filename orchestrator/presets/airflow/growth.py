"""Signs that a set-up is too small, each as a line with the command for the next step. Pure.

The thresholds are set for lasting conditions that users notice. A short peak does not count.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

DAY = 86_400.0  # seconds between two lines
WAIT = 180.0  # seconds; a task that waits longer for a slot is a sign
MANY_TASKS = 8  # tasks that write to one SQLite file at a time
PRESSURE = 5.0  # percent of the last minute in which a process waited for memory

TO_POSTGRESQL = "`orchestrate airflow --with postgresql` uses PostgreSQL"
TO_LOCAL_EXECUTOR = "`orchestrate airflow --executor LocalExecutor --with postgresql` runs several at a time"
TO_ANOTHER_HOST = "`orchestrate airflow join > worker.env` prepares a worker on another host"
TO_SERVICE = "`orchestrate airflow export systemd --whole` makes it a service"


class SignKind(Enum):
    """The kinds of signs, in the order in which they are reported."""

    SCHEDULERS = "schedulers"
    PARALLELISM = "parallelism"
    QUEUE = "queue"
    MEMORY = "memory"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign, and the line about it."""

    kind: SignKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What runs here. `workers` is the number of Celery workers on this machine, `concurrency` that of the tasks of
    each, if an option sets it. `web_port` is 0 if no web component runs. `serves_workers` says that workers of other
    hosts call the web component, and `is_service` that a service manager has started us."""

    executor: str
    sqlite: bool
    workers: int = 0
    concurrency: int | None = None
    simple_login: bool = False
    web_port: int = 0
    serves_workers: bool = False
    is_service: bool = False

    @property
    def celery(self) -> bool:
        """Return whether Celery workers run the tasks."""
        return self.executor == "CeleryExecutor"

    @property
    def development(self) -> bool:
        """Return whether this is a set-up for development: no service restarts it, or it uses SQLite or the simple
        login."""
        return not self.is_service or self.sqlite or self.simple_login


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What growth_look.py found in the database: the numbers of active schedulers, running tasks and tasks that wait
    for a slot. The longest wait is `oldest` seconds. `parallelism` and `worker_concurrency` are configured."""

    schedulers: int
    running: int
    waiting: int
    oldest: float
    parallelism: int
    worker_concurrency: int


def load_of(text: str) -> Load | None:
    """Return the load that growth_look.py has printed; None if it has printed something else."""
    try:
        return Load(**json.loads(text))
    except (ValueError, TypeError):
        return None


def of_load(setup: Setup, load: Load) -> list[Sign]:
    """Return the signs in a load."""
    found = []
    if setup.sqlite and load.schedulers > 1:
        reason = f"{load.schedulers} schedulers share a SQLite file, which allows one writer at a time"
        found.append(Sign(SignKind.SCHEDULERS, f"{reason}; {TO_POSTGRESQL}"))
    if setup.sqlite and load.running >= MANY_TASKS:
        reason = f"{load.running} tasks run at a time on SQLite, which allows one writer at a time"
        found.append(Sign(SignKind.PARALLELISM, f"{reason}; {TO_POSTGRESQL}"))
    if load.waiting and load.oldest >= WAIT and load.running >= _slots(setup, load):
        tasks = "1 task waits" if load.waiting == 1 else f"{load.waiting} tasks wait"
        full = f"{setup.executor} runs {load.running}, and no more at a time"
        reason = f"{tasks} for a slot, since {load.oldest / 60:.0f} min: {full}"
        found.append(Sign(SignKind.QUEUE, f"{reason}; {_more_slots(setup)}"))
    return found


def _slots(setup: Setup, load: Load) -> int:
    """Return the maximum number of tasks that run at a time."""
    if setup.executor in ("SequentialExecutor", "DebugExecutor"):
        return 1
    here = setup.workers * (setup.concurrency or load.worker_concurrency)
    if setup.celery and here:
        return min(here, load.parallelism or here)
    return max(1, load.parallelism)


def _more_slots(setup: Setup) -> str:
    if setup.celery:
        return TO_ANOTHER_HOST
    return TO_LOCAL_EXECUTOR if setup.executor == "SequentialExecutor" else _to_celery(setup)


def _to_celery(setup: Setup) -> str:
    servers = "redis,postgresql" if setup.sqlite else "redis"
    return f"`orchestrate airflow --executor celery --with {servers}` runs tasks in workers"


def of_pressure(setup: Setup, report: str) -> list[Sign]:
    """Return the sign in the content of /proc/pressure/memory: how long processes waited for memory."""
    share = pressure(report)
    if share < PRESSURE:
        return []
    step = TO_ANOTHER_HOST if setup.celery else f"{_to_celery(setup)}, which can be on another host"
    return [Sign(SignKind.MEMORY, f"memory is short: processes waited for it {share:.0f} % of the last minute; {step}")]


def pressure(report: str) -> float:
    """Return the percentage of the last minute in which some process waited (PSI, psi.rst); 0 if it cannot be read."""
    fields = next((line.split() for line in report.splitlines() if line.startswith("some ")), [])
    value = next((field.removeprefix("avg60=") for field in fields if field.startswith("avg60=")), "")
    try:
        return float(value)
    except ValueError:
        return 0.0


def of_peers(setup: Setup, peers: Collection[str]) -> list[Sign]:
    """Return the sign in the addresses of clients that are connected to the web port."""
    import ipaddress  # takes 3 ms

    remote = sorted(peer for peer in peers if not ipaddress.ip_address(peer).is_loopback)
    if not remote or setup.serves_workers or not setup.development:
        return []
    who = remote[0] if len(remote) == 1 else f"{remote[0]} and {len(remote) - 1} more"
    what = f"{who} uses" if len(remote) == 1 else f"{who} use"
    return [Sign(SignKind.REMOTE, f"{what} the web port {setup.web_port} of this development set-up; {TO_SERVICE}")]


def choose(signs: Collection[Sign], last: str) -> Sign | None:
    """Return the sign to report: the first, preferably of another kind than the last one reported."""
    order = list(SignKind)
    return min(signs, key=lambda sign: (sign.kind.value == last, order.index(sign.kind)), default=None)
