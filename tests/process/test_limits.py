"""Components that run as another user, with limits, and those that the OOM killer ends: real users and groups."""

import contextlib
import grp
import json
import os
import pwd
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from definitions import STAY, Directory, component, ended, lines_of, step
from harness import until
from privileges import unprivileged

from orchestrator.model.spec import Limits
from orchestrator.runtime.cgroup import Groups, NoGroupError, oom_kills, own_group

PYTHON = "/usr/bin/python3"  # which another user can reach
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a component as another user")


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


@pytest.fixture
def public():
    """A directory that other users can reach, which one below pytest's is not."""
    with tempfile.TemporaryDirectory(prefix="orchestrate-tests-") as path:
        os.chmod(path, 0o755)
        yield Directory(Path(path))


SHOW = (
    "id -un; id -gn; stat -c %U $(tty); echo by-tty > /dev/tty; echo by-stdout > /dev/stdout; nice; umask; ulimit -n;"
    " ulimit -d; echo $USER $LOGNAME $HOME; echo ready; exec sleep 1000"
)


@needs_root
def test_a_component_runs_as_its_user_with_its_limits(here):
    nobody = pwd.getpwnam("nobody")
    keys = ('user = "nobody"', 'umask = "027"', "nice = 5", 'limits = { memory = "64M", files = 77 }')
    here.write(component("web", SHOW, *keys, 'environment = { LOGNAME = "own" }'))
    run = here.up()
    run.wait_ready("web")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    expected = ["nobody", group, "nobody", "by-tty", "by-stdout", "5", "0027", "77"]
    shown = lines_of(run, "web")
    assert shown[:8] == expected, shown
    assert shown[9] == f"nobody own {nobody.pw_dir}"
    if "no control group" in run.text:  # without one the limit is that of each process
        assert shown[8] == str(64 << 10)
    run.stop()


@needs_root
def test_all_that_runs_beside_it_is_that_user(public):
    """Probes, stop commands, hooks, initial steps, pipes; and a stop reaches the processes of another user."""
    note = public.path / "note"
    for path in (note, public.path / "pid"):
        path.touch()
        path.chmod(0o666)
    public.write(
        step("prepare", f"echo step $(id -un) >> {note}", 'user = "daemon"')
        + component(
            "web",
            "echo $$ > pid; echo web $(id -un) > /dev/stderr; exec sleep 1000",
            'user = "nobody"',
            "tty = false",
            f'ready = {{ exec = "echo probe $(id -un) >> {note}" }}',
            f'stop = {{ command = "echo stop $(id -un) >> {note}; kill $(cat pid)", timeout = 60 }}',
            f'after_exit = "echo hook $(id -un) >> {note}"',
        )
    )
    run = public.up()
    run.wait_for(r"all ready after")
    run.wait_for(r"^web +! web nobody$")
    assert public.output("run", "web", "--", "id", "-un") == "nobody\n"
    run.stop()
    assert note.read_text().split("\n")[:-1] == ["step daemon", "probe nobody", "stop nobody", "hook nobody"]


@needs_root
def test_what_the_user_may_not_run_is_reported(public):
    program = public.path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    public.write('[components.web]\ncommand = ["./mine"]\nuser = "nobody"\n')
    run = public.up()
    assert run.wait() == 127
    assert f"web did not start: user nobody may not run ./mine, or enter {public.path}" in run.text


NOTIFY = """
import os, socket
if os.fork() == 0:
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\\0")
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", address)
    os._exit(0)
os.wait()
import time
time.sleep(1000)
"""


@needs_root
@pytest.mark.skipif(not os.access(PYTHON, os.X_OK), reason="there is no Python for all users")
def test_its_child_may_report_that_it_is_ready(public):
    public.write(
        component("web", f"exec {PYTHON} notify.py", 'user = "nobody"', "ready.notify = true"), **{"notify.py": NOTIFY}
    )
    run = public.up()
    run.wait_for(r"all ready after")
    run.stop()


def test_what_cannot_be_set_is_reported_by_check(here):
    here.write(
        component("a", "true", 'user = "no-such-user"')
        + component("b", "true", 'group = "no-such-group"')
        + component("c", "true", 'user = "${WHO}"'),
    )
    reported = here.output("check", status=2, env={"WHO": "nobody-${x"})
    assert reported.splitlines()[:3] == [
        "orchestrate: orchestrate.toml:3: a: unknown user 'no-such-user'",
        "orchestrate: orchestrate.toml:6: b: unknown group 'no-such-group'",
        "orchestrate: orchestrate.toml:9: c: unknown user 'nobody-${x'",
    ]


def test_only_root_may_change_the_user(public):
    other = "daemon" if os.geteuid() == 0 else "root"
    before = unprivileged()
    if os.geteuid() == 0 and "--reuid" not in before:
        pytest.skip("no other user can run this Python")
    public.write(component("a", "true", f'user = "{other}"') + component("b", "true", "nice = -20"))
    reported = public.output("check", status=2, before=before)
    assert f"orchestrate.toml:3: a: only root can run a component as {other}; start orchestrate as root" in reported
    assert "orchestrate.toml:6: b: nice: only root can set a priority below" in reported


def test_memory_of_each_process_is_limited_without_a_control_group(here):
    eat = f"{sys.executable} -c 'bytearray(300_000_000)'"
    here.write(component("web", eat, 'limits = { memory = "64M" }'))
    run = here.up()
    assert run.wait() != 0
    assert "MemoryError" in run.text or "killed by the OOM killer" in run.text, run
    assert ("no control group for web, so limits.memory applies to each process: " in run.text) == (
        "MemoryError" in run.text
    )


# A component in a memory group: the version of the hierarchy that this machine has decides how it gets there.

EAT = """
import pathlib, sys
limit, value, procs = sys.argv[1:]
pathlib.Path(limit).write_text(value)
pathlib.Path(procs).write_text("0")
bytearray(500_000_000)
"""


@pytest.fixture
def memory_group():
    """A control group of ours in which a process may be limited: the files for its limit and its processes."""
    with contextlib.ExitStack() as stack:
        for parent, limit in (
            (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
            (Path("/sys/fs/cgroup"), "memory.max"),
        ):
            group = parent / f"orchestrate-test-{os.getpid()}"
            with contextlib.suppress(OSError):
                if not (parent / "cgroup.procs").exists():
                    continue
                group.mkdir()
                stack.callback(group.rmdir)
                if (group / limit).exists() and os.access(group / limit, os.W_OK):
                    yield group / limit, group / "cgroup.procs"
                    return
        pytest.skip("no control group with the memory controller can be made here")


def test_a_kill_by_the_oom_killer_is_reported_as_one(here, memory_group):
    limit, procs = memory_group
    here.write(
        component(
            "eater",
            f"{sys.executable} eat.py {limit} 40000000 {procs}; exit $?",
            'on_failure = "echo $ORCHESTRATE_REASON > reason"',
            'on_exit = "ignore"',
        )
        + component("idle", STAY, 'on_exit = "ignore"'),
        **{"eat.py": EAT},
    )
    run = here.up()
    run.wait_for(r"^orchestrate \| eater killed by the OOM killer after")
    assert until(lambda: (here.path / "reason").exists() and (here.path / "reason").read_text())
    assert (here.path / "reason").read_text() == "killed by the OOM killer\n"
    assert "was killed by the OOM killer" in here.output("why", "eater")
    eater, idle = map(json.loads, here.output("ps", "--json").splitlines())
    assert eater["last_exit"] == "killed by the OOM killer"
    os.kill(idle["pid"], signal.SIGKILL)  # that is another kill
    run.wait_for(r"^orchestrate \| idle killed by SIGKILL after")
    run.wait()


def can_divide():
    """Whether the group that the tests are in can be divided, which moves their process: then it is not done here."""
    try:
        group = own_group()
    except NoGroupError as error:
        return str(error)
    if not os.access(group / "cgroup.procs", os.W_OK):
        return f"{group} is not delegated"
    if "memory" not in (group / "cgroup.controllers").read_text().split():
        return f"{group} has no memory controller"
    return ""


@pytest.mark.skipif(bool(can_divide()), reason=f"no control group to divide: {can_divide()}")
def test_an_instance_gets_a_control_group(tmp_path):
    """A group of our own stands for the delegated one; the process that is moved is a child."""
    parent = own_group()
    if not (parent / "cgroup.type").exists():
        (parent / "cgroup.subtree_control").write_text("+memory +pids")
    group = parent / f"orchestrate-test-{os.getpid()}"
    group.mkdir()
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        if "memory" not in (group / "cgroup.controllers").read_text().split():
            pytest.skip(f"{parent} does not pass on the memory controller")
        (group / "cgroup.procs").write_text(str(child))
        with pytest.raises(NoGroupError, match="other processes"):
            Groups(lambda: {os.getpid()}, group)
        groups = Groups(lambda: {child}, group)
        assert (group / "supervisor" / "cgroup.procs").read_text() == f"{child}\n"
        made = Path(groups.make("web", Limits(memory=64 << 20, processes=9)))
        assert (made / "memory.max").read_text() == f"{64 << 20}\n"
        assert (made / "pids.max").read_text() == "9\n"
        assert oom_kills(str(made)) == 0
        again = Groups(lambda: {child}, group / "supervisor")  # a second start from the same shell
        assert again.make("web", Limits(memory=32 << 20)) == str(made)
        assert (made / "pids.max").read_text() == "max\n"
        made.rmdir()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for leaf in (group / "supervisor", group):
            until(lambda leaf=leaf: not leaf.exists() or "populated 0" in (leaf / "cgroup.events").read_text())
            with contextlib.suppress(FileNotFoundError):
                leaf.rmdir()


def test_a_definition_without_limits_is_printed_as_before(here):
    here.write(component("a", "true"))
    assert (
        not {"user", "limits", "nice", "umask"} & json.loads(here.output("config", "--json"))["components"]["a"].keys()
    )
    here.write(component("a", "true", 'limits = { memory = "1536M", files = 9 }', 'umask = "7"', "nice = 0"))
    shown = json.loads(here.output("config", "--json"))["components"]["a"]
    assert (shown["limits"], shown["umask"], shown["nice"]) == ({"memory": "1536M", "files": 9}, "007", 0)
    ended(here.up("--dry-run"), 0)
