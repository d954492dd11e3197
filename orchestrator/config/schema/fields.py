"""The shapes of values in a definition: each reads one kind of value, and describes it as JSON Schema.

A shape converts plain TOML values to those of the spec. A mistake is reported with the place of the value and never
prevents the reading of other values.

Some shapes consist of others: lists, tables with known keys, and tables with the user's names. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from orchestrator.config.definition import Document, Path
from orchestrator.config.diagnostics import Report, did_you_mean
from orchestrator.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size, write_size

Schema = dict[str, Any]

TYPES = {
    bool: "true or false",
    str: "a string",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


class InvalidValue(Exception):
    """An invalid value, which has been reported."""


@dataclass(frozen=True, slots=True)
class At:
    """A position in a document."""

    document: Document
    report: Report
    path: Path = ()

    def child(self, key: str | int) -> At:
        """Return the position of an element."""
        return At(self.document, self.report, (*self.path, key))

    def problem(self, text: str) -> None:
        """Report a problem here."""
        name = ".".join(map(str, self.path))
        self.report.problem(self.document.place(self.path), f"{name}: {text}" if name else text)

    def fault(self, text: str) -> NoReturn:
        """Report a problem here and discard the value."""
        self.problem(text)
        raise InvalidValue

    def mismatch(self, expected: str, value: object) -> NoReturn:
        """Report what was expected and what was found."""
        shown = repr(value) if isinstance(value, str) and len(value) < 40 else TYPES.get(type(value), "a date or time")
        if isinstance(value, bool | int | float):
            shown = str(value).lower() if isinstance(value, bool) else f"{value!r:.40}"
        self.fault(f"must be {expected}, not {shown}")


class Shape(Protocol):
    """One kind of value."""

    def read(self, value: object, at: At) -> Any:
        """Return what the value means; raises InvalidValue, having reported it."""

    def schema(self) -> Schema:
        """Describe it as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text without NUL bytes; `meaning` is its role, `empty` says whether it may be empty."""

    meaning: str = "a string"
    empty: bool = False

    def read(self, value: object, at: At) -> str:
        """Return the text."""
        if not isinstance(value, str):
            at.mismatch(self.meaning, value)
        if "\0" in value:
            at.fault("has a NUL byte in it")
        if not value.strip() and not self.empty:
            at.fault(f"is empty; it must be {self.meaning}")
        return value

    def schema(self) -> Schema:
        """Describe it."""
        return {"type": "string"} if self.empty else {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, value: object, at: At) -> bool:
        """Return the flag."""
        return value if isinstance(value, bool) else at.mismatch("true or false", value)

    def schema(self) -> Schema:
        """Describe it."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two others, both included; with `whole`, an integer."""

    low: float
    high: float
    whole: bool = False
    unit: str = ""

    def read(self, value: object, at: At) -> Any:
        """Return an int if it is a whole number, else a float."""
        is_number = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:  # type: ignore[operator]
            kind = "a whole number" if self.whole else "a number"
            at.mismatch(f"{kind}{self.unit and f' of {self.unit}'} from {self.low:.15g} to {self.high:.15g}", value)
        return value if self.whole else float(value)  # type: ignore[arg-type]

    def schema(self) -> Schema:
        """Describe it."""
        return {"type": "integer" if self.whole else "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Duration:
    """A number of seconds, or a text with units, such as `1m30s`, between two numbers of seconds, both included."""

    low: float
    high: float

    def read(self, value: object, at: At) -> float:
        """Return the seconds."""
        seconds = parse_duration(value) if isinstance(value, str) else value
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not self.low <= seconds <= self.high:  # type: ignore[operator]
            at.mismatch(f'a number of seconds from {self.low:g} to {self.high:g}, or a string such as "1m30s"', value)
        return float(seconds)  # type: ignore[arg-type]

    def schema(self) -> Schema:
        """Describe it."""
        number = {"type": "number", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "string", "pattern": DURATION_PATTERN}]}


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes, or a text with a unit, such as `512M`; at least `low` bytes."""

    low: int

    def read(self, value: object, at: At) -> int:
        """Return the bytes."""
        size = parse_size(value) if isinstance(value, str) else value
        if not isinstance(size, int) or isinstance(size, bool) or not self.low <= size < 1 << 62:
            at.mismatch(f'a size such as "512M" or "1.5G", at least {write_size(self.low)}', value)
        return size

    def schema(self) -> Schema:
        """Describe it."""
        return {"anyOf": [{"type": "integer", "minimum": self.low}, {"type": "string", "pattern": SIZE_PATTERN}]}


DAY = 86400.0
SECONDS = Duration(0, DAY)
SOON = Duration(0.01, DAY)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words. `aliases` are words of other tools that are accepted but not advertised, `elsewhere` those
    that are rejected, each with the word to use instead. `or_else` is what may stand there besides a word."""

    words: Mapping[str, Any]
    aliases: Mapping[str, Any]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    or_else: str = ""

    def read(self, value: object, at: At) -> Any:
        """Return the value that the word means."""
        known = {**self.aliases, **self.words}
        if not isinstance(value, str):
            at.mismatch(self._expected, value)
        if value not in known:
            at.fault(f"must be {self._expected}, not {value!r:.40}{self._instead(value)}")
        return known[value]

    def _instead(self, value: str) -> str:
        if value in self.elsewhere:
            return f"; did you mean {self.elsewhere[value]}?"
        return did_you_mean(value, self.words)

    @property
    def _expected(self) -> str:
        words = " | ".join(f'"{word}"' for word in self.words)
        return f"{words} or {self.or_else}" if self.or_else else words

    def schema(self) -> Schema:
        """Describe it."""
        return {"enum": [*self.words, *self.aliases]}


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
            raise InvalidValue
        return tuple(read.values())

    def schema(self) -> Schema:
        """Describe it."""
        least: Schema = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": self.element.schema(), **least}


@dataclass(frozen=True, slots=True)
class MapOf:
    """A table whose keys are names that the user gives; `name_fault` says what is wrong with one, or nothing.

    `read` passes the name to a value that needs it.
    """

    element: Shape
    name_fault: Callable[[str], str]
    pattern: str

    def read(self, value: object, at: At) -> dict[str, Any]:
        """Return the valid elements by their names."""
        if not isinstance(value, dict):
            at.mismatch("a table", value)

        def one(key: str, element: object) -> Any:
            if fault := self.name_fault(key):
                at.child(key).fault(f"{key!r:.80} is not a valid name: {fault}")
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
        """Return the value as read by the shape for its type."""
        shape = self.shapes.get(type(value))
        if shape is None:
            at.mismatch(" or ".join(dict.fromkeys(TYPES[kind] for kind in self.shapes)), value)
        return shape.read(value, at)

    def schema(self) -> Schema:
        """Describe it."""
        return {"anyOf": [shape.schema() for shape in self.shapes.values()]}


@dataclass(frozen=True, slots=True)
class Made:
    """A value that `make` builds from one of `shape`; it may raise ValueError, whose text is the fault."""

    shape: Shape
    make: Callable[[Any], Any]

    def read(self, value: object, at: At) -> Any:
        """Return the built value."""
        before = len(at.report.problems)
        read = self.shape.read(value, at)
        try:
            return self.make(read)
        except ValueError as error:
            if len(at.report.problems) > before:  # the missing value may be an invalid one
                raise InvalidValue from None
            at.fault(str(error))

    def schema(self) -> Schema:
        """Describe it."""
        return self.shape.schema()


@dataclass(frozen=True, slots=True)
class SchemaKey:
    """One key of a table: its shape, and what it means, for the schema. If a `required` key is missing or
    invalid, that is reported and the table is discarded, unless a `stand_in` lets the rest be checked."""

    shape: Shape
    help: str
    required: bool = False
    stand_in: Any = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with known keys, read into a dict of those that are set. `elsewhere` holds keys of other tools, each with
    its replacement."""

    keys: Mapping[str, SchemaKey]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def read(self, value: object, at: At) -> dict[str, Any]:
        """Return the values by their keys; unknown and invalid keys are reported, but the others are kept."""
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
                    raise InvalidValue
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
        except InvalidValue:
            continue
    return found


def enum_words(kind: Any, elsewhere: Mapping[str, str] | None = None, **aliases: Any) -> Choice:
    """Return the values of an enum, by their words; `elsewhere` has the words of other tools, `aliases` ours."""
    return Choice({member.value: member for member in kind}, aliases, elsewhere or {})
