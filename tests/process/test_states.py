"""The states that users see: one vocabulary in ps, status, why, events and JSON."""

import json
import os
import re
import signal

import pytest
from definitions import Directory
from harness import until

from orchestrator.cli import manual
from orchestrator.model.lifecycle import Desired, State
from orchestrator.model.spec import ComponentSpec
from orchestrator.model.status import Status, of_system
from orchestrator.supervisor.instance import Instance

WORDS = {status.value for status in Status}
SYSTEM = """
[init.migrate]
command = "echo migrating; read line <go"
[components.plain]
command = "exec sleep 1000"
[components.probed]
command = "exec sleep 1000"
ready = { delay = 0 }
[components.slow]
command = "exec sleep 1000"
ready = { log = "never" }
[components.later]
command = "exec sleep 1000"
depends_on = { slow = "ready" }
[components.seed]
command = "true"
on_exit = "ignore"
[components.broken]
command = "exit 3"
on_exit = "ignore"
[components.flaky]
command = "exit 4"
restart = { policy = "always", backoff = [1000, 1000] }
[components.deaf]
command = "trap '' TERM; echo deaf; while :; do sleep 1000; done"
stop = { timeout = 1000 }
[components.halted]
command = "exec sleep 1000"
"""
EXPECTED = {
    "plain": "running",
    "probed": "ready",
    "slow": "starting",
    "later": "waiting",
    "seed": "completed",
    "broken": "failed",
    "flaky": "restarting",
    "deaf": "stopping",
    "halted": "stopped",
}


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path).write(SYSTEM)


def rows(here, *words):
    return list(map(json.loads, here.output(*words, "--json").splitlines()))


def states(here):
    return {row["instance"]: row["state"] for row in rows(here, "ps")}


def test_each_state_is_the_same_in_every_command(here):
    os.mkfifo(here.path / "go")
    run = here.up()
    run.wait_for("migrating")
    assert states(here) == {"migrate": "running"}
    (status,) = rows(here, "status")
    assert (status["state"], status["step"]) == ("starting", "migrate")
    assert here.output("status").startswith("starting: orchestrate.toml, initial step migrate is running, pid")
    events = here.listening("events", "--json")
    (here.path / "go").write_text("\n")
    run.wait_for("deaf$")
    here.output("stop", "halted")
    stop = here.run("stop", "deaf")
    assert until(lambda: states(here) == EXPECTED), states(here)

    for row in rows(here, "ps") + rows(here, "why"):
        assert row["state"] == EXPECTED[row["instance"]]
        assert row["waits_for"] == (["slow ready"] if row["instance"] == "later" else [])
        assert (row["restarts_in"] is not None) == (row["instance"] == "flaky")
        assert "reason" not in row or row["state"] in re.findall(r"\w+", row["reason"])[:3], row["reason"]
    table = {line.split()[0]: line for line in here.output("ps").splitlines()}
    assert "waiting for slow ready" in table["later"]
    assert re.search(r"restarting in 1?\d{3} s", table["flaky"])
    (status,) = rows(here, "status")
    assert (status["state"], status["ready"], status["components"]) == ("failed", 2, 9)
    assert sum(status["states"].values()) == 9
    assert re.search(r"2 of 9 components ready \(.*1 waiting", here.output("status"))
    assert re.search(r"flaky is restarting in \d+\.\d s: it exited with status 4", here.output("why", "flaky"))

    here.output("kill")
    stop.wait()
    run.signal(signal.SIGTERM)
    run.wait()
    events.wait()
    seen = [json.loads(line) for line in events.text.splitlines()]
    assert {row["state"] for row in seen} <= WORDS
    assert {row["from"] for row in seen[:-1]} <= WORDS
    assert all(row["from"] != row["state"] for row in seen[:-1])
    for name, state in EXPECTED.items():
        assert name == "later" or state in {row["state"] for row in seen[:-1] if row["instance"] == name}, name
    assert run.survivors(2) == []


def test_what_cannot_be_killed_is_stuck():
    instance = Instance(ComponentSpec(name="web", argv=("true",), cwd="/"))
    instance.want(Desired.UP)
    assert instance.public_state is Status.WAITING
    instance.state = State.STUCK
    assert instance.public_state is Status.STUCK


@pytest.mark.parametrize(
    ("instances", "system"),
    [
        ("ready running", "ready"),
        ("running running", "running"),
        ("ready waiting", "starting"),
        ("ready stopped completed", "ready"),
        ("stopped completed", "stopped"),
        ("completed", "completed"),
        ("ready failed stuck", "stuck"),
        ("ready restarting failed", "failed"),
        ("starting restarting", "restarting"),
        ("stopping ready", "stopping"),
        ("", "stopped"),
    ],
)
def test_the_state_of_the_system(instances, system):
    assert of_system([Status(word) for word in instances.split()]).value == system


def test_the_manual_lists_each_state():
    page = (manual.DIRECTORY / "readiness.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) >= WORDS
