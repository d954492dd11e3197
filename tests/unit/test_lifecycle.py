"""The lifecycle's table: total, closed, and the histories that it tells."""

import pytest

from orchestrator.model.lifecycle import (
    IGNORE,
    IMPOSSIBLE,
    OCCUPIED,
    TABLE,
    Action,
    Event,
    ImpossibleEvent,
    State,
    advance,
)

MOVES = {pair: row for pair, row in TABLE.items() if row not in (IGNORE, IMPOSSIBLE)}
FORKING = [pair for pair, (_, actions) in MOVES.items() if Action.FORK in actions]


def told(*events, state=State.DOWN):
    """The names of the states that events lead through, and what there was to do on the way."""
    states, done = [], []
    for event in events:
        state, actions = advance(state, event)
        states.append(state.value)
        done += [action.name for action in actions]
    return states, done


def test_the_table_is_total():
    assert list(TABLE) == [(state, event) for state in State for event in Event]


def test_a_row_that_leads_nowhere_is_written_as_such():
    assert not [pair for pair, (following, actions) in MOVES.items() if following is pair[0] and not actions]


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: f"{pair[0].name}-{pair[1].name}")
def test_an_impossible_event_raises_and_an_ignored_one_leaves_the_state(pair):
    state, event = pair
    if TABLE[pair] is IMPOSSIBLE:
        with pytest.raises(ImpossibleEvent, match=f"{event.name} in the state {state.name}"):
            advance(state, event)
    else:
        assert advance(state, event) == ((state, ()) if TABLE[pair] is IGNORE else TABLE[pair])


@pytest.mark.parametrize("event", [Event.START, Event.STOP, Event.KILL])
@pytest.mark.parametrize("state", State)
def test_what_is_requested_is_possible_in_every_state(state, event):
    assert TABLE[state, event] is not IMPOSSIBLE


def test_every_state_can_be_reached_and_left():
    moves = {(state, following) for (state, _), (following, _) in MOVES.items() if state is not following}
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
        ["starting", "exited", "failed"],
        ["FORK"],
    ),
    "a crash, a restart, a crash, given up, started by hand": (
        [
            *(Event.START, Event.STARTED, Event.EXITED, Event.RETRY, Event.DUE),
            *(Event.STARTED, Event.PROBED, Event.EXITED, Event.GIVEN_UP, Event.START),
        ],
        ["starting", "up", "exited", "backoff", "starting", "up", "ready", "exited", "failed", "starting"],
        ["FORK", "WATCH", "UNWATCH", "ARM", "FORK", "WATCH", "UNWATCH", "GUARD", "UNGUARD", "FORK"],
    ),
    "a stop during the backoff": (
        [Event.START, Event.STARTED, Event.EXITED, Event.RETRY, Event.STOP],
        ["starting", "up", "exited", "backoff", "down"],
        ["FORK", "WATCH", "UNWATCH", "ARM", "DISARM"],
    ),
    "a start that does not wait for the backoff": (
        [Event.START, Event.STARTED, Event.EXITED, Event.RETRY, Event.START],
        ["starting", "up", "exited", "backoff", "starting"],
        ["FORK", "WATCH", "UNWATCH", "ARM", "DISARM", "FORK"],
    ),
    "a guardian that vanishes": (
        [Event.START, Event.STARTED, Event.EXITED, Event.GIVEN_UP],
        ["starting", "up", "exited", "failed"],
        ["FORK", "WATCH", "UNWATCH"],
    ),
    "a stop during the sweep of what a crash has left": (
        [Event.START, Event.STARTED, Event.EXITED, Event.STOP, Event.ENDED],
        ["starting", "up", "exited", "stopping", "down"],
        ["FORK", "WATCH", "UNWATCH", "SEND_STOP"],
    ),
    "a failed liveness probe": (
        [Event.START, Event.STARTED, Event.PROBED, Event.UNHEALTHY, Event.EXITED, Event.RETRY],
        ["starting", "up", "ready", "stopping", "stopping", "backoff"],
        ["FORK", "WATCH", "UNWATCH", "GUARD", "UNGUARD", "SEND_STOP", "ARM"],
    ),
    "a process that survives SIGKILL, and goes in the end": (
        [Event.START, Event.STARTED, Event.STOP, Event.KILL, Event.STUCK, Event.STOP, Event.KILL, Event.ENDED],
        ["starting", "up", "stopping", "killing", "stuck", "stuck", "stuck", "down"],
        ["FORK", "WATCH", "UNWATCH", "SEND_STOP", "SEND_KILL", "SEND_STOP", "SEND_KILL"],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_history(name):
    events, states, done = HISTORIES[name]
    assert told(*events) == (states, done)


@pytest.mark.parametrize("row", FORKING, ids=str)
def test_a_fork_leaves_only_from_where_nothing_runs(row):
    state, _ = row
    assert state not in OCCUPIED
    assert MOVES[row][0] is State.STARTING


@pytest.mark.parametrize("state", State)
def test_probing_begins_in_up_and_ends_with_it(state):
    for following, actions in (row for pair, row in MOVES.items() if pair[0] is state):
        assert (Action.WATCH in actions) == (following is State.UP and state is not State.UP)
        assert (Action.UNWATCH in actions) == (state is State.UP and following is not State.UP)


@pytest.mark.parametrize("state", State)
def test_the_backoff_is_armed_with_it_and_disarmed_unless_it_is_over(state):
    for event in Event:
        following, actions = MOVES.get((state, event), (state, ()))
        assert (Action.ARM in actions) == (following is State.BACKOFF and state is not State.BACKOFF)
        left_early = state is State.BACKOFF and following is not State.BACKOFF and event is not Event.DUE
        assert (Action.DISARM in actions) == left_early


@pytest.mark.parametrize("event", [Event.STOP, Event.KILL])
@pytest.mark.parametrize("state", State)
def test_a_stop_or_kill_never_starts_anything(state, event):
    following, actions = advance(state, event)
    assert following in {State.DOWN, State.FAILED, State.STOPPING, State.KILLING, State.STUCK}
    assert Action.FORK not in actions


@pytest.mark.parametrize("state", [State.EXITED, State.STOPPING, State.STUCK])
@pytest.mark.parametrize(
    ("event", "end"), [(Event.ENDED, State.DOWN), (Event.RETRY, State.BACKOFF), (Event.GIVEN_UP, State.FAILED)]
)
def test_what_follows_an_empty_tree(state, event, end):
    assert advance(state, event)[0] is end


def test_a_kill_is_final_and_a_tree_is_empty_only_after_an_exit():
    ends = {Event.ENDED, Event.RETRY, Event.GIVEN_UP}
    assert {event for event in ends if TABLE[State.KILLING, event] is not IMPOSSIBLE} == {Event.ENDED}
    for state in set(State) - {State.EXITED, State.STOPPING, State.KILLING, State.STUCK}:
        assert all(TABLE[state, event] is IMPOSSIBLE for event in ends)
