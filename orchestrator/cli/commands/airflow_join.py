"""`orchestrate airflow join`: the file from which a worker on another host starts.

The values are those of Airflow's configuration in the environment of its components, also if nothing runs. Addresses
that only this host can use are replaced by that of --listen, or refused.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from orchestrator.cli import settings, system_lookup
from orchestrator.cli.commands import airflow, airflow_info
from orchestrator.cli.commands.airflow_info import Known
from orchestrator.cli.options import LocationOptions, PresetOptions, StartOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import ConfigError, OrchestrateError, UsageError
from orchestrator.presets.airflow import addresses, join_file, preconditions, programs, servers
from orchestrator.presets.airflow.join_file import JoinFile, JoinReport
from orchestrator.runtime.home import Home, write_private

STDOUT = 1


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """The options of `airflow join`: the Airflow, and the file to write."""

    location: LocationOptions
    airflow: PresetOptions
    start: StartOptions
    timeout: float | None = None
    output: str | None = None
    show: bool = False


def run(options: JoinOptions) -> int:
    """Write the file; returns the exit status. Raises OrchestrateError."""
    here = settings.of_start(options.start, options.location.directory, ())
    airflow_options = airflow.read_airflow_options(options.airflow, options.timeout, here)
    preconditions.refuse_listening(airflow_options.listen)
    if not options.output and not options.show and os.isatty(STDOUT):
        raise UsageError(
            "cannot print secrets on a terminal",
            "write a file: orchestrate airflow join > worker.env; to see them: join --show",
        )
    home = system_lookup.airflow_of(options.location)
    known = airflow_info.running(home) or airflow_info.last_start(home)
    if known is None and airflow_options.servers:
        raise OrchestrateError(
            f"cannot join: the servers of --with do not exist yet in {home.directory}",
            "start Airflow once; its first start makes their passwords",
        )
    if known is None:
        would = airflow_info.would_run(options.airflow, options.location.home, airflow_options, here)
        if isinstance(would, int):
            return would
        known = would
    made = _join_file(known, home, airflow_options.listen, here)
    _write(made.text(), options.output)
    return 0


def _join_file(known: Known, home: Home, listen: str, here: CommandSettings) -> JoinFile:
    """Return the facts for the other host. Raises OrchestrateError."""
    if not known.facts.celery:
        raise OrchestrateError(
            f"cannot join: {known.facts.executor} runs tasks on this host only", "start Airflow with --executor celery"
        )
    if known.is_worker:
        raise OrchestrateError(
            f"cannot join: {home.directory} is the home of a worker", "run this on the first host, or name its home"
        )
    report = _ask(known, here)
    settings_ = {join_file.variable(name): value for name, value in report["options"].items()}
    problems: list[str] = []
    if report["default_broker"]:
        raise OrchestrateError(
            "cannot join: [celery] broker_url is not configured",
            f"set {join_file.BROKER} to the URL of a broker that all hosts reach, or start one with --with redis",
        )
    variables = {
        **settings_,
        **_own_servers(settings_, home, known, listen, problems),
        "AIRFLOW__CORE__EXECUTOR": known.facts.executor,
    }
    if known.facts.major > 2:
        variables[join_file.EXECUTION_API] = _execution_api(known, listen or known.listen)
    theirs = join_file.unreachable({n: v for n, v in variables.items() if not _is_ours(n, v, home)})
    if problems or theirs:
        needs_listen = bool(problems) or join_file.EXECUTION_API in theirs
        raise ConfigError([*problems, *theirs.values()], _hint(known) if needs_listen else _hint_of(theirs, variables))
    return JoinFile(
        host=report["host"],
        airflow=report["version"],
        python=report["python"],
        providers=report["providers"],
        dags=report["dags"],
        variables=variables,
    )


def _hint(known: Known) -> str:
    again = "restart" if known.pid else "start"
    return f"{again} Airflow with --listen ADDRESS, the address of this host that workers reach"


def _hint_of(names: Collection[str], variables: Mapping[str, str]) -> str:
    """Return an example for the first of these variables."""
    name = next(iter(names))
    example = addresses.example(variables[name])
    return f"restart Airflow with an address that all hosts reach, for example {name}={example}"


def _is_ours(name: str, value: str, home: Home) -> bool:
    return name in servers.VARIABLES and servers.stored(home).get(name) == value


def _own_servers(
    variables: Mapping[str, str], home: Home, known: Known, listen: str, problems: list[str]
) -> dict[str, str]:
    """Return the URLs of the servers of --with as other hosts reach them."""
    found: dict[str, str] = {}
    for name, value in variables.items():
        if not _is_ours(name, value, home):
            continue
        address = known.listen if known.pid else listen or known.listen
        if not address:
            server = servers.REDIS if name == servers.BROKER_URL else servers.POSTGRESQL
            problems.append(f"cannot join: {server} listens on {servers.LOCAL} only ({join_file.option(name)})")
            continue
        found[name] = value.replace(f"@{servers.LOCAL}:", f"@{addresses.in_url(address)}:", 1)
    return found


def _execution_api(known: Known, listen: str) -> str:
    """Return the URL of the execution API for other hosts, or one that they cannot use."""
    facts = known.facts
    configured = facts.execution_api_url
    if configured and not addresses.fault(configured):
        return configured
    host = known.changes.get("AIRFLOW__API__HOST") or facts.host
    parts = urlsplit(known.url)
    here = f"{parts.path.rstrip('/')}/execution/"
    if listen and (addresses.is_any(host) or host == listen):
        return urlunsplit((parts.scheme, f"{addresses.in_url(listen)}:{parts.port}", here, "", ""))
    if not addresses.is_loopback(host) and not addresses.is_any(host):
        return urlunsplit((parts.scheme, f"{addresses.in_url(host)}:{parts.port}", here, "", ""))
    if facts.base_url and not addresses.fault(facts.base_url) and "://" in facts.base_url:
        return f"{facts.base_url.rstrip('/')}/execution/"
    return f"{known.url}/execution/"


def _ask(known: Known, here: CommandSettings) -> JoinReport:
    """Read Airflow's configuration, through a private pipe. Raises OrchestrateError."""
    with tempfile.TemporaryFile() as printed:
        read_fd, write_fd = os.pipe()
        try:
            asked = subprocess.Popen(
                programs.command(known.facts.python, "join_report", str(write_fd)),
                env={**here.environment, **known.changes},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=printed,
                pass_fds=(write_fd,),
            )
        except OSError as error:
            os.close(read_fd)
            reason = (error.strerror or str(error)).lower()
            raise OrchestrateError(f"cannot run {known.facts.python}: {reason}") from None
        finally:
            os.close(write_fd)
        with asked, open(read_fd, encoding="utf-8") as answer:
            text = answer.read()
        printed.seek(0)
        said = printed.read().decode("utf-8", "replace").strip().splitlines()
    if not text:
        raise OrchestrateError("cannot join: " + (said[-1] if said else "Airflow reports nothing"))
    for line in said:
        if line.startswith("cannot read the DAG folder"):
            print(f"orchestrate: {line}", file=sys.stderr)
    report: JoinReport = json.loads(text)
    return report


def _write(text: str, path: str | None) -> None:
    """Write the file, or standard output made private. Raises OrchestrateError."""
    try:
        if path:
            write_private(Path(path), text.encode())
        else:
            _make_private(STDOUT)
            sys.stdout.write(text)
            sys.stdout.flush()
    except OSError as error:
        where = path or "standard output"
        raise OrchestrateError(f"cannot write {where}: {(error.strerror or str(error)).lower()}") from None
    shown = path or join_file.NAME
    print(
        f"orchestrate: copy the file to the other host (scp -p), and run: orchestrate airflow worker --env {shown}",
        file=sys.stderr,
    )


def _make_private(fd: int) -> None:
    """Give a regular file the mode 0600 before anything is written to it. Raises OrchestrateError."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return
    if status.st_uid != os.geteuid():
        raise OrchestrateError(
            f"cannot write secrets to standard output: the file belongs to uid {status.st_uid}",
            "write a new file, or use --output FILE",
        )
    os.fchmod(fd, 0o600)
