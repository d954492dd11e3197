"""How a system ended, and the exit status that tells it."""

import pytest

from orchestrator.model.outcome import InstanceEnd, Outcome, of_all, of_culprit

WELL = InstanceEnd(0, own=True, succeeded=True)
STOPPED = InstanceEnd(-15, own=False, succeeded=False)
FAILED = InstanceEnd(7, own=True, succeeded=False)
KILLED = InstanceEnd(-9, own=True, succeeded=False)
ALSO_WELL = InstanceEnd(3, own=True, succeeded=True)  # success_exit_codes = [0, 3]
ZERO_IS_FAILURE = InstanceEnd(0, own=True, succeeded=False)


@pytest.mark.parametrize(
    ("culprit", "others", "status"),
    [
        (FAILED, [STOPPED], 7),
        (FAILED, [], 7),
        (KILLED, [STOPPED, WELL], 128 + 9),
        (WELL, [STOPPED], 1),
        (WELL, [None], 1),
        (WELL, [], 0),
        (WELL, [WELL, WELL], 0),
        (WELL, [WELL, FAILED], 1),
        (WELL, [InstanceEnd(0, own=False, succeeded=True)], 1),
        (ALSO_WELL, [STOPPED], 3),
        (ALSO_WELL, [WELL], 0),
        (ZERO_IS_FAILURE, [], 1),
    ],
)
def test_the_end_of_one_ended_all(culprit, others, status):
    assert of_culprit(culprit, others) == Outcome(status)


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([], 0),
        ([WELL, WELL], 0),
        ([WELL, ALSO_WELL], 0),
        ([WELL, FAILED, KILLED], 7),
        ([WELL, KILLED, FAILED], 128 + 9),
        ([None, WELL], 0),
        ([ZERO_IS_FAILURE], 1),
    ],
)
def test_all_ended_by_themselves(ends, status):
    assert of_all(ends) == Outcome(status)
