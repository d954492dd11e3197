"""Real processes under test, each below a child subreaper of its own (programs/reaper.py): nothing can be missed.

Times are CLOCK_MONOTONIC and come from the reaper, so they hold however late a test reads them. How a test waits is
in facts.py.
"""

import fcntl
import os
import pty
import re
import select
import selectors
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the harness needs /proc and child subreapers", allow_module_level=True)

from facts import PATIENCE, children, describe, plain, pump, unread, until, watched
from lateness import Late
from programs.reaper import descendants, kill_all, stat_of

PROGRAMS = Path(__file__).parent.parent / "programs"
RUNTIME = "ORCHESTRATE_RUNTIME_DIR"
COVERAGE = ("COVERAGE_FILE", "COVERAGE_RCFILE")  # of programs/covered.py
PYTHON = [sys.executable, "-S", "-E"]
_runs = []
MISTAKE = "internal error: "


def command_under_test():
    """The command as installed beside this Python.

    COMMAND_UNDER_TEST puts another runner in its place, to see the tests fail.
    """
    if "COMMAND_UNDER_TEST" in os.environ:
        return shlex.split(os.environ["COMMAND_UNDER_TEST"])
    installed = shutil.which("orchestrate", path=os.path.dirname(sys.executable))
    return [installed] if installed else [sys.executable, "-m", "orchestrator"]


def tree(name, *arguments, leader="program"):
    """The Procfile command for one of programs/trees.py; its leader is the Python itself, or with `leader="shell"` the
    shell that has started it, as in most Procfiles."""
    return _command("trees.py", name, arguments, leader)


def voice(name, *arguments, leader="program"):
    return _command("voices.py", name, arguments, leader)


def _command(program, name, arguments, leader):
    words = [*PYTHON, str(PROGRAMS / program), name, *map(str, arguments)]
    return shlex.join(["exec", *words]) if leader == "program" else f"{shlex.join(words)}; exit $?"


class Run:
    """One command below its own subreaper: with a controlling terminal, or with two pipes in a session without one."""

    def __init__(self, command, *, terminal=False, columns=80, rows=24, cwd=None, env=None, hold_fd=-1):
        self.command, self.out, self.err = command, bytearray(), bytearray()
        self.pid = self.returncode = self.exited_at = self.vacant_at = None
        self._report, self._open_fds, self._held = bytearray(), set(), {}
        report_fd, report_write = os.pipe()
        theirs = [report_write]
        if terminal:
            self.terminal_fd, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("hhhh", rows, columns, 0, 0))
            stdio = [slave] * 3
            theirs.append(slave)
            self.watch(self.terminal_fd, self.out)
        else:
            self.terminal_fd = None
            (out_fd, out_write), (err_fd, err_write) = os.pipe(), os.pipe()
            stdio = [subprocess.DEVNULL, out_write, err_write]
            theirs += [out_write, err_write]
            self.watch(out_fd, self.out)
            self.watch(err_fd, self.err)
        self.out_fd = self.terminal_fd if terminal else out_fd
        self.watch(report_fd, self._report, self._read_report)
        reaper = [
            *PYTHON,
            str(PROGRAMS / "reaper.py"),
            str(report_write),
            str(int(terminal)),
            str(hold_fd),
            *map(str, command),
        ]
        self._reaper = subprocess.Popen(
            reaper, stdin=stdio[0], stdout=stdio[1], stderr=stdio[2], cwd=cwd, env=env or environment(),
            pass_fds=[report_write, *([hold_fd] if hold_fd >= 0 else [])], start_new_session=True,
        )  # fmt: skip
        for fd in theirs:
            os.close(fd)
        self.started_at = time.monotonic()
        _runs.append(self)
        if hold_fd < 0 and not pump(lambda: self.pid, PATIENCE):
            pytest.fail(f"not started: {self}")

    def watch(self, fd, sink, then=lambda: None):
        def drain():
            try:
                data = os.read(fd, 65536)
            except OSError:  # EIO: no slave of the pty is open
                data = b""
            sink.extend(data)
            if not data:
                self.close_fd(fd)
            then()

        self._open_fds.add(fd)
        watched.register(fd, selectors.EVENT_READ, drain)

    def _read_report(self):
        *lines, rest = self._report.split(b"\n")
        self._report[:] = rest
        for what, *values in (line.decode().split() for line in lines):
            if what == "started":
                self.pid = int(values[0])
            elif what == "failed":
                raise OSError(int(values[0]), os.strerror(int(values[0])), self.command[0])
            elif what == "exited":
                self.returncode, self.exited_at = int(values[0]), float(values[1])
            elif what == "vacant":
                self.vacant_at = float(values[0])

    def close_fd(self, fd):
        """Stop reading it. To close the terminal is what a dropped ssh line does."""
        if fd in self._open_fds:
            self._open_fds.remove(fd)
            watched.unregister(fd)
            os.close(fd)

    def look_away(self, fd):
        """Stop reading it, and leave it open: what a terminal after ^S does, or a reader that is busy."""
        self._open_fds.remove(fd)
        self._held[fd] = watched.unregister(fd).data

    def look_back(self, fd):
        self._open_fds.add(fd)
        watched.register(fd, selectors.EVENT_READ, self._held.pop(fd))

    def wait_stalled(self, fd):
        """Wait until what is unread does not grow any more: whoever writes there has to wait."""

        def look():
            before, seen["unread"] = seen["unread"], unread(fd)
            return seen["unread"] == before > 0

        seen = {"unread": 0}
        assert until(look, interval=0.2), str(self)

    def at_end(self, fd):
        """Nobody holds the other side of it any more."""
        return fd not in self._open_fds

    def __str__(self):
        words = {"command": shlex.join(map(str, self.command)), "pid": self.pid, "exit status": self.returncode}
        words["stdout"], words["stderr"] = plain(self.out[-3000:]), plain(self.err[-3000:])
        return "\n".join(f"{name}: {value}" for name, value in words.items())

    @property
    def text(self):
        """All its stdout (or terminal) so far, without escapes and CR."""
        return plain(self.out)

    @property
    def messages(self):
        """Stdout and stderr together: where a message may stand on either."""
        return self.text + "\n" + plain(self.err)

    def wait_for(self, pattern, timeout=PATIENCE):
        """Wait for a regular expression (multi-line) in its output; the time at which it was there."""
        expression, looked = re.compile(pattern, re.MULTILINE), [0, 0]

        def look():
            for stream, sink in enumerate((self.out, self.err)):
                if expression.search(plain(sink[looked[stream] :])):
                    return True
                # A flood would make it quadratic to search all of it each time.
                looked[stream] = sink.rfind(b"\n", 0, max(0, len(sink) - 4096)) + 1
            return False

        if not pump(lambda: look() or (self.vacant_at and not self._readable()), timeout) or not look():
            pytest.fail(f"no {pattern!r} within {timeout} s\n{self}\n" + "\n".join(map(describe, self.living())))
        return time.monotonic()

    def wait_ready(self, *names):
        for name in names:
            self.wait_for(rf"^{re.escape(name)} *\| ready$")

    def signal(self, number):
        os.kill(self.pid, number)
        return time.monotonic()

    def wait(self, timeout=PATIENCE):
        """Its exit status, minus the signal when it died of one."""
        if not pump(lambda: self.returncode is not None, timeout):
            pytest.fail(f"still running after {timeout} s\n{self}\n" + "\n".join(map(describe, self.living())))
        pump(lambda: not self._readable(), timeout)
        return self.returncode

    def _readable(self):
        return [fd for fd in self._open_fds if select.select([fd], [], [], 0)[0]]

    def living(self):
        return descendants(self._reaper.pid)

    def survivors(self, timeout):
        """Wait until nothing of the tree is left; what is left for good, in words.

        When that is nothing, `vacant_at` says since when. Raises Late where it goes only after `timeout`.
        """
        if pump(lambda: self.vacant_at, timeout):
            return []
        late = [describe(pid) for pid in self.living()]
        if pump(lambda: self.vacant_at, PATIENCE):
            if late:
                raise Late(f"left after {timeout} s:\n  " + "\n  ".join(late) + f"\n{self}")
            return []
        left = [describe(pid) for pid in self.living()]
        if not left:
            pytest.fail(f"neither left nor vacant\n{self}")
        return left

    def kill_with_guardians(self):
        """SIGKILL to it and all its guardians, which are stopped first: none acts on the end of another."""
        pids = [self.pid, *(pid for pid, _ in self.guardians())]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        self.wait()

    def guardians(self):
        """The direct children that lead a session and have a leader: (pid, leader in words)."""
        found = []
        for pid in children(self.pid):
            stat = stat_of(pid)
            below = children(pid)
            if stat and stat[4] == pid and (leader := leader_among(below)):
                found.append((pid, describe(leader)))
        return found

    def guardian_of(self, words):
        found = [pid for pid, leader in self.guardians() if words in leader]
        assert len(found) == 1, f"{len(found)} guardians over {words!r}: {self.guardians()}\n{self}"
        return found[0]

    def stop(self, timeout=PATIENCE):
        """SIGTERM, and nothing is left."""
        self.signal(signal.SIGTERM)
        status = self.wait(timeout)
        assert (status, self.survivors(timeout)) == (-signal.SIGTERM, []), str(self)

    def end(self):
        """Kill what is left; what it was."""
        pump(lambda: self.vacant_at, 0.1)
        left = [describe(pid) for pid in self.living()] if self.vacant_at is None else []
        self._reaper.terminate()
        self._reaper.wait()
        for fd in list(self._open_fds):
            self.close_fd(fd)
        for fd in self._held:
            os.close(fd)
        return left


def leader_among(pids):
    """The leader of a component among a guardian's children: on a terminal, another process leads its session."""
    stats = {pid: stat for pid in pids if (stat := stat_of(pid))}
    led = [pid for pid, stat in stats.items() if stat[4] != pid and stat[4] in stats]
    return (led or pids or [0])[0]


def environment(**changes):
    """A small, known environment; a value of None takes one away."""
    base = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", RUNTIME, *COVERAGE) if name in os.environ}
    base.update(LANG="C.UTF-8", TERM="xterm-256color", ORCHESTRATE_STATUS="never")  # one test shows the row of states
    return {name: value for name, value in (base | changes).items() if value is not None}


def end_all_runs():
    """For the fixture that stands after each test: what the test left running, by name, and reports of impossible
    events of the lifecycle."""
    left = [line for run in _runs for line in run.end()]
    left += [
        line for run in _runs for line in (run.out + run.err).decode(errors="replace").splitlines() if MISTAKE in line
    ]
    _runs.clear()
    return left


def end_all_children(timeout=2.0):
    """The same for what was started otherwise, once it had its time to go: wait on pidfds, then kill."""
    left = []
    if not has_children():  # one call of the system; the walk through /proc takes 2 ms after each of thousands of tests
        return left
    deadline = time.monotonic() + timeout
    while pids := descendants(os.getpid()):
        fds = [fd for fd in map(_pidfd, pids) if fd >= 0]
        in_time = select.select(fds, [], [], max(0.0, deadline - time.monotonic()))[0] if fds else True
        for fd in fds:
            os.close(fd)
        if not in_time:
            left += map(describe, pids)
            kill_all(pids)
            deadline = time.monotonic() + timeout
    _reap()
    return left


def has_children():
    """Whether this process has a child, living or not yet waited for; as a subreaper it inherits those of others."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _pidfd(pid):
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
