"""Promises that name seconds, on a machine that may have no time for us.

What comes right, but after its time, is `Late`. A test that fails of nothing else is tried again, with fixtures of its
own: other work may have had the processors, and the promise holds if one of TRIES keeps it. The limits are those of an
idle machine; the summary names what needed a second try. A pytest plugin, named in conftest.py.
"""

import os
import time

import pytest
from _pytest.runner import runtestprotocol
from examples import IS_WHOLE

TRIES = 3
CHEAP = 2.0 if IS_WHOLE else 0.5  # seconds of CPU, for a whole flood or for a tenth of it
if "COVERAGE_RCFILE" in os.environ:
    CHEAP *= 10  # to measure the coverage costs more than the flood
FIXED_WORK = 0.020  # seconds of CPU that it takes on an idle machine
LATE = pytest.StashKey[bool]()
_tried_again = []


class Late(AssertionError):
    """It came right, but after its time."""


def in_time(seconds, limit):
    """Hold what took so many seconds to its limit."""
    if seconds >= limit:
        raise Late(f"it took {seconds:.3f} s instead of {limit} s")


def cheap(function, *arguments):
    """Hold a call to the seconds of CPU that what is linear never takes here; what it returns.

    Other work shares caches and cores, and another Python may be slower: then a fixed piece of work takes longer too,
    and the limit with it.
    """
    before = _measured(_fixed_work)[1]
    result, seconds = _measured(function, *arguments)
    after = _measured(_fixed_work)[1]
    in_time(seconds, CHEAP * max(1.0, before / FIXED_WORK, after / FIXED_WORK))
    return result


def _measured(function, *arguments):
    """Call it; what it returns, and its seconds of CPU."""
    begun = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - begun


def _fixed_work():
    """Cut and join small pieces, as code for lines does."""
    for _ in range(150):
        b"".join(piece[:1] for piece in bytes(1000).split(b"\0"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    yield
    if call.when == "call":
        item.stash[LATE] = call.excinfo is not None and isinstance(call.excinfo.value, Late)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for left in reversed(range(TRIES)):
        item.stash[LATE] = False
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not (left and item.stash[LATE]):
            break
        _tried_again.append(f"{item.nodeid}: {reports[1].longrepr.reprcrash.message}")
        item._initrequest()  # fixtures anew, as pytest-rerunfailures does it
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter):
    if _tried_again:
        terminalreporter.section("late, and tried again")
        terminalreporter.write_line("\n".join(_tried_again))
