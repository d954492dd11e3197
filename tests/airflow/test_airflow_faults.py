"""Deaths on real Airflow: however and whenever it ends, nothing is left, and the next start has children of its own.

A few stand for all in the usual run; the product of all is marked exhaustive.
"""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from airflow_rest import READY, Airflow, leader, processes
from harness import describe, until
from terminal import Tmux

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(1200)]

VERSIONS = ("3.3.2", "2.11.2", "2.6.3")
GRACE = 2 * 18 + 2 + 7  # two stop sequences (the api-server comes after the scheduler), the sweep, a busy machine
DEATHS = {
    "SIGINT": -signal.SIGINT,
    "SIGTERM": -signal.SIGTERM,
    "SIGHUP": -signal.SIGHUP,
    "SIGQUIT": 131,
    "SIGKILL": -signal.SIGKILL,
}
CHOSEN = [
    ("3.3.2", "SIGTERM", False, "ready"),
    ("3.3.2", "SIGKILL", False, "ready"),
    ("3.3.2", "SIGKILL", True, "starting"),
    ("2.6.3", "SIGKILL", True, "ready"),
]
PRODUCT = [
    (version, death, terminal, when)
    for version in VERSIONS
    for death in DEATHS
    for terminal in (False, True)
    for when in ("preparing", "starting", "ready")
]
CASES = [
    pytest.param(
        *case, id="-".join([case[0], case[1], "terminal" if case[2] else "without-terminal", case[3]]), marks=marks
    )
    for case in PRODUCT
    for marks in [() if case in CHOSEN else pytest.mark.exhaustive]
]


@pytest.fixture(scope="module")
def airflows(tmp_path_factory):
    """One home of each version; each test finds it as the death before it has left it."""
    known = {}

    def get(version):
        if version not in known:
            home = tmp_path_factory.mktemp(version.replace(".", "-")) / "home"
            home.mkdir()
            known[version] = Airflow(version, home)
        return known[version]

    return get


def wait_until(run, airflow, when):
    if when == "preparing":
        prepare = "/inside prepare "
        assert until(lambda: any(prepare in line for line in processes(run.pid).values()), interval=0.05), str(run)
    elif when == "starting":
        run.wait_for(r"^(\x1b\[[\d;]*m)*scheduler\b.*\|", READY)  # its first line; ready comes seconds later
        assert "Airflow is ready" not in run.text
    else:
        airflow.wait_ready(run)


@pytest.mark.parametrize(("version", "death", "terminal", "when"), CASES)
def test_nothing_is_left(version, death, terminal, when, airflows):
    airflow = airflows(version)
    if when == "preparing":  # a changed configuration: the stamp does not hold
        airflow.settings["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] = str(time.monotonic_ns() % 10**6)
    run = airflow.start(terminal=terminal)
    wait_until(run, airflow, when)
    run.signal(signal.Signals[death])
    assert run.wait(GRACE) == DEATHS[death]
    assert run.survivors(GRACE) == []

    again = airflow.start()
    assert_own_children_are_ready(airflow, again)
    again.stop(GRACE)


def assert_own_children_are_ready(airflow, run):
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    rest = airflow.wait_ready(run)
    for name in airflow.components:
        assert leader(run, name)
        if name != airflow.web:  # asked again for a while: SQLite under a busy machine makes one answer say unhealthy
            assert until(lambda name=name: is_alive(rest, name, since), 30, 0.5), f"{name}: {rest.health()}\n{run}"


def is_alive(rest, name, since):
    """It has a heartbeat later than `since`, and that is not long ago."""
    heartbeat, status = rest.heartbeat(name)
    return status == "healthy" and heartbeat > since


@pytest.mark.parametrize(
    "version",
    [
        VERSIONS[0],
        pytest.param("2.11.2", marks=pytest.mark.exhaustive),
        pytest.param("2.6.3", marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.parametrize("death", ["SIGINT", pytest.param("SIGKILL", marks=pytest.mark.exhaustive)])
def test_a_running_task_goes_too(version, death, airflows):
    airflow = airflows(version)
    run = airflow.start(terminal=True)
    rest = airflow.wait_ready(run)
    rest.trigger("sleeper")
    assert until(lambda: task(run), 120, 0.2), f"no task runs\n{run}"
    if death == "SIGINT":
        os.write(run.terminal_fd, b"\x03")
    else:
        run.signal(signal.SIGKILL)
    assert run.wait(GRACE) == DEATHS[death]
    assert run.survivors(GRACE) == []


def task(run):
    return [pid for pid, line in processes(run.pid).items() if line == "sleep 300.25"]


@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
@pytest.mark.parametrize(
    "version",
    [
        pytest.param("3.3.2", marks=pytest.mark.exhaustive),
        pytest.param("2.11.2", marks=pytest.mark.exhaustive),
        "2.6.3",
    ],
)
def test_nothing_is_left_of_a_killed_session(version, airflows, tmp_path):
    airflow = airflows(version)
    terminal = Tmux(tmp_path, columns=160, rows=50, **airflow.settings)
    terminal.type(" ".join(map(str, airflow.command_line())))
    terminal.wait_for(r"^orchestrate +\| Airflow is ready$", READY)
    (pid,) = terminal.foreground()
    terminal("kill-session", "-t", "main")
    assert until(lambda: not airflow_below(terminal), GRACE, 0.1), airflow_below(terminal)
    assert until(lambda: not Path(f"/proc/{pid}").exists()), describe(pid)
    assert terminal.end() == []


def airflow_below(terminal):
    """What is left of it, wherever it fled to; the tmux server itself may be gone."""
    return [line for line in map(describe, terminal.server.living()) if re.search("airflow|gunicorn", line)]
