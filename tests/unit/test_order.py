"""Who waits for whom: cycles, and a stop order that is the start order reversed."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.scheduling import StopOrder, dependents, find_cycle, may_stop, start_order
from orchestrator.model.spec import ComponentSpec, Dependency


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


def test_dependents_are_the_other_direction():
    assert dependents(components(a="", b="a", c="a b")) == {
        "a": frozenset("bc"),
        "b": frozenset("c"),
        "c": frozenset(),
    }


def test_only_those_whom_nobody_needs_any_more_may_stop():
    needed = dependents(components(db="", api="db", web="api", log=""))
    assert may_stop(["db", "api", "web", "log"], needed) == ["web", "log"]
    assert may_stop(["db", "api"], needed) == ["api"]
    assert may_stop(["db"], needed) == ["db"]
    assert may_stop(["stranger"], needed) == ["stranger"]
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
    needed = dependents(system)
    return waves([c.name for c in system], lambda rest: may_stop(rest, needed))


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
    needed = dependents(system)
    rest = {c.name for c in system}
    while free := set(may_stop(sorted(rest), needed)):
        rest -= free
    assert bool(cycle) == bool(rest)
    if cycle:
        wants = {c.name: relies_on(c) for c in system}
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in wants[before] for before, after in itertools.pairwise(cycle))


@given(st.data())
@settings(deadline=None)
def test_a_stop_order_frees_the_same_names_as_a_look_at_all(data):
    names = "abcdefgh"
    needed = {name: frozenset(data.draw(st.sets(st.sampled_from(names)))) - {name} for name in names}
    running = data.draw(st.lists(st.sampled_from(names), unique=True))
    order, free = StopOrder(running, needed), set(may_stop(running, needed))
    for name in data.draw(st.permutations([*running, "stranger"])):
        free = (free | set(order.exited(name))) - {name}
        running = [other for other in running if other != name]
        assert free == set(may_stop(running, needed))
        assert len(order) == len(running)
        assert all((other in order) == (other in running) for other in names)
