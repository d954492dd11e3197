"""Runs the PostgreSQL of `--with postgresql`, and asks servers: ``python server_run.py ACTION …``.

- ``initialize SETTINGS``: make the data directory with one role and one database, unless it is there
- ``serve SETTINGS``: become the server
- ``during SETTINGS COMMAND…``: run COMMAND while the server runs; exit with its status
- ``redis-ping CONFIG``: exit with 0 if the Redis of a configuration file answers PING

SETTINGS is a JSON object: `bin`, `data`, `port`, `password_file`, `user` (empty: ours). PostgreSQL refuses to run as
root, so root runs it as `user`. Not part of the package: it imports nothing of orchestrator.
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
from typing import Any

NAME = "airflow"  # of the role, and of the database
_VERBS = {
    "initialize": "make the database",
    "serve": "start PostgreSQL",
    "during": "start PostgreSQL",
    "redis-ping": "ask Redis",
}
READY = "database system is ready to accept connections"


def command(settings: dict[str, Any]) -> list[str]:
    """Return the command line of the server: on the loopback address only, without a unix socket."""
    options = {
        "listen_addresses": "127.0.0.1",
        "port": settings["port"],
        "unix_socket_directories": "",
        "max_connections": 200,
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    words = [f"{settings['bin']}/postgres", "-D", settings["data"]]
    for name, value in options.items():
        words += ["-c", f"{name}={value}"]
    return words


def become(user: str) -> Callable[[], None] | None:
    """Return what makes a process run as `user`; None if nothing has to change."""
    if not user or os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(user)

    def change() -> None:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return change


def own(path: str, user: str) -> None:
    """Give a directory or file to `user`, if the server does not run as us."""
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def environment() -> dict[str, str]:
    """Return the server's environment: messages in English, which readiness depends on, and nothing of Airflow's."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C", "HOME": "/"}


def initialize(settings: dict[str, Any]) -> int:
    """Make the data directory; all of it or nothing, so that an interrupted start leaves none that looks complete."""
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
    """Run a command as `user`, and print its output only if it fails; returns its exit status."""
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


def serve(settings: dict[str, Any]) -> None:
    """Become the server."""
    if change := become(settings["user"]):
        change()
    os.chdir("/")
    words = command(settings)
    os.execve(words[0], words, environment())


def during(settings: dict[str, Any], words: list[str]) -> int:
    """Run a command while the server runs. What the server printed is shown only if it does not start."""
    if status := initialize(settings):
        return status
    server = subprocess.Popen(
        command(settings),
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
    """Ask Redis as a client does: AUTH, then PING. Its answers are lines of RESP."""
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


def main(action: str, argument: str, rest: list[str]) -> int:
    """Do one action; returns the exit status."""
    try:
        if action == "redis-ping":
            return redis_ping(argument)
        settings = json.loads(argument)
        if action == "initialize":
            return initialize(settings)
        if action == "during":
            return during(settings, rest)
        serve(settings)
    except (OSError, KeyError) as error:
        print(f"cannot {_VERBS[action]}: {getattr(error, 'strerror', None) or error}", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
