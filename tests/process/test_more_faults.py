"""Faults beyond those of test_faults.py: storms, bombs, odd processes, many components, every state of one."""

import contextlib
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from harness import PATIENCE, Run, command_under_test, describe, pump, stat_of, tree, until
from test_faults import GRACE, SOON, started_again, system, verdict, what_went_wrong

from orchestrator.runtime.fd_limit import SET_APART
from orchestrator.runtime.unix_socket import short_path

ODD = ["bomb", "vforks", "traced"]
if platform.machine() == "x86_64":  # it makes the system call by its number
    ODD.append("thread-leader")
if os.getuid() == 0:
    ODD.append("foreign")


def storm(run, numbers, count=1000):
    for number in range(count):
        run.signal(numbers[number % len(numbers)])


def thousand(run):
    """A thousand signals, of which one asks for an end: which of two that wait together is heard first is not said."""
    storm(run, [signal.SIGTERM, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG])


def another_thousand(run):
    """Any that is taken for the first would change the status. SIGQUIT is not among them: it would end the grace."""
    storm(run, [signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG])


DEATHS = {
    "TERM": (lambda run: run.signal(signal.SIGTERM), -signal.SIGTERM),
    "KILL": (lambda run: run.signal(signal.SIGKILL), -signal.SIGKILL),
    "QUIT": (lambda run: run.signal(signal.SIGQUIT), 128 + signal.SIGQUIT),
    "a thousand signals": (thousand, -signal.SIGTERM),
    "KILL of all guardians": (lambda run: [os.kill(pid, signal.SIGKILL) for pid, _ in run.guardians()], 1),
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("name", ODD)
def test_nothing_is_left_of_an_odd_tree(name, death, home):
    act, status = DEATHS[death]
    run = system(home, [name, "plain"])
    run.wait_ready(name, "plain")
    since = time.monotonic()
    act(run)
    verdict(what_went_wrong(f"{death}, {name}", run, since, status, GRACE + SOON))
    verdict(started_again([(name, home)]))


def test_a_thousand_signals_stop_it_once_and_as_the_first_says(home):
    run = system(home, ["plain", "daemon", "deaf"])
    run.wait_ready("plain", "daemon", "deaf")
    since = run.signal(signal.SIGTERM)
    run.wait_for("SIGTERM received")
    another_thousand(run)
    verdict(what_went_wrong("storm", run, since, -signal.SIGTERM, GRACE + SOON))
    assert run.messages.count("Shutting down") == 1


def test_a_thousand_signals_during_a_stop_change_nothing_of_it(home):
    run = system(home, ["plain", "deaf"])
    run.wait_ready("plain", "deaf")
    since = run.signal(signal.SIGTERM)
    run.wait_for("plain stopped")
    another_thousand(run)
    verdict(what_went_wrong("storm in a stop", run, since, -signal.SIGTERM, GRACE + SOON))
    assert run.messages.count("Shutting down") == 1


def test_nothing_is_left_after_a_thousand_signals_at_any_moment_of_a_start(home):
    """From its first instant on; until it can hear them, a signal ends it as it does any program."""
    for number in range(12):
        run = system(home, ["plain", "daemon", "deaf"])
        pump(lambda count=number, run=run: run.text.count("\n") >= count // 4 or run.returncode is not None, PATIENCE)
        since = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            another_thousand(run)
        run.wait()
        ended = -run.returncode if run.returncode < 0 else run.returncode - 128
        assert ended in (signal.SIGTERM, signal.SIGHUP), str(run)
        assert run.survivors(max(0.0, since + float(GRACE) + SOON - time.monotonic())) == []


def test_a_thousand_signals_that_ask_for_no_end_change_nothing(home):
    run = system(home, ["plain"])
    run.wait_ready("plain")
    storm(run, [signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG])
    run.stop()


def test_a_storm_upon_the_guardian_does_nothing(home):
    run = system(home, ["plain"])
    run.wait_ready("plain")
    guardian = run.guardian_of("trees.py plain")
    for number in range(1000):
        os.kill(guardian, [signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGRTMAX, signal.SIGUSR1][number % 5])
    assert stat_of(guardian)
    run.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_guardians_that_were_stopped_still_end_their_trees(number, home):
    """kill -STOP of all guardians, then the end of the supervisor; the next start wakes those of a killed one."""
    run = system(home, ["plain", "daemon"])
    run.wait_ready("plain", "daemon")
    for pid, _ in run.guardians():
        os.kill(pid, signal.SIGSTOP)
    since = run.signal(number)
    if number == signal.SIGKILL:
        run.wait()
        home.write(name="Next", again=tree("plain"))
        second = home.up("--color", "never", file="Next")
        second.wait_ready("again")
        second.stop()
        assert run.survivors(0.5) == []
        return
    verdict(what_went_wrong("stopped guardians", run, since, -number, GRACE + SOON))


@pytest.mark.parametrize("death", DEATHS)
def test_nothing_is_left_in_backoff(death, home):
    home.write(
        name="orchestrate.toml",
        text=f"[components.web]\ncommand = {tree('left', 7)!r}\n"
        'restart = { policy = "always", backoff = [60, 60] }\n'
        f"[components.other]\ncommand = {tree('daemon')!r}\n",
    )
    run = home.up("-t", GRACE, "--color", "never", file="orchestrate.toml")
    run.wait_ready("other")
    run.wait_for(r"web.*again in|again in.*web|restart")
    act, status = DEATHS[death]
    since = time.monotonic()
    act(run)
    verdict(what_went_wrong(f"{death} in backoff", run, since, status, GRACE + SOON))


@pytest.mark.parametrize("death", DEATHS)
def test_nothing_is_left_of_an_initial_step(death, home):
    home.write(
        name="orchestrate.toml",
        text=f"[init.first]\ncommand = {tree('daemon')!r}\n[components.web]\ncommand = {tree('plain')!r}\n",
    )
    run = home.up("-t", GRACE, "--color", "never", file="orchestrate.toml")
    run.wait_ready("first")
    act, status = DEATHS[death]
    since = time.monotonic()
    act(run)
    verdict(what_went_wrong(f"{death} in an initial step", run, since, status, GRACE + SOON))
    assert "web" not in run.text


def test_a_daemon_outside_that_holds_the_terminal_of_a_component_does_not_hold_the_end(home, tmp_path):
    """It was handed the descriptor, and is nobody's descendant: an end is known from waitpid, never from the EOF."""
    socket_path = tmp_path / "socket"
    holder = Run([sys.executable, "-S", "-E", "-c", HOLD, str(socket_path)])
    holder.wait_for("^listens$")
    home.write(web=f"exec {sys.executable} -S -E -c '{HAND_OVER}' {socket_path}")
    run = home.up("-t", GRACE, "--color", "never")
    holder.wait_for("^holds$")
    run.wait_ready("web")
    since = run.signal(signal.SIGTERM)
    verdict(what_went_wrong("held terminal", run, since, -signal.SIGTERM, SOON))
    holder.signal(signal.SIGTERM)
    holder.wait()


HOLD = """
import signal, socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen()
print("listens", flush=True)
_, fds, _, _ = socket.recv_fds(server.accept()[0], 1, 1)
print("holds", flush=True)
signal.pause()
"""
HAND_OVER = (
    "import signal, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    'socket.send_fds(s, [b"x"], [1]); print("ready", flush=True); signal.pause()'
)


@pytest.mark.parametrize("death", ["TERM", "KILL", "KILL of all guardians"])
def test_two_hundred_components_under_a_soft_limit_of_1024_descriptors(death, home):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2048:
        pytest.skip("the hard limit is too low")
    home.write(**{f"c{count}": "echo ready; setsid sleep 600 & exec sleep 600" for count in range(200)})
    limited = ["sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh"]
    run = home.up("-t", GRACE, "--color", "never", before=limited)
    assert pump(lambda: run.text.count("| ready\n") == 200 or run.returncode is not None, PATIENCE), str(run)
    act, status = DEATHS[death]
    since = time.monotonic()
    act(run)
    verdict(what_went_wrong("200", run, since, status, GRACE + SOON))
    assert "Too many open files" not in run.messages


def test_a_bomb_that_has_gone_off_is_gone_soon(home):
    """All 500 are there, and end together."""
    run = system(home, ["bomb"])
    run.wait_ready("bomb")
    assert until(lambda: len(run.living()) > 500, interval=0.1)
    since = run.signal(signal.SIGTERM)
    verdict(what_went_wrong("bomb", run, since, -signal.SIGTERM, GRACE + 1))


def test_too_few_descriptors_is_said_and_nothing_is_left(home):
    """The hard limit is what there is: components that cannot be started are failures, with a reason."""
    home.write(**{f"c{count}": "echo ready; exec sleep 600" for count in range(40)})
    run = home.up("-t", GRACE, "--color", "never", before=["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"])
    since = time.monotonic()
    verdict(what_went_wrong("EMFILE", run, since, 1, PATIENCE))
    assert "Too many open files" in run.messages


def test_the_stop_goes_through_while_the_terminal_is_stalled(home):
    home.write(flood="yes", daemon=tree("daemon"), deaf=tree("deaf"))
    run = home.up("-t", GRACE, "--color", "never", terminal=True)
    run.wait_ready("daemon", "deaf")
    run.look_away(run.terminal_fd)
    run.wait_stalled(run.terminal_fd)
    since = run.signal(signal.SIGTERM)
    verdict(what_went_wrong("stalled", run, since, -signal.SIGTERM, GRACE + SOON))


@pytest.fixture
def public():
    """A directory that every user may enter and write to."""
    path = Path(tempfile.mkdtemp(prefix="orchestrate-test-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def as_nobody(*words):
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words]


def needs_nobody(test):
    able = (
        os.getuid() == 0
        and shutil.which("setpriv")
        and subprocess.run(as_nobody(*command_under_test(), "version"), capture_output=True, check=False).returncode
        == 0
    )
    return pytest.mark.skipif(not able, reason="root is needed, and a Python that another user may run")(test)


@needs_nobody
def test_what_cannot_be_killed_is_named_the_status_is_1_and_its_guardian_keeps_the_lock(public, home_at):
    """A set-uid program that became root, below a supervisor that is not."""
    home = home_at(public)
    program = public / "become-root"
    shutil.copy(shutil.which("setpriv"), program)
    os.chmod(program, 0o4755)
    home.write(web=f"nohup {program} --reuid=0 sleep 300 & echo ready; wait")  # the kernel's hang-up could end it
    run = Run(as_nobody(*home.command("-t", "1", "--color", "never")))
    run.wait_ready("web")
    (sleeper,) = [pid for pid in run.living() if describe(pid).endswith(": sleep 300")]
    run.signal(signal.SIGTERM)
    assert run.wait() == 1, str(run)
    assert f"cannot kill what is left of web: {sleeper} (sleep 300" in run.messages
    guardian = stat_of(sleeper)[2]
    home.write(name="Next", again="echo ready; exec sleep 300")
    second = Run(as_nobody(*home.command("--color", "never", file="Next")))
    second.wait_for(rf"waiting for .*web \(guardian {guardian}\)")
    os.kill(sleeper, signal.SIGKILL)  # root can
    second.wait_ready("again")
    assert stat_of(guardian) is None
    second.stop()


def test_a_killed_guardians_tree_is_ended_where_no_descriptor_is_left(home):
    """Some are set apart for that: this ended the supervisor in a traceback."""
    run = system(home, ["daemon", "plain"], before=["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"])
    run.wait_ready("daemon", "plain")
    taken = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    for one in taken:
        with short_path(home.path / ".orchestrate" / "control.sock") as name:
            one.connect(name)
    assert until(lambda: len(os.listdir(f"/proc/{run.pid}/fd")) >= 64 - SET_APART)
    since = time.monotonic()
    os.kill(run.guardian_of("daemon"), signal.SIGKILL)
    verdict(what_went_wrong("EMFILE", run, since, 1, GRACE + SOON))
    assert "Traceback" not in str(run)
    for one in taken:
        one.close()
