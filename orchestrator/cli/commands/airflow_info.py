"""`orchestrate airflow info`, `password` and `run`: about an Airflow that runs, has run, or would.

The facts are those of the running system, which needs no Airflow on PATH; else those of a valid stamp; else those of
a new report, for which neither database nor users are touched.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from orchestrator.cli import foreground, home_claim, links, system_lookup
from orchestrator.cli.commands import airflow
from orchestrator.cli.commands import run as run_command
from orchestrator.cli.commands.airflow import AirflowCommandOptions
from orchestrator.cli.options import PresetOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.spec import StartPlan, SystemSpec
from orchestrator.presets.airflow import (
    base_environment,
    cache,
    generated_secrets,
    login,
    network,
    preparation,
    programs,
)
from orchestrator.presets.airflow import (
    components as airflow_components,
)
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow import (
    installation as airflow_installation,
)
from orchestrator.presets.airflow.facts import NAMES, Facts
from orchestrator.presets.airflow.installation import Installation
from orchestrator.presets.airflow.options import AirflowOptions
from orchestrator.presets.airflow.workers import CeleryWorker
from orchestrator.runtime.home import Home
from orchestrator.runtime.lock import holder

STDERR = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """The facts, the airflow command, the URL of the web component, the components that run or would run, the variables
    that they have and we do not, the supervisor's pid (0: none), and the address for other hosts (empty: none)."""

    facts: Facts
    command: str
    url: str
    components: tuple[str, ...]
    changes: Mapping[str, str]
    pid: int = 0
    listen: str = ""

    @property
    def is_worker(self) -> bool:
        """Whether it is the home of a worker that joined another host."""
        return not self.url


def run(options: AirflowCommandOptions, airflow_options: AirflowOptions, here: CommandSettings) -> int:
    """Run the action for the running system, or for the one that the same options would start; return the exit
    status."""
    known = running(system_lookup.airflow_of(options.location)) or would_run(
        options.airflow, options.location.home, airflow_options, here
    )
    if isinstance(known, int):
        return known
    match options.action:
        case "password":
            print(_password(known.facts))
        case "run":
            _run_airflow(options, known, here)
        case _ if options.start.json:
            print(json.dumps({**describe(known), **_workers(known, here)}, indent=1))
        case _:
            _print({**describe(known), **_workers(known, here)})
    return 0


def running(home: Home) -> Known | None:
    """Return the running system; None if none runs. Raises OrchestrateError during the first start."""
    if not home.lock_path.exists() or home_claim.is_free(home.lock_path):
        return None
    pid = holder(home.lock_path) or 0
    record = cache.load(cache.facts_path(home))
    if record is None:
        raise OrchestrateError(
            f"cannot tell about {home.directory}: its first start is under way (pid {pid or '?'})", "try again"
        )
    return _recorded(record, pid)


def last_start(home: Home) -> Known | None:
    """Return the system that ran last; None if none has. Raises OrchestrateError if the record cannot be read."""
    record = cache.load(cache.facts_path(home))
    return None if record is None else _recorded(record, 0)


def _recorded(record: Mapping[str, Any], pid: int) -> Known:
    facts, components = facts_module.from_json(record["facts"]), tuple(record["components"])
    url, listen = str(record["url"]), str(record.get("listen", ""))
    return Known(facts, str(record["command"]), url, components, record["changes"], pid, listen)


def would_run(
    given: PresetOptions, named_home: str | None, airflow_options: AirflowOptions, here: CommandSettings
) -> Known | int:
    """Return the system that the options would start, or the exit status if the report fails.

    `named_home` is the value of --home.
    """
    installation = airflow_installation.find(given.airflow, here.environment.get("PATH"))
    home = Home(airflow.home_directory(named_home))
    environment = base_environment.prepared(here.environment, installation, home.directory, os.getcwd())
    facts = cache.stamped_facts(home, installation, environment)
    if facts is None:
        facts, status = _ask(home, installation, environment, here)
        if facts is None:
            return status
    ports = airflow_options.ports(facts)
    environment |= generated_secrets.read(home, facts)
    changes = base_environment.changes(
        here.environment,
        network.environment(
            facts,
            environment,
            ports,
            airflow_options.address(facts),
            airflow_options.names(facts),
            base_environment.own_hosts(facts, environment),
        ),
    )
    return Known(facts, installation.command, airflow_options.url(facts, ports), airflow_options.names(facts), changes)


def _run_airflow(options: AirflowCommandOptions, known: Known, here: CommandSettings) -> NoReturn:
    arguments = (*options.words, *options.command)
    if not arguments:
        raise UsageError("nothing to run", "write what Airflow's own command gets, like: run -- dags list")
    run_command.execute(
        (known.command, *arguments), ".", run_command.at_terminal(here, {**here.environment, **known.changes})
    )


def _ask(
    home: Home, installation: Installation, environment: dict[str, str], here: CommandSettings
) -> tuple[Facts | None, int]:
    """Run the program that reports, with its output on standard error. Return the facts, and the exit status."""
    found: list[Facts] = []

    def make(home: Home) -> tuple[SystemSpec, Callable[[], StartPlan] | None]:
        step = preparation.step(installation, home, environment, airflow_components.STOP, os.getcwd(), "report")
        return SystemSpec(title="Airflow", init=(step,), labels=NAMES), note

    def note() -> StartPlan:
        found.append(preparation.read_report(home))
        return StartPlan(())

    view = dataclasses.replace(here.view, json=False, log=False)
    plain = dataclasses.replace(here, view=view, colors=False, forced=False, erases=False)
    status = foreground.run_made(make, home.directory, plain, STDERR)
    return (found[0] if found else None), status


def asker(here: CommandSettings) -> Callable[[Home, Installation, dict[str, str]], Facts]:
    """Return a function that runs that program and returns the facts. It raises OrchestrateError if that fails."""

    def ask(home: Home, installation: Installation, environment: dict[str, str]) -> Facts:
        airflow.make_home(home.directory)
        facts, status = _ask(home, installation, environment, here)
        if facts is None:
            raise OrchestrateError("cannot tell what Airflow would run", "see above", status)
        return facts

    return ask


def describe(known: Known) -> dict[str, Any]:
    """Return the lines of `info`, in order."""
    facts = known.facts
    return {
        "version": facts.version,
        "command": known.command,
        "home": facts.home,
        "url": f"{known.url}/" if known.url else None,
        "executor": facts.executor,
        "database": facts.database or None,
        "auth_manager": facts.auth_manager or None,
        "components": list(known.components),
        "user": facts.user or None,
        "password_file": facts.password_file or None,
        "pid": known.pid or None,
    }


def _workers(known: Known, here: CommandSettings) -> dict[str, Any]:
    """Return the workers that answer over the broker, also those of other hosts, if Celery runs the tasks here."""
    if not (known.facts.celery and known.pid):
        return {}
    command = programs.command(known.facts.python, "celery_call", "workers")
    environment = {**here.environment, **known.changes}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode == 0:
        return {"workers": json.loads(ended.stdout.splitlines()[-1])}
    print(f"orchestrate: cannot list the workers: {ended.stdout.strip() or 'see above'}", file=sys.stderr)
    return {"workers": None}


def _worker_in_words(worker: CeleryWorker) -> str:
    tasks = "1 task" if worker["running"] == 1 else f"{worker['running']} tasks"
    return f"{worker['node']} ({', '.join(worker['queues'])}; {tasks})"


def _print(description: dict[str, Any]) -> None:
    width = max(map(len, description))
    for key, value in description.items():
        words = map(_worker_in_words, value) if key == "workers" and value else value
        text = (", ".join(words) or "-") if isinstance(value, list) else value
        print(links.linked(f"{key.replace('_', ' '):{width}}  {'-' if text is None else text}"))


def _password(facts: Facts) -> str:
    if found := login.read_password(facts):
        return found
    if facts.login == "open":
        raise OrchestrateError("cannot print a password: no login is needed, every user is an admin")
    if facts.login == "elsewhere":
        raise OrchestrateError(f"cannot print a password: {facts.auth_manager or 'Airflow'} keeps the users")
    raise OrchestrateError(
        f"cannot print the password of {facts.user}: there is none in {facts.password_file}",
        "the first start of `orchestrate airflow` makes one, unless the user exists already",
    )
