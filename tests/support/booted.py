"""A real systemd for tests: booted in namespaces, with this machine's files as they are, and nothing written to them.

It is PID 1 of its own processes, in a control group of its own. The kernel ends all of it with that process, also if
the tests are killed. Needs root and cgroup 2; programs/boot_systemd.sh says what it is given.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from facts import children, until
from harness import PROGRAMS
from hosts import ran_inside
from programs.reaper import PR_SET_PDEATHSIG, prctl

SYSTEMD = Path("/lib/systemd/systemd")
NEEDED = ("ip", "unshare", "nsenter", "pivot_root", "mount")


class Refused(Exception):
    """This machine cannot boot one; says why."""


class Booted:
    """One of them. The directories `shared` are the same inside; files elsewhere are copies in memory."""

    def __init__(self, directory, *shared):
        if os.geteuid() != 0:
            raise Refused("to boot systemd in namespaces takes root")
        if missing := [name for name in NEEDED if shutil.which(name) is None]:
            raise Refused(f"not installed: {', '.join(missing)}")
        if not SYSTEMD.exists():
            raise Refused("systemd is not installed")
        self._group = _make_group()
        scratch = directory / "scratch"
        scratch.mkdir()
        places = {Path(place).resolve() for place in (*shared, sys.prefix, sys.base_prefix, PROGRAMS.parents[1])}
        outermost = [place for place in places if places.isdisjoint(place.parents)]
        self._log = (directory / "boot.log").open("w+")
        self._holder = subprocess.Popen(
            [PROGRAMS / "boot_systemd.sh", self._group, scratch, *outermost],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        try:
            if not until(lambda: self._holder.poll() is not None or self._is_up(), 60) or not self.pid:
                self._log.seek(0)
                state = self.ask("systemctl", "list-jobs").stdout if self.pid else ""
                raise Refused(f"systemd does not boot here: {(self._log.read() + state).strip()[-300:]}")
        except BaseException:
            self.close()
            raise
        self._namespace = os.readlink(f"/proc/{self.pid}/ns/pid")

    @property
    def pid(self):
        """The pid of systemd, as tests see it; 0 if it has ended."""
        below = children(self._holder.pid) if self._holder.poll() is None else []
        return below[0] if below else 0

    def _is_up(self):
        if not self.pid or os.readlink(f"/proc/{self.pid}/exe") != str(SYSTEMD.resolve()):
            return False
        return self.ask("systemctl", "is-active", "basic.target").stdout == "active\n"

    def ask(self, *words, env=None, timeout=120):
        """Run a command beside systemd to its end: what subprocess.run returns."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--uts", "--mount", "--ipc", "--pid", "--"]
        return ran_inside([*enter, *map(str, words)], timeout, env)

    def control(self, *words, timeout=120):
        """Run systemctl; what it prints."""
        ran = self.ask("systemctl", "--no-pager", *words, timeout=timeout)
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}{self.journal()}"
        return ran.stdout

    def show(self, unit, name):
        """One property of a unit."""
        return self.control("show", "--value", f"--property={name}", unit).strip()

    def install(self, *units):
        """Copy unit files to where systemd looks for them."""
        ran = self.ask("cp", *units, "/etc/systemd/system/")
        assert ran.returncode == 0, ran.stderr
        self.control("daemon-reload")

    def journal(self, *words):
        """What the journal has."""
        return self.ask("journalctl", "--no-pager", "--output=cat", *words).stdout

    def processes(self):
        """The command lines of all that runs here but systemd's own, by pid as tests see it."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != self.pid:
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{entry}/ns/pid") == self._namespace:
                        line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                        if line and not re.match(r"/lib/systemd/|\(sd-pam\)|\(s", line):
                            found[int(entry)] = line
        return found

    def close(self):
        """End it, with all that runs there."""
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
        else:
            self._holder.kill()
        self._holder.wait()
        self._log.close()
        _remove_group(self._group)


def machine_or_skip(directory, *shared):
    """The body of a fixture: yields a booted machine, or skips the test with the reason."""
    try:
        booted = Booted(directory, *shared)
    except Refused as reason:
        pytest.skip(str(reason))
    yield booted
    booted.close()


def _make_group():
    mounts = Path("/proc/self/mountinfo").read_text()
    points = [line.split()[4] for line in mounts.splitlines() if " - cgroup2 " in line]
    own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "")
    for point in points:
        group = Path(f"{point}{own}") / f"orchestrate-tests-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir(exist_ok=True)
            return group
    raise Refused("there is no control group of version 2 in which one could be made")


def _remove_group(group):
    for directory, _, _ in os.walk(group, topdown=False):
        assert until(lambda directory=directory: _removed(directory), 10), directory


def _removed(directory):
    with contextlib.suppress(OSError):
        os.rmdir(directory)
    return not os.path.exists(directory)
