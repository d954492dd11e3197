"""Assigns a PORT to each instance, and resolves `${web.PORT}`, the port of another component. Pure.

A component has the port that it sets, or base + 100·i + (n−1), where i is its place in the definition and n the number
of the instance, as in foreman and honcho. A port that another component sets, or that is another's first, is skipped.
Ports beyond 65535 do not exist, which is a fault only if the component uses PORT.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestrator.config.definition import ComponentDefinition
from orchestrator.config.diagnostics import Report, did_you_mean
from orchestrator.config.environment import Variable

STEP = 100  # between components
LAST = 65535
REFERENCE = re.compile(r"\$\{(\w[\w.-]*)\.PORT\}")  # in a text for the shell, which would not expand it
_USE = re.compile(r"\$\{?PORT\b")

# The port that an instance sets: its component and number; None if it sets none.
Own = Callable[[ComponentDefinition, int], Variable | None]
# Replaces a port that is taken by another one.
Replace = Callable[[int], int]


class PortAssignment:
    """The ports of all components of a definition. `base` is the first, None for none; `own` reads the ports that
    components set; `replace` is given each port and returns it, or a free one."""

    def __init__(
        self,
        components: Sequence[ComponentDefinition],
        base: Variable | None,
        own: Own,
        replace: Replace = lambda port: port,
    ) -> None:
        self._components = {component.name: (index, component) for index, component in enumerate(components)}
        self._base = base
        self._own = own
        self._replace = replace
        self._owner = self._owners(components)
        self._assigned: dict[str, list[int]] = {}
        self._found: dict[tuple[str, int], Variable | None] = {}
        self._open: list[str] = []  # components whose ports are being read, each of which refers to the next
        self.cycle: tuple[str, ...] = ()  # the last one found: `a`, `b`, `a`

    def of(self, name: str, number: int) -> Variable | None:
        """Return the PORT of an instance, by its number from 1; None if it has none."""
        key = name, number
        if key not in self._found:
            self._found[key] = None  # for a port that refers to itself
            index, component = self._components[name]
            self._open.append(name)
            port = self._own(component, number) if component.port is not None else self._assign(name, index, number)
            self._open.pop()
            self._found[key] = self._replaced(port)
        return self._found[key]

    def look_up(self, name: str) -> str | None:
        """Return the port of a component or instance of this name, as a value of `${name.PORT}`."""
        component, dot, number = name.rpartition(".")
        if name in self._open:
            self.cycle = (*self._open[self._open.index(name) :], name)
        if name in self._components:
            port = self.of(name, 1)
        elif dot and component in self._components and number.isdecimal() and int(number):
            port = self.of(component, int(number))
        else:
            return None
        return port.value if port else None

    def is_known(self, name: str) -> bool:
        """Whether it is a component, or could be an instance of one."""
        return name in self._components or (
            name.rpartition(".")[0] in self._components and name.rpartition(".")[2].isdecimal()
        )

    def fault(self, name: str) -> str:
        """Return why `${name.PORT}` has no value."""
        if self.is_known(name):
            return f"{name} has no PORT"
        return f"unknown component {name!r}{did_you_mean(name, self._components)}"

    def _replaced(self, port: Variable | None) -> Variable | None:
        if port is None or not port.value.isdecimal() or (other := self._replace(int(port.value))) == int(port.value):
            return port
        return Variable(str(other), f"free, because {port.value} is taken")

    def _owners(self, components: Sequence[ComponentDefinition]) -> dict[int, int]:
        """Map ports to the component that has them first: ports that are set, then the first ports of the others."""
        owner: dict[int, int] = {}
        for index, component in enumerate(components):
            if isinstance(component.port, int):
                for port in range(component.port, component.port + max(1, component.replicas)):
                    owner.setdefault(port, index)
        for index, component in enumerate(components):
            if component.port is None and self._base is not None:
                first = int(self._base.value) + STEP * index
                for port in range(first, first + max(1, component.replicas)):
                    owner.setdefault(port, index)
        return owner

    def _assign(self, name: str, index: int, number: int) -> Variable | None:
        if self._base is None:
            return None
        first = int(self._base.value) + STEP * index
        used = self._assigned.setdefault(name, [])
        while len(used) < number:
            port = max(first + len(used), used[-1] + 1 if used else 0)
            while self._owner.get(port, index) != index:
                port += 1
            used.append(port)
        if used[number - 1] > LAST:
            return None
        origin = f" ({self._base.origin})" if self._base.origin else ""
        return Variable(str(used[number - 1]), f"assigned from {self._base.value}{origin}")


def check_use(component: ComponentDefinition, instance: str, report: Report) -> None:
    """Report a component that uses PORT and has none."""
    if "PORT" not in component.environment and any(map(_USE.search, _texts(component))):
        report.problem(
            component.place,
            f"{component.name}: uses PORT, but {instance} would be beyond {LAST}; set its `port`, or a base",
        )


def check_twice(places: Mapping[str, tuple[ComponentDefinition, str]], report: Report) -> None:
    """Report ports that two components set: `places` has for each instance its component and the port."""
    first: dict[str, str] = {}
    for instance, (component, port) in places.items():
        other = first.setdefault(port, instance)
        if other != instance and component.port is not None:
            report.problem(
                component.where("port"), f"{component.name}: {instance} and {other} have the same PORT {port}"
            )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, element in value.items():
            if isinstance(key, str):  # not the places of keys
                yield from _texts(element)
    elif isinstance(value, tuple | list | frozenset):
        for element in value:
            yield from _texts(element)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _texts(getattr(value, field.name))
