"""Celery's workers and Flower as components. Pure.

A worker is ready when it has printed Celery's line about it and answers a ping over the broker. SIGTERM starts Celery's
warm shutdown, in which running tasks get a grace period. SIGQUIT kills them (Celery's documentation, "Stopping the
worker").
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from orchestrator.model.spec import (
    ComponentSpec,
    ExecProbe,
    HttpProbe,
    LogProbe,
    Probe,
    RestartPlan,
    Scope,
    StopPlan,
    StopStep,
)
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.network import AirflowPorts, flower_url

CELERY = "CeleryExecutor"
WORKER, FLOWER, HOSTS = "worker", "flower", "hosts"
COLORS = {WORKER: "bright_green", FLOWER: "bright_magenta", HOSTS: "bright_cyan"}
GRACE = 60.0  # seconds; the default grace period of running tasks
QUIT_GRACE = 5.0
SOURCE = "the Airflow preset"
_ANSWERS = "the checks of other hosts$"  # in host_answers.py
_READY = r"(celery@\S+|worker(\.\d+)?@\S+) ready\b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The user's options for Celery. `count` is the number of workers here, `concurrency` that of tasks of each at a
    time (None: as configured), `queues` names what they serve, separated by commas (empty: as configured), `grace` is
    the grace period of running tasks in seconds."""

    count: int = 1
    concurrency: int | None = None
    queues: str = ""
    grace: float = GRACE
    flower: bool = False


DEFAULT = Wanted()


class CeleryWorker(TypedDict):
    """A worker that answers over the broker, as `inside/celery_call.py` prints it: its node name, its host, the queues
    that it serves, and the number of tasks that it runs."""

    node: str
    host: str
    queues: list[str]
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Command lines: `worker` runs a worker with a pid file, `call` queries workers over the broker, `airflow` is
    Airflow's command, `answers` answers the checks of other hosts."""

    worker: tuple[str, ...]
    call: tuple[str, ...]
    airflow: str
    answers: tuple[str, ...] = ()


def stop_plan(grace: float) -> StopPlan:
    """Return the stop of a worker: Celery's warm shutdown, then the cold one."""
    return StopPlan((StopStep(signal.SIGTERM, grace), StopStep(signal.SIGQUIT, QUIT_GRACE)), Scope.LEADER)


def names(wanted: Wanted) -> tuple[str, ...]:
    """Return the names of the components that Celery adds."""
    return (*((WORKER,) if wanted.count else ()), *((FLOWER,) if wanted.flower else ()))


def instances(wanted: Wanted) -> tuple[str, ...]:
    """Return the names of the workers."""
    return (WORKER,) if wanted.count == 1 else tuple(f"{WORKER}.{number + 1}" for number in range(wanted.count))


def worker(
    facts: Facts,
    wanted: Wanted,
    programs: Programs,
    directory: str,
    environment: Mapping[str, str],
    restart: RestartPlan,
    stop_before: tuple[str, ...] = (),
) -> tuple[ComponentSpec, ...]:
    """Return the workers. celery_worker.py gives each a node name, and only the first serves logs."""
    command = [*programs.worker, f"{wanted.grace:g}", programs.airflow, "celery", "worker"]
    if wanted.concurrency is not None:
        command += ["--concurrency", str(wanted.concurrency)]
    if wanted.queues:
        command += ["--queues", wanted.queues]
    return tuple(
        ComponentSpec(
            name=name,
            component=WORKER,
            argv=tuple(command),
            cwd=directory,
            environment={**environment, "PS": f"{WORKER}.{number}", "ORCHESTRATE_INSTANCE": name},
            source=SOURCE,
            color=COLORS[WORKER],
            stop_before=stop_before,
            ready=_worker_ready(facts, programs),
            restart=restart,
            stop=stop_plan(wanted.grace),
            success=frozenset(),
        )
        for number, name in enumerate(instances(wanted), 1)
    )


def _worker_ready(facts: Facts, programs: Programs) -> tuple[Probe, ...]:
    ping = ExecProbe((*programs.call, "ping"), interval=2.0, timeout=30.0, about="that the broker sees it")
    if not facts.worker_log_lines:
        return (ping,)
    return (LogProbe(_READY, "that it is ready"), ping)


def flower(
    facts: Facts,
    chosen: AirflowPorts,
    programs: Programs,
    directory: str,
    environment: Mapping[str, str],
    restart: RestartPlan,
    stop: StopPlan,
) -> ComponentSpec:
    """Return Flower, Celery's web interface."""
    url = flower_url(facts, chosen)
    return ComponentSpec(
        name=FLOWER,
        component=FLOWER,
        argv=(programs.airflow, "celery", "flower", "--hostname", facts.flower_address, "--port", str(chosen.flower)),
        cwd=directory,
        environment={**environment, "PORT": str(chosen.flower)},
        source=SOURCE,
        color=COLORS[FLOWER],
        ready=(HttpProbe(f"{url}/healthcheck"),),
        restart=restart,
        stop=stop,
        success=frozenset(),
    )


def hosts(
    programs: Programs, folder: str, directory: str, environment: Mapping[str, str], restart: RestartPlan
) -> ComponentSpec:
    """Return the component that answers the checks of workers' hosts; `folder` has the DAG files."""
    return ComponentSpec(
        name=HOSTS,
        component=HOSTS,
        argv=(*programs.answers, folder),
        cwd=directory,
        environment=environment,
        source=SOURCE,
        color=COLORS[HOSTS],
        ready=(LogProbe(_ANSWERS, "that it answers"),),
        restart=restart,
        stop=StopPlan((StopStep(signal.SIGTERM, QUIT_GRACE),), Scope.LEADER),
        success=frozenset(),
        tty=False,
    )
