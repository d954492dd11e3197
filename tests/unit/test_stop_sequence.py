"""How one process tree is stopped: exact sequences, and SIGKILL after any order of events."""

import signal

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.lifecycle import IGNORE, IMPOSSIBLE, ImpossibleEvent
from orchestrator.model.spec import StopPlan, StopStep
from orchestrator.model.stop_sequence import (
    AGAIN,
    STUCK_AFTER,
    STUCK_AGAIN,
    TABLE,
    Cause,
    KillTree,
    Phase,
    ReportStuck,
    SendRest,
    SendStep,
    StopSequence,
    TypeKeys,
)

TERM, KILL, INT = signal.SIGTERM, signal.SIGKILL, signal.SIGINT
PLAIN = StopPlan((StopStep(TERM, 10.0),))
AIRFLOW = StopPlan((StopStep(TERM, 15.0), StopStep(TERM, 3.0), StopStep(KILL, 0.0)))


def name(act):
    match act:
        case SendStep(number):
            return f"step {signal.Signals(number).name}"
        case SendRest(number):
            return f"rest {signal.Signals(number).name}"
        case TypeKeys(keys):
            return f"keys {keys}"
        case KillTree():
            return "kill"
        case ReportStuck():
            return "stuck"


def drive(plan, events, until, late=0.0):
    """Deliver `events`, pairs of time and cause, and every deadline when it is due or `late` seconds after.

    Returns the states after each event as triples of time, acts and ending. It goes on until `until`.
    """
    ending, history, queue = StopSequence(plan), [], sorted(events, key=lambda event: event[0])
    while True:
        at, cause = queue[0] if queue else (until + 1, None)
        if ending.deadline is not None and ending.deadline + late <= at:
            at, cause = ending.deadline + late, Cause.DEADLINE
        elif queue:
            queue.pop(0)
        if at > until:
            return history
        ending, acts = ending.advance(cause, at)
        history.append((at, acts, ending))


def acts_of(plan, events, until):
    return [(round(at, 3), name(act)) for at, acts, _ in drive(plan, events, until) for act in acts]


# For a plan of two signals, of which the first one runs: what each cause leads to in each phase.
PAIRS = {
    Phase.RUN: {
        Cause.STOP: "step SIGTERM, then stop",
        Cause.KILL: "kill, then kill",
        Cause.LEADER_GONE: "rest SIGTERM, then sweep",
        Cause.CHILD_GONE: "ignored",
        Cause.DEADLINE: "impossible",
    },
    Phase.STOP: {
        Cause.STOP: "ignored",
        Cause.KILL: "kill, then kill",
        Cause.LEADER_GONE: "rest SIGTERM, then stop",
        Cause.CHILD_GONE: "ignored",
        Cause.DEADLINE: "step SIGINT, then stop",
    },
    Phase.SWEEP: {
        Cause.STOP: "ignored",
        Cause.KILL: "kill, then kill",
        Cause.LEADER_GONE: "ignored",
        Cause.CHILD_GONE: "ignored",
        Cause.DEADLINE: "kill, then kill",
    },
    Phase.KILL: {
        Cause.STOP: "ignored",
        Cause.KILL: "kill, then kill",
        Cause.LEADER_GONE: "kill, then kill",
        Cause.CHILD_GONE: "kill, then kill",
        Cause.DEADLINE: "kill, then kill",
    },
    Phase.STUCK: {
        Cause.STOP: "ignored",
        Cause.KILL: "kill, then stuck",
        Cause.LEADER_GONE: "kill, then stuck",
        Cause.CHILD_GONE: "kill, then stuck",
        Cause.DEADLINE: "kill, then stuck",
    },
}
WAYS = {  # the events that lead to each phase
    Phase.RUN: [],
    Phase.STOP: [(0.0, Cause.STOP)],
    Phase.SWEEP: [(0.0, Cause.LEADER_GONE)],
    Phase.KILL: [(5.5, Cause.KILL)],
    Phase.STUCK: [(0.0, Cause.KILL)],
}


def test_the_table_is_total():
    assert list(TABLE) == [(phase, cause) for phase in Phase for cause in Cause]


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("phase", Phase)
def test_each_pair(phase, cause):
    plan = StopPlan((StopStep(TERM, 10.0), StopStep(INT, 10.0)))
    history = drive(plan, WAYS[phase], 5.55)
    before = history[-1][2] if history else StopSequence(plan)
    assert before.phase is phase
    if TABLE[phase, cause] is IMPOSSIBLE:
        with pytest.raises(ImpossibleEvent, match=f"{cause.name} in the state {phase.name}"):
            before.advance(cause, 6.0)
        found = "impossible"
    else:
        after, acts = before.advance(cause, 6.0)
        found = f"{', '.join(map(name, acts))}, then {after.phase.value}"
        if TABLE[phase, cause] is IGNORE:
            assert (after, acts) == (before, ())
            found = "ignored"
        else:
            assert after.deadline is not None
    assert found == PAIRS[phase][cause]


def test_the_exit_of_a_process_with_the_leaders_pid_is_not_a_second_exit_of_the_leader():
    events = [(0.0, Cause.STOP), (1.0, Cause.LEADER_GONE), (2.0, Cause.LEADER_GONE)]
    assert acts_of(PLAIN, events, 5.0) == [(0.0, "step SIGTERM"), (1.0, "rest SIGTERM")]


def test_one_signal_and_its_grace():
    assert acts_of(PLAIN, [(0.0, Cause.STOP)], 10.15) == [(0.0, "step SIGTERM"), (10.0, "kill"), (10.1, "kill")]


def test_airflows_two_terms_and_a_kill():
    assert acts_of(AIRFLOW, [(1.0, Cause.STOP)], 19.05) == [
        (1.0, "step SIGTERM"),
        (16.0, "step SIGTERM"),
        (19.0, "kill"),
    ]


def test_a_kill_in_the_sequence_is_the_kill():
    plan = StopPlan((StopStep(INT, 1.0), StopStep(KILL, 5.0), StopStep(TERM, 5.0)))
    assert acts_of(plan, [(0.0, Cause.STOP)], 1.05) == [(0.0, "step SIGINT"), (1.0, "kill")]


def test_a_plan_without_steps_kills_at_once():
    assert acts_of(StopPlan(()), [(0.0, Cause.STOP)], 0.05) == [(0.0, "kill")]


def test_no_grace_at_all():
    plan = StopPlan((StopStep(TERM, 0.0),))
    assert acts_of(plan, [(3.0, Cause.STOP)], 3.05) == [(3.0, "step SIGTERM"), (3.0, "kill")]


def test_a_leader_that_ends_by_itself_is_swept_after():
    assert acts_of(PLAIN, [(5.0, Cause.LEADER_GONE)], 15.05) == [(5.0, "rest SIGTERM"), (15.0, "kill")]


def test_the_sweep_uses_the_components_own_stop_signal():
    plan = StopPlan((StopStep(INT, 10.0), StopStep(TERM, 10.0)))
    assert acts_of(plan, [(0.0, Cause.LEADER_GONE)], 1.0) == [(0.0, "rest SIGINT")]


def test_a_leader_that_ends_during_the_stop_is_swept_after():
    events = [(0.0, Cause.STOP), (4.0, Cause.LEADER_GONE)]
    assert acts_of(PLAIN, events, 10.05) == [(0.0, "step SIGTERM"), (4.0, "rest SIGTERM"), (10.0, "kill")]


def test_the_grace_period_does_not_depend_on_when_the_leader_exits():
    for at in (0.001, 5.0, 9.999):
        events = [(0.0, Cause.STOP), (at, Cause.LEADER_GONE)]
        assert acts_of(PLAIN, events, 10.05)[-1] == (10.0, "kill")


def test_the_sequence_goes_on_without_the_leader():
    events = [(0.0, Cause.STOP), (1.0, Cause.LEADER_GONE)]
    assert acts_of(AIRFLOW, events, 18.05) == [
        (0.0, "step SIGTERM"),
        (1.0, "rest SIGTERM"),
        (15.0, "step SIGTERM"),
        (18.0, "kill"),
    ]


def test_a_leader_that_exits_on_keys_leaves_the_rest_the_first_signal_at_once():
    plan = StopPlan((StopStep(0, 5.0, keys="q"), StopStep(INT, 10.0), StopStep(TERM, 3.0)))
    events = [(0.0, Cause.STOP), (1.0, Cause.LEADER_GONE)]
    assert acts_of(plan, events, 14.05) == [
        (0.0, "keys q"),
        (1.0, "rest SIGINT"),
        (11.0, "step SIGTERM"),
        (14.0, "kill"),
    ]


def test_keys_without_a_signal_after_them_leave_the_rest_a_sigterm():
    plan = StopPlan((StopStep(0, 5.0, keys="q"), StopStep(KILL, 0.0)))
    events = [(0.0, Cause.STOP), (1.0, Cause.LEADER_GONE)]
    assert acts_of(plan, events, 5.05) == [(0.0, "keys q"), (1.0, "rest SIGTERM"), (5.0, "kill")]


@pytest.mark.parametrize("before", [[], [(0.0, Cause.STOP)], [(0.0, Cause.LEADER_GONE)]])
def test_a_kill_skips_the_grace(before):
    assert acts_of(PLAIN, [*before, (1.0, Cause.KILL)], 1.15)[len(before) :] == [(1.0, "kill"), (1.1, "kill")]


def test_a_second_stop_changes_nothing():
    events = [(0.0, Cause.STOP), (4.0, Cause.STOP), (5.0, Cause.LEADER_GONE), (5.5, Cause.STOP)]
    assert acts_of(PLAIN, events, 10.05) == [(0.0, "step SIGTERM"), (5.0, "rest SIGTERM"), (10.0, "kill")]


def test_children_that_end_before_the_kill_are_no_news():
    events = [(0.0, Cause.CHILD_GONE), (1.0, Cause.STOP), (2.0, Cause.CHILD_GONE), (3.0, Cause.LEADER_GONE)]
    events.append((3.5, Cause.CHILD_GONE))
    assert acts_of(PLAIN, events, 4.0) == [(1.0, "step SIGTERM"), (3.0, "rest SIGTERM")]


def test_each_death_of_a_child_brings_a_kill_pass():
    events = [(0.0, Cause.KILL), (0.05, Cause.CHILD_GONE), (0.06, Cause.LEADER_GONE)]
    assert acts_of(PLAIN, events, 0.1) == [(0.0, "kill"), (0.05, "kill"), (0.06, "kill")]


def test_what_survives_five_seconds_is_reported_once_and_killed_on():
    history = drive(PLAIN, [(0.0, Cause.KILL)], 20.0)
    stuck = [at for at, acts, _ in history if ReportStuck() in acts]
    assert stuck == [pytest.approx(STUCK_AFTER, abs=AGAIN)]
    after = [at for at, acts, _ in history if at > stuck[0] and KillTree() in acts]
    assert after == [pytest.approx(stuck[0] + STUCK_AGAIN * n) for n in range(1, len(after) + 1)]
    assert len(after) >= 14
    assert history[-1][2].phase is Phase.STUCK


STEP = st.builds(StopStep, st.sampled_from([TERM, INT, signal.SIGHUP, KILL]), st.floats(0, 30, allow_nan=False))
STEPS = st.lists(STEP, max_size=4)
TIMES = st.floats(0, 60, allow_nan=False)
WANTED = st.tuples(TIMES, st.sampled_from([Cause.STOP, Cause.KILL, Cause.LEADER_GONE]))
NOISE = st.lists(st.tuples(TIMES, st.sampled_from([Cause.STOP, Cause.KILL, Cause.CHILD_GONE])), max_size=12)
GONE = st.lists(st.tuples(TIMES, st.just(Cause.LEADER_GONE)), max_size=1)
LATE = st.sampled_from([0.0, 0.01, 0.5])


@settings(deadline=None, max_examples=examples(150))
@given(steps=STEPS, wanted=WANTED, noise=NOISE, gone=GONE, late=LATE)
def test_a_stop_always_comes_to_the_kill_and_goes_on(steps, wanted, noise, gone, late):
    """Whatever happens, in whatever order: the kill comes within the grace period, and then again and again."""
    plan = StopPlan(tuple(steps))
    events = [wanted, *noise, *(gone if wanted[1] is not Cause.LEADER_GONE else [])]
    begun = min(at for at, cause in events if cause is not Cause.CHILD_GONE)
    until = begun + plan.grace + 10.0 + len(steps) * late
    history = drive(plan, events, until, late)
    kills = [at for at, acts, _ in history if KillTree() in acts]
    assert kills, "no kill"
    assert kills[0] <= begun + plan.grace + (len(steps) + 1) * late + 1e-6
    pauses = [after - before for before, after in zip(kills, [*kills[1:], until], strict=True)]
    assert max(pauses) <= STUCK_AGAIN + late + 1e-6
    assert sum(acts.count(ReportStuck()) for _, acts, _ in history) == 1


@settings(deadline=None, max_examples=examples(150))
@given(steps=STEPS, wanted=WANTED, noise=NOISE, gone=GONE)
def test_nothing_but_kills_follows_a_kill(steps, wanted, noise, gone):
    history = drive(StopPlan(tuple(steps)), [wanted, *noise, *gone], 250.0)
    acts = [act for _, acts, _ in history for act in acts]
    first = acts.index(KillTree())
    assert {type(act) for act in acts[first:]} <= {KillTree, ReportStuck}
    assert all(ending.deadline is not None for _, acts, ending in history if acts)
    assert sum(isinstance(act, SendRest) for act in acts) <= 1


@settings(deadline=None, max_examples=examples(50))
@given(noise=st.lists(st.tuples(TIMES, st.just(Cause.CHILD_GONE)), max_size=12))
def test_nothing_is_sent_to_a_tree_that_nobody_wants_to_end(noise):
    assert acts_of(PLAIN, noise, 100.0) == []
