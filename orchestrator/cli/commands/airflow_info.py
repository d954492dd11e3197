"""`orchestrate airflow info`, `password` and `run`: about an Airflow that runs, has run, or would.

The facts are those of the running system, which needs no Airflow on PATH; else of a stamp that still holds; else the
helper is asked, which touches neither database nor users.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from orchestrator.cli import foreground, home_claim, system_lookup
from orchestrator.cli.commands import airflow
from orchestrator.cli.commands import run as run_command
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.spec import StartPlan, SystemSpec
from orchestrator.presets.airflow import (
    cache,
    generated_secrets,
    network,
    password,
    preset,
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
from orchestrator.presets.airflow.preset import AirflowOptions
from orchestrator.runtime.home import Home
from orchestrator.runtime.lock import holder

STDERR = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """The facts, the airflow command, the URL of the web component, the components that run or would, the environment
    that they have and ours has not, and the supervisor's pid (0: none)."""

    facts: Facts
    command: str
    url: str
    components: tuple[str, ...]
    changes: Mapping[str, str]
    pid: int = 0


def run(options: argparse.Namespace, airflow_options: AirflowOptions, here: CommandSettings) -> int:
    """Do it for what runs, or else for what the same options would start; returns the exit status."""
    known = _running(system_lookup.airflow_of(options)) or _would_run(options, airflow_options, here)
    if isinstance(known, int):
        return known
    match options.action:
        case "password":
            print(_password(known.facts))
        case "run":
            _run_airflow(options, known, here)
        case _ if options.json:
            print(json.dumps({**describe(known), **_workers(known, here)}, indent=1))
        case _:
            _print({**describe(known), **_workers(known, here)})
    return 0


def _running(home: Home) -> Known | None:
    if not home.lock_path.exists() or home_claim.is_free(home.lock_path):
        return None
    pid = holder(home.lock_path) or 0
    record = cache.load(preset.facts_path(home))
    if record is None:
        raise OrchestrateError(
            f"cannot tell about {home.directory}: its first start is under way (pid {pid or '?'})", "try again"
        )
    facts, components = facts_module.from_json(record["facts"]), tuple(record["components"])
    return Known(facts, str(record["command"]), str(record["url"]), components, record["changes"], pid)


def _would_run(options: argparse.Namespace, airflow_options: AirflowOptions, here: CommandSettings) -> Known | int:
    """Return what the options would start, or the exit status of a helper that failed."""
    installation = airflow_installation.find(options.airflow, here.environment.get("PATH"))
    home = Home(airflow.home_directory(options.home))
    environment = preset.prepared(here.environment, installation, home.directory, os.getcwd())
    facts = preset.stamped_facts(home, installation, environment)
    if facts is None:
        facts, status = _ask(home, installation, environment, here)
        if facts is None:
            return status
    ports = airflow_options.ports(facts)
    environment |= generated_secrets.read(home, facts)
    changes = preset.changes(
        here.environment,
        network.environment(
            facts,
            environment,
            ports,
            airflow_options.bind,
            airflow_options.names(facts),
            preset.own_hosts(facts, environment),
        ),
    )
    return Known(facts, installation.command, airflow_options.url(facts, ports), airflow_options.names(facts), changes)


def _run_airflow(options: argparse.Namespace, known: Known, here: CommandSettings) -> NoReturn:
    arguments = (*options.words, *options.command)
    if not arguments:
        raise UsageError("nothing to run", "write what Airflow's own command gets, like: run -- dags list")
    run_command.execute(
        (known.command, *arguments), ".", run_command.at_terminal(here, {**here.environment, **known.changes})
    )


def _ask(
    home: Home, installation: Installation, environment: dict[str, str], here: CommandSettings
) -> tuple[Facts | None, int]:
    """Run the helper, its output on standard error, and return what it reports, or the exit status of its failure."""
    found: list[Facts] = []

    def make(home: Home) -> tuple[SystemSpec, Callable[[], StartPlan] | None]:
        step = preset.helper_step(installation, home, environment, airflow_components.STOP, os.getcwd(), "report")
        return SystemSpec(title="Airflow", init=(step,), labels=NAMES), note

    def note() -> StartPlan:
        found.append(preset.read_facts(home))
        return StartPlan(())

    view = dataclasses.replace(here.view, json=False, log=False)
    plain = dataclasses.replace(here, view=view, colours=False, forced=False, erases=False)
    status = foreground.run_made(make, home.directory, plain, STDERR)
    return (found[0] if found else None), status


def asker(here: CommandSettings) -> Callable[[Home, Installation, dict[str, str]], Facts]:
    """Return what runs the helper for its facts. It raises OrchestrateError if that fails."""

    def ask(home: Home, installation: Installation, environment: dict[str, str]) -> Facts:
        airflow.make_home(home.directory)
        facts, status = _ask(home, installation, environment, here)
        if facts is None:
            raise OrchestrateError("cannot tell what Airflow would run", "see above", status)
        return facts

    return ask


def describe(known: Known) -> dict[str, Any]:
    """Return what `info` tells, in its order."""
    facts = known.facts
    return {
        "version": facts.version,
        "command": known.command,
        "home": facts.home,
        "url": f"{known.url}/",
        "executor": facts.executor,
        "database": facts.database,
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
    command = (known.facts.python, programs.path("celery_call.py"), "workers")
    environment = {**here.environment, **known.changes}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode == 0:
        return {"workers": json.loads(ended.stdout.splitlines()[-1])}
    print(f"orchestrate: cannot list the workers: {ended.stdout.strip() or 'see above'}", file=sys.stderr)
    return {"workers": None}


def _worker_in_words(worker: Mapping[str, Any]) -> str:
    tasks = "1 task" if worker["running"] == 1 else f"{worker['running']} tasks"
    return f"{worker['node']} ({', '.join(worker['queues'])}; {tasks})"


def _print(description: dict[str, Any]) -> None:
    width = max(map(len, description))
    for key, value in description.items():
        words = map(_worker_in_words, value) if key == "workers" and value else value
        text = (", ".join(words) or "-") if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):{width}}  {'-' if text is None else text}")


def _password(facts: Facts) -> str:
    if found := password.read(facts):
        return found
    if facts.login == "open":
        raise OrchestrateError("cannot print a password: no login is needed, every user is an admin")
    if facts.login == "elsewhere":
        raise OrchestrateError(f"cannot print a password: {facts.auth_manager or 'Airflow'} keeps the users")
    raise OrchestrateError(
        f"cannot print the password of {facts.user}: there is none in {facts.password_file}",
        "the first start of `orchestrate airflow` makes one, unless the user exists already",
    )
