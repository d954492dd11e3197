"""More or fewer instances while the system runs."""

import contextlib
import json
import os
import re

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
    home.write(SYSTEM, name="orchestrate.toml")
    with running(home) as run:
        run.wait_for("instance web port 5100")
        yield run


@contextlib.contextmanager
def running(home):
    run = home.up(file="orchestrate.toml")
    run.home = home

    def ask(*words, status=0):
        asked = Run([*command_under_test(), *words, "-C", home.path])
        assert asked.wait() == status, asked
        return asked.text + asked.err.decode()

    run.ask = ask
    run.ask_rows = lambda *words: [line for line in ask(*words).splitlines() if line.startswith("{")]
    assert until(lambda: Run([*command_under_test(), "wait", "--ready", "-C", home.path]).wait() == 0)
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
    assert states(system) == dict.fromkeys(["db", "web.1", "web.2", "web.3"], "running")
    assert system.ask("scale", "web=1") == "web.2 stopped\nweb.3 stopped\n"
    assert states(system) == {"db": "running", "web": "running"}
    system.ask("scale", "web=2")
    assert states(system) == {"db": "running", "web.1": "running", "web.2": "running"}
    assert until(lambda: system.text.count("instance web.2 port 5101") == 2)


@pytest.mark.parametrize("again", [("restart", "web"), ("start", "web"), ("restart",), ("start",)])
def test_surplus_instances_are_gone(system, again):
    system.ask("scale", "web=3")
    system.ask("scale", "web=1")
    system.ask(*again)
    assert states(system) == {"db": "running", "web": "running"}
    system.ask("wait", "--ready", "--timeout", "20")
    assert "2 of 2 components ready" in system.ask("status")
    assert "web.2" not in system.ask("why")
    assert "unknown component 'web.2'" in system.ask("start", "web.2", status=2)


def test_the_record_follows_an_instance_to_its_new_name(system):
    def recorded():
        return [(row["instance"], row["state"]) for row in map(json.loads, system.ask_rows("ps", "-a", "--json"))]

    system.ask("scale", "web=2")
    system.ask("scale", "web=1")
    assert recorded() == [("db", "running"), ("web", "running"), ("web.2", "stopped")]
    gone = r"^web\.2 stopped at \S+ because 'orchestrate scale web=1 .*' was run by "
    assert re.search(rf"\Adb is running\n(?s:.*)\n\n{gone[1:]}", system.ask("why", "web.2", "db"), re.M)
    (row,) = map(json.loads, system.ask("why", "web.2", "--json").splitlines())
    assert (row["instance"], row["state"]) == ("web.2", "stopped")
    assert re.search(gone, row["chain"][0]["text"])
    (row,) = map(json.loads, system.ask("ps", "-a", "web.2", "--json").splitlines())
    assert row["last_exit"] == "killed by SIGTERM"
    assert "unknown component 'web.3'" in system.ask("why", "web.3", status=2)
    system.ask("scale", "web=2")
    system.ask("down")
    assert recorded() == [("db", "stopped"), ("web.1", "stopped"), ("web.2", "stopped")]
    assert re.search(r"^. web\.1 .*\d", system.ask("graph", "--times"), re.M)


def test_an_instance_that_is_scaled_away_is_not_waited_for(system):
    system.ask("scale", "web=2")
    system.ask("stop", "web.2")
    system.ask("scale", "web=1")
    assert states(system) == {"db": "running", "web": "running"}


def test_each_name_of_the_first_instance(system):
    system.ask("scale", "web=3")
    for name in ("web", "web.1"):
        system.ask("send", name, "hello")
        assert "instance web port 5100" in system.ask("logs", name, "--no-color")
    assert "web.2" not in system.ask("logs", "web.1")
    assert "web.2" in system.ask("logs", "web")
    assert system.ask("restart", "web.1").startswith("web.1 restarted")
    system.wait_for("web.1       | instance web.1 port 5100")
    system.ask("scale", "web=1")
    assert [json.loads(row)["instance"] for row in system.ask("ps", "web.1", "--json").splitlines()] == ["web"]
    assert system.ask("restart", "web.1").startswith("web restarted")


def test_the_surviving_instance_of_several_is_called_like_its_component(home):
    home.write(SYSTEM.replace('depends_on = ["db"]', "replicas = 3"), name="orchestrate.toml")
    with running(home) as system:
        assert states(system) == dict.fromkeys(["db", "web.1", "web.2", "web.3"], "running")
        system.ask("scale", "web=1")
        assert states(system) == {"db": "running", "web": "running"}
        system.ask("scale", "web=0")
        assert states(system) == {"db": "running"}
        system.ask("scale", "web=1")
        assert states(system) == {"db": "running", "web": "running"}


def test_a_dependent_waits_for_no_removed_instance(home):
    home.write(
        '[components.web]\ncommand = "exec sleep 1000"\nreplicas = 2\n'
        '[components.api]\ncommand = "exec sleep 1000"\ndepends_on = { web = "ready" }\n',
        name="orchestrate.toml",
    )
    with running(home) as system:
        system.ask("scale", "web=1")
        system.ask("restart", "api")
        system.ask("scale", "web=0")
        system.ask("restart", "api")
        assert states(system) == {"api": "running"}
        system.ask("scale", "web=2")
        system.ask("stop")
        system.ask("start", "api")
        assert states(system) == dict.fromkeys(["web.1", "web.2", "api"], "running")


def test_to_none_and_back(system):
    assert system.ask("scale", "web=0") == "web stopped\n"
    assert states(system) == {"db": "running"}
    system.ask("start")
    system.ask("restart")
    assert states(system) == {"db": "running"}
    assert "hint: run `orchestrate scale web=1`\n" in system.ask("start", "web", status=2)
    assert system.ask("scale", "web=1", "--json").count("\n") == 1
    assert states(system) == {"db": "running", "web": "running"}


def test_a_tag_or_pattern_means_components_without_instances_too(home):
    tagged = SYSTEM.replace("command =", 'tags = ["all"]\ncommand =')
    home.write(tagged, name="orchestrate.toml")
    with running(home) as system:
        assert system.ask("scale", "web=0") == "web stopped\n"
        assert "web.1 started\nweb.2 started\n" in system.ask("scale", "+all=2")
        assert system.ask("scale", "*=0").count(" stopped\n") == 4
        for name in ("+all", "*"):
            refused = system.ask("restart", name, status=2)
            assert refused.endswith(f" were scaled to 0 instances\nhint: run `orchestrate scale {name}=1`\n")
        assert set(system.ask("scale", "+all=1").split()) == {"db", "web", "started"}


def test_a_system_scaled_to_none_goes_on(system):
    system.ask("scale", "web=0", "db=0")
    system.ask("wait", "--ready")
    assert states(system) == {}
    system.ask("scale", "db=1")
    assert states(system) == {"db": "running"}


def test_a_scale_up_while_surplus_instances_stop(home):
    stubborn = "trap 'echo stopping; read _ <go; exit' TERM; echo up; while :; do sleep 1000 & wait; done"
    home.write(f'[components.web]\ncommand = "{stubborn}"\nstop.timeout = 30\n', name="orchestrate.toml")
    os.mkfifo(home.path / "go")
    with running(home) as system:
        system.ask("scale", "web=2")
        system.wait_for(r"^web\.2 +\| up$")
        down = Run([*command_under_test(), "scale", "web=1", "-C", home.path])
        system.wait_for(r"\| stopping$")
        up = Run([*command_under_test(), "scale", "web=2", "-C", home.path])
        assert until(lambda: "scaling web to 2" in system.text.split("| stopping")[-1])
        (home.path / "go").write_text("\n")
        assert down.wait() == 0
        assert up.wait() == 0
        assert states(system) == {"web.1": "running", "web.2": "running"}
        system.ask("kill")


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
        (["wbe=2"], "unknown component 'wbe'\nhint: there are: db, web"),
        (["web"], "'web' is not NAME=NUMBER with a number"),
        (["web=2000"], "'web=2000' is not NAME=NUMBER"),
        (["all=2"], "scale needs the components by name"),
    ],
)
def test_what_cannot_be(system, words, told):
    assert told in system.ask("scale", *words, status=2)
    assert states(system) == {"db": "running", "web": "running"}


def test_where_nothing_runs(home):
    asked = Run([*command_under_test(), "scale", "web=2", "-C", home.path])
    assert asked.wait() == 3
