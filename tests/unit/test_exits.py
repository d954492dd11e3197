"""Exit statuses in words, and as codes."""

import signal

import pytest

from orchestrator.model.errors import as_code, in_words, signal_name


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (0, "exited with status 0", 0),
        (3, "exited with status 3", 3),
        (255, "exited with status 255", 255),
        (-15, "killed by SIGTERM", 143),
        (-9, "killed by SIGKILL", 137),
        (-signal.SIGSEGV, "killed by SIGSEGV", 139),
    ],
)
def test_status(status, words, code):
    assert (in_words(status), as_code(status)) == (words, code)


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_signals_without_a_name_go_by_number():
    number = signal.SIGRTMIN + 5
    assert signal_name(number) == f"signal {number}"
    assert in_words(-number) == f"killed by signal {number}"
