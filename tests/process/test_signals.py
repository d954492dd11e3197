"""Signals as bytes on a descriptor. What would change pytest itself runs in a process of its own."""

import os
import select
import signal
import subprocess
import sys
import threading

import pytest
from facts import LIBC_SIGNALS

from orchestrator.runtime import signals

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def pipe():
    """A SignalPipe for USR1 and USR2; afterwards everything is as it was."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    wakeup = signal.set_wakeup_fd(-1)
    pipe = signals.SignalPipe(before)
    yield pipe
    pipe.close()
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)


def python(code, **how):
    """Run code that begins with the usual imports."""
    lead = "import os, signal, sys\nfrom orchestrator.runtime import signals\n"
    return subprocess.run(
        [sys.executable, "-c", lead + code], capture_output=True, text=True, timeout=60, check=False, **how
    )


def test_each_signal_is_a_byte_in_its_order(pipe):
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
        signal.raise_signal(number)
    assert select.select([pipe.read_fd], [], [], 0)[0]
    assert pipe.read() == [signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1]
    assert pipe.read() == []


@pytest.mark.skipif(sys.platform != "linux", reason="signalfd(2)")
def test_a_signal_names_its_sender():
    done = python(
        "import select, subprocess\n"
        "from orchestrator.runtime.signal_fd import SignalFd\n"
        "fd = SignalFd([signal.SIGTERM, signal.SIGINT])\n"
        "print(fd.read())\n"
        "sender = subprocess.Popen(['sh', '-c', 'kill -TERM $PPID; read x'], stdin=subprocess.PIPE)\n"
        "select.select([fd.read_fd], [], [])\n"
        "(one,) = fd.read()\n"
        "print(one.number == signal.SIGTERM, one.pid == sender.pid, one.uid == os.getuid(), one.is_of_kernel)\n"
        "sender.communicate(b'')\n"
    )
    assert done.stdout == "[]\nTrue True True False\n", done.stderr


def test_a_signal_that_was_not_asked_for_is_no_byte(pipe):
    assert signal.getsignal(signal.SIGWINCH) is not signals._nothing
    os.kill(os.getpid(), signal.SIGWINCH)
    signal.raise_signal(signal.SIGUSR1)
    assert pipe.read() == [signal.SIGUSR1]


def test_blocked_signals_come_after_the_mask_is_restored(pipe):
    mask = signals.block_all()
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # pytest-xdist has a second thread
        assert pipe.read() == []
    finally:
        signals.restore(mask)
    assert pipe.read() == [signal.SIGUSR1]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_a_storm_prints_nothing_and_loses_only_bytes():
    run = python(
        "pipe = signals.SignalPipe([signal.SIGUSR1, signal.SIGTERM])\n"
        "for _ in range(70000): signal.raise_signal(signal.SIGUSR1)\n"
        "print(len(pipe.read()), pipe.read())\n"
        "signal.raise_signal(signal.SIGTERM)\n"
        "print(pipe.read())\n"
    )
    assert (run.stdout, run.stderr, run.returncode) == ("65536 []\n[15]\n", "", 0)


@pytest.mark.parametrize(("setting", "told"), [("''", "True"), ("-", "False")])
def test_what_was_ignored_at_birth_is_known(setting, told):
    code = "from orchestrator.runtime import signals; print(signals.inherited_ignored(1))"
    command = ["sh", "-c", f'trap {setting} HUP; "$@"', "sh", sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == f"{told}\n"


@LINUX_ONLY
def test_everything_is_default_for_a_component():
    """CPython ignores PIPE and XFSZ; what `sh … &` ignores and what was blocked is undone as well."""
    run = python(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signals.block_all()\n"
        "signals.set_all_default()\n"
        "os.execvp('cat', ['cat', '/proc/self/status'])\n"
    )
    status = dict(line.split(":\t", 1) for line in run.stdout.splitlines())
    assert {name: int(status[name], 16) & ~LIBC_SIGNALS for name in ("SigBlk", "SigIgn", "SigCgt")} == dict.fromkeys(
        ("SigBlk", "SigIgn", "SigCgt"), 0
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE])
def test_the_process_dies_of_the_signal_itself(number):
    run = python(f"signals.block_all()\nsignals.die_of({int(number)})\nprint('alive')\n")
    assert (run.returncode, run.stdout, run.stderr) == (-number, "", "")
