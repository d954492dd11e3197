"""Who waits for whom: start order, and the stop order that is its reverse. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from orchestrator.model.spec import ComponentSpec


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


def may_stop(candidates: Collection[str], dependents_of: Mapping[str, frozenset[str]]) -> list[str]:
    """Of the names that still run, those that nobody who still runs depends on."""
    running = set(candidates)
    return [name for name in candidates if running.isdisjoint(dependents_of.get(name, ()))]


class StopOrder:
    """The names that still run, and which of them may stop, kept up to date as they exit.

    All exits together take time linear in the number of names and dependencies, where `may_stop` looks at all of them
    after each.
    """

    def __init__(self, running: Collection[str], dependents_of: Mapping[str, frozenset[str]]) -> None:
        self._running = set(running)
        self._blockers: dict[str, int] = {}  # how many that run depend on it
        self._needs: dict[str, list[str]] = {}
        for name in running:
            blocking = [other for other in dependents_of.get(name, ()) if other in self._running]
            self._blockers[name] = len(blocking)
            for other in blocking:
                self._needs.setdefault(other, []).append(name)

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def __len__(self) -> int:
        return len(self._running)

    def exited(self, name: str) -> list[str]:
        """Return the names that may stop now that `name` does not run any more, and could not before."""
        if name not in self._running:
            return []
        self._running.remove(name)
        needs = self._needs.get(name, ())
        for other in needs:
            self._blockers[other] -= 1
        return [other for other in needs if other in self._running and not self._blockers[other]]
