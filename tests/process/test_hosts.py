"""The hosts that other tests run on: apart from each other, joined by a network, and gone with the test."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import until
from hosts import INSIDE, NETWORK, faketime
from privileges import unprivileged

ANSWER = "import socket; s = socket.create_server(('', 7000)); print('listening', flush=True)\nwhile True: s.accept()"
CONNECT = "import socket; socket.create_connection(('head', 7000), timeout=1)"
NOW = "import time; print(time.time())"
TWO = ("head", "worker-1")


def interfaces():
    return {name for _, name in socket.if_nameindex()}


def reaches(host):
    return host.ask(sys.executable, "-c", CONNECT).returncode == 0


def test_each_host_is_a_machine_to_its_programs(network):
    before = interfaces(), Path("/proc/self/mountinfo").read_text()
    hosts = network(*TWO)
    for number, name in enumerate(TWO, 1):
        host = hosts[name]
        (host.directory / "mine").write_text(name)
        assert host.ask("hostname").stdout == f"{name}\n"
        assert f" {NETWORK}.{number}/24 " in host.ask("ip", "-brief", "addr", "show", "eth0").stdout
        assert host.ask("getent", "hosts", "head").stdout.split() == [f"{NETWORK}.1", "head"]
        assert host.ask("sh", "-c", "pwd; cat mine; echo; ls").stdout.split() == [str(INSIDE), name, "mine"]
        assert host.ask("ls", host.directory.parent).stdout == "", "it sees no other host's files"
        assert "host_init.py" in host.ask("ps", "-e", "-o", "args").stdout.splitlines()[1], "nor processes of others"
    assert (interfaces(), Path("/proc/self/mountinfo").read_text()) == before, "the machine itself sees nothing of it"


def test_a_link_is_cut_and_mended(network):
    hosts = network(*TWO)
    server = hosts["head"].start(sys.executable, "-c", ANSWER)
    server.wait_for("listening")
    assert reaches(hosts["worker-1"])
    with hosts["worker-1"].network():
        socket.create_connection((f"{NETWORK}.1", 7000), timeout=5).close()
    hosts.cut("worker-1")
    assert not reaches(hosts["worker-1"])
    hosts.mend("worker-1")
    assert until(lambda: reaches(hosts["worker-1"]), 20)
    server.signal(15)
    assert server.wait() == -15


def test_all_of_one_host_is_killed_and_the_other_goes_on(network):
    hosts = network(*TWO)
    runs = {name: hosts[name].start("sh", "-c", "setsid sleep 300.5 & echo started; exec sleep 301") for name in TWO}
    for run in runs.values():
        run.wait_for("started")
    both = ["sleep 300.5", "sleep 301"]
    assert until(lambda: all(sorted(hosts[name].processes().values()) == both for name in TWO))
    hosts["head"].kill_everything()
    assert runs["head"].wait() == -9
    assert sorted(hosts["worker-1"].processes().values()) == both
    assert hosts["head"].ask("echo", "again").stdout == "again\n", "the host itself is there"
    hosts["worker-1"].kill_everything()


def test_nothing_is_left_after_the_end(network):
    hosts = network(*TWO)
    run = hosts["head"].start("sh", "-c", "trap '' TERM HUP INT; setsid sh -c 'sleep 302 & wait' & echo started; wait")
    run.wait_for("started")
    pids = [*hosts["head"].processes(), hosts["head"].pid]
    assert len(pids) > 2
    hosts.close()
    hosts.hosts.clear()
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
    assert run.survivors(5) == []


@pytest.mark.skipif(faketime() is None, reason="not installed: libfaketime")
def test_a_clock_that_is_off_is_that_of_one_host(network):
    hosts = network(*TWO)
    hosts["worker-1"].set_clock(60)

    def ahead(then):
        return float(hosts["worker-1"].ask(sys.executable, "-c", NOW).stdout) - then

    head = float(hosts["head"].ask(sys.executable, "-c", NOW).stdout)
    assert 59.5 < ahead(head) < 62
    program = "import select, time\nwhile True: print(time.time(), flush=True); select.select([], [], [], 0.2)"
    clock = hosts["worker-1"].start(sys.executable, "-c", program)
    clock.wait_for(r"^\d+\.\d+\n")
    hosts["worker-1"].set_clock(-3600)
    assert until(lambda: float(clock.text.split("\n")[-2]) < head, 20), "a program that runs sees it too"
    hosts["worker-1"].kill_everything()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="not installed: util-linux")
def test_without_privileges_the_reason_is_given(tmp_path):
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\nfrom hosts import Network, Path, Refused\n"
        "try: Network(Path(sys.argv[1]), ['head'])\nexcept Refused as reason: print(reason)"
    )
    tmp_path.chmod(0o777)
    tests = Path(__file__).parent.parent
    words = [*unprivileged(), sys.executable, "-B", "-c", program, tmp_path / "network", tests / "support", tests]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, cwd="/")
    assert ran.stdout in (
        "hosts are made of namespaces, and that takes root\n",
        "cannot make a host: the kernel refuses a network namespace\n",
    ), ran.stderr
