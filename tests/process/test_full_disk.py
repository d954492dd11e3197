"""The home on a disk that is full: from the start, or while the system runs. The end is as orderly as ever."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from harness import command_under_test, describe, tree, until
from test_faults import GRACE, SOON, started_again, verdict, what_went_wrong

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root")

DEATHS = {
    "TERM": (lambda run: run.signal(signal.SIGTERM), -signal.SIGTERM),
    "KILL": (lambda run: run.signal(signal.SIGKILL), -signal.SIGKILL),
    "KILL of all guardians": (lambda run: [os.kill(pid, signal.SIGKILL) for pid, _ in run.guardians()], 1),
}


class Disk:
    """A file system of 512 KB, with a home on it."""

    def __init__(self, path, home):
        self.path, self.home = path, home
        self._ballast = path / "ballast"

    def fill(self):
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def free(self):
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path, home_at):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system")
    yield Disk(place, home_at(place))
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_start_on_a_full_disk_is_refused_in_one_line(disk):
    disk.home.write(web=tree("plain"))
    disk.fill()
    run = disk.home.up("--color", "never")
    assert run.wait() == 1
    told = run.messages.strip("\n")
    assert re.fullmatch(r"orchestrate: cannot use .*: No space left on device\nhint: .*", told)
    disk.free()
    verdict(started_again([("once there is room", disk.home)]))


@pytest.mark.parametrize("death", DEATHS)
def test_nothing_is_left_when_the_disk_is_full(death, disk):
    """Components are restarted, and stop, as ever; that the logs miss something is said."""
    disk.home.write(name="orchestrate.toml", text=TOML)
    run = disk.home.up("-t", GRACE, "--color", "never", file="orchestrate.toml")
    run.wait_ready("web", "daemon")
    disk.fill()
    restart = [*command_under_test(), "restart", "-C", disk.path, "web"]
    done = subprocess.run(restart, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    why = subprocess.run(
        [*command_under_test(), "why", "-C", disk.path, "web"], capture_output=True, text=True, check=True
    )
    assert why.stdout.startswith("web is "), why
    run.wait_for(r"^orchestrate +\| cannot write .*: No space left on device")
    act, status = DEATHS[death]
    since = time.monotonic()
    act(run)
    verdict(what_went_wrong(death, run, since, status, GRACE + SOON))
    disk.free()
    verdict(started_again([(death, disk.home)]))


TOML = f"""
[components.web]
command = {tree("plain")!r}
[components.daemon]
command = {tree("daemon")!r}
[components.talker]
command = "while :; do echo words; sleep 0.05; done"
"""


def test_what_survives_on_a_full_disk_is_found_all_the_same(disk):
    """The record of a guardian is empty then; its name says enough."""
    disk.home.write(name="orchestrate.toml", text=TOML.replace("plain", "deaf"))
    run = disk.home.up("--color", "never", file="orchestrate.toml")
    run.wait_ready("web", "daemon")
    disk.fill()
    subprocess.run([*command_under_test(), "kill", "-C", disk.path, "web"], capture_output=True, check=True)
    subprocess.run([*command_under_test(), "start", "-C", disk.path, "web"], capture_output=True, check=True)
    run.wait_for(r"(?s)^web +\| ready.*^web +\| ready")
    run.kill_with_guardians()
    assert until(lambda: len(run.living()) == 3), list(map(describe, run.living()))  # the talker's sleep goes last
    left = set(run.living())
    (record,) = (disk.path / ".orchestrate" / "locks").glob("web.*.tree")
    os.truncate(record, 0)  # another component's log has been quicker to take the last page
    disk.free()
    disk.home.write(name="Next", again=tree("plain"))
    second = disk.home.up("--color", "never", "--end-survivors", file="Next")
    second.wait_ready("again")
    assert {int(pid) for pid in re.findall(r"^orchestrate:   \S+: (\d+) ", second.messages, re.MULTILINE)} == left
    second.stop()
    assert run.survivors(1) == []
