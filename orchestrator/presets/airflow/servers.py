"""The servers of `--with redis,postgresql`: Redis and PostgreSQL as components of one home.

Their data is in AIRFLOW_HOME/redis and AIRFLOW_HOME/postgresql. We write `.orchestrate/airflow-servers.json` (passwords
and ports), `.orchestrate/airflow-servers.env` (the variables that connect Airflow to them), a configuration file for
Redis and password files for PostgreSQL, all with mode 0600. Both servers require a password and listen on 127.0.0.1,
and with `--listen ADDRESS` also on that address, for workers on other hosts.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from orchestrator.model.errors import ConfigError, OrchestrateError
from orchestrator.model.spec import ComponentSpec, ExecProbe, RestartPlan, Scope, StopPlan, StopStep
from orchestrator.presets.airflow import programs
from orchestrator.process import tcp_ports
from orchestrator.runtime.home import Home, write_private

REDIS, POSTGRESQL = "redis", "postgresql"
NAMES = (POSTGRESQL, REDIS)
PORTS = range(20_000, 32_000)  # below the kernel's range for outgoing connections, ip(7)
DATABASE_URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
BROKER_URL = "AIRFLOW__CELERY__BROKER_URL"
RESULT_BACKEND = "AIRFLOW__CELERY__RESULT_BACKEND"
VARIABLES = (DATABASE_URL, BROKER_URL, RESULT_BACKEND)
SOURCE = "the Airflow preset"
LOCAL = "127.0.0.1"
_PACKAGES = {
    REDIS: "Debian: redis-server, Fedora: valkey, Homebrew: redis",
    POSTGRESQL: "Debian: postgresql, Fedora: postgresql-server, Homebrew: postgresql@17",
}
_POSTGRESQL = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_POSTGRESQL_STOP = StopPlan((StopStep(signal.SIGINT, 30.0), StopStep(signal.SIGQUIT, 5.0)), Scope.LEADER)
_REDIS_STOP = StopPlan((StopStep(signal.SIGTERM, 15.0),), Scope.LEADER)
_DEFAULT_BROKER = "redis://redis:6379/0"
_COLORS = {REDIS: "red", POSTGRESQL: "bright_blue"}


class StoredServer(TypedDict, total=False):
    """A server in `airflow-servers.json`."""

    password: str
    port: int


@dataclass(frozen=True, slots=True)
class BackendServer:
    """One server: its password, and its port on 127.0.0.1."""

    password: str
    port: int


@dataclass(frozen=True, slots=True)
class BackendServers:
    """The servers of one home, by name. `python` runs our programs. `programs` are the executables of the servers, for
    PostgreSQL their directory. `user` runs PostgreSQL if we are root. `listen` is the address for other hosts (empty:
    none)."""

    home: Home
    python: str
    programs: Mapping[str, str]
    found: Mapping[str, BackendServer]
    user: str = ""
    listen: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The variables that connect Airflow on this host to these servers."""
        result: dict[str, str] = {}
        if server := self.found.get(POSTGRESQL):
            address = f"airflow:{server.password}@{LOCAL}:{server.port}/airflow"
            result[DATABASE_URL] = f"postgresql+psycopg2://{address}"
            result[RESULT_BACKEND] = f"db+postgresql+psycopg2://{address}"
        if server := self.found.get(REDIS):
            result[BROKER_URL] = f"redis://:{server.password}@{LOCAL}:{server.port}/0"
        return result

    @property
    def settings(self) -> str:
        """The argument of server_run that describes PostgreSQL."""
        return json.dumps(
            {
                "bin": self.programs[POSTGRESQL],
                "data": str(data(self.home)),
                "port": self.found[POSTGRESQL].port,
                "password_file": str(self.home.state_dir / "postgresql-password"),
                "user": self.user,
                "listen": self.listen,
            }
        )

    def save(self) -> None:
        """Write passwords, ports and configuration, each file 0600."""
        state_dir = self.home.state_dir
        content = {name: {"password": one.password, "port": one.port} for name, one in self.found.items()}
        write_private(state_dir / "airflow-servers.json", json.dumps({**_load(self.home), **content}).encode() + b"\n")
        lines = (f"{name}={value}\n" for name, value in self.variables.items())
        write_private(variables_file(self.home), "".join(lines).encode())
        if server := self.found.get(POSTGRESQL):
            write_private(state_dir / "postgresql-password", f"{server.password}\n".encode())
            line = f"{LOCAL}:{server.port}:*:airflow:{server.password}\n"
            write_private(state_dir / "pgpass", line.encode())
        if server := self.found.get(REDIS):
            directory = self.home.directory / "redis"
            directory.mkdir(mode=0o700, exist_ok=True)
            write_private(redis_config(self.home), _redis_config(server, directory, self.listen).encode())

    def initial_steps(self, environment: Mapping[str, str]) -> tuple[ComponentSpec, ...]:
        """Return the step that creates the database, if there is none yet."""
        if POSTGRESQL not in self.found or (data(self.home) / "PG_VERSION").exists():
            return ()
        argv = self._program("initialize", self.settings)
        return (ComponentSpec(name=POSTGRESQL, argv=argv, cwd="/", environment=environment, source=SOURCE),)

    def wrapped(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return a command line that runs `argv` while PostgreSQL runs, if it is one of these servers."""
        if POSTGRESQL not in self.found:
            return argv
        return self._program("during", self.settings, *argv)

    def components(
        self, running: tuple[str, ...], environment: Mapping[str, str], restart: RestartPlan
    ) -> list[ComponentSpec]:
        """Return the servers among `running`."""
        kept = {name: value for name, value in environment.items() if not name.startswith("AIRFLOW__")}
        made = {
            REDIS: lambda: self._redis(kept, restart),
            POSTGRESQL: lambda: self._postgresql(kept, restart),
        }
        return [made[name]() for name in NAMES if name in running and name in self.found]

    def _program(self, *arguments: str) -> tuple[str, ...]:
        return programs.command(self.python, "server_run", *arguments)

    def _redis(self, environment: Mapping[str, str], restart: RestartPlan) -> ComponentSpec:
        config = str(redis_config(self.home))
        return ComponentSpec(
            name=REDIS,
            component=REDIS,
            argv=(self.programs[REDIS], config),
            cwd=str(self.home.directory),
            environment=environment,
            source=SOURCE,
            color=_COLORS[REDIS],
            ready=(ExecProbe(self._program("redis-ping", config), about="the answer to PING"),),
            restart=restart,
            stop=_REDIS_STOP,
            success=frozenset(),
            tty=False,  # on a terminal it prints a logo
        )

    def _postgresql(self, environment: Mapping[str, str], restart: RestartPlan) -> ComponentSpec:
        port = self.found[POSTGRESQL].port
        query = (f"{self.programs[POSTGRESQL]}/psql", "-XwAtq", "-h", LOCAL, "-p", str(port))
        return ComponentSpec(
            name=POSTGRESQL,
            component=POSTGRESQL,
            argv=self._program("serve", self.settings),
            cwd=str(self.home.directory),
            environment={**environment, "PGPASSFILE": str(self.home.state_dir / "pgpass"), "PGCONNECT_TIMEOUT": "5"},
            source=SOURCE,
            color=_COLORS[POSTGRESQL],
            ready=(
                ExecProbe((*query, "-U", "airflow", "-d", "airflow", "-c", "SELECT 1"), about="the answer to a query"),
            ),
            restart=restart,
            stop=_POSTGRESQL_STOP,
            success=frozenset(),
            tty=False,
        )


def prepare(
    names: frozenset[str],
    home: Home,
    python: str,
    environment: Mapping[str, str],
    configured: Mapping[str, str],
    listen: str = "",
) -> BackendServers:
    """Find the executables, and choose passwords and free ports. `configured` are options of Airflow that contradict a
    server, by its name; `listen` is the address for other hosts. Write nothing. Raises ConfigError with a line for each
    problem."""
    problems = [f"cannot start {name} for --with: {option} is configured" for name, option in configured.items()]
    programs: dict[str, str] = {}
    for name in NAMES:
        if name not in names:
            continue
        program = _find(name, home, environment.get("PATH"))
        if program:
            programs[name] = program
        else:
            problems.append(f"cannot start {name}: {_program(name, home)} is not installed ({_PACKAGES[name]})")
    user = ""
    if POSTGRESQL in programs and os.geteuid() == 0:
        user, fault = _user(home)
        problems += filter(None, (fault,))
    if problems:
        raise ConfigError(problems)
    return BackendServers(home, python, programs, _choose(names, home, listen), user, listen)


def configured(names: frozenset[str], environment: Mapping[str, str], config: str) -> dict[str, str]:
    """Return the option by which the user has configured another server, by the name of ours. `config` is the content
    of airflow.cfg; the defaults that Airflow writes there do not count."""
    parser = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(configparser.Error):  # Airflow reports it
        parser.read_string(config)
    found: dict[str, str] = {}
    database = environment.get(DATABASE_URL) or parser.get("database", "sql_alchemy_conn", fallback="")
    if POSTGRESQL in names and database and not database.startswith("sqlite"):
        found[POSTGRESQL] = "[database] sql_alchemy_conn"
    broker = environment.get(BROKER_URL) or parser.get("celery", "broker_url", fallback="")
    if REDIS in names and broker not in ("", _DEFAULT_BROKER):
        found[REDIS] = "[celery] broker_url"
    return found


def data(home: Home) -> Path:
    """Return PostgreSQL's data directory."""
    return home.directory / POSTGRESQL / "data"


def redis_config(home: Home) -> Path:
    """Return the path of the configuration file of Redis, which contains its password."""
    return home.directory / "redis" / "redis.conf"


def variables_file(home: Home) -> Path:
    """Return the path of the file with the variables that connect Airflow to the servers."""
    return home.state_dir / "airflow-servers.env"


def stored(home: Home) -> dict[str, str]:
    """Return the variables of the last start; an empty dict if they cannot be read."""
    try:
        lines = variables_file(home).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines) if value}


def _choose(names: frozenset[str], home: Home, listen: str = "") -> dict[str, BackendServer]:
    """Return the servers with the passwords of the first start, and the ports of the last start if they are free. The
    first port is derived from the path of the home, so it differs between homes and is the same before it is stored."""
    known = _load(home)
    hosts = [LOCAL, *([listen] if listen and tcp_ports.is_own(listen) else [])]  # a start refuses any other address
    chosen: dict[str, BackendServer] = {}
    avoid: set[int] = set()
    for name in NAMES:
        if name not in names:
            continue
        record: StoredServer = known.get(name) or {}
        port = int(record.get("port") or PORTS[zlib.crc32(f"{home.directory} {name}".encode()) % len(PORTS)])
        while port in avoid or any(tcp_ports.fault(host, port) for host in hosts):
            port = port + 1 if port + 1 in PORTS else PORTS[0]
        avoid.add(port)
        chosen[name] = BackendServer(str(record.get("password") or secrets.token_hex(24)), port)
    return chosen


def _load(home: Home) -> dict[str, StoredServer]:
    path = home.state_dir / "airflow-servers.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OrchestrateError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not JSON'}") from None
    return cast(dict[str, StoredServer], record) if isinstance(record, dict) else {}


def _version(home: Home) -> str:
    """Return the major version that created the data directory; empty if there is none."""
    try:
        return (data(home) / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _program(name: str, home: Home) -> str:
    return "redis-server" if name == REDIS else f"postgres {_version(home)}".strip()


def _find(name: str, home: Home, search_path: str | None) -> str:
    """Return the executable of Redis, or the directory of those of PostgreSQL; empty if it is not installed."""
    if name == REDIS:
        return shutil.which("redis-server", path=search_path) or shutil.which("valkey-server", path=search_path) or ""
    on_path = shutil.which("postgres", path=search_path)
    directories = [os.path.dirname(os.path.realpath(on_path))] if on_path else []
    for pattern in _POSTGRESQL:
        found = Path("/").glob(pattern.lstrip("/"))
        directories += sorted((str(path) for path in found if (path / "postgres").exists()), key=_major, reverse=True)
    wanted = _version(home)
    return next((one for one in directories if not wanted or _major(one) in (0, int(float(wanted)))), "")


def _major(directory: str) -> int:
    """Return the version in the path of a directory, such as /usr/lib/postgresql/15/bin; 0 if there is none."""
    digits = "".join(c for c in Path(directory).parent.name if c.isdigit())
    return int(digits or 0)


def _user(home: Home) -> tuple[str, str]:
    """Return the user that runs PostgreSQL if we are root, and why it cannot; empty if it can."""
    for name in (POSTGRESQL[:8], "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        for directory in reversed((home.directory, *home.directory.parents)):
            if not _may_enter(directory, entry.pw_uid, entry.pw_gid):
                return name, (
                    f"cannot start postgresql: it does not run as root, and the user {name} cannot enter {directory}"
                    " (use a home that it can enter, for example --home /srv/airflow)"
                )
        return name, ""
    return "", "cannot start postgresql: it does not run as root, and the user postgres does not exist"


def _may_enter(directory: Path, uid: int, gid: int) -> bool:
    status = directory.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == gid else 0o001))


def _redis_config(server: BackendServer, directory: Path, listen: str) -> str:
    quoted = str(directory).replace("\\", "\\\\").replace('"', '\\"')
    return (
        "# Made by `orchestrate airflow --with redis` at each start.\n"
        f"bind {' '.join(filter(None, (LOCAL, listen)))}\n"
        f"port {server.port}\n"
        f"requirepass {server.password}\n"
        f'dir "{quoted}"\n'
        "daemonize no\n"
        "appendonly yes\n"  # queued tasks survive a restart
        'save ""\n'
    )
