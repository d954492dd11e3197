"""A machine that lacks what it usually has: descriptors, /proc, a home that can be written."""

import contextlib
import os
import resource
import subprocess
import sys

import pytest

from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.edge import EdgeWatch
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and mount namespaces")
in_namespace = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0, reason="needs unshare"
)


@pytest.fixture
def no_descriptor_left():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def take_all():
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))

    taken = []
    yield take_all
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for fd in taken:
        os.close(fd)


def test_a_terminal_that_is_closed_is_watched_where_no_descriptor_is_left(no_descriptor_left):
    """Found with 20 components below `ulimit -n 60`: their log files were missing, and the supervisor died."""
    loop, told = Loop(), []
    watch = EdgeWatch(loop)
    master, slave = os.openpty()
    os.close(slave)
    no_descriptor_left()
    assert watch.add(master, lambda: told.append("hung up"))
    loop.turn()
    assert told == ["hung up"]
    watch.remove(master)
    os.close(master)


@in_namespace
def test_without_proc_nothing_is_started(home):
    home.write(web="touch started")
    run = home.up(before=["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"])
    assert run.wait() == 1
    assert run.messages.strip() == (
        "orchestrate: unable to start: there is no /proc; mount it: mount -t proc proc /proc"
    )
    assert not (home.path / "started").exists()


@in_namespace
def test_a_home_on_a_read_only_file_system_says_what_to_do(home):
    """Also where an earlier run has made its corner."""
    Home(home.path).make()
    home.write(web="true")
    remount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    run = home.up(before=["unshare", "-m", "sh", "-c", remount, "sh", home.path])
    assert run.wait() == 1
    assert run.messages.strip() == (
        f"orchestrate: unable to open {home.lock}: Read-only file system;"
        " make it writable, or name another with --home DIR"
    )


def test_what_cannot_be_written_is_told_without_a_name_that_nobody_knows(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OrchestrateError) as caught:
        Home(tmp_path).make()
    assert str(caught.value) == (
        f"unable to use {tmp_path} as home: No space left on device; make it writable, or name another with --home DIR"
    )
