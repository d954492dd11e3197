"""What a guardian has for itself alone: a page too many in each is a page too many times two hundred. And what is kept
of a run that has ended: nothing."""

import gc
import os
import platform
import pty
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest
from facts import PATIENCE, children, pump
from harness import environment

from orchestrator.output.stream import Stream
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.attach.session import AttachedTerminal

LIMIT = 2.5e6  # bytes; 2.2 on CPython 3.11
COUNT = 50


def private(pid):
    """Bytes of the pages that no other process has."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_(?:Clean|Dirty): +(\d+)", rollup, re.MULTILINE)))


def test_a_guardian_shares_nearly_all_its_memory_with_the_others(home):
    home.write(**{f"c{number}": "echo ready; exec sleep 600" for number in range(COUNT)})
    run = home.up("--no-log", "--color", "never")
    assert pump(lambda: run.text.count("| ready\n") == COUNT or run.returncode is not None, PATIENCE), str(run)
    guardians = children(run.pid)
    assert len(guardians) == COUNT
    sizes = [private(pid) for pid in guardians]
    assert median(sizes) <= LIMIT, sorted(sizes)
    run.stop()


def test_a_stream_is_let_go_once_its_run_has_ended():
    """At once: in a cycle, two hundred of them with their last lines waited for the collector, and the heap grew."""
    instance = SimpleNamespace(spec=SimpleNamespace(expect=()))
    loop, (master_fd, _) = Loop(), pty.openpty()
    terminal = AttachedTerminal("web", SimpleNamespace(loop=loop, pty_size=(24, 80)))
    stream = Stream(master_fd, None)
    held = sys.getrefcount(stream)
    gc.disable()
    try:
        terminal.open(instance, stream, lambda: ())
        terminal.take(b"Name: ")
        terminal.typed()
        assert sys.getrefcount(stream) > held
        terminal.close()
        assert sys.getrefcount(stream) == held
    finally:
        gc.enable()
        loop.close()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_a_flood_does_not_take_its_memory_from_the_kernel_anew_at_every_turn(home):
    """With `tty = false` and a log that was half a million page faults a GB, and half of the time."""
    home.write(flood="yes 'a line of some words' | head -c 100000000")
    command = home.command("--no-tty", "flood")
    process = subprocess.Popen(command, cwd=home.path, env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    assert usage.ru_minflt < 25_000
