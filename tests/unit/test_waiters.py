"""Conditions that a client waits for: the reply is the one that a look at all instances gives, at less cost."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.control import waiters
from orchestrator.model.lifecycle import Desired, State
from orchestrator.model.run import Exit, ExitCause
from orchestrator.model.spec import ComponentSpec
from orchestrator.supervisor.registry import Registry

STATES = [State.DOWN, State.STARTING, State.UP, State.READY, State.STOPPING, State.FAILED]


def registry(count, state):
    found = Registry((), lambda instance: "")
    found.fill(tuple(ComponentSpec(name=f"c{number}", argv=("true",), cwd="/") for number in range(count)))
    for instance in found.instances:
        instance.state = state
        found.want(instance, Desired.DOWN)
    return found


def conditions(found):
    def describe(instance):
        return {"name": instance.name}

    return [
        waiters.started(found, found.instances, describe),
        waiters.started_again(found, found.instances, describe),
        waiters.stopped(found.instances, describe),
        waiters.ended(found, found.instances, describe),
        waiters.ready(found, (), describe),
    ]


@given(
    st.integers(1, 4),
    st.sampled_from(STATES),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STATES), st.booleans(), st.sampled_from([None, 0, 1]))),
)
def test_a_look_at_what_has_changed_finds_what_a_look_at_all_finds(count, state, changes):
    found = registry(count, state)
    pairs = list(zip(conditions(found), conditions(found), strict=True))
    pairs = [(told, full) for told, full in pairs if (told(None), full(None)) == (None, None)]
    for number, state, due, status in changes:
        instance = found.instances[number % count]
        instance.run = replace(instance.run, number=instance.run.number + (state is State.STARTING))
        instance.exit = None if status is None else Exit(instance.run.number, status, ExitCause.OWN, "", 1.0, False)
        instance.state = state
        found.want(instance, Desired.UP if due else Desired.DOWN)
        replies = [(told(instance), full(None)) for told, full in pairs]
        assert all(one == other for one, other in replies)
        pairs = [pair for pair, (reply, _) in zip(pairs, replies, strict=True) if reply is None]


def test_all_looks_together_take_time_linear_in_the_number_of_instances(monkeypatch):
    found = registry(500, State.UP)
    looks = 0

    def is_done(instance):
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(found, "is_done", is_done)
    condition = waiters.ready(found, (), lambda instance: {})
    for instance in found.instances:
        assert condition(instance) is None
        instance.state = State.READY
    assert condition(found.instances[-1]) is not None
    assert looks < 2000
