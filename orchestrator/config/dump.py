"""Writes a definition back as a file: merged, expanded, without its secrets. Pure.

Variables that differ between instances (such as PORT) stay `${PORT}`; every other dollar is doubled, so that reading
the result gives the same definition again.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.config.definition import SHELL, Command, ComponentDefinition
from orchestrator.config.diagnostics import Report
from orchestrator.config.environment import ASSIGNED, Layers, Values, expand_at
from orchestrator.config.http_status import write_status
from orchestrator.config.interpolation import escape
from orchestrator.config.redaction import mask
from orchestrator.config.units import write_size
from orchestrator.model import errors
from orchestrator.model.masked import plain
from orchestrator.model.prompt_rules import Rule
from orchestrator.model.spec import (
    HOOK_VARIABLES,
    AskedProbe,
    DelayProbe,
    Dependency,
    ExecProbe,
    FileProbe,
    HttpProbe,
    Limits,
    LogProbe,
    NotifyProbe,
    Probe,
    PromptProbe,
    RestartPlan,
    StopPlan,
    TcpProbe,
    UnixProbe,
)

_NO_KEYS = frozenset(("name", "place", "places", "profiles", "needed_by"))  # fields that are written otherwise or never
_BEGIN, _END = "\ue000", "\ue001"  # private use: around a name that stays a variable

Plain = dict[str, Any]  # keys with TOML values, or None, before `trim`
AddFile = Callable[[str, ComponentDefinition, int, Layers], Layers]


class _Texts:
    """Expands the texts of one component."""

    def __init__(
        self,
        component: ComponentDefinition,
        layers: Layers,
        add_file: AddFile,
        components: Collection[str],
        report: Report,
    ) -> None:
        self._component = component
        self._components = components
        self._report = report
        self._own: dict[str, str] = {}
        self.files: list[str | Plain] = []
        for index, file in enumerate(component.env_file):
            place = component.where("env_file", index)
            full = os.path.join(place.directory, plain(expand_at(place, file.path, layers.values, report)))
            self.files.append(escape(full) if file.required else {"path": escape(full), "required": False})
            layers = add_file(full, component, index, layers)
        self._layers = layers

    def _look_up(self, name: str) -> str | None:
        if name in self._own:
            return self._own[name]
        if name.endswith(".PORT") and name.removesuffix(".PORT") in self._components:
            return f"{_BEGIN}{name}{_END}"
        if name in ASSIGNED or name in HOOK_VARIABLES:
            return f"{_BEGIN}{name}{_END}"
        if any(fnmatchcase(name, pattern) for pattern in self._component.unset):
            return None
        return self._layers.get(name)

    def expand(self, text: str, *key: str | int, name: str = "") -> str:
        """Return a text as it would be written, without its secrets; `name` is the variable it is the value of."""
        expanded = expand_at(self._component.where(*key), text, Values(self._look_up), self._report)
        if name:
            self._own[name] = expanded
        return escape(mask(name, str(expanded))).replace(_BEGIN, "${").replace(_END, "}")


def of_instance(
    component: ComponentDefinition,
    port: int | None,
    layers: Layers,
    add_file: AddFile,
    components: Collection[str],
    report: Report,
) -> Plain:
    """Return the keys of a component or step of a definition with these `components`.

    `port` is the PORT of the first instance, 0 if it has none, None for a step. Profiles are left out: it has been
    chosen.
    """
    texts = _Texts(component, layers, add_file, components, report)
    place = component.where("cwd")
    variables = {
        name: texts.expand(text, "environment", name, name=name) for name, text in component.environment.items()
    }
    plain: Plain = {
        "command": _command(component.command, "command", texts),
        "cwd": os.path.normpath(os.path.join(escape(place.directory), texts.expand(component.cwd, "cwd"))),
        "env_file": texts.files,
        "tty": component.tty,
        "stop": _stop(component.stop, texts),
        "environment": variables,
        "shell": [] if component.shell == SHELL else list(component.shell),
        "unset": list(component.unset),
        "user": texts.expand(component.user, "user"),
        "group": texts.expand(component.group, "group"),
        "umask": None if component.umask is None else f"{component.umask:03o}",
        "nice": component.nice,
        "limits": _limits(component.limits),
        "on_failure": _command(component.on_failure, "on_failure", texts),
        "after_exit": _command(component.after_exit, "after_exit", texts),
    }
    if port is None:
        plain["for"] = list(component.needed_by)
        plain["unless"] = _command(component.unless, "unless", texts)
        plain["timeout"] = component.timeout
        return {**plain, **_others(component, plain, texts)}
    plain |= {
        **plain,
        "replicas": component.replicas,
        "autostart": None if component.autostart else False,
        "port": port or None,
        "depends_on": {d.name: _dependency(d) for d in component.depends_on},
        "ready": _ready(component.ready, texts),
        "failed": _failed(component.failed, texts),
        "alive": _probes(component.alive, "alive", texts),
        "restart": _restart(component.restart),
        "on_exit": component.on_exit and component.on_exit.value,
        "success_exit_codes": sorted(component.success_exit_codes),
        "expect": [_rule(rule, index, component, texts) for index, rule in enumerate(component.expect)],
    }
    return {**plain, **_others(component, plain, texts)}


def _others(component: ComponentDefinition, plain: Plain, texts: _Texts) -> Plain:
    """Return the keys that are written as they are read, such as `color`, if they differ from the default."""
    return {
        field.name: _as_read(value, field.name, texts)
        for field in dataclasses.fields(component)
        if field.name not in plain and field.name not in _NO_KEYS
        if (value := getattr(component, field.name)) != field.default
    }


def _as_read(value: object, key: str, texts: _Texts) -> object:
    if isinstance(value, str):
        return texts.expand(value, key)
    return [texts.expand(text, key, index) for index, text in enumerate(value)] if isinstance(value, tuple) else value


def trim(plain: Plain) -> Plain:
    """Leave out empty values: empty is the default of every key that allows it, except of the exit codes."""
    kept = ("success_exit_codes",)
    return {
        key: value for key, value in plain.items() if value is not None and (key in kept or value not in ([], {}, ""))
    }


def _command(command: Command, key: str, texts: _Texts) -> str | list[str]:
    if isinstance(command, str):
        return mask("", command)
    return [texts.expand(word, key, index) for index, word in enumerate(command)]


def _signal(number: int) -> str:
    name = errors.signal_name(number)
    return name.removeprefix("SIG") if name.startswith("SIG") else str(number)  # most real-time signals have none


def _stop(stop: StopPlan, texts: _Texts) -> Plain:
    step = stop.steps[0]
    if not step.signal:
        begin: Plain = {"keys": step.keys} if step.keys else {}
        if step.command:
            begin = {"command": _argv(step.command, ("stop", "command"), texts)}
        following = _signal(stop.steps[1].signal)
        return {**begin, "signal": following, "timeout": step.wait, "scope": stop.scope.value}
    if len(stop.steps) == 1:
        return {"signal": _signal(step.signal), "timeout": step.wait, "scope": stop.scope.value}
    sequence: list[str | float] = []
    for step in stop.steps:
        sequence += [_signal(step.signal), *([step.wait] if step.wait else [])]
    return {"sequence": sequence, "scope": stop.scope.value}


def _limits(limits: Limits) -> Plain:
    plain = {"files": limits.files, "processes": limits.processes}
    memory: Plain = {} if limits.memory is None else {"memory": write_size(limits.memory)}
    return memory | {key: value for key, value in plain.items() if value is not None}


def _dependency(dependency: Dependency) -> str | Plain:
    condition = dependency.condition.value
    if not dependency.restart and dependency.required:
        return condition
    plain: Plain = {"condition": condition}
    plain |= {"restart": True} if dependency.restart else {}
    return plain | ({} if dependency.required else {"required": False})


def _restart(plan: RestartPlan) -> Plain:
    backoff = [plan.first, plan.cap]
    plain: Plain = {"policy": plan.policy.value, "max": plan.max, "within": plan.within, "backoff": backoff}
    return {**plain, "same_exits": plan.same_exits} if plan.same_exits else plain


def _rule(rule: Rule, index: int, component: ComponentDefinition, texts: _Texts) -> Plain:
    plain: Plain = {"prompt": texts.expand(rule.prompt, "expect", index, "prompt")}
    if rule.answer_env:
        return {**plain, "answer_env": rule.answer_env}
    if rule.answer_file:
        path = texts.expand(rule.answer_file, "expect", index, "answer_file")
        directory = escape(component.where("expect", index).directory)
        return {**plain, "answer_file": os.path.normpath(os.path.join(directory, path))}
    return {**plain, "do": rule.do.value}


def _ready(probes: tuple[Probe, ...], texts: _Texts) -> Plain | list[Plain]:
    """Return one table, or a list of tables for several probes of a kind, which must succeed one after another."""
    if len({type(probe) for probe in probes}) == len(probes) and len([p for p in probes if _is_asked(p)]) < 2:
        return _probes(probes, "ready", texts)
    return [_probes((probe,), "ready", texts) for probe in probes]


def _failed(probes: tuple[LogProbe, ...], texts: _Texts) -> Plain | list[Plain]:
    plain = [_probes((probe,), "failed", texts) for probe in probes]
    return plain[0] if len(plain) == 1 else plain


def _is_asked(probe: Probe) -> bool:
    return isinstance(probe, AskedProbe)


def _probes(probes: tuple[Probe, ...], key: str, texts: _Texts) -> Plain:
    plain: Plain = {}
    for probe in probes:
        match probe:
            case HttpProbe():
                plain |= {"http": texts.expand(probe.url, key, "http"), **_http(probe, key, texts)}
            case TcpProbe():
                plain["tcp"] = texts.expand(probe.host, key, "tcp")
            case UnixProbe():
                plain["unix"] = texts.expand(probe.path, key, "unix")
            case FileProbe():
                plain["file"] = texts.expand(probe.path, key, "file")
            case NotifyProbe():
                plain["notify"] = True
            case ExecProbe():
                plain["exec"] = _argv(probe.argv, (key, "exec"), texts)
            case LogProbe():
                plain["log"] = texts.expand(probe.pattern, key, "log")
            case PromptProbe():
                plain["prompt"] = texts.expand(probe.pattern, key, "prompt")
            case DelayProbe():
                plain["delay"] = probe.seconds
        if isinstance(probe, ExecProbe | LogProbe) and probe.about:
            plain["about"] = escape(probe.about)
        if isinstance(probe, AskedProbe):
            usual = {f.name: f.default for f in dataclasses.fields(probe)}
            times = {name: getattr(probe, name) for name in ("interval", "timeout", "start_period", "retries")}
            plain |= {name: value for name, value in times.items() if key == "alive" or value != usual[name]}
        if isinstance(probe, HttpProbe | TcpProbe | UnixProbe):
            plain["owner"] = probe.owner.value
    return plain


def _http(probe: HttpProbe, key: str, texts: _Texts) -> Plain:
    sent = {name: texts.expand(text, key, "request_headers", name) for name, text in probe.request_headers}
    plain: Plain = {
        "status": write_status(probe.status),
        "header": {name: texts.expand(text, key, "header", name) for name, text in probe.headers},
        "body": texts.expand(probe.body, key, "body"),
        "request_headers": {name: mask(name, text) for name, text in sent.items()},
        "healthy": list(probe.healthy),
        "fresh": list(probe.fresh),
    }
    return trim(plain)


def _argv(argv: tuple[str, ...], key: tuple[str, ...], texts: _Texts) -> str | list[str]:
    if argv[:2] == SHELL:
        return mask("", argv[2])
    return [texts.expand(word, *key, index) for index, word in enumerate(argv)]
