"""The lifecycle's table: total, closed, and the histories that it tells."""

import pytest

from orchestrator.model.lifecycle import RUNNING, TABLE, Action, Event, State, advance

FORKING = [row for row, (_, actions) in TABLE.items() if Action.FORK in actions]


def told(*events, state=State.DOWN):
    """The names of the states that events lead through, and what there was to do on the way."""
    states, done = [], []
    for event in events:
        state, actions = advance(state, event)
        states.append(state.value)
        done += [action.name for action in actions]
    return states, done


def test_the_table_is_total():
    assert set(TABLE) == {(state, event) for state in State for event in Event}


def test_every_state_can_be_reached_and_left():
    moves = {(state, following) for (state, _), (following, _) in TABLE.items() if state is not following}
    assert {following for _, following in moves} == set(State)
    assert {state for state, _ in moves} == set(State)


HISTORIES = {
    "a start, readiness, a stop": (
        [Event.START, Event.STARTED, Event.PROBED, Event.STOP, Event.EXITED, Event.ENDED],
        ["starting", "up", "ready", "stopping", "stopping", "down"],
        ["FORK", "WATCH", "UNWATCH", "GUARD", "UNGUARD", "SEND_STOP"],
    ),
    "a stop while starting": (
        [Event.START, Event.STOP, Event.STARTED, Event.EXITED, Event.ENDED],
        ["starting", "stopping", "stopping", "stopping", "down"],
        ["FORK", "SEND_STOP"],
    ),
    "a stop before it is ready": (
        [Event.START, Event.STARTED, Event.STOP, Event.PROBED, Event.EXITED, Event.ENDED],
        ["starting", "up", "stopping", "stopping", "stopping", "down"],
        ["FORK", "WATCH", "UNWATCH", "SEND_STOP"],
    ),
    "a stop, then a kill, twice": (
        [Event.START, Event.STARTED, Event.PROBED, Event.STOP, Event.KILL, Event.KILL, Event.EXITED, Event.ENDED],
        ["starting", "up", "ready", "stopping", "killing", "killing", "killing", "down"],
        ["FORK", "WATCH", "UNWATCH", "GUARD", "UNGUARD", "SEND_STOP", "SEND_KILL"],
    ),
    "a command that does not exist": (
        [Event.START, Event.EXITED, Event.GIVEN_UP],
        ["starting", "stopping", "failed"],
        ["FORK"],
    ),
    "a crash, a restart, a crash, given up, started by hand": (
        [
            *(Event.START, Event.STARTED, Event.EXITED, Event.RETRY, Event.DUE),
            *(Event.STARTED, Event.PROBED, Event.EXITED, Event.GIVEN_UP, Event.START),
        ],
        ["starting", "up", "stopping", "backoff", "starting", "up", "ready", "stopping", "failed", "starting"],
        ["FORK", "WATCH", "UNWATCH", "ARM", "FORK", "WATCH", "UNWATCH", "GUARD", "UNGUARD", "FORK"],
    ),
    "a stop during the backoff": (
        [Event.START, Event.STARTED, Event.EXITED, Event.RETRY, Event.STOP, Event.DUE],
        ["starting", "up", "stopping", "backoff", "down", "down"],
        ["FORK", "WATCH", "UNWATCH", "ARM", "DISARM"],
    ),
    "a start that does not wait for the backoff": (
        [Event.START, Event.STARTED, Event.EXITED, Event.RETRY, Event.START, Event.DUE],
        ["starting", "up", "stopping", "backoff", "starting", "starting"],
        ["FORK", "WATCH", "UNWATCH", "ARM", "DISARM", "FORK"],
    ),
    "a guardian that vanishes": (
        [Event.START, Event.STARTED, Event.GIVEN_UP],
        ["starting", "up", "failed"],
        ["FORK", "WATCH", "UNWATCH"],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_history(name):
    events, states, done = HISTORIES[name]
    assert told(*events) == (states, done)


@pytest.mark.parametrize("row", FORKING, ids=str)
def test_a_fork_leaves_only_from_where_nothing_runs(row):
    state, _ = row
    assert state not in RUNNING
    assert TABLE[row][0] is State.STARTING


@pytest.mark.parametrize("state", State)
def test_probing_begins_in_up_and_ends_with_it(state):
    for event in Event:
        following, actions = TABLE[state, event]
        assert (Action.WATCH in actions) == (following is State.UP and state is not State.UP)
        assert (Action.UNWATCH in actions) == (state is State.UP and following is not State.UP)


@pytest.mark.parametrize("state", State)
def test_the_backoff_is_armed_with_it_and_disarmed_unless_it_is_over(state):
    for event in Event:
        following, actions = TABLE[state, event]
        assert (Action.ARM in actions) == (following is State.BACKOFF and state is not State.BACKOFF)
        left_early = state is State.BACKOFF and following is not State.BACKOFF and event is not Event.DUE
        assert (Action.DISARM in actions) == left_early


@pytest.mark.parametrize("event", [Event.STOP, Event.KILL])
@pytest.mark.parametrize("state", State)
def test_a_stop_or_kill_never_starts_anything(state, event):
    following, actions = TABLE[state, event]
    assert following in {State.DOWN, State.FAILED, State.STOPPING, State.KILLING}
    assert Action.FORK not in actions


@pytest.mark.parametrize("state", sorted(RUNNING, key=str))
@pytest.mark.parametrize(
    ("event", "end"), [(Event.ENDED, State.DOWN), (Event.RETRY, State.BACKOFF), (Event.GIVEN_UP, State.FAILED)]
)
def test_a_tree_can_be_empty_in_every_state_in_which_one_runs(state, event, end):
    assert advance(state, event)[0] is end
