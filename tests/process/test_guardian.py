"""Real guardians over small commands: what they say, what they hold, and that nothing of a tree is left."""

import contextlib
import os
import re
import select
import signal
import sys
from pathlib import Path

import pytest
from facts import LIBC_SIGNALS, PATIENCE

from orchestrator.model.messages import Kill, Launch, LeaderExited, Signal, Started, StartFailed, Stop, Vacated
from orchestrator.model.spec import StopPlan, StopStep
from orchestrator.process import procfs, tree
from orchestrator.process.channel import ChannelClosed
from orchestrator.process.fork import guardian_of, highest_descriptor
from orchestrator.runtime.lock import holder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL
GENTLE = StopPlan()
BRIEF = StopPlan((StopStep(TERM, 0.3),))
IN_STEPS = StopPlan((StopStep(INT, 0.3), StopStep(TERM, 0.3)))
STAY = "echo ready; while :; do sleep 0.01; done"


def within(fd):
    """Wait until it is readable; false where it never is."""
    return bool(select.select([fd], [], [], PATIENCE)[0])


class Guarded:
    """A guardian of ours: its messages, and its terminal's output so far."""

    def __init__(self, launch, log):
        self.forked = guardian_of(launch, log)
        self.forked.fork(highest_descriptor())
        self.channel, self.pid = self.forked.channel, self.forked.pid
        self.pid_fd = os.pidfd_open(self.pid)
        self.master_fd, self.leader, self.session, self.output = -1, 0, 0, b""

    def next(self):
        """Its next message; "end" when the channel has one, "nothing" when none comes in time."""
        if not within(self.channel.fileno()):
            return "nothing"
        try:
            message = self.channel.receive()
            if isinstance(message, Started):
                self.leader, self.session = message.pid, message.session
                self.master_fd = self.channel.receive_fd()
        except ChannelClosed:
            return "end"
        return message

    def rest(self):
        """All messages up to the end."""
        said = [self.next()]
        while said[-1] not in ("end", "nothing"):
            said.append(self.next())
        return said

    def started(self, words=b""):
        """Wait until it runs, and has said some words."""
        assert isinstance(message := self.next(), Started), message
        self.reads(words)
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

    def ends(self):
        """Whether its process does."""
        return within(self.pid_fd)

    def close(self):
        """Kill and reap it, with all it stands over."""
        if not select.select([self.pid_fd], [], [], 0)[0]:
            tree.kill_tree(self.pid)
        self.channel.close()
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


@pytest.mark.parametrize(("line", "status"), [("true", 0), ("exit 7", 7), ("kill -KILL $$", -9), ("kill -HUP $$", -1)])
def test_a_short_life_is_told_in_order(guard, line, status):
    guarded = guard(line).started()
    exited = LeaderExited(status, asked=False, unexplained_kill=status == -signal.SIGKILL)
    assert [*guarded.rest(), guarded.ends()] == [exited, Vacated(), "end", True]


def test_the_master_arrives_and_carries_all_that_was_written(guard):
    guarded = guard("stty size; echo last words").started(b"words\r\n")
    assert guarded.output == b"33 77\r\nlast words\r\n"
    assert not os.get_blocking(guarded.master_fd)


@pytest.mark.parametrize(
    ("launch", "reason"),
    [
        ({"argv": ("nothere", "x")}, "command not found: nothere"),
        ({"argv": ("./no such",)}, "command not found: ./no such"),
        ({"line": "true", "cwd": "/nothere"}, "No such file or directory: /nothere"),
    ],
)
def test_what_cannot_start_is_told_with_the_reason(guard, launch, reason):
    guarded = guard(**launch)
    assert [*guarded.rest(), guarded.ends()] == [StartFailed(reason), "end", True]


def test_a_script_that_no_kernel_can_execute_is_told(guard, tmp_path):
    script = tmp_path / "script"
    script.write_bytes(b"\x7fELF, but not really")
    script.chmod(0o755)
    assert guard(argv=(str(script),)).rest()[0].reason.startswith("Exec format error")


def test_a_program_without_arguments_may_have_blanks_and_quotes_in_its_path(guard, tmp_path):
    script = tmp_path / 'it\'s a "script" \\ ü'
    script.write_text("#!/bin/sh\necho runs\n")
    script.chmod(0o755)
    assert guard(argv=(str(script),)).started().reads(b"\n") == b"runs\r\n"


@pytest.mark.parametrize(
    ("line", "plan", "message", "status", "output"),
    [
        (f"trap 'echo bye; exit 3' TERM; {STAY}", GENTLE, Stop(), 3, [b"ready", b"bye"]),
        (f"trap 'echo int' INT; trap 'echo term' TERM; {STAY}", IN_STEPS, Stop(), -9, [b"ready", b"int", b"term"]),
        (f"trap '' TERM INT HUP; {STAY}", GENTLE, Kill(), -9, [b"ready"]),
        ("trap 'exit 4' TERM; echo ready; kill -STOP $$; sleep 60", GENTLE, Stop(), 4, [b"ready"]),
        ("echo ready; exec sleep 60", GENTLE, Stop(), -15, [b"ready"]),
    ],
)
def test_a_stop_is_a_sequence_and_a_kill_waits_for_nothing(guard, line, plan, message, status, output):
    guarded = guard(line, stop=plan).started(b"ready")
    while "STOP" in line and procfs.describe(guarded.leader)[-2] != "T":
        pass
    guarded.channel.send(message)
    assert guarded.rest() == [LeaderExited(status, asked=True), Vacated(), "end"]
    said = guarded.reads(output[-1]).split()
    assert [word for word in said if word != b"Terminated"] == output  # so speaks the shell of its sleep


def test_signals_reach_the_whole_group_and_are_no_stop(guard):
    child = f"(trap 'echo child' USR1; {STAY}) &"
    guarded = guard(f"trap 'echo leader' USR1; {child} while :; do wait; done").started(b"ready")
    guarded.channel.send(Signal(signal.SIGUSR1))
    guarded.reads(b"leader")
    guarded.reads(b"child")
    guarded.channel.send(Stop())
    assert guarded.rest() == [LeaderExited(-15, asked=True), Vacated(), "end"]


def test_a_signal_that_does_not_exist_ends_nothing(guard):
    """A guardian that fails after the start may not say StartFailed: nothing was started, that means, and is left."""
    guarded = guard("sleep 60").started()
    guarded.channel.send(Signal(9999))
    guarded.channel.send(Stop())
    assert guarded.rest() == [LeaderExited(-15, asked=True), Vacated(), "end"]


def test_what_the_leader_leaves_is_swept(guard):
    deaf = "setsid sh -c 'trap \"\" TERM; echo $$ stands; exec sleep 60' &"
    guarded = guard(f"setsid sh -c 'echo $$ stands; exec sleep 60' & {deaf} read x; exit 5").started()
    left = [int(pid) for pid in re.findall(rb"(\d+) stands", guarded.reads(b"stands", 2))]
    os.write(guarded.master_fd, b"\n")
    assert guarded.rest() == [LeaderExited(5, asked=False, left=2, daemons=True), Vacated(), "end"]
    assert [pid for pid in left if Path(f"/proc/{pid}").exists()] == []


def test_the_channels_end_is_a_stop(guard):
    guarded = guard("sleep 60").started()
    guarded.channel.close()
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

    guarded = guard(f"trap 'seq 100000; echo done > done; exit' TERM; {STAY}", log=Log).started(b"ready")
    guarded.channel.close()
    assert guarded.ends()
    assert (tmp_path / "done").exists()
    assert (tmp_path / "log").read_bytes().split()[-3:] == [b"99999", b"100000", b"finished"]


def test_a_flood_does_not_keep_an_orphaned_guardian_from_the_kill(guard):
    guarded = guard("trap '' TERM HUP; for i in 1 2 3 4; do yes & done; yes", stop=BRIEF).started(b"y\r\n")
    guarded.channel.close()
    assert guarded.ends()


def fds_of(pid):
    """What its descriptors stand for, in the order of their numbers."""
    fds = sorted(Path(f"/proc/{pid}/fd").iterdir(), key=lambda fd: int(fd.name))
    with contextlib.suppress(FileNotFoundError):  # one was closed just now: look again
        return [os.readlink(fd) for fd in fds]
    return fds_of(pid)


def test_its_descriptors_are_its_own(guard, tmp_path):
    """Three to nowhere, the channel, the wakeup pipe, epoll, its lock, the master."""
    first, second = guard("sleep 60", name="a").started(), guard("sleep 60", name="b").started()
    for _ in range(1000):  # the master may still be duplicated for sending
        if len(fds := fds_of(first.pid)) <= 9:
            break
    kinds = ["socket", *["pipe"] * 2, "anon_inode", "/dev/ptmx", str(tmp_path / "a.lock")]
    assert fds[:3] == ["/dev/null"] * 3
    assert sorted(fd.replace("/dev/pts/ptmx", "/dev/ptmx").partition(":[")[0] for fd in fds[3:]) == sorted(kinds)
    assert {fd for fd in fds if ":[" in fd} & set(fds_of(second.pid)) <= {"anon_inode:[eventpoll]"}


def test_it_has_a_session_of_its_own_and_no_terminal(guard):
    guarded = guard("sleep 60").started()
    assert os.getsid(guarded.pid) == guarded.pid
    assert os.getpgid(guarded.leader) == guarded.leader
    assert os.getsid(guarded.leader) == guarded.session
    assert Path(f"/proc/{guarded.pid}/stat").read_text().rpartition(")")[2].split()[4] == "0", "it has a terminal"
    assert os.readlink(f"/proc/{guarded.pid}/cwd") == "/"


def test_what_others_send_it_is_ignored(guard):
    guarded = guard(f"trap 'exit 6' TERM; {STAY}").started(b"ready")
    for number in (TERM, INT, HUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE):
        os.kill(guarded.pid, number)
    os.kill(guarded.pid, signal.SIGRTMAX)  # the parent's death, it says; but the parent lives
    guarded.channel.send(Stop())
    assert guarded.rest() == [LeaderExited(6, asked=True), Vacated(), "end"]


def test_it_holds_its_instances_lock_as_long_as_its_tree_lives(guard, tmp_path):
    path = tmp_path / "web.lock"
    first = guard("sleep 60").started()
    assert holder(path) == first.pid
    refused = StartFailed(f"the tree of an earlier web is still there (guardian {first.pid})")
    assert guard("true").rest() == [refused, "end"]
    first.channel.send(Stop())
    assert first.rest() == [LeaderExited(-15, asked=True), Vacated(), "end"]
    assert first.ends()
    assert holder(path) is None


def test_a_component_starts_with_three_descriptors_default_signals_and_its_own_limit(guard, tmp_path):
    line = "ls /proc/self/fd | tr '\\n' ' '; ulimit -n; pwd; echo \"$A$HOME\"; tty; cat /proc/self/status"
    guarded = guard(line, A="environment").started()
    text = guarded.reads(b"nonvoluntary").decode().replace("\r\n", "\n")
    fds, limit = text.split("\n")[0].rsplit(" ", 1)
    assert (fds.split()[:3], len(fds.split()), limit) == (["0", "1", "2"], 4, "64")  # ls has the directory open
    assert text.split("\n")[1:3] == [str(tmp_path), "environment"]
    assert text.split("\n")[3].startswith("/dev/pts/")
    status = dict(re.findall(r"^(Sig\w+):\t([0-9a-f]+)$", text, re.MULTILINE))
    assert [int(status[name], 16) & ~LIBC_SIGNALS for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


def test_a_leader_that_is_stopped_before_its_program_runs_keeps_nobody(guard):
    """Between fork and exec: the guardian waits there for the exec, and hears nothing."""
    ours = os.readlink("/proc/self/exe")
    for attempt in range(200):
        guarded = guard(STAY, name=f"web{attempt}")
        while not (leaders := tree.descendants(guarded.pid)) and not guarded_has_said(guarded):
            pass
        if not leaders:
            continue
        tree.send(leaders[0].pid, signal.SIGSTOP)
        if os.readlink(f"/proc/{leaders[0].pid}/exe") == ours and not guarded_has_said(guarded):
            break
        tree.send(leaders[0].pid, signal.SIGCONT)
    else:
        pytest.fail("never quick enough")
    guarded.channel.send(Stop())
    guarded.forked.wake(children=True)
    assert guarded.rest()[-1] == "end"
    assert guarded.ends()


def guarded_has_said(guarded):
    return bool(select.select([guarded.channel.fileno()], [], [], 0)[0])
