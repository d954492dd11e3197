"""Makes a plan from facts: Airflow's components, how each is started, when it is ready, how it is stopped. Pure.

Readiness depends on our own processes: each has to print a line, and then Airflow's health endpoint has to show it
healthy with a heartbeat newer than this start. So neither a stale row nor another program on the port counts. On 3.x
the first probe calls the execution API. Its first call stalls the server for seconds, so it is made while the server
has no other requests and the other components are starting.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.model.errors import UsageError
from orchestrator.model.spec import (
    ComponentSpec,
    Condition,
    Dependency,
    ExecProbe,
    HttpProbe,
    LogProbe,
    Ownership,
    Probe,
    RestartPlan,
    RestartPolicy,
    Scope,
    StopPlan,
    StopStep,
)
from orchestrator.presets.airflow import paths, servers, workers
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.network import (
    REFRESH,
    AirflowPorts,
    Use,
    environment,
    execution_url,
    flower_url,
    in_words,
    web_url,
)
from orchestrator.presets.airflow.servers import BackendServers
from orchestrator.presets.airflow.workers import FLOWER, HOSTS, WORKER, Programs, Wanted

COLORS = {
    "webserver": "green",
    "api-server": "magenta",
    "scheduler": "blue",
    "dag-processor": "yellow",
    "triggerer": "cyan",
}
STARTED = {
    "scheduler": "[Rr]esetting orphaned tasks",
    "triggerer": "Starting the triggerer",
    "dag-processor": "Starting the Dag Processor Job",
}
HEALTH = {2: "/health", 3: "/api/v2/monitor/health"}
# On the first TERM, 3.x waits for running tasks without a limit; on the second it exits.
STOP = StopPlan((StopStep(signal.SIGTERM, 15.0), StopStep(signal.SIGTERM, 3.0)), Scope.LEADER)
# Airflow's components exit with 0 on any TERM, so an exit that we did not request is a failure, also with status 0.
RESTART = RestartPlan(RestartPolicy.ALWAYS, max=5, within=300.0, first=1.0, cap=30.0, same_exits=2)
WARM_UP = 60.0  # seconds that the first call of the execution API may take


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowRequest:
    """The user's options and facts about this machine. `command` is the airflow command, `directory` the working
    directory of components, `private` a directory for their pid files, `environment` that in which they start,
    `processors` the number of processors. `task_call` calls the execution API as a task does. `launcher` runs the
    command without gunicorn's control socket; it is empty if gunicorn has none. `own_hosts` are further names of this
    machine."""

    command: str
    directory: str
    private: str
    environment: Mapping[str, str]
    processors: int
    task_call: tuple[str, ...]
    programs: Programs
    own_hosts: frozenset[str] = frozenset()
    launcher: tuple[str, ...] = ()
    bind: str | None = None
    stop: StopPlan = STOP
    wanted: Wanted = workers.DEFAULT
    servers: BackendServers | None = None


def names(
    facts: Facts,
    only: frozenset[str],
    without: frozenset[str],
    wanted: Wanted = workers.DEFAULT,
    own_servers: frozenset[str] = frozenset(),
    *,
    listens: bool = False,
) -> tuple[str, ...]:
    """Return the components to run, in the order of their start, and `own_servers` first. `listens` says that there are
    workers on other hosts. Raises UsageError."""
    there = [*(name for name in servers.NAMES if name in own_servers), "scheduler", facts.web]
    if facts.dag_processor:
        there.append("dag-processor")
    there.append("triggerer")
    if facts.celery:
        there += (*workers.names(wanted), *((workers.HOSTS,) if listens else ()))
    elif facts.executor and servers.REDIS in own_servers:
        raise UsageError(
            f"cannot start redis for --with: {facts.executor} does not use it", "add --executor CeleryExecutor"
        )
    elif facts.executor and wanted.flower:
        raise UsageError(f"cannot start flower: {facts.executor} does not use Celery", "add --executor CeleryExecutor")
    for name in sorted((only | without) - set(there)):
        raise UsageError(
            f"cannot choose {name}: Airflow {facts.version} has no such component",
            f"it has {', '.join(there)}",
        )
    running = tuple(name for name in there if is_wished(name, only, without))
    if not running:
        raise UsageError("cannot start Airflow: --only and --except leave no component")
    return running


def is_wished(name: str, only: frozenset[str], without: frozenset[str]) -> bool:
    """Return whether --only and --except leave this component."""
    return (not only or name in only) and name not in without


def components(
    facts: Facts, running: tuple[str, ...], request: AirflowRequest, chosen: AirflowPorts
) -> tuple[ComponentSpec, ...]:
    """Return the components of this start, `running` by name."""
    complete = environment(facts, request.environment, chosen, request.bind, running, request.own_hosts)
    own = request.servers.components(running, complete, RESTART) if request.servers is not None else []
    needs = tuple(Dependency(server.name, Condition.READY) for server in own)
    return (*own, *(replace(one, depends_on=needs) for one in _airflow(facts, running, request, chosen, complete)))


def _airflow(
    facts: Facts, running: tuple[str, ...], request: AirflowRequest, chosen: AirflowPorts, complete: dict[str, str]
) -> tuple[ComponentSpec, ...]:
    """Return Airflow's own components."""
    if facts.major == 2 and request.launcher:
        others = complete.get("GUNICORN_CMD_ARGS", "")
        complete["GUNICORN_CMD_ARGS"] = f"{others} --no-control-socket".strip()
    before_web = (facts.web,) if facts.major > 2 and facts.web in running else ()  # tasks report to it
    more: list[ComponentSpec] = []
    if WORKER in running:
        more += (
            replace(one, start_after=_goes_after(facts, WORKER, running, request.processors))
            for one in workers.worker(
                facts, request.wanted, request.programs, request.directory, complete, RESTART, before_web
            )
        )
    if FLOWER in running:
        more.append(workers.flower(facts, chosen, request.programs, request.directory, complete, RESTART, request.stop))
    if HOSTS in running:
        folder = paths.expanded(facts.dags_folder or f"{facts.home}/dags", request.directory)
        more.append(workers.hosts(request.programs, folder, request.directory, complete, RESTART))
    core = tuple(
        ComponentSpec(
            name=name,
            component=name,
            argv=_command(facts, name, request),
            cwd=request.directory,
            environment={**complete, "PORT": str(chosen.web)} if name == facts.web else complete,
            source="the Airflow preset",
            color=COLORS[name],
            stop_before=before_web if name == "scheduler" else (),
            start_after=_goes_after(facts, name, running, request.processors),
            ready=(
                *probes(facts, name, running, chosen, request.bind),
                *(_task_call(facts, running, request, complete) if name == "scheduler" else ()),
            ),
            restart=RESTART,
            stop=request.stop,
            success=frozenset(),
        )
        for name in running
        if name in COLORS
    )
    return (*core, *more)


def _goes_after(facts: Facts, name: str, running: tuple[str, ...], processors: int) -> tuple[str, ...]:
    """Return the component after which this one starts.

    Starting is limited by the processors. The web component takes longest, on 3.x longer than all others together. So
    one processor is left to it, and the others start one after another on the rest.
    """
    others = [other for other in running if other != facts.web and (other in COLORS or other == WORKER)]
    at_once = max(1, processors - (facts.web in running))
    return tuple(others[others.index(name) - at_once :][:1]) if name in others[at_once:] else ()


def _command(facts: Facts, name: str, request: AirflowRequest) -> tuple[str, ...]:
    if name == "webserver":  # it starts gunicorn as a process that reads GUNICORN_CMD_ARGS
        return (request.command, name, "--pid", pid_file(request.private))
    return (*(request.launcher if facts.major == 2 else ()), request.command, name)


def pid_file(directory: str) -> str:
    """Return the path of the pid file for gunicorn of a 2.x webserver."""
    return f"{directory}/airflow-webserver.pid"


def probes(
    facts: Facts, name: str, running: tuple[str, ...], chosen: AirflowPorts, bind: str | None = None
) -> tuple[Probe, ...]:
    """Return the probes that make `name` ready, if `running` are started together."""
    url = web_url(facts, chosen, bind, by_address=True)
    health = url + HEALTH[facts.major]
    found: list[Probe] = []
    if name == facts.web:
        if facts.web_log_lines or facts.major == 2:  # Airflow's logging does not affect gunicorn's line
            pattern = rf"(Uvicorn running on|Listening at:) https?://\S*:{chosen.web}\b"
            found.append(LogProbe(pattern, f"that it listens on port {chosen.web}"))
        if facts.major > 2 and "scheduler" in running:
            found.append(HttpProbe(f"{url}/execution/health", timeout=WARM_UP))
        return (*found, _health(facts, health, ()))
    if facts.log_lines:
        found.append(LogProbe(STARTED[name], "about its start"))
    if facts.web in running:
        # The web component answers for it, so the port belongs to another component.
        found.append(replace(_health(facts, health, (name,)), owner=Ownership.ANY))
    return tuple(found)


def _task_call(
    facts: Facts, running: tuple[str, ...], request: AirflowRequest, complete: Mapping[str, str]
) -> tuple[Probe, ...]:
    """Return the probe that calls the execution API for a scheduler's tasks. Without an api-server here there is one
    only if a URL is configured: at the default URL nothing may answer."""
    if facts.major == 2 or not (facts.web in running or facts.execution_api_url or facts.base_url):
        return ()
    url = execution_url(facts, complete)
    command = (*request.task_call, url, *facts.task_client)
    return (ExecProbe(command, interval=3.0, timeout=WARM_UP + 10, about=f"a task's call of {url}"),)


def _health(facts: Facts, url: str, of: tuple[str, ...]) -> HttpProbe:
    # The answer of 2.6 does not mention a dag-processor.
    keys = [n.replace("-", "_") for n in of if n != "dag-processor" or facts.major > 2]
    return HttpProbe(
        url,
        healthy=("/metadatabase/status", *(f"/{key}/status" for key in keys)),
        fresh=tuple(f"/{key}/latest_{key}_heartbeat" for key in keys),
    )


def notes(
    facts: Facts, command: str, configured: AirflowPorts, chosen: AirflowPorts, *, worker_runs: bool = False
) -> tuple[str, ...]:
    """Return the lines that are printed before the components start: what was found, and what we changed."""
    lines = [f"Airflow {facts.version} ({command}), home {facts.home}, {facts.executor}, {facts.database}"]
    if facts.forced_executor:
        lines.append(f"Forcing executor to {facts.forced_executor}: {facts.forced_executor_reason}")
    if facts.celery and not worker_runs:
        lines.append(f"{facts.executor} has no worker here: its tasks stay queued unless one runs elsewhere")
    if facts.idle_executors:
        lines.append(f"{facts.idle_executors} has no worker here: its tasks stay queued unless one runs elsewhere")
    if facts.refresh_option:
        section, _, key = facts.refresh_option.partition(".")
        lines.append(f"Looking for new DAG files every {REFRESH} s: [{section}] {key} is not configured (default: 300)")
    if facts.forced_auth_manager:
        lines.append(f"Forcing auth manager to SimpleAuthManager: {facts.forced_auth_manager_reason}")
    for use in Use:
        before, after = configured.of(use), chosen.of(use)
        if before != after:
            lines.append(f"Port {before} is taken: {in_words(use, facts)} gets {after}")
    return tuple(lines)


def banner(
    facts: Facts, running: tuple[str, ...], url: str, login: str, chosen: AirflowPorts | None = None
) -> tuple[str, ...]:
    """Return the lines that are printed when everything is ready. `login` is a line about user and password, or
    empty."""
    lines = ["", "Airflow is ready"]
    if facts.web in running:
        lines.append(f"{url}/")
        if login:
            lines.append(login)
    if FLOWER in running and chosen is not None:
        lines.append(f"Flower: {flower_url(facts, chosen)}/")
    lines.append("Airflow Standalone is for development purposes only. Do not use this in production!")
    return (*lines, "")
