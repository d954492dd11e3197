"""More or fewer instances of a component while the system runs, and components that were left out at its start.

Instances keep their numbers: the highest go first and come back last. A surplus instance is stopped, and removed once
it is down: it is not listed, counted or started any more. A new instance depends on what its siblings depend on; no
other component depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.lifecycle import AT_REST
from orchestrator.model.names import is_meant
from orchestrator.model.spec import ComponentSpec
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import Registry

Rename = Callable[[Instance, str], None]

_INSTANCE = "ORCHESTRATE_INSTANCE"


class InstanceSource(Protocol):
    """Makes specs that were not needed at the start. Both may raise OrchestrateError."""

    def instances(self, name: str, count: int) -> tuple[ComponentSpec, ...]:
        """Return the specs of a component in `count` instances, without what it depends on."""

    def missing(self, names: Collection[str], present: Collection[str]) -> tuple[ComponentSpec, ...]:
        """Return the specs of these components, and of what they need, that are not `present`. Their dependencies name
        components, not instances."""


class Scaling:
    """`supply` is None if the system has no other components or instances than at its start. `rename` is called with a
    instance that has a new name, and its old name."""

    def __init__(self, registry: Registry, supply: InstanceSource | None, rename: Rename) -> None:
        self._registry = registry
        self._supply = supply
        self._rename = rename
        self._removed: dict[str, dict[int, ComponentSpec]] = {}

    def scale(self, name: str, count: int) -> tuple[list[Instance], list[Instance]]:
        """Add the instances that are missing. Return those that are to run, and those that are surplus now.

        Surplus instances that are down are removed at once. Raises OrchestrateError.
        """
        if self._supply is None:
            raise OrchestrateError("cannot scale: this system has one instance of each component")
        siblings = {m.number: m for m in self._siblings(name)}
        if not siblings and name not in self._removed:
            raise OrchestrateError(f"cannot scale {name}: unknown component")
        missing = [number for number in range(1, count + 1) if number not in siblings]
        if missing:
            removed = self._removed.get(name, {})
            specs = self._supply.instances(name, count)
            like = next(iter(siblings.values())).spec if siblings else next(iter(removed.values()))
            for number in missing:
                key = removed.pop(number).name if number in removed else f"{name}.{number}"
                siblings[number] = self._registry.add(_like(specs[number - 1], like, key))
        wanted = [siblings[number] for number in sorted(siblings) if number <= count]
        surplus = [siblings[number] for number in sorted(siblings) if number > count]
        for instance in siblings.values():
            instance.surplus = instance in surplus
        for instance in surplus:
            self.remove_if_down(instance)
        self._name(name)
        return wanted, surplus

    def add(self, names: Collection[str]) -> list[Instance]:
        """Add components that were left out at the start, and what they need; none of them starts yet. Return the new
        instances. Raises OrchestrateError."""
        if self._supply is None:
            raise OrchestrateError("this system has no other components")
        present = {m.spec.component for m in self._registry.instances} | self._removed.keys()
        specs = self._supply.missing(names, present)
        keys: dict[str, list[str]] = {}
        for spec in (*(m.spec for m in self._registry.instances), *specs):
            keys.setdefault(spec.component, []).append(spec.name)
        added = []
        for spec in specs:
            needs = (replace(d, name=key) for d in spec.depends_on for key in keys.get(d.name, ()))
            added.append(self._registry.add(replace(spec, depends_on=tuple(needs))))
        return added

    def remove_if_down(self, instance: Instance) -> bool:
        """Remove a surplus instance once it is down. Return whether it was."""
        if not instance.surplus or instance.state not in AT_REST:
            return False
        self._removed.setdefault(instance.spec.component, {})[instance.number] = instance.spec
        self._registry.remove(instance)
        self._name(instance.spec.component)
        return True

    def components(self, name: str) -> list[str]:
        """Return the components that a name, a pattern or `+TAG` means, also those all of whose instances were
        removed."""
        specs = {m.spec.component: m.spec for m in self._registry.instances}
        for component in filter(self._is_scaled_to_none, self._removed):
            specs[component] = next(iter(self._removed[component].values()))
        return [component for component, spec in specs.items() if is_meant((name,), (component,), spec.tags)]

    def _is_scaled_to_none(self, name: str) -> bool:
        return name in self._removed and not self._siblings(name)

    @property
    def has_removed_all(self) -> bool:
        """Whether there is a component without instances."""
        return any(map(self._is_scaled_to_none, self._removed))

    def _siblings(self, name: str) -> list[Instance]:
        return [m for m in self._registry.instances if m.spec.component == name]

    def _name(self, component: str) -> None:
        """Call a single instance by the name of its component, several by their numbers too."""
        siblings = self._siblings(component)
        for instance in siblings:
            name = component if len(siblings) == 1 and instance.number == 1 else f"{component}.{instance.number}"
            before = instance.name
            if name == before:
                continue
            instance.name = name
            environment = instance.spec.environment
            if environment.get(_INSTANCE) == before:  # not if the definition sets it
                instance.spec = replace(instance.spec, environment={**environment, _INSTANCE: name})
            self._rename(instance, before)


def _like(spec: ComponentSpec, sibling: ComponentSpec, key: str) -> ComponentSpec:
    return replace(
        spec,
        name=key,
        depends_on=sibling.depends_on,
        start_after=sibling.start_after,
        stop_before=sibling.stop_before,
        on_exit=sibling.on_exit,
        on_exit_is_set=sibling.on_exit_is_set,
    )
