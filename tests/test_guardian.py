"""Real guardians over small commands: what they say, what they hold, and that nothing of a tree is left."""

import contextlib
import os
import re
import resource
import select
import signal
import sys
from pathlib import Path

import pytest

from orchestrator.model.messages import Kill, Launch, LeaderExited, Signal, Started, StartFailed, Stop, Vacated
from orchestrator.model.spec import Scope, StopPlan, StopStep
from orchestrator.process.channel import ChannelClosed
from orchestrator.process.fork import fork_guardian
from orchestrator.runtime.lock import Lock, holder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

PATIENCE = 20.0
TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL


def plan(*steps, scope=Scope.GROUP):
    return StopPlan(tuple(StopStep(number, wait) for number, wait in steps), scope)


GENTLE = plan((TERM, 10.0))
BRIEF = plan((TERM, 0.3))


def within(fd, events=select.POLLIN):
    """Wait for a descriptor; false where nothing comes in time."""
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(PATIENCE * 1000))


class Guarded:
    """A guardian of ours: its messages, and its terminal's output so far."""

    def __init__(self, launch, log):
        self.forked = fork_guardian(launch, log)
        self.pid = self.forked.pid
        self.pid_fd = os.pidfd_open(self.pid)
        self.master_fd, self.leader, self.output = -1, 0, b""
        self.open = True

    def next(self):
        """Its next message; "end" when the channel has one, "nothing" when none comes in time."""
        if not within(self.forked.channel.fileno()):
            return "nothing"
        try:
            message = self.forked.channel.receive()
            if isinstance(message, Started):
                self.leader, self.master_fd = message.pid, self.forked.channel.receive_fd()
        except ChannelClosed:
            return "end"
        return message

    def rest(self):
        """All messages up to the end."""
        said = [self.next()]
        while said[-1] not in ("end", "nothing"):
            said.append(self.next())
        return said

    def started(self):
        assert isinstance(message := self.next(), Started), message
        return self

    def reads(self, words, times=1):
        """Read the terminal until these bytes are there; all that was read so far."""
        while self.output.count(words) < times:
            assert within(self.master_fd), self.output
            try:
                self.output += os.read(self.master_fd, 65536)
            except BlockingIOError:
                continue
            except OSError:
                pytest.fail(f"the terminal was hung up after {self.output!r}")
        return self.output

    def send(self, message):
        self.forked.channel.send(message)

    def leave(self):
        """Be the supervisor that died: close our end."""
        if self.open:
            self.open = False
            self.forked.channel.close()

    def ends(self):
        return within(self.pid_fd)

    def close(self):
        """Kill and reap it, with all it stands over."""
        below = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        with contextlib.suppress(OSError):
            for pid in below.read_text().split():
                os.kill(int(pid), KILL)
        self.leave()
        self.forked.kill()
        self.forked.reap()
        for fd in (self.pid_fd, self.master_fd):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def guard(tmp_path):
    """Fork a guardian over a shell line, or over `argv`."""
    made = []

    def start(line="", *, name="web", stop=GENTLE, cwd=str(tmp_path), argv=(), log=lambda: None, **environment):
        launch = Launch(
            instance=name,
            argv=argv or ("/bin/sh", "-c", line),
            cwd=cwd,
            environment={"PATH": os.environ["PATH"], **environment},
            stop=stop,
            lock_path=str(tmp_path / f"{name}.lock"),
            rows=33,
            columns=77,
            descriptors=64,
        )
        made.append(Guarded(launch, log))
        return made[-1]

    yield start
    for guarded in made:
        guarded.close()


# What it says


@pytest.mark.parametrize(("line", "status"), [("true", 0), ("exit 7", 7), ("kill -KILL $$", -9), ("kill -HUP $$", -1)])
def test_a_short_life_is_told_in_order(guard, line, status):
    guarded = guard(line).started()
    assert guarded.rest() == [LeaderExited(status, asked=False), Vacated(), "end"]
    assert guarded.ends()


def test_the_master_arrives_and_carries_all_that_was_written(guard):
    guarded = guard("stty size; echo last words").started()
    assert guarded.reads(b"words\r\n") == b"33 77\r\nlast words\r\n"
    assert not os.get_blocking(guarded.master_fd)


@pytest.mark.parametrize(
    ("launch", "reason"),
    [
        ({"argv": ("nothere", "x")}, "command not found: nothere"),
        ({"argv": ("./no such",)}, "command not found: ./no such"),
        ({"line": "true", "cwd": "/nothere"}, "No such file or directory: /nothere"),
    ],
    ids=str,
)
def test_what_cannot_start_is_told_with_the_reason(guard, launch, reason):
    guarded = guard(**launch)
    assert guarded.rest() == [StartFailed(reason), "end"]
    assert guarded.ends()


def test_a_script_that_no_kernel_can_execute_is_told(guard, tmp_path):
    script = tmp_path / "script"
    script.write_bytes(b"\x7fELF, but not really")
    script.chmod(0o755)
    failed, end = guard(argv=(str(script),)).rest()
    assert end == "end"
    assert failed.reason.startswith("Exec format error"), failed


def test_a_program_without_arguments_may_have_blanks_and_quotes_in_its_path(guard, tmp_path):
    script = tmp_path / "it's a \"script\" \\ ü"
    script.write_text("#!/bin/sh\necho runs\n")
    script.chmod(0o755)
    assert guard(argv=(str(script),)).started().reads(b"\n") == b"runs\r\n"


def test_a_stop_is_a_signal_and_the_end_was_asked_for(guard):
    guarded = guard("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done").started()
    guarded.reads(b"ready")
    guarded.send(Stop())
    assert guarded.rest() == [LeaderExited(3, asked=True), Vacated(), "end"]


def test_a_stop_goes_through_its_steps_to_the_kill(guard):
    line = "trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do read x; done"
    guarded = guard(line, stop=plan((INT, 0.3), (TERM, 0.3))).started()
    guarded.reads(b"ready")
    guarded.send(Stop())
    assert guarded.reads(b"term\r\n").split() == [b"ready", b"int", b"term"]
    assert guarded.rest() == [LeaderExited(-9, asked=True), Vacated(), "end"]


def test_a_kill_waits_for_nothing(guard):
    guarded = guard("trap '' TERM INT HUP; echo ready; while :; do read x; done").started()
    guarded.reads(b"ready")
    guarded.send(Kill())
    assert guarded.rest() == [LeaderExited(-9, asked=True), Vacated(), "end"]


def test_a_stopped_leader_gets_its_signal_all_the_same(guard):
    guarded = guard("trap 'exit 4' TERM; echo ready; kill -STOP $$; while :; do sleep 0.01; done").started()
    guarded.reads(b"ready")
    while "T" not in Path(f"/proc/{guarded.leader}/stat").read_text().rpartition(")")[2][:3]:
        pass
    guarded.send(Stop())
    assert guarded.rest() == [LeaderExited(4, asked=True), Vacated(), "end"]


def test_signals_reach_the_whole_group_and_are_no_stop(guard):
    child = "(trap 'echo child' USR1; echo ready; while :; do sleep 0.01; done) &"
    guarded = guard(f"trap 'echo leader' USR1; {child} while :; do wait; done").started()
    guarded.reads(b"ready")
    guarded.send(Signal(signal.SIGUSR1))
    guarded.reads(b"leader")
    guarded.reads(b"child")
    guarded.send(Stop())
    assert guarded.rest() == [LeaderExited(-15, asked=True), Vacated(), "end"]


def test_a_signal_that_does_not_exist_ends_nothing(guard):
    """A guardian that fails after the start may not say StartFailed: nothing was started, that means, and is left."""
    guarded = guard("echo ready; sleep 60").started()
    guarded.send(Signal(9999))
    guarded.send(Stop())
    assert guarded.rest() == [LeaderExited(-15, asked=True), Vacated(), "end"]


def test_what_the_leader_leaves_is_swept(guard):
    deaf = "setsid sh -c 'trap \"\" TERM; echo $$ stands; exec sleep 60' &"
    guarded = guard(f"setsid sh -c 'echo $$ stands; exec sleep 60' & {deaf} read x; exit 5").started()
    left = [int(pid) for pid in re.findall(rb"(\d+) stands", guarded.reads(b"stands", 2))]
    os.write(guarded.master_fd, b"\n")
    assert guarded.rest() == [LeaderExited(5, asked=False), Vacated(), "end"]
    assert [pid for pid in left if Path(f"/proc/{pid}").exists()] == []


# The supervisor's death


def test_the_channels_end_is_a_stop(guard):
    guarded = guard("sleep 60").started()
    guarded.leave()
    assert guarded.ends()
    assert not Path(f"/proc/{guarded.leader}").exists()


def test_the_last_words_after_the_supervisors_death_do_not_block_and_are_logged(guard, tmp_path):
    """A pty holds some kilobytes; nobody but the guardian reads it now."""

    class Log:
        def __init__(self):
            self.fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def write(self, chunk):
            os.write(self.fd, chunk)

        def finish(self):
            os.write(self.fd, b"finished")

    line = "trap 'seq 100000; echo done > done; exit' TERM; echo ready; while :; do sleep 0.01; done"
    guarded = guard(line, log=Log).started()
    guarded.reads(b"ready")
    guarded.leave()
    assert guarded.ends()
    assert (tmp_path / "done").exists()
    assert (tmp_path / "log").read_bytes().split()[-3:] == [b"99999", b"100000", b"finished"]


def test_a_flood_does_not_keep_an_orphaned_guardian_from_the_kill(guard):
    guarded = guard("trap '' TERM HUP; for i in 1 2 3 4; do yes & done; yes", stop=BRIEF).started()
    guarded.reads(b"y\r\n")
    guarded.leave()
    assert guarded.ends()


# What it is


def fds_of(pid):
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        found[int(fd.name)] = re.sub(r"\d+", "N", os.readlink(fd)) if int(fd.name) > 2 else os.readlink(fd)
    return found


def sockets_of(pid):
    links = (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return {link for link in links if link.startswith(("socket:", "pipe:"))}


def test_its_descriptors_are_its_own(guard, tmp_path):
    """Three to nowhere, the channel, multiprocessing's two sentinels, the wakeup pipe, epoll, its lock, the master."""
    read_fd, write_fd = os.pipe()
    try:
        first, second = guard("sleep 60", name="a").started(), guard("sleep 60", name="b").started()
    finally:
        os.close(read_fd)
        os.close(write_fd)
    lock = re.sub(r"\d+", "N", str(tmp_path / "a.lock"))
    fds = fds_of(first.pid)
    assert [fds.pop(fd) for fd in (0, 1, 2)] == ["/dev/null"] * 3
    expected = ["socket:[N]", *["pipe:[N]"] * 4, "anon_inode:[eventpoll]", lock, "/dev/ptmx"]
    assert sorted(link.replace("/dev/pts/ptmx", "/dev/ptmx") for link in fds.values()) == sorted(expected)
    assert not sockets_of(first.pid) & sockets_of(second.pid)
    assert len(fds_of(second.pid)) == len(fds) + 3


def test_it_has_a_session_of_its_own_and_no_terminal(guard):
    guarded = guard("sleep 60").started()
    assert os.getsid(guarded.pid) == guarded.pid
    assert os.getsid(guarded.leader) == guarded.leader
    terminal = Path(f"/proc/{guarded.pid}/stat").read_text().rpartition(")")[2].split()[4]
    assert terminal == "0"
    assert os.readlink(f"/proc/{guarded.pid}/cwd") == "/"


@pytest.mark.parametrize("numbers", [(TERM, INT, HUP), (signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE)])
def test_what_others_send_it_is_ignored(guard, numbers):
    guarded = guard("trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done").started()
    guarded.reads(b"ready")
    for number in numbers:
        os.kill(guarded.pid, number)
    os.kill(guarded.pid, signal.SIGRTMAX)  # the parent's death, it says; but the parent lives
    guarded.send(Signal(signal.SIGCONT))
    guarded.send(Stop())
    assert guarded.rest() == [LeaderExited(6, asked=True), Vacated(), "end"]


def test_it_holds_its_instances_lock_as_long_as_its_tree_lives(guard, tmp_path):
    path = tmp_path / "web.lock"
    first = guard("setsid sh -c 'echo up; exec sleep 60' & read x", stop=plan((signal.SIGURG, 60.0))).started()
    first.reads(b"up")
    os.write(first.master_fd, b"\n")
    assert holder(path) == first.pid
    assert first.next() == LeaderExited(0, asked=False)
    assert guard("true").rest() == [
        StartFailed(f"the tree of an earlier web is still there (guardian {first.pid})"),
        "end",
    ]
    assert first.rest() == [Vacated(), "end"]
    assert first.ends()
    lock = Lock(path)
    assert lock.take()
    lock.release()


# What the component gets


def test_a_component_starts_with_three_descriptors_default_signals_and_its_own_limit(guard, tmp_path):
    line = "ls /proc/self/fd | tr '\\n' ' '; ulimit -n; pwd; echo \"$A$HOME\"; tty; cat /proc/self/status"
    guarded = guard(line, A="environment").started()
    text = guarded.reads(b"nonvoluntary").decode().replace("\r\n", "\n")
    fds, limit = text.split("\n")[0].rsplit(" ", 1)
    assert fds.split()[:3] == ["0", "1", "2"]
    assert len(fds.split()) == 4  # ls has the directory open
    assert limit == "64"
    assert text.split("\n")[1:3] == [str(tmp_path), "environment"]
    assert text.split("\n")[3].startswith("/dev/pts/")
    status = dict(re.findall(r"^(Sig\w+):\t([0-9a-f]+)$", text, re.MULTILINE))
    assert [int(status[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 64
