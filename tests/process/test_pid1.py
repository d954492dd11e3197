"""As PID 1 of a PID namespace, as in a container: it reaps orphans, takes its signals, and tells its status."""

import os
import signal
import subprocess
import time

import pytest
from definitions import Directory
from harness import PROGRAMS, PYTHON, Run, children, describe, stat_of, tree, until
from lateness import in_time

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

pytestmark = pytest.mark.skipif(
    subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL).returncode != 0,
    reason="no PID namespace is permitted here",
)


def init_of(run):
    """PID 1, as seen from outside: unshare(1) forks it and hands its status on."""
    (pid,) = until(lambda: children(run.pid))
    return pid


def zombies_below(pid):
    return [describe(child) for child in children(pid) if (stat := stat_of(child)) and stat[1] == "Z"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_stops_it_with_128_and_its_number(number, home):
    home.write(web=tree("plain"), daemon=tree("daemon"), session=tree("session"))
    run = home.up("--color", "never", before=UNSHARE)
    run.wait_ready("web", "daemon", "session")
    since = time.monotonic()
    os.kill(init_of(run), number)
    assert run.wait() == 128 + number, str(run)
    assert run.survivors(1) == []
    in_time(run.exited_at - since, 4)


@pytest.mark.parametrize("before", [[], UNSHARE], ids=["child", "PID 1"])
def test_usr1_goes_to_the_components_and_is_the_reason_of_an_exit(before, home):
    """As foreman, tini and dumb-init pass it on."""
    trap = 'trap "echo heard" USR1; echo ready; while :; do sleep 0.1; done'
    home.write(first=trap, second=trap, other="echo ready; exec sleep 1000")
    run = home.up("--color", "never", "--can-end", "other", before=before)
    run.wait_ready("first", "second", "other")
    supervisor = init_of(run) if before else run.pid
    os.kill(supervisor, signal.SIGUSR1)
    run.wait_for(r"^orchestrate \| SIGUSR1 received; sent to first, second, other$")
    run.wait_for(r"^first +\| heard$")
    run.wait_for(r"^second +\| heard$")
    run.wait_for(r"^orchestrate \| other killed by SIGUSR1 ")
    os.kill(supervisor, signal.SIGTERM)
    run.wait()
    assert run.survivors(1) == []
    assert "because the supervisor received SIGUSR1" in Directory(home.path).output("why", "other")


def test_the_status_of_a_component_is_passed_on(home):
    home.write(web="exit 7", other=tree("plain"))
    run = home.up("--color", "never", before=UNSHARE)
    assert run.wait() == 7, str(run)
    assert run.survivors(1) == []


def test_an_orphan_that_ends_is_reaped(home):
    """It comes from outside the trees, as with `docker exec`: its parent leaves it, so PID 1 inherits it."""
    home.write(web=tree("plain"))
    run = home.up("--color", "never", before=UNSHARE)
    run.wait_ready("web")
    init = init_of(run)
    enter = ["nsenter", "--pid", f"--target={init}", *PYTHON, PROGRAMS / "trees.py"]
    orphans = Run([*enter, "left", 0])
    orphans.wait_for("^ready$")
    assert orphans.wait() == 0
    adopted = until(lambda: [pid for pid in children(init) if "trees.py left" in describe(pid)])
    assert len(adopted) >= 2, str(run)
    for pid in adopted:
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not set(adopted) & set(children(init))), zombies_below(init)
    assert run.returncode is None
    os.kill(init, signal.SIGTERM)
    assert run.wait() == 128 + signal.SIGTERM, str(run)


def test_a_storm_of_orphans_leaves_no_zombie(home):
    home.write(web=tree("plain"), hopper=tree("hopper"))
    run = home.up("-t", 1, "--color", "never", before=UNSHARE)
    run.wait_ready("web", "hopper")
    init = init_of(run)
    assert until(lambda: not zombies_below(init) and not any(map(zombies_below, children(init))))
    os.kill(init, signal.SIGTERM)
    assert run.wait() == 128 + signal.SIGTERM, str(run)
    assert run.survivors(1) == []


def test_a_killed_guardian_ends_the_system_with_1(home):
    home.write(web=tree("plain"), daemon=tree("daemon"))
    run = home.up("--color", "never", before=UNSHARE)
    run.wait_ready("web", "daemon")
    init = init_of(run)
    guardian = next(pid for pid in children(init) for below in children(pid) if "trees.py daemon" in describe(below))
    os.kill(guardian, signal.SIGKILL)
    assert run.wait() == 1, str(run)
    assert run.survivors(1) == []
