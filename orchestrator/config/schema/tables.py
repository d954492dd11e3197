"""Shapes made of shapes: lists, tables with known keys and with names that the user gives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.diagnostics import did_you_mean
from orchestrator.config.schema.fields import TYPES, At, Fault, Schema, Shape


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values of one shape, as a tuple."""

    element: Shape
    least: int = 0

    def read(self, value: object, at: At) -> tuple[Any, ...]:
        """Return the elements."""
        if not isinstance(value, list):
            at.mismatch("a list", value)
        if len(value) < self.least:
            at.fault("is an empty list")
        read = _each(((i, v) for i, v in enumerate(value)), lambda i, v: self.element.read(v, at.child(i)))
        if len(read) < len(value):
            raise Fault
        return tuple(read.values())

    def schema(self) -> Schema:
        """Describe it."""
        least: Schema = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": self.element.schema(), **least}


@dataclass(frozen=True, slots=True)
class MapOf:
    """A table whose keys are names that the user gives; `name_fault` says what is wrong with one, or nothing.

    `read` gives a value its name where it wants it.
    """

    element: Shape
    name_fault: Callable[[str], str]
    pattern: str

    def read(self, value: object, at: At) -> dict[str, Any]:
        """Return the elements that are right by their names."""
        if not isinstance(value, dict):
            at.mismatch("a table", value)

        def one(key: str, element: object) -> Any:
            if fault := self.name_fault(key):
                at.child(key).fault(f"{key!r:.80} is no name: {fault}")
            return self.element.read(element, at.child(key))

        return _each(value.items(), one)

    def schema(self) -> Schema:
        """Describe it."""
        return {
            "type": "object",
            "patternProperties": {self.pattern: self.element.schema()},
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class ByType:
    """Another shape for each type of value."""

    shapes: Mapping[type, Shape]

    def read(self, value: object, at: At) -> Any:
        """Return what the shape for its type makes of it."""
        shape = self.shapes.get(type(value))
        if shape is None:
            at.mismatch(" or ".join(dict.fromkeys(TYPES[kind] for kind in self.shapes)), value)
        return shape.read(value, at)

    def schema(self) -> Schema:
        """Describe it."""
        return {"anyOf": [shape.schema() for shape in self.shapes.values()]}


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` makes of what `shape` has read; it may raise ValueError, whose text is the fault."""

    shape: Shape
    make: Callable[[Any], Any]

    def read(self, value: object, at: At) -> Any:
        """Return what is made of it."""
        before = len(at.report.problems)
        read = self.shape.read(value, at)
        try:
            return self.make(read)
        except ValueError as error:
            if len(at.report.problems) > before:  # what it misses may be what was wrong
                raise Fault from None
            at.fault(str(error))

    def schema(self) -> Schema:
        """Describe it."""
        return self.shape.schema()


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: its shape, and what it means, for the schema. Of a table in which a `required` key is missing
    or wrong nothing is read, unless a `stand_in` for it lets the rest be looked at; it has been reported."""

    shape: Shape
    help: str
    required: bool = False
    stand_in: Any = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with known keys, read into a dict of those that are there. `elsewhere` holds keys of other tools, each
    with what is written instead."""

    keys: Mapping[str, Key]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def read(self, value: object, at: At) -> dict[str, Any]:
        """Return the values by their keys; an unknown key is a fault, a wrong one too, but both keep the others."""
        if not isinstance(value, dict):
            at.mismatch("a table", value)
        for key in value:
            if key not in self.keys:
                at.child(key).problem(f"unknown key{self._instead(key)}")
        missing = [key for key, known in self.keys.items() if known.required and key not in value]
        for key in missing:
            at.problem(f"needs a {key}{self._perhaps(key, value)}")
        known = {key: element for key, element in value.items() if key in self.keys}
        read = _each(known.items(), lambda key, element: self.keys[key].shape.read(element, at.child(key)))
        for key, expected in self.keys.items():
            if expected.required and key not in read:
                if expected.stand_in is None:
                    raise Fault
                read[key] = expected.stand_in
        return read

    def _instead(self, key: str) -> str:
        if key.lower() in self.elsewhere:
            return f"; did you mean {self.elsewhere[key.lower()]}?"
        return did_you_mean(key, self.keys) or f"; there are: {', '.join(self.keys)}"

    def _perhaps(self, key: str, value: Mapping[str, object]) -> str:
        return " (see the unknown key in it)" if any(k not in self.keys for k in value) else ""

    def schema(self) -> Schema:
        """Describe it."""
        properties = {name: {"description": key.help, **key.shape.schema()} for name, key in self.keys.items()}
        required = [name for name, key in self.keys.items() if key.required]
        shape: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**shape, "required": required} if required else shape


def _each(items: Any, read: Callable[[Any, Any], Any]) -> dict[Any, Any]:
    """Read each element; those with a fault, which has been reported, are left out."""
    found: dict[Any, Any] = {}
    for key, value in items:
        try:
            found[key] = read(key, value)
        except Fault:
            continue
    return found
