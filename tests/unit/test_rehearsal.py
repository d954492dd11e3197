"""The rehearsal leaves no trace in the process that goes through it."""

import os
import signal

from orchestrator.process.fork import rehearse


def _traces() -> tuple[list[str], list[object]]:
    return sorted(os.listdir("/proc/self/fd")), [signal.getsignal(number) for number in signal.valid_signals()]


def test_it_leaves_no_trace() -> None:
    rehearse.__wrapped__()  # what is imported only then has been
    before = _traces()
    rehearse.__wrapped__()
    assert _traces() == before


def test_too_few_descriptors_are_no_error() -> None:
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        rehearse.__wrapped__()
    finally:
        for fd in taken:
            os.close(fd)
