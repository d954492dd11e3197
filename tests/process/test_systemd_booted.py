"""Exported units in a real systemd: they start in order, count as started when ready, stop, and leave nothing."""

import re
import signal
import subprocess
import sys

import pytest
from booted import machine_or_skip
from harness import command_under_test, environment, tree, until

PORT = 7411  # of the booted machine, whose network is its own
SERVER = f"""
import socket
print("db makes ready", flush=True)
with socket.create_server(("127.0.0.1", {PORT})) as server:
    print("db listens", flush=True)
    while True:
        server.accept()[0].close()
"""
CLIENT = f"""
import socket, signal
socket.create_connection(("127.0.0.1", {PORT}), timeout=5).close()
print("web has reached db; step:", open("prepared").read().strip(), flush=True)
signal.pause()
"""
DEFINITION = """
[init.prepare]
command = "echo made > prepared"

[components.db]
command = ["{python}", "db.py"]
ready = {{ tcp = {port} }}

[components.web]
command = ["{python}", "web.py"]
depends_on = {{ db = "ready" }}
restart = "on-failure"

[components.daemon]
command = '''{daemon}'''

[components.deaf]
command = '''{deaf}'''
stop = {{ signal = "TERM", timeout = 1 }}
"""


@pytest.fixture
def machine(tmp_path):
    yield from machine_or_skip(tmp_path, tmp_path)


@pytest.fixture
def exported(tmp_path, machine):
    """Export the definition with these options, and install it; the name of its units."""
    path = tmp_path / "shop"
    path.mkdir()
    (path / "db.py").write_text(SERVER)
    (path / "web.py").write_text(CLIENT)
    text = DEFINITION.format(python=sys.executable, port=PORT, daemon=tree("daemon"), deaf=tree("deaf"))
    (path / "orchestrate.toml").write_text(text)

    def export(*options):
        command = [*command_under_test(), "export", "systemd", "out", "--system", *options]
        ran = subprocess.run(command, cwd=path, env=environment(), capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        machine.install(*(path / "out").glob("*.service"), *(path / "out").glob("*.target"))
        return path

    return export


def is_active(machine, *units):
    return machine.ask("systemctl", "is-active", *units).stdout.split()


def test_units_start_in_order_and_leave_nothing(machine, exported):
    exported()
    machine.control("start", "shop.target")
    names = ["shop-init-prepare", "shop-db", "shop-web", "shop-daemon", "shop-deaf"]
    assert is_active(machine, *names) == ["active"] * 5
    assert until(lambda: "web has reached db; step: made" in machine.journal("-u", "shop-web"), 20), machine.journal()
    started = [int(machine.show(name, "ActiveEnterTimestampMonotonic")) for name in names[:3]]
    assert started == sorted(started)
    assert len(machine.processes()) >= 5

    web = machine.show("shop-web", "MainPID")
    machine.control("kill", "--signal=KILL", "shop-web")
    assert until(
        lambda: is_active(machine, "shop-web") == ["active"] and machine.show("shop-web", "MainPID") != web, 20
    )

    machine.control("stop", "shop.target")
    assert until(lambda: not machine.processes(), 20), machine.processes()
    assert set(is_active(machine, *names[1:])) <= {"inactive", "failed"}


def test_the_whole_system_is_ready_restarted_and_stopped(machine, exported):
    path = exported("--whole")
    machine.control("start", "shop.service")
    assert is_active(machine, "shop.service") == ["active"]
    reached = re.compile(r"^web +\| web has reached db; step: made$", re.M)
    assert until(lambda: reached.search(machine.journal("-u", "shop")), 20), machine.journal()
    inside = [*command_under_test(), "ps", "-C", path]
    listed = machine.ask(*inside).stdout
    assert re.search(r"^db +ready", listed, re.M), listed
    assert int(machine.show("shop.service", "WatchdogUSec").removesuffix("min")) == 1
    assert len(machine.processes()) > 8

    supervisor = int(machine.show("shop.service", "MainPID"))
    machine.control("kill", "--kill-who=main", f"--signal={signal.SIGKILL.name}", "shop.service")
    assert until(lambda: int(machine.show("shop.service", "MainPID")) not in (0, supervisor), 60), machine.journal()
    assert until(lambda: is_active(machine, "shop.service") == ["active"], 60), machine.journal()
    again = machine.ask(*inside).stdout
    assert re.search(r"^web +(ready|running)", again, re.M), again

    machine.control("stop", "shop.service")
    assert is_active(machine, "shop.service") == ["inactive"], machine.journal()
    assert until(lambda: not machine.processes(), 20), machine.processes()
    assert not (path / ".orchestrate" / "state.json").exists()
