"""A machine that lacks what it usually has: descriptors, /proc, a home that can be written."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from harness import until

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.run import Run
from orchestrator.model.spec import ComponentSpec, Ownership, TcpProbe
from orchestrator.process import procfs, tree
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import EdgeWatch, Loop
from orchestrator.supervisor.probes import Probes

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

    def give_back():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        while taken:
            os.close(taken.pop())

    taken = []
    take_all.give_back = give_back
    yield take_all
    give_back()


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


def test_a_tree_is_seen_and_ended_where_no_descriptor_is_left(no_descriptor_left):
    """Below the hard limit a few are set apart for that."""
    script = 'sh -c "echo; exec sleep 600" & exec sleep 600'
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            no_descriptor_left()
            assert len(tree.descendants(process.pid)) == 1
            tree.kill_tree(process.pid)
            no_descriptor_left.give_back()
            assert until(lambda: all(procfs.is_zombie(m.pid) for m in tree.descendants(process.pid)))
        finally:
            no_descriptor_left.give_back()
            tree.kill_tree(process.pid)
            process.kill()


def test_a_prober_that_cannot_be_forked_is_forked_later(no_descriptor_left):
    """Each question tries again, and counts for nothing meanwhile."""
    probe = TcpProbe("127.0.0.1", 1, retries=1, owner=Ownership.ANY)
    failures = []
    instance = SimpleNamespace(
        name="web",
        key="web",
        run=Run(1, 0.0, 0.0),
        guardian_pid=0,
        spec=ComponentSpec(name="web", argv=("true",), cwd="/", ready=(probe,)),
    )
    loop = Loop()
    probes = Probes(
        loop, lambda instance: None, lambda instance, reason, restarts=False: failures.append(reason), lambda: None
    )
    no_descriptor_left()
    probes.fork_if_needed([instance.spec])
    probes.watch(instance, SimpleNamespace())
    assert (probes.pids, failures) == (set(), [])
    assert probes.last_answer("web") == "cannot fork the prober: Too many open files"
    no_descriptor_left.give_back()
    while not failures:
        loop.turn()
    assert failures == ["did not get ready: tcp 127.0.0.1:1 failed once: connection refused"]
    probes.close()


NOBODY = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
RIGHTS = "-all,+dac_override,+dac_read_search"  # to reach this Python and the home, and not beyond the limit
UNPRIVILEGED = [*NOBODY, *(f"--{kind}={RIGHTS}" for kind in ("inh-caps", "ambient-caps", "bounding-set"))]


@pytest.mark.skipif(
    shutil.which("setpriv") is None or subprocess.run([*UNPRIVILEGED, "true"], capture_output=True).returncode != 0,
    reason="needs a user of its own, with root's rights to files",
)
def test_where_no_process_can_be_forked_the_end_is_said_in_words(home):
    text = '[components.web]\ncommand = "sleep 100"\nready = { tcp = 1 }\n'
    home.write(text, name="orchestrate.toml")
    limited = ["bash", "-c", 'ulimit -u 1 && exec "$@"', "bash"]
    run = home.up(file="orchestrate.toml", before=[*UNPRIVILEGED, *limited])
    assert run.wait() == 1
    assert "web did not start: no guardian could be forked: Resource temporarily unavailable" in run.text
    assert "Traceback" not in run.messages


@in_namespace
def test_without_proc_nothing_is_started(home):
    home.write(web="touch started")
    run = home.up(before=["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"])
    assert run.wait() == 1
    assert run.messages.strip() == (
        "orchestrate: cannot start: /proc is not mounted\nhint: mount it: mount -t proc proc /proc"
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
        f"orchestrate: cannot open {home.lock}: Read-only file system\n"
        "hint: make it writable, or name another with --home DIR"
    )


def test_what_cannot_be_written_is_told_without_a_name_that_nobody_knows(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OrchestrateError) as caught:
        Home(tmp_path).make()
    assert str(caught.value) == (
        f"cannot use {tmp_path} as home: No space left on device\n"
        "hint: make it writable, or name another with --home DIR"
    )
