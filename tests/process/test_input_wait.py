"""Whether a program at a terminal waits for input: real programs at real prompts, and programs that are only silent."""

import os
import platform
import pty
import re
import select
import shutil
import signal
import sys
import termios

import pytest
from facts import PATIENCE, until

from orchestrator.process import input_wait, procfs, tree

PYTHON = [sys.executable, "-c"]
SHOWN = "import sys, os, time; sys.stdout.write('42% '); sys.stdout.flush(); "


class AtTerminal:
    """A program on a pty of its own; `seen` is what it has written."""

    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.environ.update(TERM="xterm-256color", PS1="$ ")
                os.execvp(argv[0], argv)
            finally:
                os._exit(127)
        self.seen = b""

    def read_until(self, text):
        while text not in self.seen:
            assert select.select([self.fd], [], [], PATIENCE)[0], self.seen
            self.seen += os.read(self.fd, 4096)

    def tree(self):
        return [self.pid, *(instance.pid for instance in tree.descendants(self.pid))]

    def reader(self):
        return input_wait.find_reader(self.fd, self.tree())

    def is_waited_for(self):
        """Whether somebody is blocked."""
        return (reader := self.reader()) is not None and reader.blocked

    def end(self):
        tree.kill_tree(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def at_terminal():
    started = []

    def start(*argv):
        started.append(AtTerminal(argv))
        return started[-1]

    yield start
    for program in started:
        program.end()


@pytest.mark.parametrize(
    ("argv", "prompt"),
    [
        (["bash", "--norc", "--noprofile"], b"$ "),
        (["sh", "-c", "printf 'Name: '; read name"], b"Name: "),
        (["sh", "-c", "printf 'Name: '; sh -c 'read name'; true"], b"Name: "),
        (["sh", "-c", "echo 'Go on?'; read answer"], b"?\r\n"),
        (["bash", "-c", "echo press any key; read -n1 -s; true"], b"key\r\n"),
        (["sh", "-c", "exec less /etc/passwd"], b"root"),
        (["bash", "-c", "read -p 'Name: ' name; true"], b"Name: "),
        (["bash", "-c", "read -s -p 'Secret: ' secret; true"], b"Secret: "),
        (["env", "PYTHON_BASIC_REPL=1", sys.executable, "-q"], b">>> "),
        ([*PYTHON, "breakpoint()\npass"], b"(Pdb) "),
        ([*PYTHON, "import getpass; getpass.getpass()"], b"Password: "),
        ([*PYTHON, "input('[Y/n] ')"], b"[Y/n] "),
        ([*PYTHON, "import threading; threading.Thread(target=input, args=['in a thread? ']).start()"], b"thread? "),
        ([*PYTHON, "print('from the terminal? ', end='', flush=True); open('/dev/tty').read()"], b"terminal? "),
    ],
)
def test_who_asks_is_seen_to_wait(at_terminal, argv, prompt):
    program = at_terminal(*argv)
    program.read_until(prompt)
    assert until(program.is_waited_for)


def test_a_line_editor_that_polls_the_terminal_is_seen_to_want_input(at_terminal):
    """The REPL of Python 3.13 polls it ten times a second, so it never counts as blocked."""
    program = at_terminal(sys.executable, "-q")
    program.read_until(b">>> ")
    assert until(program.reader)


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("time.sleep(1000)", "nanosleep|poll|select"),  # before CPython 3.11 it is a select
        ("os.read(os.pipe()[0], 1)", "pipe_read"),
        ("import socket; a, b = socket.socketpair(); a.recv(1)", "unix"),
        ("import select; select.select([0], [], [])", "poll"),
        ("os.kill(os.getpid(), 19)", "signal"),
    ],
)
def test_who_is_only_silent_is_not(at_terminal, code, call):
    """`call` is part of what the kernel says it stands in: only there the answer counts."""
    program = at_terminal(*PYTHON, SHOWN + code)
    program.read_until(b"42% ")

    def stands():
        with open(f"/proc/{program.pid}/wchan") as file:
            return re.search(call, file.read())

    assert until(stands)
    assert not program.is_waited_for()


RAW = "import os, select, tty, threading; tty.setcbreak(0); print('a key? ', end='', flush=True); "
EPOLL = "e = select.epoll(); e.register(0, 1); "


@pytest.mark.parametrize(
    ("code", "alone"),
    [
        ("breakpoint()\npass", True),
        ("import getpass; getpass.getpass('a key? ')", True),
        ("import threading; threading.Thread(target=lambda: exec('breakpoint()\\npass')).start()", True),
        (RAW + "os.read(0, 1)", True),
        (RAW + "select.select([0], [], [])", True),
        (RAW + "select.select([open('/dev/tty', 'rb', 0)], [], [])", True),
        (RAW + "select.select([0, os.pipe()[0]], [], [])", False),
        (RAW + "p = select.poll(); p.register(0, select.POLLIN); p.poll()", True),
        (RAW + "p = select.poll(); p.register(0, 1); p.register(os.pipe()[0], 1); p.poll()", False),
        (RAW + EPOLL + "e.poll()", True),
        (RAW + EPOLL + "e.register(os.pipe()[0], 1); e.poll()", False),
    ],
)
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64", "riscv64"), reason="only read(2) is known there")
def test_a_sleeper_is_found_and_has_not_run(at_terminal, code, alone):
    program = at_terminal(*PYTHON, code)
    program.read_until(b"a key? " if "a key? " in code else b"(Pdb) ")
    look = lambda before=None: input_wait.find_sleeper(program.fd, program.tree(), before)  # noqa: E731
    assert until(look)
    assert look().alone == alone
    assert until(lambda: look() == look())
    before = look()
    assert not before.has_run_since(look())
    os.write(program.fd, b"p" if "(Pdb) " in program.seen.decode() else b"\n")
    assert until(lambda: (after := look(before)) is None or after.has_run_since(before))


@pytest.mark.parametrize("writes", [False, True])
def test_a_sleeper_that_ran_has_written_or_not(at_terminal, writes):
    ticks = "print(end='.', flush=True)" if writes else "0"
    program = at_terminal(*PYTHON, f'exec("{RAW}\\nwhile not select.select([0], [], [], 0.01)[0]: {ticks}")')
    program.read_until(b"a key? ")
    seen = []

    def ran():
        """Often it is not asleep when it is looked at."""
        if found := input_wait.find_sleeper(program.fd, program.tree(), None):
            seen.append(found)
        return len(seen) > 1 and seen[-1].has_run_since(seen[0])

    assert until(ran)
    assert seen[-1].has_written_since(seen[0]) == writes


@pytest.mark.parametrize(
    "wait",
    [
        "select.select([], [], [])",
        "select.select([os.pipe()[0]], [0], [])[0] or select.select([], [], [])",
        "select.select([], [1], [os.pipe()[0]]) and select.select([os.pipe()[0]], [], [])",
        "p = select.poll(); p.register(os.pipe()[0], 1); p.poll()",
        "e = select.epoll(); e.register(os.pipe()[0], 1); e.poll()",
        "threading.Event().wait()",
    ],
)
def test_who_is_raw_and_waits_for_something_else_is_no_sleeper(at_terminal, wait):
    program = at_terminal(*PYTHON, RAW + wait)
    program.read_until(b"a key? ")

    def stands():
        with open(f"/proc/{program.pid}/wchan") as file:
            return re.search("poll|select|futex", file.read())

    assert until(stands)
    assert program.reader() is None
    assert input_wait.find_sleeper(program.fd, program.tree(), None) is None


def test_who_reads_in_the_background_is_not_waited_for(at_terminal):
    program = at_terminal("bash", "-c", "set -m; cat & read -t 1000 < <(exec sleep 1000)")
    stopped = lambda: any("state T" in procfs.describe(pid) for pid in program.tree())  # noqa: E731
    assert until(stopped)
    assert not program.is_waited_for()


def test_another_terminal_does_not_count(at_terminal):
    asks = at_terminal("sh", "-c", "printf 'Name: '; read name")
    silent = at_terminal("sh", "-c", "printf '42%% '; exec sleep 1000")
    asks.read_until(b"Name: ")
    silent.read_until(b"42% ")
    assert until(asks.is_waited_for)
    assert input_wait.find_reader(silent.fd, asks.tree()) is None


def test_a_hidden_prompt_is_known(at_terminal):
    hidden = at_terminal(*PYTHON, "import getpass; getpass.getpass()")
    hidden.read_until(b"Password: ")
    shown = at_terminal("sh", "-c", "printf 'Name: '; read name")
    shown.read_until(b"Name: ")
    assert (input_wait.is_hidden(hidden.fd), input_wait.is_hidden(shown.fd)) == (True, False)


def test_a_pipe_is_no_terminal():
    read_fd, write_fd = os.pipe()
    try:
        assert input_wait.find_reader(read_fd, [os.getpid()]) is None
        assert not input_wait.is_hidden(read_fd)
    finally:
        os.close(read_fd)
        os.close(write_fd)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to become another user")
def test_what_the_kernel_does_not_show_is_no_prompt(at_terminal):
    """Of another user's process only the terminal's own modes are known."""
    reader, writer = os.pipe()
    program = at_terminal("sh", "-c", "printf 'Name: '; read name")
    program.read_until(b"Name: ")
    assert until(program.is_waited_for)
    if (child := os.fork()) == 0:
        os.setresuid(65534, 65534, 65534)
        os.write(writer, b"yes" if program.is_waited_for() else b"no")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 3) == b"no"
    os.close(reader)
    os.close(writer)


def set_raw(program, minimum=1):
    flags = termios.tcgetattr(program.fd)
    flags[3] &= ~termios.ICANON
    flags[6][termios.VMIN], flags[6][termios.VTIME] = minimum, 0 if minimum else 100
    termios.tcsetattr(program.fd, termios.TCSANOW, flags)


def test_a_raw_terminal_that_nobody_reads_is_not_waited_for(at_terminal):
    """A watcher keeps it raw while it compiles."""
    program = at_terminal("sh", "-c", "printf '42%% '; exec sleep 1000")
    program.read_until(b"42% ")
    set_raw(program)
    assert input_wait.is_edited(program.fd), "modes are asked of the master"
    assert program.reader() is None


@pytest.mark.parametrize(
    ("code", "blocked"),
    [
        ("select.select([0], [], [])", True),
        ("select.select([0], [], [], 1000)", False),
        ("select.select([0, os.pipe()[0]], [], [])", False),
        ("p = select.poll(); p.register(0, 1); p.poll()", True),
        ("p = select.poll(); p.register(0, 1); p.poll(10**6)", False),
        (EPOLL + "e.poll()", True),
        (EPOLL + "e.poll(1000)", False),
        (EPOLL + "e.register(os.pipe()[0], 1); e.poll()", False),
        ("os.read(0, 1)", True),
    ],
)
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64", "riscv64"), reason="only read(2) is known there")
def test_who_wakes_up_by_itself_is_not_blocked(at_terminal, code, blocked):
    program = at_terminal(*PYTHON, RAW + code)
    program.read_until(b"a key? ")
    assert until(program.reader) == input_wait.Reader(blocked)


def test_who_may_read_in_another_thread_is_known(at_terminal):
    code = "import threading; threading.Thread(target=input, args=['thread? ']).start(); import time; time.sleep(1000)"
    program = at_terminal(*PYTHON, code)
    program.read_until(b"thread? ")
    assert until(program.reader) == input_wait.Reader(blocked=True, is_main=False, threads=2)


def test_a_read_that_returns_after_a_time_is_not_blocked(at_terminal):
    program = at_terminal(*PYTHON, RAW + "os.read(0, 1); os.read(0, 1)")
    program.read_until(b"a key? ")
    assert until(program.is_waited_for)
    set_raw(program, minimum=0)
    os.write(program.fd, b"x")  # the next read sees the modes
    assert until(lambda: program.reader() == input_wait.Reader(blocked=False))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to become another user")
def test_what_the_kernel_does_not_show_may_be_a_prompt_if_the_modes_say_so(at_terminal):
    """As sudo(8) asks for a password."""
    reader, writer = os.pipe()
    program = at_terminal(*PYTHON, "import getpass; getpass.getpass()")
    program.read_until(b"Password: ")
    assert until(program.is_waited_for)
    if (child := os.fork()) == 0:
        os.setresuid(65534, 65534, 65534)
        os.write(writer, repr(program.reader()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() == repr(input_wait.Reader(blocked=False))
    os.close(reader)
    os.close(writer)
