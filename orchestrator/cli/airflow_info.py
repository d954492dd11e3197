"""`orchestrate airflow info` and `orchestrate airflow password`: about an Airflow that runs, has run, or might.

The facts are those of the running instance, else of a stamp that still holds; where there is neither, the helper is
asked for them, which touches neither database nor users.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.cli import foreground, holding
from orchestrator.cli.surroundings import Surroundings
from orchestrator.model.errors import OrchestrateError
from orchestrator.model.spec import System
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow import password, plan, preset, stamp
from orchestrator.presets.airflow.facts import NAMES, Facts
from orchestrator.presets.airflow.find import Installation
from orchestrator.presets.airflow.preset import Wishes
from orchestrator.runtime.home import Home
from orchestrator.runtime.lock import holder
from orchestrator.supervise.plan import Plan

STDERR = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """The facts, the URL of the web component, what runs or would, and the supervisor that runs it (0: none)."""

    facts: Facts
    url: str
    components: tuple[str, ...]
    pid: int = 0


def run(
    options: argparse.Namespace, wishes: Wishes, installation: Installation, directory: Path, here: Surroundings
) -> int:
    """Tell of what runs, or else of what would with these wishes; returns the exit status."""
    home = Home(directory)
    environment = preset.prepared(here.environment, installation, directory)
    known = _running(home)
    if known is None:
        facts = stamp.read(preset.facts_path(home), installation, environment)
        if facts is None:
            facts, status = _ask(home, installation, environment, here)
            if facts is None:
                return status
        known = Known(facts, wishes.url(facts, wishes.ports(facts)), wishes.names(facts))
    if options.action == "password":
        print(_password(known.facts))
    elif options.json:
        print(json.dumps(describe(known, installation), indent=1))
    else:
        _print(describe(known, installation))
    return 0


def _running(home: Home) -> Known | None:
    if not home.lock_path.exists() or holding.is_free(home.lock_path):
        return None
    pid = holder(home.lock_path) or 0
    record = stamp.load(preset.facts_path(home))
    if record is None:
        raise OrchestrateError(
            f"unable to tell about {home.directory}: its first start is under way (pid {pid or '?'})", "try again"
        )
    return Known(facts_module.from_json(record["facts"]), str(record["url"]), tuple(record["components"]), pid)


def _ask(
    home: Home, installation: Installation, environment: dict[str, str], here: Surroundings
) -> tuple[Facts | None, int]:
    """Run the helper, its output on standard error, and return what it reports, or the exit status of its failure."""
    found: list[Facts] = []

    def make(home: Home) -> tuple[System, Callable[[], Plan] | None]:
        step = preset.helper_step(installation, home, environment, plan.STOP, act=False)
        return System(title="Airflow", init=(step,), labels=NAMES), note

    def note() -> Plan:
        found.append(preset.read_facts(home))
        return Plan(())

    view = dataclasses.replace(here.view, json=False, log=False)
    plain = dataclasses.replace(here, view=view, colours=False, forced=False, erases=False)
    status = foreground.run_made(make, home.directory, plain, STDERR)
    return (found[0] if found else None), status


def describe(known: Known, installation: Installation) -> dict[str, Any]:
    """Return what `info` tells, in its order."""
    facts = known.facts
    return {
        "version": facts.version,
        "command": installation.command,
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


def _print(description: dict[str, Any]) -> None:
    width = max(map(len, description))
    for key, value in description.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):{width}}  {'-' if text is None else text}")


def _password(facts: Facts) -> str:
    if found := password.read(facts):
        return found
    if facts.login == "open":
        raise OrchestrateError("unable to print a password: none is needed, everybody is an admin")
    if facts.login == "elsewhere":
        raise OrchestrateError(f"unable to print a password: {facts.auth_manager or 'Airflow'} keeps the users")
    raise OrchestrateError(
        f"unable to print the password of {facts.user}: there is none in {facts.password_file}",
        "the first start of `orchestrate airflow` makes one, unless the user exists already",
    )
