"""What follows the end of a run: literal histories, with the dice given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.lifecycle import (
    JITTER,
    QUICK,
    Event,
    ExitPattern,
    Repeats,
    RestartDecision,
    StopOrigin,
    decide_restart,
)
from orchestrator.model.spec import RestartPlan, RestartPolicy

NEVER, ON_FAILURE, ALWAYS = RestartPolicy.NEVER, RestartPolicy.ON_FAILURE, RestartPolicy.ALWAYS


def after(plan, now=0.0, failed=True, stop_origin=StopOrigin.NONE, failures=(), dice=0.0):
    return decide_restart(plan, failed=failed, stop_origin=stop_origin, failures=failures, now=now, dice=dice)


@pytest.mark.parametrize(
    ("policy", "failed", "event"),
    [
        (NEVER, False, Event.ENDED),
        (NEVER, True, Event.GIVEN_UP),
        (ON_FAILURE, False, Event.ENDED),
        (ON_FAILURE, True, Event.RETRY),
        (ALWAYS, False, Event.RETRY),
        (ALWAYS, True, Event.RETRY),
    ],
)
def test_policy(policy, failed, event):
    assert after(RestartPlan(policy), failed=failed).event is event


@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize("failed", [True, False])
def test_an_end_that_was_asked_for_is_final_and_forgets_the_past(policy, failed):
    assert after(
        RestartPlan(policy), now=9.0, failed=failed, stop_origin=StopOrigin.DOWN, failures=(7.0, 8.0)
    ) == RestartDecision(Event.ENDED)


@pytest.mark.parametrize("policy", RestartPolicy)
def test_what_does_not_live_is_replaced_whatever_the_policy_but_not_for_ever(policy):
    plan = RestartPlan(policy, max=3, within=60.0)
    assert after(plan, now=9.0, stop_origin=StopOrigin.REPLACE).event is Event.RETRY
    assert after(plan, now=9.0, stop_origin=StopOrigin.REPLACE, failures=(7.0, 8.0)).event is Event.GIVEN_UP


def history(plan, times, dice=0.0):
    """The verdicts on failures at these times, as pairs of event and delay."""
    failures, told = (), []
    for now in times:
        verdict = after(plan, now, failures=failures, dice=dice)
        failures = verdict.failures
        told.append((verdict.event, verdict.delay))
    return told


def test_the_backoff_doubles_up_to_its_cap():
    plan = RestartPlan(ON_FAILURE, max=9, within=300.0, first=1.0, cap=10.0)
    assert history(plan, [0, 1, 2, 3, 4, 5]) == [(Event.RETRY, delay) for delay in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0)]


def test_it_is_given_up_at_the_last_failure_within_the_time():
    plan = RestartPlan(ON_FAILURE, max=3, within=60.0)
    assert [event for event, _ in history(plan, [0, 10, 20])] == [Event.RETRY, Event.RETRY, Event.GIVEN_UP]


def test_old_failures_do_not_count():
    plan = RestartPlan(ON_FAILURE, max=3, within=60.0)
    assert [event for event, _ in history(plan, [0, 50, 70, 120, 125])] == [Event.RETRY] * 4 + [Event.GIVEN_UP]


def test_a_healthy_stretch_makes_the_backoff_small_again():
    plan = RestartPlan(ON_FAILURE, max=5, within=60.0, first=1.0)
    assert [delay for _, delay in history(plan, [0, 1, 2, 62, 200])] == [1.0, 2.0, 4.0, 1.0, 1.0]


def repeats(*exits, lasted=1.0):
    found = Repeats()
    for one in exits:
        found = found.after(one and ExitPattern.of(*one), lasted)
    return found.count


def test_numbers_in_the_last_line_do_not_make_another_exit():
    before = (1, "[2026-11-29T06:01:02.345] <Pool at 0x7f13aB> pid 4711: cannot import celery")
    later = (1, "[2026-11-29T06:01:09.000] <Pool at 0x7f99> pid 9: cannot import celery")
    assert repeats(before, later) == 2
    assert repeats((1, ""), (1, "")) == 2


@pytest.mark.parametrize("other", [(2, "no such table"), (1, "no such column"), None])
def test_only_the_same_exit_in_a_row_counts(other):
    same = (1, "no such table")
    assert repeats(same, same, other) == (1 if other else 0)
    assert repeats(same, other, same) == 1


def test_a_run_that_took_long_does_not_count():
    same = (1, "no such table")
    assert repeats(same, same, lasted=QUICK + 1) == 0


def test_the_same_exits_are_given_up_only_if_the_plan_says_so():
    twice = Repeats(ExitPattern(1, "x"), 2)
    for same_exits, event in ((0, Event.RETRY), (2, Event.GIVEN_UP), (3, Event.RETRY)):
        plan = RestartPlan(ALWAYS, max=5, same_exits=same_exits)
        assert (
            decide_restart(
                plan, failed=True, stop_origin=StopOrigin.NONE, failures=(), now=1, dice=0, repeats=twice
            ).event
            is event
        )


def test_jitter_is_on_top_and_small():
    plan = RestartPlan(ALWAYS, first=4.0)
    assert after(plan, dice=0.5).delay == pytest.approx(4.0 * (1 + JITTER / 2))


@settings(deadline=None)
@given(
    policy=st.sampled_from(RestartPolicy),
    limit=st.integers(1, 10),
    gaps=st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=40),
    dice=st.floats(0, 1, exclude_max=True),
)
def test_never_more_restarts_within_the_time_than_allowed(policy, limit, gaps, dice):
    plan = RestartPlan(policy, max=limit, within=60.0, first=0.5, cap=8.0)
    times = [sum(gaps[:n]) for n in range(1, len(gaps) + 1)]
    retries = [now for now, (event, _) in zip(times, history(plan, times, dice), strict=True) if event is Event.RETRY]
    for now in retries:
        assert sum(now - 60.0 < at <= now for at in retries) <= limit
    assert all(0 <= delay <= 8.0 * (1 + JITTER) for _, delay in history(plan, times, dice))


def test_a_limit_that_nobody_reaches_is_no_overflow():
    """`max = 100000` is how one writes "for ever"; 2.0 ** 1024 would be an OverflowError."""
    plan = RestartPlan(ALWAYS, max=100_000, within=1e9, first=0.01, cap=5.0)
    assert after(plan, 2000.0, failures=tuple(float(n) for n in range(2000))).delay == 5.0
