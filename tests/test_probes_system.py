"""Readiness and liveness of real systems: real HTTP, HTTPS and TCP servers, commands, lines, prompts and delays.

`api` depends on the component that is probed: its line shows when that one was ready.
"""

import os
import pwd
import re
import shlex
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest
from definitions import STAY, Directory, component
from facts import until
from harness import PROGRAMS, Run, command_under_test, environment
from privileges import unprivileged


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def server(kind, port, *more):
    return shlex.join([sys.executable, "-E", str(PROGRAMS / "server.py"), kind, str(port), *more])


def probed(command, ready, *lines):
    text = component("web", command, f"ready = {{ {ready} }}", *lines)
    return text + component("api", f"echo api up; {STAY}", 'depends_on = { web = "ready" }')


def wait_up(run):
    run.wait_for(r"^api +\| api up$")


@pytest.mark.parametrize("kind", ["http", "https"])
@pytest.mark.parametrize(
    "more",
    ["", ', header = { x-state = "^warm \\\\d" }', ', body = "and ready"', ', request_headers = { X-Token = "yes" }'],
)
def test_http(here, port, kind, more):
    ready = f'http = "{kind}://127.0.0.1:${{PORT}}/health", interval = 0.05{more}'
    run = here.write(probed(server(kind, port, "open"), ready, f"port = {port}")).up()
    run.wait_for(r"asked /health(?s:.*)asked /health")
    assert "api up" not in run.text
    (here.path / "open").touch()
    wait_up(run)
    run.stop()


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        (', header = { X-State = "hot" }', "header X-State does not match 'hot'"),
        (', body = "hot"', "the body does not match 'hot'"),
        (", status = 204", "HTTP status 200"),
        (', request_headers = { X-Token = "no" }', "HTTP status 503"),
    ],
)
def test_an_answer_that_does_not_do_is_a_failure_where_that_is_said(here, port, more, answer):
    url = f"http://127.0.0.1:{port}/"
    run = here.write(
        probed(server("http", port), f'http = "{url}", interval = 0.05, start_period = 0.5, retries = 3{more}')
    ).up()
    run.wait_for(re.escape(f"web did not get ready: {url} failed 3 times: {answer}"))
    assert run.wait() == 1, str(run)
    assert run.survivors(2) == []


@pytest.mark.parametrize("where", ["{}", '"127.0.0.1:{}"', '"localhost:{}"', '":{}"', '"${{PORT}}"'])
def test_tcp(here, port, where):
    slow = f"read go < go; exec {server('tcp', port)}"
    os.mkfifo(here.path / "go")
    run = here.write(probed(slow, f"tcp = {where.format(port)}, interval = 0.05", f"port = {port}")).up()
    (here.path / "go").write_text("go\n")
    wait_up(run)
    assert run.text.index("listening") < run.text.index("api up")
    run.stop()


@pytest.mark.parametrize("probe", ['tcp = "127.0.0.1:{}"', 'http = "http://127.0.0.1:{}/"'])
def test_somebody_else_on_our_port_makes_nobody_ready(here, port, homes, probe):
    other = Run(shlex.split(server("http", port)))
    other.wait_for("listening")
    run = here.write(probed(STAY, probe.format(port) + ", interval = 0.05, retries = 3")).up()
    run.wait_for(rf"web did not get ready: .* somebody else answers there: {other.pid} ")
    assert run.wait() == 1, str(run)
    run = here.write(probed(STAY, probe.format(port) + ', interval = 0.05, owner = "any"')).up()
    wait_up(run)
    run.stop()
    other.signal(15)
    other.wait()


def test_one_of_our_own_components_is_somebody_else_too(here, port):
    text = component("other", server("tcp", port)) + probed(
        STAY, f"tcp = {port}, interval = 0.05, retries = 4, start_period = 1"
    )
    run = here.write(text).up()
    run.wait_for("web did not get ready: .* somebody else answers there: ")
    assert run.wait() == 1, str(run)


# Without root


@pytest.fixture
def without():
    """A directory of an unprivileged user, and what stands before his commands."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else beside him")
    way = unprivileged()
    with tempfile.TemporaryDirectory() as path:
        if "--reuid" in way:
            user = pwd.getpwnam("nobody")
            os.chown(path, user.pw_uid, user.pw_gid)
        yield Directory(Path(path)), way


def up_without(without, text):
    there, way = without
    env = environment(HOME=str(there.write(text).path))
    return Run([*way, *command_under_test(), "up", "--color", "never"], cwd=there.path, env=env)


def test_an_unprivileged_user_is_told_of_his_own_processes(without, port):
    """Ours counts, and another one of his own does not: the kernel shows him both."""
    run = up_without(without, probed(server("http", port), f'http = "http://127.0.0.1:{port}/", interval = 0.05'))
    wait_up(run)
    run.stop()
    other = Run([*without[1], *shlex.split(server("http", port))])
    other.wait_for("listening")
    run = up_without(without, probed(STAY, f"tcp = {port}, interval = 0.05, retries = 3"))
    run.wait_for("somebody else answers there")
    assert run.wait() == 1, str(run)
    other.signal(15)
    other.wait()


def test_what_the_kernel_does_not_tell_an_unprivileged_user_counts(without, port):
    other = Run(shlex.split(server("http", port)))
    other.wait_for("listening")
    run = up_without(without, probed(STAY, f"tcp = {port}, interval = 0.05, retries = 3"))
    wait_up(run)
    there, way = without
    why = Run([*way, *command_under_test(), "why", "web"], cwd=there.path, env=environment(HOME=str(there.path)))
    assert why.wait() == 0, str(why)
    assert "owner unknown" in why.text, str(why)
    run.stop()
    other.signal(15)
    other.wait()


# Commands, lines, prompts, delays


@pytest.mark.parametrize("command", ["'test -e open && test $ORCHESTRATE_COMPONENT = web'", '["test", "-e", "open"]'])
def test_exec(here, command):
    run = here.write(probed(f"echo begun; {STAY}", f"exec = {command}, interval = 0.02")).up()
    run.wait_for("begun")
    assert "api up" not in run.text
    (here.path / "open").touch()
    wait_up(run)
    run.stop()


def test_a_command_that_hangs_is_a_failure_and_goes_with_its_component(here):
    ready = 'exec = "echo asking; sleep 1000 & sleep 1000", timeout = 0.2, interval = 0.01, retries = 2'
    run = here.write(probed(STAY, ready)).up()
    run.wait_for(r"web did not get ready: .* failed 2 times: took longer than 0\.2 s")
    assert run.wait() == 1, str(run)
    assert run.survivors(2) == []


def test_a_prompt(here):
    command = "echo begun; printf 'not yet> '; read line < go; printf 'now (db) > '; exec sleep 1000"
    os.mkfifo(here.path / "go")
    run = here.write(probed(command, r"prompt = '\(db\) > $'")).up()
    run.wait_for("begun")
    assert "api up" not in run.text
    (here.path / "go").write_text("go\n")
    wait_up(run)
    run.stop()


def test_a_whole_line_is_no_prompt_and_a_prompt_is_no_line(here):
    ready = "prompt = 'word', log = 'other'"
    run = here.write(probed(f"echo word; printf other; {STAY}", ready)).up()
    run.wait_for("waiting for web: no .* yet that matches")
    assert "api up" not in run.text
    run.stop()


def test_delay(here):
    begun = time.monotonic()
    run = here.write(probed(f"echo begun; {STAY}", "delay = 0.5")).up()
    run.wait_for("begun")
    assert "api up" not in run.text
    run.wait_for("api up")
    assert time.monotonic() - begun >= 0.5
    run.stop()


# Liveness


def test_who_does_not_live_is_restarted_and_not_before_its_start_period(here, port):
    (here.path / "open").touch()
    alive = f'alive = {{ http = "http://127.0.0.1:{port}/", interval = 0.05, retries = 3 }}'
    ready = 'ready = { log = "listening" }'
    run = here.write(
        component("web", server("http", port, "open"), ready, alive, "restart = { backoff = [0, 0] }")
    ).up()
    run.wait_for("asked(?s:.*)asked")
    (here.path / "open").unlink()
    run.wait_for(rf"web does not live: http://127.0.0.1:{port}/ failed 3 times: HTTP status 503")
    (here.path / "open").touch()
    run.wait_for("starting web again(?s:.*)listening(?s:.*)asked(?s:.*)asked")
    run.stop()


def test_no_start_period_is_ended_by_a_failure(here):
    text = component(
        "web",
        f"echo begun; {STAY}",
        'alive = { exec = "echo x >> asked; false", interval = 0.02, start_period = 1000 }',
    )
    run = here.write(text).up()
    run.wait_for("begun")
    asked = here.path / "asked"
    assert until(lambda: asked.exists() and asked.read_text().count("x") >= 8)
    assert "does not live" not in run.text
    run.stop()


def test_one_that_never_lives_is_given_up_in_the_end(here):
    text = component(
        "web",
        STAY,
        'alive = { exec = "false", interval = 0.02, retries = 2 }',
        "restart = { max = 3, backoff = [0, 0] }",
    )
    run = here.write(text).up()
    run.wait_for("giving up on web: it ended 3 times")
    assert run.wait() == 1, str(run)
    assert run.text.count("web does not live") == 3


# Stops


def test_a_stop_by_keys(here):
    command = f'{sys.executable} -c \'print("begun", flush=True); print("read", input(), flush=True)\''
    run = here.write(component("web", command, r'stop = { keys = "quit\n", timeout = 30 }')).up()
    run.wait_for("begun")
    run.signal(15)
    assert run.wait() == -15
    assert "read quit" in run.text
    assert "web stopped (exited with status 0)" in run.text


def test_a_stop_by_a_command(here):
    text = component("web", 'trap "" TERM; echo $$ > pid; while :; do sleep 0.05; test -e end && exit 3; done')
    run = here.write(text + "stop = { command = 'echo ending > end', timeout = 30 }\n").up()
    assert until(lambda: (here.path / "pid").exists())
    run.signal(15)
    assert run.wait() == -15
    assert "web stopped (exited with status 3)" in run.text


def test_a_stop_command_that_does_nothing_is_followed_by_the_signal(here):
    run = here.write(component("web", f"echo begun; {STAY}", "stop = { command = 'true', timeout = 0.3 }")).up()
    run.wait_for("begun")
    run.signal(15)
    assert run.wait() == -15
    assert "web stopped (killed by SIGTERM)" in run.text
