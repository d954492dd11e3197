"""Checks before a start of Airflow: the version that used the home, a running webserver, ports and addresses.

Their errors are reported before any process starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from orchestrator.model.errors import FAILED_STATUS, ConfigError, OrchestrateError, UsageError
from orchestrator.presets.airflow import addresses, cache, network, paths
from orchestrator.presets.airflow import installation as airflow_installation
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.options import AirflowOptions
from orchestrator.process import procfs, tcp_ports
from orchestrator.runtime.home import Home


class NotFreeError(ConfigError):
    """Another program uses something that Airflow needs; one problem per line."""

    status = FAILED_STATUS


def refuse_older(home: Home, version: str) -> None:
    """Raise OrchestrateError if a newer Airflow has used this home: an older one cannot read its database."""
    record = cache.load(cache.facts_path(home))
    last = str(record["facts"].get("version", "")) if record and isinstance(record.get("facts"), dict) else ""
    if airflow_installation.is_older(version, last):
        raise OrchestrateError(
            f"cannot start Airflow {version}: Airflow {last} has used {home.directory}",
            f"name another home with --home DIR; to go back, downgrade the database with Airflow {last}"
            f" (airflow db downgrade) and remove {cache.facts_path(home)}",
        )


def refuse_listening(address: str, resolve: Callable[[str], list[str]] = tcp_ports.addresses_of) -> None:
    """Raise UsageError if other hosts cannot use an address, and NotFreeError if this host does not have it."""
    if not address:
        return
    if addresses.is_loopback(address) or addresses.is_any(address):
        raise UsageError(
            f"invalid --listen {address!r}: expected an address of this host that other hosts reach",
            "`hostname -I` lists this host's addresses",
        )
    if local := next(filter(addresses.is_loopback, resolve(address)), ""):
        raise UsageError(
            f"invalid --listen {address!r}: on this host that is {local}",
            "name an address: `hostname -I` lists this host's addresses",
        )
    if not tcp_ports.is_own(address):
        raise NotFreeError(
            [f"cannot use --listen {address}: it is not an address of this host"], "`hostname -I` lists them"
        )


def refuse_foreign_webserver(home: Home) -> None:
    """Raise NotFreeError if another webserver of Airflow 2 runs on this home."""
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


def choose_ports(
    facts: Facts, configured: network.AirflowPorts, running: tuple[str, ...], airflow_options: AirflowOptions
) -> network.AirflowPorts:
    """Return the configured ports. Replace those that are taken with --any-port; else raise NotFreeError."""
    uses = network.listeners(facts, configured, running, airflow_options.address(facts))
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
    """Raise NotFreeError with a line for each fault, if there is one."""
    problems = [f"cannot start Airflow: {what} {fault}" for what, fault in faults.items() if fault]
    if problems:
        raise NotFreeError(problems, hint)


def missing_dags(facts: Facts, directory: str) -> str:
    """Return a note if the configured DAG folder is missing. The default folder may be missing."""
    if facts.dags_folder in ("", f"{facts.home}/dags"):
        return ""
    folder = paths.expanded(facts.dags_folder, directory)
    return "" if os.path.isdir(folder) else f"the DAG folder {folder} does not exist"
