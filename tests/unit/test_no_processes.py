"""The unit layer starts no process, and asks for no fixture that would: the check in conftest.py, and the fixtures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STARTING = {"home", "homes", "home_at", "tmux", "network"}


@pytest.mark.parametrize(
    "event", ["os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"]
)
def test_each_start_is_refused(event):
    with pytest.raises(pytest.fail.Exception, match="a unit test starts no process"):
        sys.audit(event, "x")


def test_nothing_is_started():
    with pytest.raises(pytest.fail.Exception, match=r"subprocess\.Popen.*move it to tests/process"):
        subprocess.run(["true"], check=True)
    with pytest.raises(pytest.fail.Exception, match=r"os\.system"):
        os.system("true")


def test_no_test_has_a_fixture_that_starts_processes(request):
    """Also one that is skipped on this machine."""
    here = [item for item in request.session.items if item.path.parent == Path(__file__).parent]
    assert here
    assert [item.nodeid for item in here if STARTING & set(item.fixturenames)] == []
