"""A start of Airflow: from an installation and the user's options to a system, and from the facts to a plan.

The home is AIRFLOW_HOME. It contains `.orchestrate/airflow.json` (the record of the last start),
`.orchestrate/airflow-secrets.env` (generated secrets) and `.orchestrate/run` (pid files). As with standalone, the
components run in the directory in which orchestrate was started; we write no file there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.spec import ComponentSpec, StartPlan, SystemSpec
from orchestrator.presets.airflow import (
    base_environment,
    cache,
    generated_secrets,
    growth,
    login,
    network,
    preconditions,
    preparation,
    programs,
    servers,
    workers,
)
from orchestrator.presets.airflow import components as airflow_components
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.presets.airflow.facts import NAMES, Facts, foresee
from orchestrator.presets.airflow.installation import Installation
from orchestrator.presets.airflow.options import AirflowOptions
from orchestrator.presets.airflow.workers import Programs
from orchestrator.runtime.home import Home


class Preset:
    """One start of Airflow. `environment` is that of the components, without what Airflow needs in addition."""

    def __init__(
        self,
        installation: Installation,
        home: Path,
        environment: Mapping[str, str],
        airflow_options: AirflowOptions,
        directory: str,
        shell: Mapping[str, str] | None = None,
    ) -> None:
        """`directory` is the working directory of components. `shell` is the environment of a second terminal, if it
        has less than `environment`."""
        self._directory = directory
        self._installation = installation
        self._options = airflow_options
        self._given = environment if shell is None else shell
        self._environment = base_environment.prepared(environment, installation, home, directory)
        self._servers: servers.BackendServers | None = None
        self._planned: Callable[[int], tuple[ComponentSpec, ...]] | None = None
        self._running: tuple[Facts, network.AirflowPorts] | None = None

    def expected(self, home: Home, facts: Facts) -> tuple[ComponentSpec, ...]:
        """Return the components with the configured ports, whether or not they are taken. Raises UsageError."""
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
            task_call=programs.command(python, "task_call"),
            own_hosts=base_environment.own_hosts(facts, self._environment),
            launcher=programs.command(python, "airflow_command")
            if airflow_installation.has_gunicorn_control_socket(python)
            else (),
            environment={**self._environment, **secrets},
            processors=base_environment.processors(),
            programs=Programs(
                worker=programs.command(python, "celery_worker", str(home.state_dir / "run")),
                call=programs.command(python, "celery_call"),
                airflow=self._installation.command,
                answers=programs.command(python, "host_answers"),
            ),
            wanted=self._options.wanted,
            servers=self._servers,
            bind=self._options.address(facts),
            stop=self._options.stop,
        )

    def make(self, home: Home) -> tuple[SystemSpec, Callable[[], StartPlan] | None]:
        """Return the system. Its initial step prepares Airflow, unless the record of the last start still holds.

        Raises UsageError or NotFreeError for problems that are known before Airflow is prepared.
        """
        preconditions.refuse_older(home, airflow_installation.version(self._installation.python))
        preconditions.refuse_listening(self._options.listen)
        if found := self.find_servers(home):
            found.save()
        if airflow_components.is_wished("webserver", self._options.only, self._options.without):
            preconditions.refuse_foreign_webserver(home)
        programs.run_directory(home)
        stamped = cache.stamped_facts(home, self._installation, self._environment)
        expected = stamped or self._foresee(home)
        if expected is not None:  # report taken ports before any process starts; the plan checks them again
            preconditions.choose_ports(
                expected, self._options.ports(expected), self._options.names(expected), self._options
            )
        if stamped is not None and stamped.sqlite_file:
            facts = stamped
            return SystemSpec(title="Airflow", labels=NAMES), lambda: self._plan(home, facts, fresh=False)
        before = cache.config_digest(str(base_environment.config_file(self._environment, home.directory)))
        airflow_options = self._options
        task = [f"{airflow_options.wait_for_database:g}"]
        if stamped is not None and not stamped.celery:  # with Celery the preparation has to check the broker
            task.append(str(cache.facts_path(home)))
        step = preparation.step(
            self._installation, home, self._environment, airflow_options.stop, self._directory, *task
        )
        steps: tuple[ComponentSpec, ...] = (step,)
        if found is not None:
            own_broker = {preparation.OWN_BROKER: "1"} if servers.REDIS in found.found else {}  # it is not running yet
            step = replace(step, argv=found.wrapped(step.argv), environment={**step.environment, **own_broker})
            steps = (*found.initial_steps(self._environment), step)
        system = SystemSpec(title="Airflow", init=steps, labels=NAMES)
        return system, lambda: self._plan_after_preparation(home, stamped, before)

    def find_servers(self, home: Home) -> servers.BackendServers | None:
        """Find the servers of --with, and set the variables that connect Airflow to them. Raises ConfigError."""
        names = self._options.servers
        if names and self._servers is None:
            config = base_environment.config_text(base_environment.config_file(self._environment, home.directory))
            configured = servers.configured(names, self._environment, config)
            self._servers = servers.prepare(
                names, home, self._installation.python, self._environment, configured, self._options.listen
            )
            self._environment |= self._servers.variables
        return self._servers

    def instances(self, name: str, count: int) -> tuple[ComponentSpec, ...]:
        """Return the specs of workers, for `scale`. Raises OrchestrateError for another component."""
        if name != workers.WORKER or self._planned is None:
            raise OrchestrateError(f"cannot scale {name}: Airflow has one here", "only Celery workers can be scaled")
        return tuple(one for one in self._planned(count) if one.component == name)

    def missing(self, names: Collection[str], present: Collection[str]) -> tuple[ComponentSpec, ...]:
        """Raise OrchestrateError: components that the start left out cannot be added."""
        raise OrchestrateError("this system has no other components")

    def growth_setup(self, running: Collection[str], *, is_service: bool) -> growth.Setup | None:
        """Return what runs, to find signs that it is too small. `running` are the components of all instances. None
        before the plan is made."""
        if self._running is None:
            return None
        facts, chosen = self._running
        return growth.Setup(
            executor=facts.executor,
            sqlite=bool(facts.sqlite_file) or facts.database.startswith("sqlite"),
            workers=sum(name == workers.WORKER for name in running),
            concurrency=self._options.wanted.concurrency,
            simple_login=facts.auth_manager.endswith("SimpleAuthManager"),
            web_port=chosen.web if facts.web in running else 0,
            serves_workers=facts.celery and facts.major > 2,
            is_service=is_service,
        )

    def growth_look(self, since: float) -> tuple[str, ...]:
        """Return the command that reads the load from the database. The scheduler started at `since`, in seconds since
        the epoch. Empty before the plan is made."""
        if self._running is None:
            return ()
        facts = self._running[0]
        return programs.command(self._installation.python, "growth_look", facts.config_file, str(since))

    def _plan_after_preparation(self, home: Home, stamped: Facts | None, before: str) -> StartPlan:
        found = preparation.read_report(home, stamped)
        return self._plan(home, found, fresh=found is not stamped, before=before)

    def _foresee(self, home: Home) -> Facts | None:
        config = base_environment.config_text(base_environment.config_file(self._environment, home.directory))
        version = airflow_installation.version(self._installation.python)
        return foresee(version, str(home.directory), self._environment, config)

    def _plan(self, home: Home, facts: Facts, *, fresh: bool, before: str = "") -> StartPlan:
        airflow_options = self._options
        running, configured = airflow_options.names(facts), airflow_options.ports(facts)
        unchanged = not before or before == cache.config_digest(facts.config_file)
        keep = functools.partial(
            cache.write,
            cache.facts_path(home),
            facts,
            self._installation,
            self._environment,
            valid=not fresh or unchanged,
            components=running,
            listen=airflow_options.listen,
        )
        try:
            chosen = preconditions.choose_ports(facts, configured, running, airflow_options)
        except preconditions.NotFreeError:  # the next start can use the facts anyway
            keep(url=airflow_options.url(facts, configured))
            raise
        url = airflow_options.url(facts, chosen)
        request = self._request(home, facts, generated_secrets.read(home, facts))
        Path(airflow_components.pid_file(request.private)).unlink(missing_ok=True)
        secret = login.read_password(facts)
        components = airflow_components.components(facts, running, request, chosen)
        own = next((one for one in components if one.name not in servers.NAMES), components[0])
        keep(url=url, changes=base_environment.changes(self._given, own.environment))

        def planned(count: int) -> tuple[ComponentSpec, ...]:
            wanted = replace(request, wanted=replace(request.wanted, count=count))
            return airflow_components.components(facts, running, wanted, chosen)

        self._planned = planned
        self._running = facts, chosen
        return StartPlan(
            components=components,
            notes=(
                *(() if fresh else ("Database ready: nothing has changed since the last start",)),
                *airflow_components.notes(
                    facts, self._installation.command, configured, chosen, worker_runs=workers.WORKER in running
                ),
                *network.notes(facts, self._environment, own.environment),
                *filter(
                    None,
                    (
                        generated_secrets.in_words(facts, home),
                        facts.key_fault,
                        preconditions.missing_dags(facts, self._directory),
                    ),
                ),
            ),
            banner=airflow_components.banner(
                facts,
                running,
                url,
                login.login_line(facts, secret, shown=airflow_options.show_password),
                chosen,
            ),
            secret=secret,
        )
