"""Celery's part of Airflow: workers and Flower as components. Pure.

A worker is ready when Celery has printed its own line and the worker answers one ping over the broker. SIGTERM is
Celery's warm shutdown: running tasks get a grace period. SIGQUIT ends them (Celery's documentation, "Stopping the
worker").
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

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
WORKER, FLOWER = "worker", "flower"
COLORS = {WORKER: "bright_green", FLOWER: "bright_magenta"}
GRACE = 60.0  # seconds that running tasks are given by default
QUIT_GRACE = 5.0
SOURCE = "the Airflow preset"
_READY = r"(celery@\S+|worker(\.\d+)?@\S+) ready\b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user wants of Celery. `count` is the number of workers here, `concurrency` the tasks of each at a time
    (None: as configured), `queues` what they serve, separated by commas (empty: as configured), `grace` the seconds
    that running tasks are given."""

    count: int = 1
    concurrency: int | None = None
    queues: str = ""
    grace: float = GRACE
    flower: bool = False


DEFAULT = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Command lines: `worker` runs a worker in a directory for pid files, `call` asks workers over the broker,
    `airflow` is Airflow's command."""

    worker: tuple[str, ...]
    call: tuple[str, ...]
    airflow: str


def stop_plan(grace: float) -> StopPlan:
    """Return Celery's stop: a warm shutdown, then a cold one."""
    return StopPlan((StopStep(signal.SIGTERM, grace), StopStep(signal.SIGQUIT, QUIT_GRACE)), Scope.LEADER)


def names(wanted: Wanted) -> tuple[str, ...]:
    """Return the components that Celery adds, by configured name."""
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
    """Return the workers. The program gives each its own node name, and lets the first alone serve logs."""
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
            colour=COLORS[WORKER],
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
        colour=COLORS[FLOWER],
        ready=(HttpProbe(f"{url}/healthcheck"),),
        restart=restart,
        stop=stop,
        success=frozenset(),
    )
