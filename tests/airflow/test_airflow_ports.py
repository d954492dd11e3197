"""TCP ports before a start, against real sockets."""

import os
import socket

import pytest

from orchestrator.process import procfs, socket_table, tcp_ports


@pytest.fixture
def listener():
    opened = []

    def listen(host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family)
        opened.append(sock)
        sock.bind((host, 0))
        sock.listen()
        return sock.getsockname()[1]

    yield listen
    for sock in opened:
        sock.close()


@pytest.mark.parametrize("asked", ["0.0.0.0", "127.0.0.1", "::", "*", "", "localhost"])
def test_a_port_that_is_taken_is_said_with_pid_and_command(listener, asked):
    port = listener("127.0.0.1")
    fault = tcp_ports.fault(asked, port)
    assert fault.startswith(f"is taken by pid {os.getpid()} ("), fault
    assert own_command() in fault
    assert socket_table.listener(port) == os.getpid()


def test_a_free_port_has_no_fault_and_stays_free(listener):
    taken = listener("127.0.0.1")
    port = tcp_ports.free("0.0.0.0", {taken})
    assert port != taken
    for host in ("0.0.0.0", "127.0.0.1", "::", ""):
        assert tcp_ports.fault(host, port) == ""
    assert socket_table.listener(port) == 0


def test_faults_that_are_not_somebody_elses():
    assert "cannot be listened on" in tcp_ports.fault("192.0.2.1", 8080)
    assert "cannot be listened on" in tcp_ports.fault("no such host.", 8080)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_unprivileged_user_is_told_without_the_pid(listener):
    port = listener("127.0.0.1")
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.closerange(3, write_fd)  # the listening socket is in them
            os.setuid(65534)
            os.write(write_fd, tcp_ports.fault("127.0.0.1", port).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write_fd)
    with os.fdopen(read_fd) as file:
        assert file.read() == "is taken"


def own_command():
    with open("/proc/self/cmdline") as file:
        return file.read(200).replace("\0", " ").strip()


def test_commands_by_pid():
    assert procfs.command_of(os.getpid()) == own_command()
    assert procfs.command_of(2**22 + 1) == "?"
