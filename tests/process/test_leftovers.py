"""Supervisor and guardians SIGKILLed together: the next start finds what survived, names it, and ends it on request.

Strangers are never signalled, however much they look like ours.
"""

import os
import re
import signal
import subprocess
import sys

import pytest
from harness import describe, stat_of, tree, until

from orchestrator.process import leftovers, procfs
from orchestrator.process import tree as engine
from orchestrator.runtime.loop import Loop

# As setproctitle does it: the environment on the stack, which /proc shows, becomes blanks. Ignores the hang-up, and
# leaves a child when the leader has gone.
WIPED = r"""
import ctypes, os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork():
    print("ready", flush=True)
    os.read(0, 1)
    os._exit(0)
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
begin, end = int(fields[47]), int(fields[48])
ctypes.memset(begin, 0x20, end - begin)
open("/proc/self/comm", "w").write("wiped")
while True: signal.pause()
"""


def killed(home, names, **more):
    """A run of these trees, killed together with its guardians."""
    home.write(**{name: tree(name) for name in names}, **more)
    run = home.up("--color", "never")
    run.wait_ready(*names, *more)
    for pid in [run.pid, *(pid for pid, _ in run.guardians())]:
        os.kill(pid, signal.SIGSTOP)  # else those killed last would see those killed first, and stop their tree
    for pid in [run.pid, *(pid for pid, _ in run.guardians())]:
        os.kill(pid, signal.SIGKILL)
    run.wait()
    return run


def named(run):
    return {int(pid) for pid in re.findall(r"^orchestrate:   \S+: (\d+) ", run.messages, re.MULTILINE)}


def settled(run, *gone):
    """Its survivors, once the hang-up has ended what it ends."""
    assert until(lambda: not any(words in describe(pid) for pid in run.living() for words in gone)), run.living()
    return set(run.living())


def test_the_next_start_names_what_survived_goes_on_and_names_it_again(home):
    first = killed(home, ["daemon", "deaf", "plain"])
    assert until(lambda: len(first.living()) == 3), first.living()  # the hang-up ends the leaders of the two others
    left = set(first.living())
    home.write(name="Next", again=tree("plain"))
    for _ in range(2):
        second = home.up("--color", "never", file="Next")
        second.wait_ready("again")
        assert named(second) == left, f"{second}\n{first.living()}"
        assert re.search(r"^orchestrate:   daemon: ", second.messages, re.MULTILINE)
        assert "--end-survivors" in second.messages
        second.stop()
    assert set(first.living()) == left
    first.end()


def test_it_is_ended_on_request_and_then_nothing_is_said(home):
    first = killed(home, ["daemon", "deaf", "session", "family"])
    settled(first, "trees.py family")
    home.write(name="Next", again=tree("plain"))
    second = home.up("--color", "never", "--end-survivors", file="Next")
    second.wait_ready("again")
    assert first.survivors(0.5) == []
    second.stop()
    third = home.up("--color", "never", "--end-survivors", file="Next")
    third.wait_ready("again")
    assert "earlier run" not in third.messages
    third.stop()
    assert list((home.path / ".orchestrate" / "locks").glob("*.tree")) == []


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks(answer, home):
    first = killed(home, ["deaf"])
    left = settled(first)
    home.write(name="Next", again=tree("plain"))
    second = home.up("--color", "never", file="Next", terminal=True)
    second.wait_for(r"end them now\? \[Y/n\]")
    os.write(second.terminal_fd, answer.encode() + b"\n")
    second.wait_ready("again")
    assert set(first.living()) == (left if answer == "n" else set())
    second.stop()
    first.end()


def test_what_wiped_its_environment_is_found_by_its_session_without_its_leader(home, tmp_path):
    program = tmp_path / "wiped.py"
    program.write_text(WIPED)
    home.write(web=f"exec {sys.executable} -S -E {program}")
    first = home.up("--color", "never")
    first.wait_ready("web")
    first.kill_with_guardians()  # the leader reads the end of its terminal
    (left,) = settled(first, " python state")
    assert stat_of(left)[0] == "wiped"
    home.write(name="Next", again=tree("plain"))
    second = home.up("--color", "never", "--end-survivors", file="Next")
    second.wait_ready("again")
    assert named(second) == {left}, second
    assert first.survivors(0.5) == []
    second.stop()


def test_what_goes_on_as_a_new_process_all_the_time_is_named_and_ended(home):
    """Between two looks at /proc it is another; a look that misses it must not be the last."""
    names = [f"hopper-{number}" for number in range(5)]
    first = killed(home, [], **{name: tree("hopper") for name in names})
    home.write(name="Next", again=tree("plain"))
    second = home.up("--color", "never", "--end-survivors", file="Next")
    second.wait_ready("again")
    assert set(re.findall(r"^orchestrate:   (\S+): \d+ ", second.messages, re.MULTILINE)) == set(names), str(second)
    assert first.survivors(0.5) == []
    second.stop()


def test_after_a_regular_end_there_is_no_record(home):
    run = home.write(web=tree("daemon")).up("--color", "never")
    run.wait_ready("web")
    locks = home.path / ".orchestrate" / "locks"
    (record,) = locks.glob("*.tree")
    assert record.stat().st_mode & 0o777 == 0o600
    run.stop()
    assert list(locks.glob("*.tree")) == []


@pytest.fixture
def stranger():
    """A process with an environment of its own, in a session of its own."""
    started = []

    def start(**environment):
        command = [sys.executable, "-S", "-E", "-c", "import signal\nprint(flush=True)\nwhile True: signal.pause()"]
        started.append(
            subprocess.Popen(
                command, env={"PATH": "/bin", **environment}, stdout=subprocess.PIPE, start_new_session=True
            )
        )
        started[-1].stdout.readline()
        return started[-1].pid

    yield start
    for process in started:
        process.send_signal(signal.SIGUSR1)  # later than any signal that it should not have got, which would win
        assert process.wait() == -signal.SIGUSR1
        process.stdout.close()


def record(directory, leader, start, token="0" * 32, boot=None):
    path = directory / f"web.{token}.tree"
    path.write_text(f"{boot or leftovers._boot()} {leader} {start}\n")
    return path


CASES = {
    "its pid was another's": lambda pid: {"leader": pid, "start": procfs.start_time(pid) - 1},
    "another boot": lambda pid: {"leader": pid, "start": procfs.start_time(pid), "boot": "another"},
    "the mark of another run": lambda pid: {"leader": 0, "start": 0},
}


@pytest.mark.parametrize("case", CASES)
def test_a_stranger_is_not_found_nor_ended(case, stranger, tmp_path):
    pid = stranger(ORCHESTRATE_RUN="1" * 32 + ".web", ORCHESTRATE_INSTANCE="web")
    path = record(tmp_path, **CASES[case](pid))
    assert leftovers.find(tmp_path) == ([], [path])
    loop = Loop()
    assert leftovers.end(tmp_path, 0.1, loop) == []
    loop.close()


def test_a_pid_whose_process_is_another_by_now_is_not_signalled(stranger):
    pid = stranger()
    engine.send_exact(pid, procfs.start_time(pid) - 1, signal.SIGKILL)
    engine.send_exact(pid, procfs.start_time(pid), 0)


def test_the_mark_finds_it_and_what_is_above_us_is_left_alone(stranger, tmp_path):
    pid = stranger(ORCHESTRATE_RUN="0" * 32 + ".web")
    path = record(tmp_path, 0, 0)
    found, empty = leftovers.find(tmp_path)
    assert ([s.pid for s in found], empty) == ([pid], [])
    ours = record(tmp_path, os.getpid(), procfs.start_time(os.getpid()), token="2" * 32)
    found, empty = leftovers.find(tmp_path)
    assert ([s.pid for s in found], empty) == ([pid], [ours])
    path.unlink()


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"a b", b"a 1 2 3 4", b"x y z\n"])
def test_a_record_that_cannot_be_read_is_dropped(content, tmp_path):
    path = tmp_path / f"web.{'0' * 32}.tree"
    path.write_bytes(content)
    assert leftovers.find(tmp_path) == ([], [path])


def test_a_symlink_in_place_of_the_record_is_not_followed(home):
    """Its name has a token that nobody can foresee; and where somebody does, the open refuses."""
    target = home.path / "target"
    lock = home.path / "web.lock"
    os.symlink(target, leftovers.record_path(str(lock)))
    leftovers.write_record(str(lock), os.getpid())
    assert not target.exists()
