"""Whether this host can run a worker: versions, DAG files, logs and the log server."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, TypedDict

from . import dag_files, host_answers
from .problems import Problems

AIRFLOW = "apache-airflow"
SHOWN = 10  # packages that get a line each
INSTALL = "install the versions of the first host: {python} -m pip install {packages}"
JOIN_AGAIN = "; if its files have changed since `orchestrate airflow join`, join again"


class FirstHost(TypedDict):
    """What `JoinFile.expected` says of the first host: versions, by package for providers, and digests of DAG files."""

    host: str
    version: str
    python: str
    providers: dict[str, str]
    dags: dict[str, str]


def check_versions(expected: FirstHost, here: Mapping[str, str], python: str, problems: Problems) -> None:
    """Compare the versions of Airflow, Python and the providers; `here` has the packages of this host."""
    host = expected["host"]
    different = []
    if here.get(AIRFLOW) != expected["version"]:
        different.append((AIRFLOW, expected["version"], here.get(AIRFLOW)))
    different += [(n, v, here.get(n)) for n, v in expected["providers"].items() if here.get(n) != v]
    hint = INSTALL.format(python=sys.executable, packages=" ".join(f"{name}=={there}" for name, there, _ in different))
    for name, there, found in different[:SHOWN]:
        what = f"{name} {found}" if found else f"{name} is not installed"
        problems.add(f"{what} here, {there} on {host}" if found else f"{what}; {host} has {there}", hint)
    if len(different) > SHOWN:
        problems.add(f"{len(different) - SHOWN} more packages differ from those on {host}", hint)
    if python != expected["python"]:
        problems.add(
            f"Python {python} here, {expected['python']} on {host}",
            f"make an environment with Python {expected['python']}, and name it with --airflow DIR",
        )


def check_dags(folder: str, expected: Mapping[str, str], problems: Problems, *, is_current: bool = True) -> None:
    """Compare the DAG files with those of the first host; `is_current` says that it has just reported them."""
    hint = f"copy the first host's DAG folder to {folder}{'' if is_current else JOIN_AGAIN}"
    try:
        here = dag_files.digests(folder)
    except OSError as error:
        if expected:
            problems.add(f"cannot read the DAG folder {folder}: {(error.strerror or str(error)).lower()}", hint)
        return
    for line in dag_files.differences(expected, here):
        problems.add(line, hint)


def check_logs(folder: str, problems: Problems) -> None:
    """Check that this user can write logs, and that the umask lets the user read them."""
    mask = os.umask(0)
    os.umask(mask)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".orchestrate-", dir=folder) as directory:
            path = os.path.join(directory, "log")
            with open(path, "w") as file:
                file.write("x")
            with open(path) as file:
                file.read()
            if os.stat(path).st_mode & 0o600 != 0o600:  # root can read it regardless
                raise PermissionError(errno.EACCES, "the umask takes away the owner's access")
    except OSError as error:
        said = error.strerror or str(error)
        if mask & 0o700:
            problems.add(f"cannot write logs to {folder}: umask {mask:04o} takes the owner's access", "use umask 0022")
            return
        problems.add(
            f"cannot write logs to {folder} as uid {os.geteuid()}: {said.lower()}",
            "make it writable, or set [logging] base_log_folder",
        )


def check_log_server(port: int, name: str, host: str, ask: Any, problems: Problems) -> bool:
    """Check that the port of the log server is free, and that the first host reaches it by the name of this host. `ask`
    sends a request to the first host. Return whether that answers."""
    if name.partition(".")[0] == "localhost":
        problems.add(
            f"this host is called localhost, and {host} asks for logs by name",
            f"give it a name that {host} resolves: hostnamectl set-hostname NAME",
        )
        return True
    try:
        server = listener(port)
    except OSError as error:
        problems.add(
            f"port {port} of the log server: {(error.strerror or str(error)).lower()}",
            "stop what listens there; all hosts use the same port ([logging] worker_log_server_port)",
        )
        return True
    word = secrets.token_hex(16)
    with server:
        threading.Thread(target=serve, args=(server, word), daemon=True).start()
        answer = ask(host_answers.REACH, host=name, port=port, word=word)
        server.shutdown(socket.SHUT_RDWR)  # close(2) alone does not wake accept(2)
    if answer is not None and answer["fault"]:
        problems.add(
            f"{host} does not reach the log server of this host at {name}:{port}: {answer['fault']}",
            f"let {host} resolve the name {name} to this host (DNS or /etc/hosts), and open port {port} here",
        )
    return answer is not None


def serve(server: socket.socket, word: str) -> None:
    """Send a word to each client until the socket is shut down."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.sendall(word.encode() + b"\n")


def listener(port: int) -> socket.socket:
    """Return a socket that listens on all addresses, as the log server does."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        found.bind(("", port))
        found.listen()
    except BaseException:
        found.close()
        raise
    return found
