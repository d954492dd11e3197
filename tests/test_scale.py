"""More or fewer instances while the system runs."""

import json

import pytest
from harness import Run, command_under_test, until

SYSTEM = """
[components.db]
command = "echo db; exec sleep 1000"
[components.web]
command = "echo instance $ORCHESTRATE_INSTANCE port $PORT; exec sleep 1000"
depends_on = ["db"]
"""


@pytest.fixture
def system(home):
    run = home.write(SYSTEM, name="orchestrate.toml").up(file="orchestrate.toml")
    run.wait_for("instance web port 5100")

    def ask(*words, status=0):
        asked = Run([*command_under_test(), *words, "-C", home.path])
        assert asked.wait() == status, asked
        return asked.text + asked.err.decode()

    run.ask = ask
    yield run
    if run.returncode is None:
        ask("down")
    assert run.wait() == 0
    assert run.survivors(2) == []


def states(system):
    rows = map(json.loads, system.ask("ps", "--json").splitlines())
    return {row["instance"]: row["state"] for row in rows}


def test_up_and_down_again(system):
    told = system.ask("scale", "web=3")
    assert told == "web.2 started\nweb.3 started\n"
    system.wait_for("instance web.2 port 5101")
    system.wait_for("instance web.3 port 5102")
    assert states(system) == dict.fromkeys(["db", "web", "web.2", "web.3"], "ready")
    assert system.ask("scale", "web=1") == "web.2 stopped\nweb.3 stopped\n"
    assert states(system) == {"db": "ready", "web": "ready", "web.2": "down", "web.3": "down"}
    system.ask("scale", "web=2")
    assert states(system) == {"db": "ready", "web": "ready", "web.2": "ready", "web.3": "down"}
    assert until(lambda: system.text.count("instance web.2 port 5101") == 2)


def test_to_none_and_back(system):
    assert system.ask("scale", "web=0") == "web stopped\n"
    assert states(system) == {"db": "ready", "web": "down"}
    assert system.ask("scale", "web=1", "--json").count("\n") == 1
    assert states(system) == {"db": "ready", "web": "ready"}


def test_the_stop_goes_in_order_for_new_ones_too(system):
    system.ask("scale", "web=2")
    system.ask("down")
    assert system.wait() == 0
    stopped = [line for line in system.text.splitlines() if "stopped (" in line]
    assert len(stopped) == 3
    assert stopped[-1].split("| ")[1].startswith("db stopped")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["wbe=2"], "there is no component 'wbe' in this system; there are: db, web"),
        (["web"], "'web' is no NAME=NUMBER of a formation"),
        (["web=2000"], "'web=2000' is no NAME=NUMBER"),
        (["all=2"], "scale needs the components by name"),
    ],
)
def test_what_cannot_be(system, words, told):
    assert told in system.ask("scale", *words, status=2)
    assert states(system) == {"db": "ready", "web": "ready"}


def test_where_nothing_runs(home):
    asked = Run([*command_under_test(), "scale", "web=2", "-C", home.path])
    assert asked.wait() == 3
