"""Which instance starts or stops next: cycles, a stop order that is the start order reversed, and the schedule against
the same decisions made by looking at everything."""

import dataclasses
import itertools

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.lifecycle import AT_REST, RUNNING, Desired, Event, State
from orchestrator.model.scheduling import InstanceView, Schedule, find_cycle, start_order
from orchestrator.model.spec import ComponentSpec, Condition, Dependency


def component(name, *wants, before=()):
    """`wants` has to start before it, and `before` to stop after it."""
    depends_on = tuple(Dependency(other) for other in wants)
    return ComponentSpec(name=name, argv=("true",), cwd="/", depends_on=depends_on, stop_before=tuple(before))


def components(**wants):
    return [component(name, *others.split()) for name, others in wants.items()]


@pytest.mark.parametrize(
    ("system", "cycle"),
    [
        ([], ()),
        (components(a="", b="a", c="a b"), ()),
        (components(a="a"), ("a", "a")),
        (components(a="b", b="a"), ("a", "b", "a")),
        (components(a="b", b="c", c="d", d="b"), ("b", "c", "d", "b")),
        (components(a="", b="a c", c="d", d="a"), ()),
        (components(a="nobody"), ()),
        (components(w="x y", x="z", y="z", z=""), ()),
    ],
    ids=str,
)
def test_cycle(system, cycle):
    assert find_cycle(system) == cycle


@pytest.mark.parametrize(
    ("system", "names"),
    [
        (components(web="db", db="", other=""), "db web other"),
        (components(a="b", b="c", c=""), "c b a"),
        (components(a="", b="a", c="a b"), "a b c"),
        (components(a="nobody"), "a"),
        (components(a="b", b="a"), "b a"),
    ],
    ids=str,
)
def test_start_order(system, names):
    assert start_order(system) == names.split()


def may_stop(running, system):
    """Of those that run and are to stop, the ones that the schedule stops now."""
    schedule = Schedule(system)
    for name in running:
        schedule.update(name, InstanceView(State.READY, Desired.DOWN))
    return [name for name, event in all_actions(schedule) if event is Event.STOP]


def all_actions(schedule):
    """What the schedule decides, without doing any of it."""
    return list(iter(schedule.next_action, None))


def test_only_those_whom_nobody_needs_any_more_may_stop():
    needed = components(db="", api="db", web="api", log="")
    assert may_stop(["db", "api", "web", "log"], needed) == ["web", "log"]
    assert may_stop(["db", "api"], needed) == ["api"]
    assert may_stop(["db"], needed) == ["db"]
    assert may_stop([], needed) == []


def test_one_may_have_to_stop_before_another_without_a_dependency():
    system = [component("scheduler", before=["workers"]), component("workers"), component("web", "scheduler")]
    assert stop_waves(system) == [["web"], ["scheduler"], ["workers"]]
    assert find_cycle([component("a", "b"), component("b", before=["a"])]) == ("a", "b", "a")
    assert find_cycle([component("a", before=["b"]), component("b", before=["a"])]) == ("a", "b", "a")


def waves(names, choose):
    """Take away, again and again, what `choose` names of the rest; the list of what was taken together."""
    rest, taken = list(names), []
    while rest:
        now = choose(rest)
        assert now, f"wedged: {rest}"
        taken.append(sorted(now))
        rest = [name for name in rest if name not in now]
    return taken


def stop_waves(system):
    return waves([c.name for c in system], lambda rest: may_stop(rest, system))


def test_a_chain_stops_in_the_reverse_of_its_start():
    system = components(db="", migrate="db", api="migrate", web="api")
    assert stop_waves(system) == [["web"], ["api"], ["migrate"], ["db"]]


def test_what_does_not_depend_stops_together():
    assert stop_waves(components(db="", a="db", b="db", c="")) == [["a", "b", "c"], ["db"]]


@st.composite
def systems(draw, acyclic=True):
    """Systems of up to eight components; without a cycle where each wants only earlier ones."""
    count = draw(st.integers(1, 8))
    names = [f"c{n}" for n in range(count)]
    made = []
    for n, name in enumerate(names):
        others = names[:n] if acyclic else names
        some = st.sets(st.sampled_from(others)) if others else st.just(set())
        made.append(component(name, *sorted(draw(some)), before=sorted(draw(some))))
    return draw(st.permutations(made))


def relies_on(c):
    """Those that may be asked to stop only after this one."""
    return {d.name for d in c.depends_on} | set(c.stop_before)


@settings(deadline=None)
@given(systems())
def test_the_stop_order_is_the_start_order_reversed(system):
    """Whoever had to start later has to stop earlier, and nothing wedges."""
    stopped = [name for wave in stop_waves(system) for name in wave]
    assert sorted(stopped) == sorted(c.name for c in system)
    for c in system:
        for other in relies_on(c):
            assert stopped.index(c.name) < stopped.index(other)


@settings(deadline=None)
@given(systems())
def test_no_cycle_is_found_where_there_is_none(system):
    assert find_cycle(system) == ()


@settings(deadline=None)
@given(systems(acyclic=False))
def test_a_cycle_is_found_exactly_where_the_stop_would_wedge(system):
    cycle = find_cycle(system)
    rest = {c.name for c in system}
    while free := set(may_stop(sorted(rest), system)):
        rest -= free
    assert bool(cycle) == bool(rest)
    if cycle:
        wants = {c.name: relies_on(c) for c in system}
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in wants[before] for before, after in itertools.pairwise(cycle))


# Against the same decisions, made by looking at everything


def rested(view):
    return view.state in AT_REST and not view.is_due


def is_met(needs, views, dependency):
    view = views[dependency.name]
    if view.is_due:
        return False
    started = view.state in (State.UP, State.READY) or (view.state in AT_REST and view.has_exited)
    return {
        Condition.STARTED: started,
        Condition.READY: view.state is State.READY,
        Condition.COMPLETED: view.state in AT_REST and view.has_exited,
        Condition.SUCCEEDED: view.state is State.DOWN and view.succeeded,
    }[dependency.condition]


def is_never(needs, views, name):
    """Whether it is to be started, and will never be."""
    if not views[name].is_due or views[name].state not in AT_REST:
        return False
    for dependency in needs[name]:
        other = views[dependency.name]
        is_over = rested(other) and other.has_exited and not other.is_asked
        is_never_met = is_over or is_never(needs, views, dependency.name)
        if dependency.required and not is_met(needs, views, dependency) and is_never_met:
            return True
    return False


def is_startable(needs, views, name):
    def is_free(dependency):
        other = views[dependency.name]
        spared = not dependency.required and (rested(other) or is_never(needs, views, dependency.name))
        return is_met(needs, views, dependency) or spared

    can = views[name].state in (*AT_REST, State.BACKOFF)
    return views[name].is_due and can and all(map(is_free, needs[name]))


def action(system, views, name):
    """What one instance does now."""
    needs = {c.name: [d for d in c.depends_on if d.name in views] for c in system}
    view, spec = views[name], next(c for c in system if c.name == name)
    leaving = {n for n, v in views.items() if v.state in RUNNING and v.desired in (Desired.DOWN, Desired.RESTART)}
    if view.state is State.BACKOFF and view.desired in (Desired.DOWN, Desired.RESTART):
        return Event.STOP
    if name in leaving and not view.is_told and not any(c.name in leaving and name in relies_on(c) for c in system):
        return Event.STOP

    def goes_first(other):
        if views[other].state is State.UP:
            return views[other].is_silent
        return views[other].state is State.STARTING or is_startable(needs, views, other)

    if is_startable(needs, views, name) and not any(goes_first(n) for n in spec.start_after if n in views):
        return Event.START
    return None


VIEWS = st.builds(
    InstanceView,
    st.sampled_from(State),
    st.sampled_from([None, *Desired]),
    is_due=st.booleans(),
    is_told=st.booleans(),
    is_asked=st.booleans(),
    has_exited=st.booleans(),
    succeeded=st.booleans(),
    is_silent=st.booleans(),
)


@st.composite
def whole_systems(draw):
    """Systems with all kinds of dependencies, without a cycle, in any order."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        names = draw(st.sets(st.sampled_from([c.name for c in made]))) if made else set()
        kinds = st.builds(
            Dependency, st.none(), st.sampled_from(Condition), restart=st.booleans(), required=st.booleans()
        )
        needs = tuple(dataclasses.replace(draw(kinds), name=name) for name in sorted(names))
        some = st.sets(st.sampled_from([c.name for c in made])) if made else st.just(set())
        made.append(
            dataclasses.replace(
                component(f"c{number}", before=sorted(draw(some))),
                depends_on=needs,
                start_after=tuple(sorted(draw(some))),
            )
        )
    return tuple(draw(st.permutations(made)))


@settings(deadline=None, max_examples=examples(300))
@given(st.data())
def test_the_schedule_decides_what_a_look_at_everything_decides(data):
    """After any changes in any order, also of what there is."""
    system = list(data.draw(whole_systems()))
    views, schedule = {c.name: InstanceView() for c in system}, Schedule(system)
    for _ in range(data.draw(st.integers(1, 8))):
        for name in data.draw(st.lists(st.sampled_from([c.name for c in system]), max_size=4)):
            views[name] = data.draw(VIEWS)
            schedule.update(name, views[name])
            if len(system) > 1 and data.draw(st.integers(0, 9)) == 0 and views[name].state in AT_REST:
                schedule.remove(name)
                system = [c for c in system if c.name != name]
                del views[name]
                break
        for name, event in all_actions(schedule):
            assert event is action(system, views, name), name
        fresh = Schedule(system)
        for name, view in views.items():
            fresh.update(name, view)
        expected = {name: event for name in views if (event := action(system, views, name)) is not None}
        assert dict(all_actions(fresh)) == expected
        needs = {c.name: [d for d in c.depends_on if d.name in views] for c in system}
        assert schedule.never == {name for name in views if is_never(needs, views, name)}
        assert schedule.startable == [c.name for c in system if is_startable(needs, views, c.name)]
        assert schedule.running == sum(view.state in RUNNING for view in views.values())
        assert schedule.active == sum(v.state in RUNNING or v.state is State.BACKOFF for v in views.values())
        for name in views:
            waits = [d for d in needs[name] if d in schedule.waits_for(name)]
            assert waits == schedule.waits_for(name)
            assert (schedule.obstacle(name) is not None) == (name in schedule.never)
            assert all(not is_met(needs, views, d) for d in (*waits, *schedule.does_without(name)))


@settings(deadline=None, max_examples=examples(200))
@given(st.data())
def test_nothing_that_may_happen_is_missed(data):
    """Each action that a change makes possible is returned once, without a further look at what did not change."""
    system = data.draw(whole_systems())
    views, schedule = {c.name: InstanceView() for c in system}, Schedule(system)
    pending = {}
    for _ in range(data.draw(st.integers(1, 12))):
        name = data.draw(st.sampled_from(sorted(views)))
        views[name] = data.draw(VIEWS)
        before = dict(pending)
        schedule.update(name, views[name])
        pending = {n: event for n in views if (event := action(system, views, n)) is not None}
        found = dict(all_actions(schedule))
        assert found.items() <= pending.items()
        missed = {n: event for n, event in pending.items() if n not in found and before.get(n) is not event}
        assert not missed
