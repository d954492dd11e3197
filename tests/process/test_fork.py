"""Forks of the supervisor: what is left of one that has ended."""

import gc
import os
import select
import sys
import weakref

import pytest

from orchestrator.process.fork import ForkedProcess, highest_descriptor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds")


def end(*_):
    os._exit(0)


def test_one_that_has_ended_is_freed_without_the_collector():
    """Nor does the fork freeze anything here: garbage that is frozen is never collected."""
    gc.collect()
    frozen = gc.get_freeze_count()
    forked = ForkedProcess("short", end)
    forked.fork(highest_descriptor())
    pid_fd = os.pidfd_open(forked.pid)
    select.select([pid_fd], [], [])
    os.close(pid_fd)
    assert forked.has_ended
    forked.reap()
    forked.channel.close()
    references = [weakref.ref(forked), weakref.ref(forked._process), weakref.ref(forked.channel)]
    del forked
    assert [reference() for reference in references] == [None, None, None]
    assert gc.get_freeze_count() == frozen
