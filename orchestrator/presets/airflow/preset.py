"""The preset at work: from an installation and the user's options to a system, and from the helper's facts to a plan.

The home is AIRFLOW_HOME. Of ours in it: `.orchestrate/airflow.json` (the facts of the last start, with the stamp),
`.orchestrate/airflow-secrets.env` (generated secrets) and `.orchestrate/run` (pid files). The components run in the
directory in which orchestrate was started, as with standalone, and leave nothing there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.model.errors import FAILED_STATUS, ConfigError, OrchestrateError
from orchestrator.model.spec import ComponentSpec, StartPlan, StopPlan, SystemSpec
from orchestrator.presets.airflow import (
    cache,
    generated_secrets,
    network,
    password,
    paths,
    programs,
    servers,
    workers,
)
from orchestrator.presets.airflow import (
    components as airflow_components,
)
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow import (
    installation as airflow_installation,
)
from orchestrator.presets.airflow.facts import NAMES, Facts, foresee
from orchestrator.presets.airflow.installation import Installation
from orchestrator.presets.airflow.workers import Programs, Wanted
from orchestrator.process import procfs, tcp_ports
from orchestrator.runtime.home import Home

STEP = "airflow"
OWN_BROKER = "ORCHESTRATE_OWN_BROKER"  # tells the helper that the broker starts later


class NotFreeError(ConfigError):
    """Something that Airflow needs is held by somebody else; one problem a line."""

    status = FAILED_STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowOptions:
    """What the command line says. `wait_for_database` is in seconds.

    `show_password` where only a person at a terminal sees it."""

    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    port: int | None = None
    any_port: bool = False
    bind: str | None = None
    wait_for_database: float = 0.0
    stop: StopPlan = airflow_components.STOP
    show_password: bool = False
    wanted: Wanted = workers.DEFAULT
    servers: frozenset[str] = frozenset()

    def names(self, facts: Facts) -> tuple[str, ...]:
        """The components to run. Raises UsageError."""
        return airflow_components.names(facts, self.only, self.without, self.wanted, self.servers)

    def ports(self, facts: Facts) -> network.AirflowPorts:
        """The ports as they are configured, before it is known which are taken."""
        return network.ports(facts, self.port)

    def url(self, facts: Facts, ports: network.AirflowPorts) -> str:
        """Where the web component will be."""
        return network.web_url(facts, ports, self.bind)


class Preset:
    """One start of Airflow. `environment` is what components start from, before what Airflow needs."""

    def __init__(
        self,
        installation: Installation,
        home: Path,
        environment: Mapping[str, str],
        airflow_options: AirflowOptions,
        directory: str,
        shell: Mapping[str, str] | None = None,
    ) -> None:
        """`directory` is where the components run. `shell` is what a second terminal starts from, if that is less than
        `environment`."""
        self._directory = directory
        self._installation = installation
        self._options = airflow_options
        self._given = environment if shell is None else shell
        self._environment = prepared(environment, installation, home, directory)
        self._servers: servers.BackendServers | None = None
        self._planned: Callable[[int], tuple[ComponentSpec, ...]] | None = None

    def expected(self, home: Home, facts: Facts) -> tuple[ComponentSpec, ...]:
        """Return the components as they are configured, before it is known which ports are taken. Raises UsageError."""
        running = self._options.names(facts)
        self.find_servers(home)
        request = self._request(home, facts, generated_secrets.stored(home) if facts.generated else {})
        return airflow_components.components(facts, running, request, self._options.ports(facts))

    def _request(self, home: Home, facts: Facts, secrets: Mapping[str, str]) -> airflow_components.AirflowRequest:
        python = self._installation.python
        return airflow_components.AirflowRequest(
            command=self._installation.command,
            directory=self._directory,
            private=str(home.state_dir / "run"),
            task_call=(python, programs.path("task_call.py")),
            own_hosts=own_hosts(facts, self._environment),
            launcher=(python, programs.path("launcher.py"))
            if airflow_installation.has_gunicorn_control_socket(python)
            else (),
            environment={**self._environment, **secrets},
            processors=processors(),
            programs=Programs(
                worker=(python, programs.path("celery_worker.py"), str(home.state_dir / "run")),
                call=(python, programs.path("celery_call.py")),
                airflow=self._installation.command,
            ),
            wanted=self._options.wanted,
            servers=self._servers,
            bind=self._options.bind,
            stop=self._options.stop,
        )

    def make(self, home: Home) -> tuple[SystemSpec, Callable[[], StartPlan] | None]:
        """Return the system, with the helper as its initial step unless a stamp spares it.

        Raises UsageError or NotFreeError where something already stands in the way, as far as can be told so early.
        """
        refuse_older(home, airflow_installation.version(self._installation.python))
        if found := self.find_servers(home):
            found.save()
        if airflow_components.is_wished("webserver", self._options.only, self._options.without):
            refuse_foreign_webserver(home)
        run_directory(home)
        stamped = stamped_facts(home, self._installation, self._environment)
        expected = stamped or self._foresee(home)
        if expected is not None:  # what is taken is said before anything runs; by then another may have come
            choose_ports(expected, self._options.ports(expected), self._options.names(expected), self._options)
        if stamped is not None and stamped.sqlite_file:
            facts = stamped
            return SystemSpec(title="Airflow", labels=NAMES), lambda: self._plan(home, facts, fresh=False)
        before = cache.config_digest(str(config_file(self._environment, home.directory)))
        airflow_options = self._options
        task = [f"{airflow_options.wait_for_database:g}"]
        if stamped is not None and not stamped.celery:  # whether the broker answers, Airflow's process has to find out
            task.append(str(facts_path(home)))
        step = helper_step(self._installation, home, self._environment, airflow_options.stop, self._directory, *task)
        steps: tuple[ComponentSpec, ...] = (step,)
        if found is not None:
            own_broker = {OWN_BROKER: "1"} if servers.REDIS in found.found else {}  # it does not answer yet
            step = replace(step, argv=found.wrapped(step.argv), environment={**step.environment, **own_broker})
            steps = (*found.initial_steps(self._environment), step)
        system = SystemSpec(title="Airflow", init=steps, labels=NAMES)
        return system, lambda: self._plan_after_helper(home, stamped, before)

    def find_servers(self, home: Home) -> servers.BackendServers | None:
        """Find the servers that are started with Airflow, if any are, and lead Airflow to them. Raises ConfigError."""
        names = self._options.servers
        if names and self._servers is None:
            config = _content(config_file(self._environment, home.directory))
            configured = servers.configured(names, self._environment, config)
            self._servers = servers.prepare(names, home, self._installation.python, self._environment, configured)
            self._environment |= self._servers.variables
        return self._servers

    def instances(self, name: str, count: int) -> tuple[ComponentSpec, ...]:
        """Return the specs of workers, for `scale`. Raises OrchestrateError for another component."""
        if name != workers.WORKER or self._planned is None:
            raise OrchestrateError(f"cannot scale {name}: Airflow has one here", "only Celery workers can be scaled")
        return tuple(one for one in self._planned(count) if one.component == name)

    def missing(self, names: Collection[str], present: Collection[str]) -> tuple[ComponentSpec, ...]:
        """Raise OrchestrateError: what was left out at the start stays out."""
        raise OrchestrateError("this system has no other components")

    def _plan_after_helper(self, home: Home, stamped: Facts | None, before: str) -> StartPlan:
        found = read_facts(home, stamped)
        return self._plan(home, found, fresh=found is not stamped, before=before)

    def _foresee(self, home: Home) -> Facts | None:
        config = _content(config_file(self._environment, home.directory))
        version = airflow_installation.version(self._installation.python)
        return foresee(version, str(home.directory), self._environment, config)

    def _plan(self, home: Home, facts: Facts, *, fresh: bool, before: str = "") -> StartPlan:
        airflow_options = self._options
        running, configured = airflow_options.names(facts), airflow_options.ports(facts)
        unchanged = not before or before == cache.config_digest(facts.config_file)
        keep = functools.partial(
            cache.write,
            facts_path(home),
            facts,
            self._installation,
            self._environment,
            valid=not fresh or unchanged,
            components=running,
        )
        try:
            chosen = choose_ports(facts, configured, running, airflow_options)
        except NotFreeError:  # the facts are good for the next start all the same
            keep(url=airflow_options.url(facts, configured))
            raise
        url = airflow_options.url(facts, chosen)
        request = self._request(home, facts, generated_secrets.read(home, facts))
        Path(airflow_components.pid_file(request.private)).unlink(missing_ok=True)
        secret = password.read(facts)
        components = airflow_components.components(facts, running, request, chosen)
        own = next((one for one in components if one.name not in servers.NAMES), components[0])
        keep(url=url, changes=changes(self._given, own.environment))

        def planned(count: int) -> tuple[ComponentSpec, ...]:
            wanted = replace(request, wanted=replace(request.wanted, count=count))
            return airflow_components.components(facts, running, wanted, chosen)

        self._planned = planned
        return StartPlan(
            components=components,
            notes=(
                *(() if fresh else ("Database ready: nothing has changed since the last start",)),
                *airflow_components.notes(
                    facts, self._installation.command, configured, chosen, worker_runs=workers.WORKER in running
                ),
                *network.notes(facts, self._environment, own.environment),
                *filter(None, (generated_secrets.in_words(facts, home), missing_dags(facts, self._directory))),
            ),
            banner=airflow_components.banner(
                facts,
                running,
                url,
                airflow_components.login_line(facts, secret, shown=airflow_options.show_password),
                chosen,
            ),
            secret=secret,
        )


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are new or different."""
    return {name: value for name, value in after.items() if before.get(name) != value}


def processors() -> int:
    """Return how many processors this process may use; where that cannot be told (macOS), how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_older(home: Home, version: str) -> None:
    """Raise OrchestrateError if a newer Airflow has used this home: the older one cannot read its database."""
    record = cache.load(facts_path(home))
    last = str(record["facts"].get("version", "")) if record and isinstance(record.get("facts"), dict) else ""
    if airflow_installation.is_older(version, last):
        raise OrchestrateError(
            f"cannot start Airflow {version}: Airflow {last} has used {home.directory}",
            f"name another home with --home DIR; to go back, downgrade the database with Airflow {last}"
            f" (airflow db downgrade) and remove {facts_path(home)}",
        )


def refuse_foreign_webserver(home: Home) -> None:
    """Raise NotFreeError where the webserver of another Airflow 2 runs on this home."""
    path = home.directory / "airflow-webserver.pid"
    try:
        pid = int(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return
    command = procfs.command_of(pid)
    if not procfs.is_zombie(pid) and ("airflow" in command or "gunicorn" in command):
        refuse(
            {f"the webserver of {home.directory}": f"runs already as pid {pid} ({command}), says {path}"},
            f"end it with `kill {pid}`",
        )


def prepared(environment: Mapping[str, str], installation: Installation, home: Path, directory: str) -> dict[str, str]:
    """Return the environment of every Airflow process: absolute paths, so that they mean the same in all of them and in
    a second terminal, and the command on PATH, since 2.x runs each task as `airflow tasks run`."""
    result = dict(environment)
    result["AIRFLOW_HOME"] = str(home)
    result |= paths.absolute(result, "", directory)  # first the path of the configuration file itself
    result |= paths.absolute(result, _content(config_file(result, home)), directory)
    scripts = os.path.dirname(installation.command)
    search_path = result.get("PATH", os.defpath)
    if search_path.split(os.pathsep)[0] != scripts:
        result["PATH"] = f"{scripts}{os.pathsep}{search_path}"
    return result


def config_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return the path of airflow.cfg."""
    return Path(environment.get("AIRFLOW_CONFIG") or home / "airflow.cfg")


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def own_hosts(facts: Facts, environment: Mapping[str, str]) -> frozenset[str]:
    """Return the host of the configured execution API if it is this machine; looked up only if a proxy is set."""
    host = urlsplit(network.execution_url(facts, environment)).hostname or ""
    ours = (
        host and facts.major > 2 and network.proxy(environment) and host not in network.LOCAL and tcp_ports.is_own(host)
    )
    return frozenset((host,)) if ours else frozenset()


def missing_dags(facts: Facts, directory: str) -> str:
    """Say that the configured DAG folder is missing; nothing of one that is not configured."""
    if facts.dags_folder in ("", f"{facts.home}/dags"):
        return ""
    folder = os.path.join(directory, os.path.expanduser(facts.dags_folder))
    return "" if os.path.isdir(folder) else f"the DAG folder {folder} does not exist"


def helper_step(
    installation: Installation,
    home: Home,
    environment: Mapping[str, str],
    stop: StopPlan,
    directory: str,
    *task: str,
) -> ComponentSpec:
    """Return the initial step that runs the helper; `task` are its arguments after the file of the report."""
    scratch_path(home).unlink(missing_ok=True)
    return ComponentSpec(
        name=STEP,
        argv=(installation.python, programs.path("helper.py"), str(scratch_path(home)), *task),
        cwd=directory,
        environment=environment,
        source="the Airflow preset",
        stop=stop,
    )


def read_facts(home: Home, stamped: Facts | None = None) -> Facts:
    """Return what the helper wrote, or `stamped` if it found nothing changed. Raises OrchestrateError."""
    try:
        text = scratch_path(home).read_text(encoding="utf-8")
    except OSError as error:
        raise OrchestrateError(f"cannot read the facts about Airflow: {error.strerror}") from None
    scratch_path(home).unlink()
    if stamped is not None and text.strip() == "{}":
        return stamped
    return facts_module.parse(text)


def stamped_facts(home: Home, installation: Installation, environment: Mapping[str, str]) -> Facts | None:
    """Return the facts of the last start if they still hold, and the secrets that it generated are there."""
    facts = cache.read(facts_path(home), installation, environment)
    return facts if facts is not None and generated_secrets.are_there(home, facts) else None


def facts_path(home: Home) -> Path:
    """Where the facts of the last start are kept."""
    return home.state_dir / "airflow.json"


def scratch_path(home: Home) -> Path:
    """Where the helper writes."""
    return home.state_dir / "airflow-report.json"


def run_directory(home: Home) -> Path:
    """Return the directory for pid files; it is made if it is missing."""
    directory = home.state_dir / "run"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def choose_ports(
    facts: Facts, configured: network.AirflowPorts, running: tuple[str, ...], airflow_options: AirflowOptions
) -> network.AirflowPorts:
    """Return the configured ports, or with --any-port free ones for those that are taken. Raises NotFreeError."""
    uses = network.listeners(facts, configured, running, airflow_options.bind)
    faults = {use: tcp_ports.fault(host, port) for use, (host, port) in uses.items()}
    if not airflow_options.any_port:
        refuse(
            {f"port {uses[use][1]} of {network.in_words(use, facts)}": fault for use, fault in faults.items()},
            "end what holds it, or let --any-port choose free ports",
        )
        return configured
    avoid = {port for _, port in uses.values()}
    replaced: dict[network.Use, int] = {}
    for use, fault in faults.items():
        if fault:
            replaced[use] = tcp_ports.free(uses[use][0], avoid)
            avoid.add(replaced[use])
    return configured.moved(replaced)


def refuse(faults: Mapping[str, str], hint: str) -> None:
    """Raise NotFreeError with a line for each fault, and what to do; do nothing where there is none."""
    problems = [f"cannot start Airflow: {what} {fault}" for what, fault in faults.items() if fault]
    if problems:
        raise NotFreeError(problems, hint)
