"""Which components let others start first, and for how long; what a component waits for, in words."""

from types import SimpleNamespace

import pytest

from orchestrator.model.lifecycle import Desired, Event, State
from orchestrator.model.run import Run
from orchestrator.model.scheduling import InstanceView, Schedule
from orchestrator.model.spec import ComponentSpec
from orchestrator.supervisor.staggered_start import STAGGER_TIMEOUT, StaggeredStart
from orchestrator.supervisor.startup_progress import in_words

DUE = InstanceView(desired=Desired.UP, is_due=True)


def starting(views, **after):
    """Those that start now; `views` is what has come of others."""
    names = dict.fromkeys((*views, *after))
    specs = [
        ComponentSpec(name=name, argv=("x",), cwd="/", start_after=tuple(after.get(name, "").split())) for name in names
    ]
    schedule = Schedule(specs)
    for name in names:
        schedule.update(name, views.get(name, DUE))
    actions = list(iter(schedule.next_action, None))
    assert all(event is Event.START for _, event in actions)
    return [name for name, _ in actions]


def test_without_anybody_to_let_first_it_goes():
    assert starting({"other": InstanceView(State.STARTING)}, free="") == ["free"]


@pytest.mark.parametrize("state", State)
def test_it_gives_way_to_one_that_is_starting_but_to_none_that_has_ended_or_is_ready(state):
    assert starting({"first": InstanceView(state)}, second="first") == ([] if state is State.STARTING else ["second"])


def test_one_that_runs_goes_first_until_it_has_spoken():
    assert starting({"first": InstanceView(State.UP, is_silent=True)}, second="first") == []
    assert starting({"first": InstanceView(State.UP)}, second="first") == ["second"]


def test_one_that_gives_way_itself_goes_first_too():
    assert starting({"first": InstanceView(State.STARTING)}, second="first", third="second") == []


def test_one_that_stays_silent_has_its_time_and_then_the_next_one_goes():
    now, calls, silent = 100.0, [], {"first"}
    loop = SimpleNamespace(now=lambda: now, call_at=lambda when, what: calls.append((when, what)))
    probes = SimpleNamespace(is_silent=lambda key: key in silent)
    turns = StaggeredStart(loop, probes, "go on")
    first, other = (SimpleNamespace(key=key, run=Run(1, 100.0, 0.0)) for key in ("first", "other"))
    turns.begun(first)
    turns.begun(other)
    assert calls == [(100.0 + STAGGER_TIMEOUT, "go on")]
    now += STAGGER_TIMEOUT - 0.1
    assert turns.is_silent(first)
    assert not turns.is_silent(other)
    now += 0.1
    assert not turns.is_silent(first)


def test_who_waits_for_the_same_is_named_together():
    assert in_words({"a": "its turn", "b": "no line yet", "c": "its turn"}) == (
        "waiting for a, c: its turn; b: no line yet"
    )
