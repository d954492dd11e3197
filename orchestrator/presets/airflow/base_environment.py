"""The environment from which all of Airflow's processes start, and facts about this machine that affect it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.presets.airflow import network, paths
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.installation import Installation
from orchestrator.process import tcp_ports


def prepared(environment: Mapping[str, str], installation: Installation, home: Path, directory: str) -> dict[str, str]:
    """Return the environment of every Airflow process. Paths are absolute, so that all processes and a second terminal
    resolve them in the same way. Airflow's command is on PATH, because 2.x runs each task as `airflow tasks run`."""
    result = dict(environment)
    result["AIRFLOW_HOME"] = str(home)
    result |= paths.absolute(result, "", directory)  # first the path of the configuration file itself
    result |= paths.absolute(result, config_text(config_file(result, home)), directory)
    scripts = os.path.dirname(installation.command)
    search_path = result.get("PATH", os.defpath)
    if search_path.split(os.pathsep)[0] != scripts:
        result["PATH"] = f"{scripts}{os.pathsep}{search_path}"
    return result


def config_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return the path of airflow.cfg."""
    return Path(environment.get("AIRFLOW_CONFIG") or home / "airflow.cfg")


def config_text(path: Path) -> str:
    """Return the content of airflow.cfg; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `after` that are new or have changed."""
    return {name: value for name, value in after.items() if before.get(name) != value}


def own_hosts(facts: Facts, environment: Mapping[str, str]) -> frozenset[str]:
    """Return the host of the configured execution API if it is this machine. It is resolved only if a proxy is set."""
    host = urlsplit(network.execution_url(facts, environment)).hostname or ""
    ours = (
        host and facts.major > 2 and network.proxy(environment) and host not in network.LOCAL and tcp_ports.is_own(host)
    )
    return frozenset((host,)) if ours else frozenset()


def processors() -> int:
    """Return the number of processors that this process may use, or on macOS the number of all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
