"""The locks: two real processes, deaths, forks."""

import os
import signal
import subprocess
import sys

import pytest

from orchestrator.runtime.lock import InstanceLock, Lock, holder

HOLD = """
import os, sys
from pathlib import Path
from orchestrator.runtime.lock import Lock
lock = Lock(Path(sys.argv[1]))
print(lock.take(), flush=True)
"""
THEN_FORK = """
if os.fork() == 0:
    os.closerange(3, 256)
    os.write(1, b"forked\\n")
    os.close(1)
    os.execvp("sleep", ["sleep", "60"])
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def hold(path):
    """Start a process that takes the lock and goes on with some more code; it is killed afterwards."""
    started = []

    def start(more="sys.stdin.read()\n"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD + more, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process, process.stdout.readline() == "True\n"

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_one_holds_it_and_another_is_refused(path, hold):
    process, taken = hold()
    assert taken
    assert not Lock(path).take()
    assert hold()[1] is False
    if sys.platform == "linux":
        assert holder(path) == process.pid


def test_released_it_can_be_taken_and_nobody_holds_it(path):
    lock = Lock(path)
    assert holder(path) is None
    assert lock.take()
    lock.release()
    assert holder(path) is None
    assert lock.take()
    lock.release()


def test_who_holds_it_now_is_told_not_who_held_it(path):
    lock = Lock(path)
    assert lock.take()
    if sys.platform == "linux":
        assert holder(path) == os.getpid()
    lock.release()
    assert holder(path) is None


def test_a_released_lock_is_free_for_another_process(path, hold):
    process, taken = hold("sys.stdin.read()\nlock.release()\nprint('released', flush=True)\nsys.stdin = None\n")
    assert taken
    process.stdin.close()
    assert process.stdout.readline() == "released\n"
    lock = Lock(path)
    assert lock.take()
    lock.release()


def test_a_killed_holder_leaves_no_stale_lock(path, hold):
    process, taken = hold()
    assert taken
    process.kill()
    process.wait()
    lock = Lock(path)
    assert path.exists()
    assert lock.take()
    lock.release()


def test_a_forked_child_that_closed_its_descriptors_does_not_keep_it(path, hold):
    process, taken = hold(THEN_FORK)
    assert taken
    assert process.stdout.readline() == "forked\n"
    assert not Lock(path).take()
    process.kill()
    process.wait()
    os.killpg(process.pid, 0)  # the child lives
    lock = Lock(path)
    assert lock.take()
    lock.release()


def test_a_guardians_lock_is_the_same_lock(path, hold):
    process, taken = hold()
    lock = InstanceLock(str(path))
    assert (taken, lock.take()) == (True, False)
    process.kill()
    process.wait()
    assert lock.take()
    try:
        assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, b"")
        assert (Lock(path).take(), hold()[1]) == (False, False)
        if sys.platform == "linux":
            assert holder(path) == os.getpid()
    finally:
        os.close(lock._fd)
    assert hold()[1] is True


def test_a_guardians_lock_follows_no_link(tmp_path, path):
    path.symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic links"):
        InstanceLock(str(path)).take()
    assert not (tmp_path / "theirs").exists()


def test_its_file_is_private_and_empty(path):
    mask = os.umask(0)
    try:
        lock = Lock(path)
        assert lock.take()
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b""
    lock.release()


def test_a_path_that_cannot_be_opened_is_an_error_not_a_held_lock(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Lock(tmp_path / "file" / "lock").take()


def test_there_is_no_holder_of_what_is_not_there(path):
    assert holder(path) is None
