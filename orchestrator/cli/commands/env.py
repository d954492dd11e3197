"""`orchestrate env NAME`: each variable of a component, and its source."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass

from orchestrator.cli import planning, settings, sources
from orchestrator.cli.options import LocationOptions, PlanOptions, PresetOptions
from orchestrator.config.environment import Variable, Variables
from orchestrator.config.redaction import MASK, mask
from orchestrator.model.masked import plain
from orchestrator.terminal.width import padded, width


@dataclass(frozen=True, slots=True)
class EnvOptions:
    """The options of `env`; `name` is a component or an instance."""

    location: LocationOptions
    plan: PlanOptions
    airflow: PresetOptions
    name: str | None = None
    reveal: bool = False
    json: bool = False


def run(options: EnvOptions) -> int:
    """Print the variables, by name; returns the exit status."""
    named = options.name is not None
    read = sources.read(options.location, settings.read(), options.airflow, needs_components=named, exact=named)
    variables = planning.variables_of(options.plan, read, options.name)
    planning.tell(read.report.notes)
    shown = {name: _shown(name, variables[name], options.reveal) for name in sorted(variables)}
    text = _as_json(shown) if options.json else _as_lines(shown)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return 0


def _shown(name: str, variable: Variable, reveal: bool) -> Variable:
    value = plain(variable.value) if reveal else mask(name, str(variable.value))
    return Variable(value, variable.origin)


def _as_json(variables: Variables) -> str:
    entries = [{"name": name, "value": v.value, "origin": v.origin} for name, v in variables.items()]
    return json.dumps(entries, indent=2) + "\n"


def _as_lines(variables: Variables) -> str:
    lines = [
        (f"{name}={v.value if v.value == MASK else shlex.quote(v.value)}", v.origin) for name, v in variables.items()
    ]
    columns = min(60, max((width(line) for line, _ in lines), default=0))
    return "".join(f"{padded(line, columns)}  # {origin}\n" for line, origin in lines)
