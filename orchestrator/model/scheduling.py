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
    return {c.name: frozenset(o.name for o in all_components if _relies_on(o, c.name)) for c in all_components}


def _relies_on(component: ComponentSpec, name: str) -> bool:
    return name in component.stop_before or any(d.name == name for d in component.depends_on)


def may_stop(candidates: Collection[str], dependents_of: Mapping[str, frozenset[str]]) -> list[str]:
    """Of the names that still run, those that nobody who still runs depends on."""
    return [name for name in candidates if not dependents_of.get(name, frozenset()) & set(candidates)]
