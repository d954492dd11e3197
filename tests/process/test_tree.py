"""Process trees, real ones: who descends from whom, who gets a signal, who is spared."""

import os
import re
import select
import signal
import subprocess
import sys

import pytest
from facts import PATIENCE

from orchestrator.process import procfs, tree

pytestmark = pytest.mark.skipif(not procfs.LINUX, reason="reads /proc")

LEAD = """
import os, select, signal, sys, threading
def pause():
    while True: signal.pause()
def fork(body, *args):
    pid = os.fork()
    if pid == 0:
        try: body(*args)
        finally: os._exit(0)
    return pid
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def hear(answers, times=9):
    signal.pthread_sigmask(signal.SIG_BLOCK, answers)
    say("ready")
    for _ in range(times): say(answers[signal.sigwait(answers)])
def wait_for(fact):
    while not fact(): pass
def state(pid):
    try: return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
    except OSError: return "gone"
"""

# A subreaper: what is below it stays below it. It says when nothing is left.
ADOPT = """
import ctypes
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
def outlive():
    try:
        while os.waitpid(-1, 0): pass
    except ChildProcessError: say("vacant")
"""


class Program:
    """A small Python program; `line` is its next word, `close` its end, and that of its group."""

    def __init__(self, code):
        command = [sys.executable, "-S", "-E", "-c", LEAD + code]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self.pid = self.process.pid

    def line(self):
        return self.process.stdout.readline().decode().strip()

    def says_within(self, seconds):
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def close(self):
        """Kill it and all below it. May be called again."""
        for member in reversed(tree.descendants(self.pid)):
            tree.send(member.pid, signal.SIGKILL)
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def program():
    started = []

    def start(code):
        started.append(Program(code))
        return started[-1]

    yield start
    for each in started:
        each.close()


def parents_below(root):
    """{pid: parent} of all below root, by the other way there is: a map of all parents."""
    children_of, found, queue = tree._children_by_parent(), {}, [root]
    for above in queue:
        queue += children_of[above]
        found.update(dict.fromkeys(children_of[above], above))
    return found


FAMILY = """
def child(): fork(grandchild); fork(pause); pause()
def grandchild(): os.setsid(); say("stands"); pause()
def threaded():
    thread = threading.Thread(target=lambda: (fork(grandchild), pause()), daemon=True)
    thread.start(); thread.join()
def dead(): pass
fork(child); fork(threaded); fork(dead)
say("ready")
pause()
"""


def family(program):
    """A tree of seven: children, grandchildren, one of a thread, a zombie; once all of it stands."""
    root = program(FAMILY)
    assert sorted(root.line() for _ in range(3)) == ["ready", "stands", "stands"]
    while len(found := parents_below(root.pid)) < 6 or not any(map(procfs.is_zombie, found)):
        pass
    return root, found


def test_descendants_are_the_same_by_children_files_and_by_parents_and_come_parents_first(program):
    root, expected = family(program)
    members = tree.descendants(root.pid)
    assert {member.pid: member.parent for member in members} == expected
    seen = {root.pid}
    for member in members:
        assert member.parent in seen
        seen.add(member.pid)


def test_the_spared_are_left_out_with_all_below_them(program):
    root, expected = family(program)
    spared = next(pid for pid in expected if pid in expected.values())
    left = {member.pid for member in tree.descendants(root.pid, {spared})}
    assert left == set(expected) - {spared} - {pid for pid, parent in expected.items() if parent == spared}


def test_what_is_gone_has_no_parent_no_children_and_is_like_a_zombie():
    process = subprocess.Popen(["true"])
    process.wait()
    assert (procfs.parent_of(process.pid), tree.descendants(process.pid)) == (0, [])
    assert procfs.is_zombie(process.pid)
    assert procfs.describe(process.pid) == f"{process.pid} (?, state ?)"
    tree.send_group(process.pid, signal.SIGTERM)


def test_a_name_with_brackets_and_blanks_does_not_confuse(program):
    stopped = program('open("/proc/self/comm", "w").write(") Z 1 (x"); os.kill(os.getpid(), signal.SIGSTOP)')
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
    assert (procfs.parent_of(stopped.pid), procfs.is_zombie(stopped.pid)) == (os.getpid(), False)
    assert re.fullmatch(
        rf"{stopped.pid} \({re.escape(sys.executable)} -S -E -c .*, state T\)", procfs.describe(stopped.pid), re.DOTALL
    )


def test_a_signal_to_the_tree_reaches_all_but_the_root_and_the_spared(program):
    code = """
def below(depth):
    if depth < 3: fork(below, depth + 1)
    hear({signal.SIGUSR1: f"heard {depth}", signal.SIGUSR2: f"also {depth}"})
below(0)
"""
    root = program(code)
    assert [root.line() for _ in range(4)] == ["ready"] * 4
    for _ in range(2):  # the second time shows that the one between went nowhere else
        tree.send_tree(root.pid, signal.SIGUSR1)
        assert sorted(root.line() for _ in range(3)) == ["heard 1", "heard 2", "heard 3"]
        tree.send_tree(root.pid, signal.SIGUSR2, {tree.descendants(root.pid)[-1].pid})
        assert sorted(root.line() for _ in range(2)) == ["also 1", "also 2"]


def test_a_pid_that_is_another_process_by_now_is_not_signalled(program):
    """It was seen as a grandchild; now it is somebody else's child. Its pid is pinned, its parent read again."""
    stranger = program('hear({signal.SIGUSR1: "hit"})')
    assert stranger.line() == "ready"
    seen = tree.Descendant(stranger.pid, parent=1 << 22)
    tree._send_all(1 << 23, signal.SIGKILL, [seen])
    os.kill(stranger.pid, signal.SIGUSR1)
    assert stranger.line() == "hit"


@pytest.mark.parametrize(
    "body",
    [
        "def storm():\n while True: fork(lambda: None)",
        "def storm():\n while True: fork(lambda: (fork(pause), pause())); select.select([], [], [], 0.005)",
        "def storm():\n while True:\n  if os.fork(): os._exit(0)\n  os.setsid()",  # hops from session to session
    ],
    ids=["sprays", "grows", "hops"],
)
def test_a_tree_that_forks_while_it_is_killed_does_not_get_away(program, body):
    code = f"{ADOPT}\n{body}\nfor _ in range(3): fork(storm)\nsay('ready')\noutlive()\n"
    root = program(code)
    assert root.line() == "ready"
    for _ in range(50):
        if not root.says_within(0.1):
            tree.kill_tree(root.pid)
    assert root.says_within(0), [procfs.describe(m.pid) for m in tree.descendants(root.pid)]
    assert root.line() == "vacant"


# The victim, then many, then the watcher, in the order in which they are signalled.
FAR_APART = """def middle(victim):
    for _ in range(120): fork(pause)
    fork(watcher, victim)
    pause()
victim = fork(pause)
fork(middle, victim)
outlive()
"""

# W forks B once it sees V stopped; B forks C once it sees V dead. The many that are stopped between V and W give W the
# time for it.
BORN = f"""{ADOPT}
def born(victim):
    say("born")
    wait_for(lambda: state(victim) in ("Z", "gone"))
    os.setsid()
    fork(pause)
    pause()
def watcher(victim):
    say("watches")
    wait_for(lambda: state(victim) == "T")
    fork(born, victim)
    pause()
{FAR_APART}"""


def test_one_that_was_born_while_others_were_stopped_is_stopped_too(program):
    """B's parent was stopped in the first round, B has to be in the second: else it goes on, and C escapes the pass.

    W may be late: such a run shows nothing. SIGSTOP may be late too: a pass has to wait until everybody is suspended.
    """
    escapes, attempts = [], 0
    while len(escapes) < 3 and (attempts := attempts + 1) < 15:
        root = program(BORN)
        assert root.line() == "watches"
        tree.kill_tree(root.pid)
        if root.line() == "born":
            escapes.append(not root.says_within(PATIENCE))
        root.close()
    assert not any(escapes), escapes


# W forks B once it sees V dead; the many that are signalled between V and W give W the time for it.
AVENGED = f"""{ADOPT}
def watcher(victim):
    say("watches")
    wait_for(lambda: state(victim) in ("Z", "gone"))
    fork(pause)
    say("forked")
    pause()
{FAR_APART}"""


def test_nobody_sees_another_one_killed(program):
    """One that forks when others die would always be ahead of a kill that goes from one to the next."""
    for _ in range(5):
        root = program(AVENGED)
        assert root.line() == "watches"
        tree.kill_tree(root.pid)
        assert root.line() == "vacant"
        root.close()


def test_killing_spares_whom_it_should(program):
    code = f"""{ADOPT}
def spared(): fork(hear, {{signal.SIGUSR1: "alive"}}); pause()
fork(pause); fork(pause); say(fork(spared))
while os.waitpid(-1, 0): say("gone")
"""
    root = program(code)
    (spared,) = [int(line) for line in (root.line(), root.line()) if line != "ready"]
    grandchild = tree.descendants(spared)[0].pid
    tree.kill_tree(root.pid, {spared})
    assert [root.line(), root.line()] == ["gone", "gone"]
    assert {m.pid for m in tree.descendants(root.pid)} == {spared, grandchild}
    os.kill(grandchild, signal.SIGUSR1)
    assert root.line() == "alive"


def test_ended_children_are_peeked_at_without_being_reaped():
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert tree.peek_ended(lambda: [process.pid]) == process.pid
    assert tree.peek_ended(list) == process.pid, "also one that is not our own: it was adopted"
    assert process.wait() == 0
    assert tree.peek_ended(lambda: [process.pid]) == 0
    tree.reap(process.pid)


def test_reaping_tells_pids_statuses_and_when_nobody_is_left(program):
    """In a process of its own: it takes every child there is."""
    code = """
sys.path[:0] = %r
from orchestrator.process import tree
say(tree.reap_all())
pids = [fork(os._exit, 7), fork(lambda: os.kill(os.getpid(), signal.SIGTERM)), fork(pause)]
ended = []
while len(ended) < 2: ended += tree.reap_all()[0]
say(sorted(ended) == sorted([(pids[0], 7), (pids[1], -15)]), tree.reap_all())
os.kill(pids[2], signal.SIGKILL)
os.waitid(os.P_PID, pids[2], os.WEXITED | os.WNOWAIT)
say(tree.reap_all() == ([(pids[2], -9)], True))
"""
    other = program(code % sys.path)
    assert [other.line() for _ in range(3)] == ["([], True)", "True ([], False)", "True"]


def test_the_parents_death_is_a_signal_and_a_parent_already_dead_an_error(program):
    code = """
sys.path[:0] = %r
from orchestrator.process import tree
def child(parent):
    tree.signal_on_parent_death(signal.SIGUSR1, parent)
    hear({signal.SIGUSR1: "orphaned"}, 1)
try: tree.signal_on_parent_death(signal.SIGUSR1, 1 << 23)
except ProcessLookupError: say("gone")
fork(child, os.getpid())
pause()
"""
    parent = program(code % sys.path)
    assert (parent.line(), parent.line()) == ("gone", "ready")
    parent.process.kill()
    assert parent.line() == "orphaned"


def test_no_look_misses_a_process_whose_parent_exits(monkeypatch):
    """Between the look at a subreaper's children and that at the exiting parent's, the kernel moves the child."""
    family = {1: [[2], [3]], 2: [[]], 3: [[]]}
    monkeypatch.setattr(tree, "_HAS_CHILDREN", True)
    monkeypatch.setattr(tree, "_children", lambda pid: family[pid].pop(0) if len(family[pid]) > 1 else family[pid][0])
    assert [member.pid for member in tree.descendants(1)] == [2, 3]
