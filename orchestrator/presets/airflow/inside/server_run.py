"""Runs the PostgreSQL of `--with postgresql`, and checks Redis: ``server_run ACTION …``.

- ``initialize SETTINGS``: create the data directory with one role and one database, unless it exists
- ``serve SETTINGS``: execute the server
- ``during SETTINGS COMMAND…``: run COMMAND while the server runs; exit with its status
- ``redis-ping CONFIG``: exit with 0 if the Redis of a configuration file answers PING

SETTINGS is a JSON object: `bin` and `data` are directories, `port`, `password_file`, `user` (empty: the current user),
`listen` (an address for other hosts; empty: none). PostgreSQL refuses to run as root, so root runs it as `user`.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TypedDict

NAME = "airflow"  # of the role, and of the database
_VERBS = {
    "initialize": "make the database",
    "serve": "start PostgreSQL",
    "during": "start PostgreSQL",
    "redis-ping": "ask Redis",
}
READY = "database system is ready to accept connections"
LOCAL = "127.0.0.1"
ACCESS = (  # pg_hba.conf: other hosts may connect to our database as our role, with its password
    "# Made by `orchestrate airflow --with postgresql --listen ADDRESS` at each start.",
    f"host all all {LOCAL}/32 scram-sha-256",
    f"host {NAME} {NAME} all scram-sha-256",
)


class PostgresqlSettings(TypedDict):
    """PostgreSQL, as `BackendServers.settings` describes it."""

    bin: str
    data: str
    port: int
    password_file: str
    user: str
    listen: str


def command(settings: PostgresqlSettings, *, for_others: bool = True) -> list[str]:
    """Return the command line of the server. It listens on the loopback address and, with `for_others`, on `listen`. It
    has no unix socket."""
    listen = settings["listen"] if for_others else ""
    options = {
        "listen_addresses": ",".join(filter(None, (LOCAL, listen))),
        "port": settings["port"],
        "unix_socket_directories": "",
        "max_connections": 200,
        "logging_collector": "off",
        "log_destination": "stderr",
        **({"hba_file": access_file(settings)} if listen else {}),
    }
    words = [f"{settings['bin']}/postgres", "-D", settings["data"]]
    for name, value in options.items():
        words += ["-c", f"{name}={value}"]
    return words


def access_file(settings: PostgresqlSettings) -> str:
    """Return the path of the pg_hba.conf that allows connections from other hosts."""
    return str(settings["data"]) + ".hba"


def write_access_file(settings: PostgresqlSettings) -> None:
    """Write that file, readable by the server."""
    path = access_file(settings)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write("\n".join((*ACCESS, "")))
    own(path, settings["user"])


def become(user: str) -> Callable[[], None] | None:
    """Return a function that makes a process run as `user`; None if nothing has to change."""
    if not user or os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(user)

    def change() -> None:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return change


def own(path: str, user: str) -> None:
    """Change the owner of a directory or file to `user`, if the server runs as another user."""
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def environment() -> dict[str, str]:
    """Return the server's environment, without Airflow's variables. Readiness depends on messages in English."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C", "HOME": "/"}


def initialize(settings: PostgresqlSettings) -> int:
    """Create the data directory. It is renamed when it is complete: an interrupted start leaves no partial one."""
    data, user = settings["data"], settings["user"]
    if os.path.exists(os.path.join(data, "PG_VERSION")):
        return 0
    scratch = data + ".new"
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(os.path.dirname(scratch), mode=0o700, exist_ok=True)
    os.mkdir(scratch, mode=0o700)
    own(os.path.dirname(scratch), user)
    own(scratch, user)
    with open(settings["password_file"], encoding="ascii") as file:
        password = file.read().strip()
    copy = scratch + ".password"  # initdb reads it as `user`
    with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password + "\n")
    own(copy, user)
    try:
        words = [
            f"{settings['bin']}/initdb",
            *("--pgdata", scratch, "--username", NAME, "--pwfile", copy, "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C"),
        ]
        if status := quietly(words, user):
            return status
    finally:
        os.unlink(copy)
    words = [f"{settings['bin']}/postgres", "--single", "-D", scratch, "postgres"]
    if status := quietly(words, user, f"CREATE DATABASE {NAME}\n"):
        return status
    os.rename(scratch, data)
    print(f"Created a PostgreSQL database in {data}", flush=True)
    return 0


def quietly(words: list[str], user: str, text: str = "") -> int:
    """Run a command as `user`; return its exit status. Print its output only if it fails."""
    ended = subprocess.run(
        words,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=become(user),
        env=environment(),
        cwd="/",
        text=True,
        check=False,
    )
    if ended.returncode:
        print(ended.stdout, end="", flush=True)
    return ended.returncode


def serve(settings: PostgresqlSettings) -> None:
    """Execute the server in this process."""
    if settings["listen"]:
        write_access_file(settings)
    if change := become(settings["user"]):
        change()
    os.chdir("/")
    words = command(settings)
    os.execve(words[0], words, environment())


def during(settings: PostgresqlSettings, words: list[str]) -> int:
    """Run a command while the server runs. Print the server's output only if it does not start."""
    if status := initialize(settings):
        return status
    server = subprocess.Popen(
        command(settings, for_others=False),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=become(settings["user"]),
        env=environment(),
        cwd="/",
        text=True,
        errors="replace",
    )
    assert server.stdout is not None
    printed = []
    for line in server.stdout:
        printed.append(line)
        if READY in line:
            break
    else:
        sys.stdout.writelines(printed)
        print(f"cannot start PostgreSQL: exit status {server.wait()}", flush=True)
        return 1
    threading.Thread(target=server.stdout.read, daemon=True).start()  # a full pipe would block the server
    try:
        status = subprocess.run(words, check=False).returncode
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown: it does not wait for clients
        server.wait()
    return status if status >= 0 else 128 - status


def redis_ping(config: str) -> int:
    """Send AUTH and PING to Redis, as a client does. Its answers are lines of RESP."""
    settings = {}
    with open(config, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.strip().partition(" ")
            settings[name] = value
    with socket.create_connection(("127.0.0.1", int(settings["port"])), timeout=5) as connection:
        connection.sendall(f"AUTH {settings['requirepass']}\r\nPING\r\n".encode())
        with connection.makefile("rb") as answers:
            for expected in (b"+OK", b"+PONG"):
                answer = answers.readline().strip()
                if answer != expected:
                    print(answer.decode("utf-8", "replace") or "the connection was closed")
                    return 1
    return 0


def main(arguments: list[str]) -> int:
    """Do one action; return the exit status."""
    action, argument, *rest = arguments
    try:
        if action == "redis-ping":
            return redis_ping(argument)
        settings: PostgresqlSettings = json.loads(argument)
        if action == "initialize":
            return initialize(settings)
        if action == "during":
            return during(settings, rest)
        serve(settings)
    except (OSError, KeyError) as error:
        print(f"cannot {_VERBS[action]}: {getattr(error, 'strerror', None) or error}", flush=True)
    return 1
