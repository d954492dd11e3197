"""Which instance starts or stops next. Pure.

`Schedule` decides for a start, a stop, a restart, a change of the number of instances and the end of the system. All of
them are the same question, because the `InstanceView` of each instance has its desired state:

- An instance starts if it is to be started, its last run has left no process, and its dependencies allow it.
  `start_after` makes it wait for others that could start now, or have just started.
- An instance stops if it is to stop, and no dependent that is to stop too still runs. So the stop order is the start
  order reversed, and a restarted instance stops and starts in the order of its dependencies.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.model.lifecycle import AT_REST, RUNNING, Desired, Event, State
from orchestrator.model.spec import ComponentSpec, Condition, Dependency


def find_cycle(components: Iterable[ComponentSpec]) -> tuple[str, ...]:
    """Return the names along one cycle of depends_on and stop_before, first and last the same; empty without one."""
    wants = {c.name: [*(d.name for d in c.depends_on), *c.stop_before] for c in components}
    done: set[str] = set()
    for root in wants:
        path: list[str] = []
        if found := _walk(root, wants, path, done):
            return found
    return ()


def _walk(name: str, wants: Mapping[str, list[str]], path: list[str], done: set[str]) -> tuple[str, ...]:
    if name in path:
        return (*path[path.index(name) :], name)
    if name in done:
        return ()
    path.append(name)
    for other in wants.get(name, ()):
        if found := _walk(other, wants, path, done):
            return found
    path.pop()
    done.add(name)
    return ()


def start_order(components: Iterable[ComponentSpec]) -> list[str]:
    """Return the names so that each comes after all that it depends on; otherwise in their order."""
    needs = {c.name: [d.name for d in c.depends_on] for c in components}
    found: dict[str, None] = {}

    def add(name: str) -> None:
        if name in needs and name not in found:
            for other in needs.pop(name):  # popped: a cycle, which the definition excludes, ends here
                add(other)
            found[name] = None

    for name in list(needs):
        add(name)
    return list(found)


def dependents(components: Iterable[ComponentSpec]) -> dict[str, frozenset[str]]:
    """Map each name to those that have to be down before it is asked to stop."""
    all_components = tuple(components)
    found: dict[str, set[str]] = {c.name: set() for c in all_components}
    for component in all_components:
        for name in (*component.stop_before, *(d.name for d in component.depends_on)):
            if name in found:
                found[name].add(component.name)
    return {name: frozenset(others) for name, others in found.items()}


STARTABLE = AT_REST | {State.BACKOFF}
_STARTED = frozenset({State.UP, State.READY})


@dataclass(frozen=True, slots=True)
class InstanceView:
    """The facts about one instance that the decisions depend on.

    `is_due`: it is to be started. `is_told`: no stop has to be sent to this run, because one was, or because it exited
    by itself and ended the system. `is_asked`: its last run was stopped on request. `has_exited`: its last run has an
    exit, which `succeeded` if the status says so. `is_silent`: it runs, and those that start after it still wait for
    its first line.
    """

    state: State = State.DOWN
    desired: Desired | None = None
    is_due: bool = False
    is_told: bool = False
    is_asked: bool = False
    has_exited: bool = False
    succeeded: bool = False
    is_silent: bool = False

    @property
    def is_leaving(self) -> bool:
        """Whether it runs and is to stop."""
        return self.state in RUNNING and self.desired in (Desired.DOWN, Desired.RESTART)

    @property
    def is_resting(self) -> bool:
        """Whether it is at rest, and is to stay so."""
        return self.state in AT_REST and not self.is_due

    @property
    def has_failed(self) -> bool:
        """Whether it exited by itself and is to stay at rest, so it will not reach any further condition."""
        return self.is_resting and self.has_exited and not self.is_asked

    @property
    def is_there(self) -> bool:
        """Whether it runs, or will restart by itself."""
        return self.state in RUNNING or self.state is State.BACKOFF

    def has_reached(self, condition: Condition) -> bool:
        """Return whether it has reached the condition of a dependent. Before another start it has reached none."""
        if self.is_due:
            return False
        match condition:
            case Condition.STARTED:
                return self.state in _STARTED or (self.state in AT_REST and self.has_exited)
            case Condition.READY:
                return self.state is State.READY
            case Condition.COMPLETED:
                return self.state in AT_REST and self.has_exited
            case Condition.SUCCEEDED:
                return self.state is State.DOWN and self.succeeded


NOTHING = InstanceView()


class _Node:
    """One instance in the graph, and what is known of its neighbors."""

    __slots__ = (
        "after",
        "blockers",
        "dependents",
        "firsts",
        "is_leaving",
        "is_needed",
        "is_never",
        "needs",
        "never_met",
        "rank",
        "releases",
        "spec",
        "unmet",
        "view",
    )

    def __init__(self, spec: ComponentSpec, rank: int) -> None:
        self.spec = spec
        self.rank = rank
        self.view = NOTHING
        self.is_leaving = False  # `view.is_leaving`, as last evaluated
        self.needs: list[tuple[Dependency, _Node]] = []
        self.dependents: list[tuple[int, Dependency, _Node]] = []  # with the index in `needs` of the dependent
        self.releases: list[_Node] = []  # those that may stop only after this one
        self.firsts: list[_Node] = []  # those that it lets start first
        self.after: list[_Node] = []  # those that let this one start first
        self.unmet: set[int] = set()  # indexes of the needs that it waits for
        self.never_met: set[int] = set()  # indexes of the needs that will never be met
        self.is_needed = False  # another one may stop only before it
        self.is_never = False  # it is to be started and never can be
        self.blockers = 0  # how many have to stop before it

    @property
    def is_startable(self) -> bool:
        return self.view.is_due and self.view.state in STARTABLE and not self.unmet

    @property
    def can_never_start(self) -> bool:
        return self.view.is_due and self.view.state in AT_REST and bool(self.never_met)

    @property
    def goes_first(self) -> bool:
        """Whether those that start after this one have to wait."""
        if self.view.state is State.UP:
            return self.view.is_silent
        return self.view.state is State.STARTING or self.is_startable

    def look_at(self, index: int, dependency: Dependency, other: _Node) -> bool:
        """Evaluate whether a need is met, or never will be. Return whether that has changed."""
        is_met = other.view.has_reached(dependency.condition)
        is_never_met = not is_met and dependency.required and (other.is_never or other.view.has_failed)
        is_spared = not is_met and not dependency.required and (other.is_never or other.view.is_resting)
        is_unmet = not is_met and not is_spared
        if (index in self.unmet, index in self.never_met) == (is_unmet, is_never_met):
            return False
        (self.unmet.add if is_unmet else self.unmet.discard)(index)
        (self.never_met.add if is_never_met else self.never_met.discard)(index)
        return True


class Schedule:
    """The decisions for one set of instances, kept up to date.

    Pass each change to `update`. `next_action` returns what follows from all of them, one action at a time; the caller
    performs it, which is the next change. An update looks only at the neighbors of what has changed, so a start or a
    stop takes time linear in the number of instances and dependencies.
    """

    def __init__(self, components: Iterable[ComponentSpec] = ()) -> None:
        self.running = 0  # how many have processes that a stop waits for
        self.active = 0  # how many have those, or will restart by themselves
        self.never: set[str] = set()  # names of instances that are to be started and never can be
        self._nodes = {spec.name: _Node(spec, rank) for rank, spec in enumerate(components)}
        self._touched: set[_Node] = set()
        self._queue: collections.deque[_Node] = collections.deque()
        for node in self._nodes.values():
            self._connect(node)
        for node in self._nodes.values():
            self._evaluate(node)

    def _connect(self, node: _Node) -> None:
        for dependency in node.spec.depends_on:
            if (other := self._nodes.get(dependency.name)) is not None:
                other.dependents.append((len(node.needs), dependency, node))
                node.needs.append((dependency, other))
        names = dict.fromkeys((*node.spec.stop_before, *(d.name for d in node.spec.depends_on)))
        node.releases = [self._nodes[name] for name in names if name in self._nodes]
        for other in node.releases:
            other.is_needed = True
        for name in node.spec.start_after:
            if (other := self._nodes.get(name)) is not None:
                node.firsts.append(other)
                other.after.append(node)

    # Changes

    def update(self, name: str, view: InstanceView) -> None:
        """Store the new view of an instance."""
        node = self._nodes[name]
        before, node.view = node.view, view
        if before == view:
            return
        if before.state is not view.state:
            self.running += (view.state in RUNNING) - (before.state in RUNNING)
            self.active += view.is_there - before.is_there
        was_leaving, node.is_leaving = node.is_leaving, view.is_leaving
        if change := node.is_leaving - was_leaving:
            for other in node.releases:
                other.blockers += change
                self._touched.add(other)
        self._evaluate(node)

    def remove(self, name: str) -> None:
        """Forget an instance that is at rest. What depends on it does not wait for it any more."""
        gone = self._nodes.pop(name)
        self.never.discard(name)
        for _, other in gone.needs:
            other.dependents = [entry for entry in other.dependents if entry[2] is not gone]
        for other in gone.firsts:
            other.after.remove(gone)
        for index, _, other in gone.dependents:
            other.unmet.discard(index)
            other.never_met.discard(index)
            self._evaluate(other)
        for other in gone.after:
            other.firsts.remove(gone)
            self._touched.add(other)
        gone.dependents, gone.view = [], NOTHING

    def _is_here(self, node: _Node) -> bool:
        return self._nodes.get(node.spec.name) is node

    def _evaluate(self, changed: _Node) -> None:
        """Evaluate the dependents of a changed node, and theirs if one can never start."""
        self._touch(changed)
        pending = [changed]
        while pending:
            node = pending.pop()
            node.is_never = node.can_never_start
            (self.never.add if node.is_never else self.never.discard)(node.spec.name)
            for index, dependency, other in node.dependents:
                if other.look_at(index, dependency, node):
                    self._touch(other)
                    if other.is_never is not other.can_never_start:
                        pending.append(other)

    def _touch(self, node: _Node) -> None:
        self._touched.add(node)
        self._touched.update(node.after)

    # Decisions

    def next_action(self) -> tuple[str, Event] | None:
        """Return an instance that starts or stops now, in the order of the definition; None if none does."""
        while self._queue or self._touched:
            if not self._queue:
                self._queue.extend(sorted(self._touched, key=lambda node: node.rank))
                self._touched.clear()
            node = self._queue.popleft()
            is_here = self._nodes.get(node.spec.name) is node
            if is_here and (event := _decide(node)) is not None:
                return node.spec.name, event
        return None

    def is_startable(self, name: str) -> bool:
        """Return whether the instance is to be started, and its dependencies allow it now."""
        return self._nodes[name].is_startable

    @property
    def startable(self) -> list[str]:
        """The instances that could start now, but let others start first."""
        return [name for name, node in self._nodes.items() if node.is_startable]

    def waits_for(self, name: str) -> list[Dependency]:
        """Return the dependencies that have not reached the condition that the instance waits for."""
        node = self._nodes[name]
        return [dependency for index, (dependency, _) in enumerate(node.needs) if index in node.unmet]

    def does_without(self, name: str) -> list[Dependency]:
        """Return the optional dependencies that the instance does not wait for."""
        node = self._nodes[name]
        return [
            dependency
            for index, (dependency, other) in enumerate(node.needs)
            if index not in node.unmet and self._is_here(other) and not other.view.has_reached(dependency.condition)
        ]

    def obstacle(self, name: str) -> Dependency | None:
        """Return the first dependency because of which the instance can never start; None if it can."""
        node = self._nodes[name]
        return node.needs[min(node.never_met)][0] if node.is_never else None

    # Neighbors

    def needed_by(self, names: Iterable[str]) -> list[str]:
        """Return these instances, after the dependencies that have to start for them.

        A dependency that has exited successfully need not start again, unless a stop was requested for it afterwards or
        something that it needs itself has stopped: a migration, for example, runs again after its database was stopped.
        """
        found: dict[_Node, None] = {}
        lasting: dict[_Node, bool] = {}

        def needs(node: _Node) -> list[tuple[Dependency, _Node]]:
            return [(d, other) for d, other in node.needs if d.required and self._is_here(other)]

        def add(node: _Node) -> None:
            for dependency, other in needs(node):
                if other not in found and not lasts(other, dependency.condition):
                    add(other)
            found[node] = None

        def lasts(node: _Node, condition: Condition) -> bool:
            if not node.view.has_reached(condition):
                return False
            if node.view.state not in AT_REST:
                return True
            if node.view.desired is Desired.DOWN or not (node.view.succeeded or condition is Condition.COMPLETED):
                return False
            if node not in lasting:
                lasting[node] = all(lasts(other, dependency.condition) for dependency, other in needs(node))
            return lasting[node]

        for name in names:
            add(self._nodes[name])
        return [node.spec.name for node in found]

    def restarting_with(self, names: Iterable[str]) -> list[str]:
        """Return the running instances that restart with any of these (`restart = true`), or with one of those."""
        found = dict.fromkeys(self._nodes[name] for name in names)
        pending = collections.deque(found)
        followers = []
        while pending:
            for _, dependency, other in pending.popleft().dependents:
                if dependency.restart and other.view.is_there and other not in found:
                    found[other] = None
                    followers.append(other.spec.name)
                    pending.append(other)
        return followers

    def is_awaited(self, name: str) -> bool:
        """Return whether another instance waits for an exit like that of this one."""
        node = self._nodes[name]
        enough = {Condition.COMPLETED, Condition.SUCCEEDED} if node.view.succeeded else {Condition.COMPLETED}
        return any(dependency.condition in enough for _, dependency, _ in node.dependents)

    def has_dependents(self, name: str) -> bool:
        """Return whether another instance has to stop before this one."""
        return self._nodes[name].is_needed


def _decide(node: _Node) -> Event | None:
    view = node.view
    is_to_stop = node.is_leaving and not view.is_told and not node.blockers
    if is_to_stop or (view.state is State.BACKOFF and view.desired in (Desired.DOWN, Desired.RESTART)):
        return Event.STOP
    if node.is_startable and not any(other.goes_first for other in node.firsts):
        return Event.START
    return None
