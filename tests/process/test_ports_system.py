"""PORT in running systems: what is assigned, what is taken, and what the components really listen on."""

import json
import os
import shlex
import socket
import sys

import pytest
from definitions import STAY, Directory, component, lines_of
from harness import PROGRAMS, until

SERVER = f"exec {shlex.join([sys.executable, '-E', str(PROGRAMS / 'server.py'), 'tcp'])}"


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


@pytest.fixture
def taken():
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def rows(here):
    return {row["instance"]: row for row in map(json.loads, here.output("ps", "--json").splitlines())}


def test_ps_shows_the_port_that_the_tree_listens_on(here, taken):
    with socket.create_server(("127.0.0.1", 0)) as free:
        other = free.getsockname()[1]
    os.mkfifo(here.path / "go")
    text = component("web", f"read _ <go; ({SERVER} {other})", "port = 5123") + component("idle", STAY, "port = 5124")
    run = here.write(text).up()
    assert until((here.path / ".orchestrate" / "control.sock").exists)
    here.output("wait", "--ready")
    assert [(row["port"], row["ports"], row["assigned_port"]) for row in rows(here).values()] == [
        ("5123", [], "5123"),
        ("5124", [], "5124"),
    ]
    (here.path / "go").write_text("\n")
    run.wait_for("listening")
    found = rows(here)
    assert (found["web"]["port"], found["web"]["ports"]) == (str(other), [other])
    assert (found["web"]["assigned_port"], found["idle"]["port"]) == ("5123", "5124")
    table = {line.split()[0]: line.split() for line in here.output("ps").splitlines()}
    assert str(other) in table["web"]
    assert "5123" not in table["web"]
    assert "5124" in table["idle"]
    run.stop()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_a_port_that_is_in_use_is_reported_at_the_start(here, taken):
    text = component("web", STAY, f"port = {taken}") + component("other", STAY, f"port = {free_port()}")
    run = here.write(text).up()
    run.wait_for(rf"^orchestrate +\| port {taken} of web is in use by pid {os.getpid()} \(.*python.*\)$")
    run.stop()
    assert run.text.count("is in use") == 1


def test_the_ports_of_a_running_system_do_not_disturb_its_commands(here):
    port = free_port()
    run = here.write(component("web", f"{SERVER} $PORT", f"port = {port}")).up()
    run.wait_for("listening")
    here.output("restart", "web")
    assert "is in use" not in here.output("up", status=75)
    run.stop()
    assert "is in use" not in run.text


@pytest.mark.parametrize("words", [["--any-port"], ["--any-port", "-p", "5000"]])
def test_any_port_takes_a_free_one(here, taken, words):
    text = component("web", "echo web $PORT; exec sleep 1000", f"port = {taken}")
    text += component("api", "echo api $PORT ${web.PORT}; exec sleep 1000", "port = 5199")
    run = here.write(text).up(*words)
    run.wait_for("api 5199 ")
    run.wait_for("web \\d+")
    (_, port), (_, _, seen) = (lines_of(run, name)[0].split() for name in ("web", "api"))
    assert int(port) != taken
    assert seen == port
    run.stop()
    assert "is in use" not in run.text


def test_no_port(here):
    (here.path / "Procfile").write_text("web: echo [$PORT]; exec sleep 1000\n")
    run = here.run("-f", "Procfile", "up", "--no-port")
    run.wait_for(r"\[\]$")
    run.stop()
    text = component("web", "echo [$PORT]; exec sleep 1000", "port = 5123") + component("api", STAY)
    run = here.write(text).up("--no-port")
    run.wait_for(r"\[5123\]$")
    assert rows(here)["api"]["port"] is None
    run.stop()
    assert "port =" not in here.output("config", "--no-port", "-x", "web")


@pytest.mark.parametrize("value", ["0", "65536", "x", "-1"])
def test_a_port_to_begin_with_that_is_none(here, value):
    here.write(component("web", STAY))
    assert f"PORT in the environment: '{value}' is not a port; expected 1 to 65535" in here.output(
        "check", env={"PORT": value}, status=2
    )
    (here.path / ".env").write_text(f"PORT={value}\n")
    assert f".env:1: '{value}' is not a port; expected 1 to 65535" in here.output("check", status=2)


def test_ports_that_end_before_the_instances_do(here):
    here.write(component("web", STAY, "port = 65530", "replicas = 10"))
    said = "orchestrate.toml:3: web: too few ports from 65530 to 65535 for its instances; choose a lower one\n"
    assert here.output("check", status=2).endswith(said)
    assert here.output("check", status=2).count("\n") == 1


def test_an_empty_port_is_none(here):
    here.write(component("web", "echo port $PORT"))
    for env in ({"PORT": ""}, {}):
        assert "port 5000" in here.output("up", env=env)
        (here.path / ".env").write_text("PORT=\n")


def test_a_thousand_components_start_and_those_without_a_port_have_none(here):
    (here.path / "Procfile").write_text("".join(f"c{number}: echo\n" for number in range(1000)))
    assert "1000 components" in here.output("check", "-f", "Procfile")
    shown = here.output("up", "-f", "Procfile", "--dry-run")
    assert shown.count("PORT=") == 606
    (here.path / "Procfile").write_text("".join(f"c{number}: echo $PORT\n" for number in range(610)))
    told = here.output("check", "-f", "Procfile", status=2)
    assert "Procfile:607: c606: uses PORT, but c606 would be beyond 65535" in told


def test_ports_that_refer_to_each_other_are_reported_once(here):
    here.write(
        '[components.a]\ncommand = "true"\nport = "${b.PORT}"\n[components.b]\ncommand = "true"\nport = "${a.PORT}"\n'
    )
    reported = here.output("check", status=2)
    assert reported == "orchestrate: orchestrate.toml:3: a: port refers to itself: a → b → a\n"
