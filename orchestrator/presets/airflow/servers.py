"""The servers of `--with redis,postgresql`: Redis and PostgreSQL as components of this home, for this home only.

Data is in AIRFLOW_HOME/redis and AIRFLOW_HOME/postgresql. Of ours: `.orchestrate/airflow-servers.json` (passwords and
ports), `.orchestrate/airflow-servers.env` (the variables that lead Airflow to them), a configuration file for Redis and
password files for PostgreSQL; all of them 0600. Both listen on 127.0.0.1 and demand a password.
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
from typing import Any

from orchestrator.model.errors import ConfigError, OrchestrateError
from orchestrator.model.spec import ComponentSpec, ExecProbe, RestartPlan, Scope, StopPlan, StopStep
from orchestrator.presets.airflow import programs
from orchestrator.process import tcp_ports
from orchestrator.runtime.home import Home, write_private

PROGRAM = "server_run.py"
REDIS, POSTGRESQL = "redis", "postgresql"
NAMES = (POSTGRESQL, REDIS)
PORTS = range(20_000, 32_000)  # below those that the kernel gives to outgoing connections (ip(7)), which come and go
DATABASE_URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
BROKER_URL = "AIRFLOW__CELERY__BROKER_URL"
RESULT_BACKEND = "AIRFLOW__CELERY__RESULT_BACKEND"
VARIABLES = (DATABASE_URL, BROKER_URL, RESULT_BACKEND)
SOURCE = "the Airflow preset"
_PACKAGES = {
    REDIS: "Debian: redis-server, Fedora: valkey, Homebrew: redis",
    POSTGRESQL: "Debian: postgresql, Fedora: postgresql-server, Homebrew: postgresql@17",
}
_POSTGRESQL = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_POSTGRESQL_STOP = StopPlan((StopStep(signal.SIGINT, 30.0), StopStep(signal.SIGQUIT, 5.0)), Scope.LEADER)
_REDIS_STOP = StopPlan((StopStep(signal.SIGTERM, 15.0),), Scope.LEADER)
_DEFAULT_BROKER = "redis://redis:6379/0"
_COLORS = {REDIS: "red", POSTGRESQL: "bright_blue"}


@dataclass(frozen=True, slots=True)
class BackendServer:
    """One server: the password, and the port on 127.0.0.1."""

    password: str
    port: int


@dataclass(frozen=True, slots=True)
class BackendServers:
    """The servers of one home, by name. `python` runs our programs, `programs` are the servers' own (for PostgreSQL the
    directory), `user` is who runs PostgreSQL if we are root."""

    home: Home
    python: str
    programs: Mapping[str, str]
    found: Mapping[str, BackendServer]
    user: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The variables that lead Airflow to these servers."""
        result: dict[str, str] = {}
        if server := self.found.get(POSTGRESQL):
            address = f"airflow:{server.password}@127.0.0.1:{server.port}/airflow"
            result[DATABASE_URL] = f"postgresql+psycopg2://{address}"
            result[RESULT_BACKEND] = f"db+postgresql+psycopg2://{address}"
        if server := self.found.get(REDIS):
            result[BROKER_URL] = f"redis://:{server.password}@127.0.0.1:{server.port}/0"
        return result

    @property
    def settings(self) -> str:
        """What server_run.py is told of PostgreSQL."""
        return json.dumps(
            {
                "bin": self.programs[POSTGRESQL],
                "data": str(data(self.home)),
                "port": self.found[POSTGRESQL].port,
                "password_file": str(self.home.state_dir / "postgresql-password"),
                "user": self.user,
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
            line = f"127.0.0.1:{server.port}:*:airflow:{server.password}\n"
            write_private(state_dir / "pgpass", line.encode())
        if server := self.found.get(REDIS):
            directory = self.home.directory / "redis"
            directory.mkdir(mode=0o700, exist_ok=True)
            write_private(redis_config(self.home), _redis_config(server, directory).encode())

    def initial_steps(self, environment: Mapping[str, str]) -> tuple[ComponentSpec, ...]:
        """Return the step that makes the database, if there is none yet."""
        if POSTGRESQL not in self.found or (data(self.home) / "PG_VERSION").exists():
            return ()
        argv = (self.python, programs.path(PROGRAM), "initialize", self.settings)
        return (ComponentSpec(name=POSTGRESQL, argv=argv, cwd="/", environment=environment, source=SOURCE),)

    def wrapped(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return a command line that runs `argv` while PostgreSQL runs, if it is one of these servers."""
        if POSTGRESQL not in self.found:
            return argv
        return (self.python, programs.path(PROGRAM), "during", self.settings, *argv)

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

    def _redis(self, environment: Mapping[str, str], restart: RestartPlan) -> ComponentSpec:
        config = str(redis_config(self.home))
        return ComponentSpec(
            name=REDIS,
            component=REDIS,
            argv=(self.programs[REDIS], config),
            cwd=str(self.home.directory),
            environment=environment,
            source=SOURCE,
            colour=_COLORS[REDIS],
            ready=(ExecProbe((self.python, programs.path(PROGRAM), "redis-ping", config), about="the answer to PING"),),
            restart=restart,
            stop=_REDIS_STOP,
            success=frozenset(),
            tty=False,  # on a terminal it prints a logo
        )

    def _postgresql(self, environment: Mapping[str, str], restart: RestartPlan) -> ComponentSpec:
        port = self.found[POSTGRESQL].port
        query = (f"{self.programs[POSTGRESQL]}/psql", "-XwAtq", "-h", "127.0.0.1", "-p", str(port))
        return ComponentSpec(
            name=POSTGRESQL,
            component=POSTGRESQL,
            argv=(self.python, programs.path(PROGRAM), "serve", self.settings),
            cwd=str(self.home.directory),
            environment={**environment, "PGPASSFILE": str(self.home.state_dir / "pgpass"), "PGCONNECT_TIMEOUT": "5"},
            source=SOURCE,
            colour=_COLORS[POSTGRESQL],
            ready=(
                ExecProbe((*query, "-U", "airflow", "-d", "airflow", "-c", "SELECT 1"), about="the answer to a query"),
            ),
            restart=restart,
            stop=_POSTGRESQL_STOP,
            success=frozenset(),
            tty=False,
        )


def prepare(
    names: frozenset[str], home: Home, python: str, environment: Mapping[str, str], configured: Mapping[str, str]
) -> BackendServers:
    """Find the programs, and passwords and free ports for them. `configured` are options of Airflow that contradict a
    server, by its name. Nothing is written. Raises ConfigError with a line for each problem."""
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
    return BackendServers(home, python, programs, _choose(names, home), user)


def configured(names: frozenset[str], environment: Mapping[str, str], config: str) -> dict[str, str]:
    """Return which option is configured already for a server of ours, by the server's name. `config` is the content of
    airflow.cfg; the defaults that Airflow writes there do not count."""
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
    """Return the path of the configuration file of Redis, with its password in it."""
    return home.directory / "redis" / "redis.conf"


def variables_file(home: Home) -> Path:
    """Return the path of the file with the variables that lead Airflow to the servers."""
    return home.state_dir / "airflow-servers.env"


def stored(home: Home) -> dict[str, str]:
    """Return the variables of the last start; none if they cannot be read."""
    try:
        lines = variables_file(home).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines) if value}


def _choose(names: frozenset[str], home: Home) -> dict[str, BackendServer]:
    """Return the servers with the password of the first start, and the port of the last one if it is free. The first
    port comes from the home's path: it is the same each time before it is stored, and differs between homes."""
    known = _load(home)
    chosen: dict[str, BackendServer] = {}
    avoid: set[int] = set()
    for name in NAMES:
        if name not in names:
            continue
        record = known.get(name) or {}
        port = int(record.get("port") or PORTS[zlib.crc32(f"{home.directory} {name}".encode()) % len(PORTS)])
        while port in avoid or tcp_ports.fault("127.0.0.1", port):
            port = port + 1 if port + 1 in PORTS else PORTS[0]
        avoid.add(port)
        chosen[name] = BackendServer(str(record.get("password") or secrets.token_hex(24)), port)
    return chosen


def _load(home: Home) -> dict[str, Any]:
    path = home.state_dir / "airflow-servers.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OrchestrateError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not JSON'}") from None
    return record if isinstance(record, dict) else {}


def _version(home: Home) -> str:
    """Return the major version that made the data directory; empty if there is none."""
    try:
        return (data(home) / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _program(name: str, home: Home) -> str:
    return "redis-server" if name == REDIS else f"postgres {_version(home)}".strip()


def _find(name: str, home: Home, search_path: str | None) -> str:
    """Return the program of Redis, or the directory of PostgreSQL's; empty if there is none."""
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
    """Return the version in a directory's name, such as /usr/lib/postgresql/15/bin; 0 if it has none."""
    digits = "".join(c for c in Path(directory).parent.name if c.isdigit())
    return int(digits or 0)


def _user(home: Home) -> tuple[str, str]:
    """Return the user that runs PostgreSQL for root, and why it cannot."""
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


def _redis_config(server: BackendServer, directory: Path) -> str:
    quoted = str(directory).replace("\\", "\\\\").replace('"', '\\"')
    return (
        "# Made by `orchestrate airflow --with redis` at each start.\n"
        "bind 127.0.0.1\n"
        f"port {server.port}\n"
        f"requirepass {server.password}\n"
        f'dir "{quoted}"\n'
        "daemonize no\n"
        "appendonly yes\n"  # queued tasks survive a restart
        'save ""\n'
    )
