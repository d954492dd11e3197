"""Converts parsed arguments to one command: its function, and its options as a frozen dataclass.

A command is a function `run(options: SomeOptions) -> int` in a module of `cli/commands/`; `MODULE.FUNCTION` names
another one. The dataclass of its annotation is in the same module or in `cli.options`. It is filled by name from the
parser's result: a field whose type is called `…Options` is a group of options, which is filled in the same way. Values
that were not given have the default of their fields.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

Options = TypeVar("Options")
Command = Callable[[Any], int]


def run(values: Mapping[str, object]) -> int:
    """Run the command that the parser has found; return its exit status."""
    command, kind = command_of(str(values["module"]))
    options: Any = read(kind, values)
    gc.freeze()  # the first full collection, 9 ms in the middle of the supervisor's imports, need not look at these
    gc.enable()
    return command(options)


def command_of(name: str) -> tuple[Command, type]:
    """Return the function of a command, and the class of its options."""
    module_name, _, function = name.partition(".")
    module = import_module(f"orchestrator.cli.commands.{module_name}")
    command: Command = getattr(module, function or "run")
    return command, options_class(command.__annotations__["options"], module)


def options_class(name: str, module: ModuleType) -> type:
    """Return the dataclass that a module calls `name`; it need not import one that commands share."""
    found: type = getattr(module, name, None) or getattr(import_module("orchestrator.cli.options"), name)
    return found


def read(kind: type[Options], values: Mapping[str, object]) -> Options:
    """Return options, and the groups of options in them, from parsed values. Lists become tuples."""
    module = sys.modules[kind.__module__]
    found: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, which no TypeVar can be bound to
        if str(field.type).endswith("Options"):
            found[field.name] = read(options_class(str(field.type), module), values)
        elif field.name in values:
            value = values[field.name]
            found[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**found)
