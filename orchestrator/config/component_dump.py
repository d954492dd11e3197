"""Converts a component's spec to the keys of a definition that give the same spec. So a file can override components
of a preset, and `config` can print them. Pure.

Every dollar is doubled. A variable that the component inherits unchanged is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from orchestrator.config.definition import TomlValue
from orchestrator.config.environment import ASSIGNED
from orchestrator.config.http_status import write_status
from orchestrator.config.interpolation import escape
from orchestrator.model import errors
from orchestrator.model.spec import (
    ComponentSpec,
    DelayProbe,
    ExecProbe,
    FileProbe,
    HttpProbe,
    LogProbe,
    NotifyProbe,
    Probe,
    PromptProbe,
    RestartPlan,
    StopPlan,
    TcpProbe,
    UnixProbe,
)

Tree = dict[str, TomlValue]


def of_component(component: ComponentSpec, inherited: Mapping[str, str]) -> Tree:
    """Return the keys of a component whose stop is a sequence of signals, and that has no `alive` and no `expect`."""
    environment = dict(component.environment)
    port = environment.get("PORT", "")
    own = {
        name: escape(value)
        for name, value in environment.items()
        if name not in ASSIGNED and inherited.get(name) != value
    }
    tree: Tree = {
        "command": [escape(word) for word in component.argv],
        "cwd": escape(component.cwd),
        "environment": own,
        "color": component.color,
        "depends_on": {
            d.name: {"condition": d.condition.value, "restart": d.restart, "required": d.required}
            for d in component.depends_on
        },
        "start_after": list(component.start_after),
        "stop_before": list(component.stop_before),
        "ready": [_probe(probe) for probe in component.ready],
        "restart": _restart(component.restart),
        "stop": _stop(component.stop),
    }
    if port.isdecimal() and inherited.get("PORT") != port:
        tree["port"] = int(port)
    tree = {key: value for key, value in tree.items() if value not in ("", [], {})}
    if not component.tty:
        tree["tty"] = False
    return {**tree, "on_exit": component.on_exit.value, "success_exit_codes": sorted(component.success)}


def _restart(plan: RestartPlan) -> Tree:
    tree = dataclasses.asdict(plan)
    backoff = [tree.pop("first"), tree.pop("cap")]
    return {**tree, "policy": plan.policy.value, "backoff": backoff}


def _stop(plan: StopPlan) -> Tree:
    sequence: list[str | float] = []
    for step in plan.steps:
        sequence += [errors.signal_name(step.signal).removeprefix("SIG"), *([step.wait] if step.wait else [])]
    return {"sequence": sequence, "scope": plan.scope.value}


def _probe(probe: Probe) -> Tree:
    """Return the table of one probe, without defaults."""
    defaults = {f.name: f.default for f in dataclasses.fields(probe)}
    given: dict[str, Any] = {name: value for name, value in _fields(probe).items() if defaults[name] != value}
    match probe:
        case LogProbe():
            tree: Tree = {"log": escape(given.pop("pattern"))}
        case PromptProbe():
            tree = {"prompt": escape(given.pop("pattern"))}
        case DelayProbe():
            tree = {"delay": given.pop("seconds")}
        case TcpProbe():
            host, port = given.pop("host"), given.pop("port")
            tree = {"tcp": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
        case HttpProbe():
            tree = {"http": escape(given.pop("url"))}
            for field, key in (("headers", "header"), ("request_headers", "request_headers")):
                if field in given:
                    tree[key] = {name: escape(text) for name, text in given.pop(field)}
            if "body" in given:
                tree["body"] = escape(given.pop("body"))
        case UnixProbe():
            tree = {"unix": escape(given.pop("path"))}
        case FileProbe():
            tree = {"file": escape(given.pop("path"))}
        case NotifyProbe():
            tree = {"notify": True}
        case ExecProbe():
            tree = {"exec": [escape(word) for word in given.pop("argv")]}
    if "status" in given:
        tree["status"] = write_status(given.pop("status"))
    given.pop("unix", None)  # which the URL contains
    if "owner" in given:
        tree["owner"] = given.pop("owner").value
    return {**tree, **{name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}}


def _fields(probe: Probe) -> dict[str, Any]:
    return {f.name: getattr(probe, f.name) for f in dataclasses.fields(probe)}
