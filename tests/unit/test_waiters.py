"""Conditions that a client waits for: the reply is the one that a look at all instances gives, at less cost."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.control import waiters
from orchestrator.model.lifecycle import State
from orchestrator.model.spec import ComponentSpec
from orchestrator.supervisor.registry import Registry

STATES = [State.DOWN, State.STARTING, State.UP, State.READY, State.STOPPING, State.FAILED]
REQUESTS = SimpleNamespace(is_leaving=lambda member: member.asked)


def registry(count, state):
    found = Registry((), None)
    found.fill(tuple(ComponentSpec(name=f"c{number}", argv=("true",), cwd="/") for number in range(count)))
    for member in found.members:
        member.state, member.due = state, False
    return found


def conditions(found):
    def describe(member):
        return {"name": member.name}

    return [
        waiters.started(found, found.members, describe),
        waiters.started_again(found, found.members, describe),
        waiters.stopped(found.members, describe, REQUESTS),
        waiters.ended(found.members, describe),
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
        member = found.members[number % count]
        member.run_count += state is State.STARTING
        member.state, member.status, member.due = state, status, due and state in (State.DOWN, State.FAILED)
        replies = [(told(member), full(None)) for told, full in pairs]
        assert all(one == other for one, other in replies)
        pairs = [pair for pair, (reply, _) in zip(pairs, replies, strict=True) if reply is None]


def test_all_looks_together_take_time_linear_in_the_number_of_instances(monkeypatch):
    found = registry(500, State.UP)
    looks = 0

    def is_done(member):
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(found, "is_done", is_done)
    condition = waiters.ready(found, (), lambda member: {})
    for member in found.members:
        assert condition(member) is None
        member.state = State.READY
    assert condition(found.members[-1]) is not None
    assert looks < 2000
