"""The unit layer starts no process: a test in this folder that does fails at that call."""

import sys

import pytest

_OF_OS = ("exec", "fork", "forkpty", "posix_spawn", "spawn", "system")
STARTS = {"subprocess.Popen", "pty.spawn", *(f"os.{name}" for name in _OF_OS)}
_refused = set()


def refuse(event, arguments):
    """Fail the test that is about to start a process: an audit hook (PEP 578), called before each start."""
    if event in _refused:
        pytest.fail(f"a unit test starts no process, but {event}{arguments!r:.200}: move it to tests/process")


sys.addaudithook(refuse)  # for good: no hook can be removed


@pytest.fixture(autouse=True, scope="module")
def no_process_is_started():
    """Refuse starts as long as tests of this folder run."""
    _refused.update(STARTS)
    yield
    _refused.clear()
