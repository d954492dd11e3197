"""`Type=notify`: what systemd is told, read from a socket that stands where its would."""

import os
import signal
import socket

import pytest
from harness import PATIENCE, Run, command_under_test, environment, pump, tree, watched


class Manager:
    """The socket of a service manager."""

    def __init__(self, address):
        self.socket, self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), []
        self.socket.bind(address.replace("@", "\0"))
        watched.register(self.socket, 1, lambda: self.told.append(self.socket.recv(4096).decode().split("\n")))

    def heard(self, word):
        return any(word in lines for lines in self.told)

    def close(self):
        watched.unregister(self.socket)
        self.socket.close()


@pytest.fixture(params=["path", "abstract"])
def address(request, tmp_path):
    return str(tmp_path / "notify") if request.param == "path" else f"@orchestrate-test-{os.getpid()}"


def test_ready_stopping_status_and_watchdog(tmp_path, address):
    (tmp_path / "Procfile").write_text(f"web: {tree('plain')}\nshow: echo [$NOTIFY_SOCKET]; {tree('plain')}\n")
    manager = Manager(address)
    try:
        run = Run(
            [*command_under_test(), "up", "--color", "never"],
            cwd=tmp_path,
            env=environment(NOTIFY_SOCKET=address, WATCHDOG_USEC="100000"),
        )
        assert pump(lambda: manager.heard("READY=1"), PATIENCE), manager.told
        assert pump(lambda: sum(lines == ["WATCHDOG=1"] for lines in manager.told) > 3, PATIENCE)
        assert not manager.heard("STOPPING=1")
        run.wait_for(r"^show +\| \[\]$")  # it is between us and the manager
        run.wait_ready("web", "show")
        run.stop()
        pump(lambda: manager.heard("STATUS=stopped"), PATIENCE)
    finally:
        manager.close()
    ready = next(lines for lines in manager.told if "READY=1" in lines)
    assert ready[1] == "STATUS=2 of 2 components ready"
    assert sum("READY=1" in lines for lines in manager.told) == 1
    assert manager.told[-1] == ["STOPPING=1", "STATUS=stopped"]


def test_a_manager_that_is_not_there_is_no_error(tmp_path):
    (tmp_path / "Procfile").write_text(f"web: {tree('plain')}\n")
    run = Run([*command_under_test(), "up"], cwd=tmp_path, env=environment(NOTIFY_SOCKET=str(tmp_path / "none")))
    run.wait_ready("web")
    run.signal(signal.SIGTERM)
    assert (run.wait(), run.survivors(1)) == (-signal.SIGTERM, [])
