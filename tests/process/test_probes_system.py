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
    run.wait_for(rf"web did not get ready: .* another process owns that socket: {other.pid} ")
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
    run.wait_for("web did not get ready: .* another process owns that socket: ")
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
    run.wait_for("another process owns that socket")
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
    run.wait_for(rf"web failed its liveness probe 3 times: http://127.0.0.1:{port}/: HTTP status 503")
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
    assert "liveness probe" not in run.text
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
    assert run.text.count("web failed its liveness probe") == 3


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


# Unix sockets, files, notifications


PROGRAM = """
import os, socket, sys
os.makedirs("run", exist_ok=True)
print("begun", flush=True)
open("go").read()
"""
LISTEN = """
listener = socket.socket(socket.AF_UNIX)
listener.bind("run/app.sock")
listener.listen()
"""
HTTP = """
while True:
    connection = listener.accept()[0]
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    connection.close()
"""
NOTIFY = """
def notify(text):
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\\0")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), address)
notify("STATUS=loading models")
print("loading", flush=True)
open("go").read()
notify("READY=1\\nSTATUS=serving")
"""
LAST = "import signal; signal.pause()\n"


@pytest.mark.parametrize(
    ("probe", "program"),
    [
        ('unix = "run/app.sock"', LISTEN),
        ('unix = "${DIR}/app.sock"', LISTEN),
        ('http = "http+unix://run%2Fapp.sock/health"', LISTEN + HTTP),
        ('file = "run/app.pid"', "open('run/app.pid', 'w').write(str(os.getpid()))\n"),
    ],
)
def test_paths_are_relative_to_the_directory_of_the_component(here, probe, program):
    (here.path / "sub").mkdir()
    (here.path / "sub" / "run").mkdir()
    (here.path / "sub" / "run" / "app.pid").touch()
    os.utime(here.path / "sub" / "run" / "app.pid", (1, 1))  # of an earlier start
    os.mkfifo(here.path / "sub" / "go")
    (here.path / "sub" / "app.py").write_text(PROGRAM + program + LAST)
    text = probed(
        f"exec {sys.executable} app.py", f"{probe}, interval = 0.02", 'cwd = "sub"', 'environment.DIR = "run"'
    )
    run = here.write(text).up()
    run.wait_for(r"web +\| begun")
    assert here.output("status").startswith("starting")
    assert "api up" not in run.text
    (here.path / "sub" / "go").write_text("go")
    wait_up(run)
    run.stop()


def test_it_reports_that_it_is_ready(here):
    os.mkfifo(here.path / "go")
    (here.path / "app.py").write_text(PROGRAM + NOTIFY + LAST)
    text = probed(f"exec {sys.executable} app.py", "notify = true")
    run = here.write(text).run("up", "--color", "never", env={"NOTIFY_SOCKET": str(here.path / "manager")})
    run.wait_for(r"web +\| begun")
    assert "web is starting: no READY=1 on NOTIFY_SOCKET yet\n" in here.output("why", "web")
    (here.path / "go").write_text("go")
    run.wait_for(r"web +\| loading")
    assert until(lambda: "no READY=1 on NOTIFY_SOCKET yet: loading models" in here.output("why", "web"))
    assert "api up" not in run.text
    (here.path / "go").write_text("go")
    wait_up(run)
    restart = here.run("restart", "web")  # another run reports anew
    run.wait_for(r"(?s)begun.*begun")
    assert here.output("status").startswith("starting")
    for _ in range(2):
        (here.path / "go").write_text("go")
        until(lambda: run.text.count("loading") == 2)
    here.output("wait", "--ready")
    assert restart.wait() == 0
    run.stop()


def test_one_that_never_reports_is_not_ready_in_time(here):
    run = here.write(component("web", STAY, "ready = { notify = true }")).up("--wait", "0.3")
    run.wait_for("waiting for web: no READY=1 on NOTIFY_SOCKET yet")
    assert run.wait() == 4


def test_a_line_says_that_it_never_gets_ready(here):
    command = "echo Error: listen EADDRINUSE :::3000; exec sleep 1000"
    text = component("web", command, 'ready = { log = "up$" }', 'failed = { log = "EADDRINUSE" }')
    run = here.write(text).up()
    run.wait_for("web will not get ready: a line matches 'EADDRINUSE'")
    assert run.wait() == 1, str(run)
    assert run.survivors(2) == []


def test_such_a_line_leads_to_a_restart_and_counts_before_it_is_ready_only(here):
    command = (
        "test -e second || { touch second; echo fatal; sleep 1000; }; echo up; echo fatal; echo on; exec sleep 1000"
    )
    lines = ('ready = { log = "up$" }', "failed = [{ log = 'fatal' }]")
    policy = "restart = { policy = 'on-failure', backoff = [0, 0] }"
    run = here.write(component("web", command, *lines, policy)).up()
    run.wait_for(r"web +\| on$")
    here.output("wait", "--ready")
    assert run.text.count("will not get ready") == 1
    run.stop()


def test_failed_without_ready_is_a_mistake(here):
    told = here.write(component("web", STAY, 'failed = { log = "x" }')).output("check", status=2)
    assert "components.web.failed: counts until the component is ready, and it has no ready" in told


def test_config_shows_the_new_probes_as_they_are_written(here):
    text = component(
        "web",
        STAY,
        'ready = { unix = "a.sock", file = "b", notify = true, http = "http+unix://a.sock/", status = [200, "3xx"] }',
        'failed = [{ log = "a" }, { log = "b" }]',
    )
    shown = here.write(text).output("config")
    again = here.write(shown).output("config")
    assert again == shown
    assert 'status = [200, "3xx"]' in shown
