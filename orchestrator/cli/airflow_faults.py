"""Faults of an Airflow whose components are all up. They are checked only when `why` is run.

- A Celery worker is ready once it has answered a ping, and is not pinged after that. If its host loses the network, or
  the broker forgets it, everything that is visible from here still runs.
- With another Fernet key than the one that encrypted its connections, Airflow starts and its tasks fail.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import settings
from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow import cache, programs
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow.facts import NAMES, Facts
from orchestrator.presets.airflow.workers import WORKER
from orchestrator.runtime.home import Home

if TYPE_CHECKING:
    from orchestrator.model.control import WhyRow

TIMEOUT = 20.0  # seconds; a broker behind a firewall does not even refuse the connection


def looked_at(home: Home, rows: Collection[WhyRow]) -> tuple[WhyRow, ...]:
    """Return the rows of `why`; those with a fault have it as their reason and as `fault`."""
    up = [row for row in rows if row["component"] in NAMES and row["state"] == "ready"]
    record = cache.load(cache.facts_path(_airflow_home(home))) if up else None
    if record is None:
        return tuple(rows)
    try:
        facts = facts_module.from_json(record["facts"])
    except OrchestrateError:
        return tuple(rows)
    faults = {row["instance"]: fault for row in up if (fault := key_fault(facts, row["component"]))}
    nodes = {row["instance"]: node(row["instance"]) for row in up if row["component"] == WORKER and facts.celery}
    if nodes:
        seen, refusal = _ask(facts, record["changes"], sorted(nodes.values()))
        faults |= {name: unseen(one, refusal) for name, one in nodes.items() if one not in seen}
    return tuple(with_fault(row, faults.get(row["instance"], "")) for row in rows)


def with_fault(row: WhyRow, fault: str) -> WhyRow:
    """Return the row of a component that is up but has a fault, with that fault."""
    return {**row, "fault": fault, "reason": f"{row['instance']} is up here, but {fault}"} if fault else row


def _airflow_home(home: Home) -> Home:
    """Return the AIRFLOW_HOME of the system with this home: a different directory, if a definition contains Airflow."""
    entry = next((one for one in settings.system_list().running() if one.home == str(home.directory)), None)
    return Home(Path(entry.airflow_home)) if entry is not None and entry.airflow_home else home


# The Fernet key


def key_fault(facts: Facts, component: str) -> str:
    """Return the fault of a wrong key, if this is a component that decrypts: the web component for tasks of 3.x, and
    those that run tasks themselves on 2.x."""
    decrypts = (facts.web,) if facts.major > 2 else (facts.web, "scheduler", WORKER)
    return facts.key_fault if component in decrypts else ""


# The broker


def node(instance: str) -> str:
    """Return Celery's name of the worker in an instance of this host, as celery_worker.py makes it."""
    number = instance.rpartition(".")[2]
    return f"{WORKER}.{number if number.isdigit() else 1}@{socket.gethostname()}"


def unseen(name: str, refusal: str) -> str:
    """Return the fault of a worker that the broker does not see; `refusal` is why the broker could not be asked."""
    return f"the broker does not see it: {refusal or f'{name} does not answer a ping over the broker'}"


def _ask(facts: Facts, changes: Mapping[str, str], nodes: list[str]) -> tuple[list[str], str]:
    """Return the nodes that answer, and the reason if the broker could not be reached."""
    command = programs.command(facts.python, "celery_call", "seen", *nodes)
    environment = {**settings.environment_with_home(""), **changes}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer from the broker within {TIMEOUT:.0f} s"
    except OSError as error:
        return [], f"cannot run {facts.python}: {(error.strerror or str(error)).lower()}"
    lines = ended.stdout.strip().splitlines() or ended.stderr.strip().splitlines() or [""]
    if ended.returncode:
        return [], lines[-1]
    return list(json.loads(lines[-1])), ""
