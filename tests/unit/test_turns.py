"""Who lets others go first, and for how long: decided without a process; in words, who is waited for."""

from types import SimpleNamespace

import pytest

from orchestrator.model.lifecycle import State
from orchestrator.supervisor.staggered_start import STAGGER_TIMEOUT, StaggeredStart
from orchestrator.supervisor.startup_progress import in_words


class Stage:
    """Members as Turns sees them; the time is `now`."""

    def __init__(self):
        self.now = 100.0
        self.silent = set()
        self.members = []
        self.calls = []
        self.turns = StaggeredStart(self._loop(), self, self, "go on")

    def _loop(self):
        return SimpleNamespace(now=lambda: self.now, call_at=lambda when, what: self.calls.append((when, what)))

    def add(self, name, state, *after, due=False):
        spec = SimpleNamespace(start_after=after)
        member = SimpleNamespace(name=name, key=name, state=state, spec=spec, due=due, since=100.0)
        self.members.append(member)
        return member

    def is_silent(self, name):
        return name in self.silent

    def is_startable(self, member):
        return member.due


@pytest.fixture
def stage():
    return Stage()


def test_without_anybody_to_let_first_it_goes(stage):
    stage.add("other", State.STARTING)
    assert not stage.turns.must_yield(stage.add("free", State.DOWN, due=True))


@pytest.mark.parametrize("state", State)
def test_it_gives_way_to_one_that_is_starting_but_to_none_that_has_ended_or_is_ready(stage, state):
    stage.add("first", state)
    assert stage.turns.must_yield(stage.add("second", State.DOWN, "first", due=True)) is (state is State.STARTING)


def test_one_that_runs_goes_first_until_it_has_spoken(stage):
    stage.add("first", State.UP)
    second = stage.add("second", State.DOWN, "first", due=True)
    stage.silent = {"first"}
    assert stage.turns.must_yield(second)
    stage.silent = set()
    assert not stage.turns.must_yield(second)


def test_one_that_gives_way_itself_goes_first_too(stage):
    stage.add("first", State.STARTING)
    stage.add("second", State.DOWN, "first", due=True)
    assert stage.turns.must_yield(stage.add("third", State.DOWN, "second", due=True))


def test_one_that_stays_silent_has_its_time_and_then_the_next_one_goes(stage):
    stage.silent = {"first", "alone"}
    first = stage.add("first", State.UP)
    second = stage.add("second", State.DOWN, "first", due=True)
    stage.turns.begun(first)
    stage.turns.begun(stage.add("alone", State.UP))
    assert stage.calls == [(100.0 + STAGGER_TIMEOUT, "go on")]
    stage.now += STAGGER_TIMEOUT - 0.1
    assert stage.turns.must_yield(second)
    stage.now += 0.1
    assert not stage.turns.must_yield(second)


def test_who_waits_for_the_same_is_named_together():
    assert in_words({"a": "its turn", "b": "no line yet", "c": "its turn"}) == (
        "waiting for a, c: its turn; b: no line yet"
    )
