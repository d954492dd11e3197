"""Whose socket answers: real sockets, real processes, as root and as somebody else."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from harness import PYTHON

from orchestrator.process.socket_owner import Owner, OwnerVerdict, look, owner
from orchestrator.process.socket_table import listener

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

SERVER = """
import os, socket, sys
family, host, reuse, accepts = getattr(socket, sys.argv[1]), sys.argv[2], int(sys.argv[4]), int(sys.argv[5])
sock = socket.socket(family)
if reuse:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if family == socket.AF_INET6:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
sock.bind((host, int(sys.argv[3])))
sock.listen()
if len(sys.argv) > 6:
    os.setuid(int(sys.argv[6]))
if os.fork():
    sock.close()  # the child alone has it
    os.wait()
else:
    print(sock.getsockname()[1], flush=True)
    held = []
    while accepts:
        held.append(sock.accept())
    sys.stdin.read()
"""


@pytest.fixture
def serve():
    """Start a server whose child listens; returns its pid and port."""
    started = []

    def start(host="127.0.0.1", port=0, *, reuse=False, accepts=False, uid=None):
        family = "AF_INET6" if ":" in host else "AF_INET"
        words = [family, host, port, int(reuse), int(accepts), *([] if uid is None else [uid])]
        process = subprocess.Popen(
            [*PYTHON, "-c", SERVER, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process.pid, int(process.stdout.readline())

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def connected(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family)
    connection.connect((host, port))
    return connection


def verdict(host, port, root):
    with connected(host, port) as connection:
        return owner(look(connection), root)


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.9"),
        ("::", "127.0.0.1"),
        ("::", "::1"),
        ("::1", "::1"),
    ],
)
def test_a_socket_of_the_tree_is_ours_and_of_anybody_else_it_is_not(serve, bound, asked):
    root, port = serve(bound)
    other, _ = serve()
    assert verdict(asked, port, root) == OwnerVerdict(Owner.OURS)
    foreign = verdict(asked, port, other)
    assert foreign.owner is Owner.FOREIGN
    assert listener(port) == foreign.pid
    assert foreign.pid not in (root, other)  # the child that holds it


def test_the_more_exact_of_two_listeners_is_asked(serve):
    everywhere, port = serve("0.0.0.0", reuse=True)
    here, _ = serve("127.0.0.1", port, reuse=True)
    assert verdict("127.0.0.1", port, here).owner is Owner.OURS
    assert verdict("127.0.0.1", port, everywhere).owner is Owner.FOREIGN
    assert verdict("127.0.0.2", port, everywhere).owner is Owner.OURS


def test_ipv4_is_served_by_its_own_socket_beside_a_dual_stack_one(serve):
    old, port = serve("0.0.0.0", reuse=True)
    dual, _ = serve("::", port, reuse=True)
    assert verdict("127.0.0.1", port, old).owner is Owner.OURS
    assert verdict("::1", port, dual).owner is Owner.OURS
    assert verdict("127.0.0.1", port, dual).owner is Owner.FOREIGN


def test_of_equal_listeners_the_accepted_end_tells(serve):
    ours, port = serve(reuse=True, accepts=True)
    serve(port=port, reuse=True, accepts=True)
    seen = set()
    connections = [connected("127.0.0.1", port) for _ in range(64)]
    for connection in connections:
        connection.setblocking(True)
        answer = owner(look(connection), ours)
        seen.add(answer.owner)
        connection.close()
    assert seen == {Owner.OURS, Owner.FOREIGN}


def test_a_socket_that_was_handed_down_is_ours(serve):
    """Socket activation: the parent outside the tree holds it too."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        port = shared.getsockname()[1]
        heir = subprocess.Popen([*PYTHON, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[shared.fileno()])
        other = subprocess.Popen([*PYTHON, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            assert verdict("127.0.0.1", port, heir.pid).owner is Owner.OURS
            foreign = verdict("127.0.0.1", port, other.pid)
            assert foreign.owner is Owner.FOREIGN
            assert foreign.pid in (os.getpid(), heir.pid)  # both hold it
        finally:
            for process in (heir, other):
                process.kill()
                process.communicate()


def as_nobody(function, *arguments):
    """What `function` returns to uid 65534, which may not look into other users' processes."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            os.write(write_fd, function(*arguments).owner.name.encode())
        except BaseException as error:  # noqa: BLE001 - else the test would only see that nothing was said
            os.write(write_fd, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write_fd)
    with os.fdopen(read_fd) as file:
        return file.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_where_the_kernel_does_not_say_nothing_is_proven(serve):
    roots, port = serve()
    mine, my_port = serve(uid=65534)
    # First, because a first connect(2) imports the codec of host names, and nobody may not read root's own Python.
    assert verdict("127.0.0.1", my_port, mine).owner is Owner.OURS
    assert as_nobody(verdict, "127.0.0.1", my_port, mine) == "UNKNOWN"  # setuid made it undumpable (prctl(2))
    assert as_nobody(verdict, "127.0.0.1", port, roots) == "UNKNOWN"


def test_a_closed_port_has_no_listener(serve):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert listener(port) == os.getpid()
    assert listener(port) == 0
