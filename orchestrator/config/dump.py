"""A definition back to what a file would say: merged, expanded, without its secrets. Pure.

What only an instance knows (PORT and its like) stays `${PORT}`; every other dollar is doubled, so that reading the
result gives the same definition again.

Plain values to TOML. Pure.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.config.definition import SHELL, Command, ComponentDefinition
from orchestrator.config.diagnostics import Report
from orchestrator.config.environment import ASSIGNED, Layers, Values, expand_at
from orchestrator.config.http_status import write_status
from orchestrator.config.interpolation import escape
from orchestrator.config.redaction import mask
from orchestrator.config.sizes import write_size
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

_BEGIN, _END = "\ue000", "\ue001"  # private use: around a name that stays a variable

Plain = dict[str, Any]
AddFile = Callable[[str, ComponentDefinition, int, Layers], Layers]


class _Texts:
    """Expands the texts of one member."""

    def __init__(
        self,
        member: ComponentDefinition,
        layers: Layers,
        add_file: AddFile,
        components: Collection[str],
        report: Report,
    ) -> None:
        self._member = member
        self._components = components
        self._report = report
        self._own: dict[str, str] = {}
        self.files: list[str | Plain] = []
        for index, file in enumerate(member.env_file):
            place = member.where("env_file", index)
            full = os.path.join(place.directory, plain(expand_at(place, file.path, layers.values, report)))
            self.files.append(escape(full) if file.required else {"path": escape(full), "required": False})
            layers = add_file(full, member, index, layers)
        self._layers = layers

    def _look_up(self, name: str) -> str | None:
        if name in self._own:
            return self._own[name]
        if name.endswith(".PORT") and name.removesuffix(".PORT") in self._components:
            return f"{_BEGIN}{name}{_END}"
        if name in ASSIGNED or name in HOOK_VARIABLES:
            return f"{_BEGIN}{name}{_END}"
        if any(fnmatchcase(name, pattern) for pattern in self._member.unset):
            return None
        return self._layers.get(name)

    def expand(self, text: str, *key: str | int, name: str = "") -> str:
        """Return a text as it would be written, without its secrets; `name` is the variable it is the value of."""
        expanded = expand_at(self._member.where(*key), text, Values(self._look_up), self._report)
        if name:
            self._own[name] = expanded
        return escape(mask(name, str(expanded))).replace(_BEGIN, "${").replace(_END, "}")


def of_member(
    member: ComponentDefinition,
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
    texts = _Texts(member, layers, add_file, components, report)
    place = member.where("cwd")
    variables = {name: texts.expand(text, "environment", name, name=name) for name, text in member.environment.items()}
    plain: Plain = {
        "command": _command(member.command, "command", texts),
        "cwd": os.path.normpath(os.path.join(escape(place.directory), texts.expand(member.cwd, "cwd"))),
        "env_file": texts.files,
        "tty": member.tty,
        "stop": _stop(member.stop, texts),
        "environment": variables,
        "shell": [] if member.shell == SHELL else list(member.shell),
        "unset": list(member.unset),
        "user": texts.expand(member.user, "user"),
        "group": texts.expand(member.group, "group"),
        "umask": None if member.umask is None else f"{member.umask:03o}",
        "nice": member.nice,
        "limits": _limits(member.limits),
        "on_failure": _command(member.on_failure, "on_failure", texts),
        "after_exit": _command(member.after_exit, "after_exit", texts),
    }
    if port is None:
        plain["for"] = list(member.needed_by)
        return {**plain, "unless": _command(member.unless, "unless", texts), "timeout": member.timeout}
    return {
        **plain,
        "replicas": member.replicas,
        "autostart": None if member.autostart else False,
        "port": port or None,
        "depends_on": {d.name: _dependency(d) for d in member.depends_on},
        "ready": _ready(member.ready, texts),
        "failed": _failed(member.failed, texts),
        "alive": _probes(member.alive, "alive", texts),
        "restart": _restart(member.restart),
        "on_exit": member.on_exit and member.on_exit.value,
        "success_exit_codes": sorted(member.success_exit_codes),
        "expect": [_rule(rule, index, member, texts) for index, rule in enumerate(member.expect)],
        "tags": list(member.tags),
        "color": member.color,
        "start_after": list(member.start_after),
        "stop_before": list(member.stop_before),
    }


def trim(plain: Plain) -> Plain:
    """Leave out what is empty: that is the default of every key that can be, except of the exit codes."""
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


def _rule(rule: Rule, index: int, member: ComponentDefinition, texts: _Texts) -> Plain:
    plain: Plain = {"prompt": texts.expand(rule.prompt, "expect", index, "prompt")}
    if rule.answer_env:
        return {**plain, "answer_env": rule.answer_env}
    if rule.answer_file:
        path = texts.expand(rule.answer_file, "expect", index, "answer_file")
        directory = escape(member.where("expect", index).directory)
        return {**plain, "answer_file": os.path.normpath(os.path.join(directory, path))}
    return {**plain, "do": rule.do.value}


def _ready(probes: tuple[Probe, ...], texts: _Texts) -> Plain | list[Plain]:
    """One table, or a list of them if it has several probes of a kind, which have to hold one after another."""
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


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write(tree: Mapping[str, Any]) -> str:
    """Return a definition as TOML: a table for each member, with `environment` as a table below it."""
    lines = [f"{key} = {format_value(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    for section, members in tree.items():
        if isinstance(members, dict):
            for name, member in members.items():
                lines += ["", *_member(f"{section}.{format_key(name)}", member)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _member(path: str, member: Mapping[str, Any]) -> list[str]:
    lines = [f"[{path}]"]
    lines += [f"{format_key(key)} = {format_value(value)}" for key, value in member.items() if key != "environment"]
    if variables := member.get("environment"):
        lines += [
            f"[{path}.environment]",
            *(f"{format_key(key)} = {format_value(value)}" for key, value in variables.items()),
        ]
    return lines


def format_key(key: str) -> str:
    """Return a key as TOML."""
    return key if _BARE.fullmatch(key) else format_value(key)


def format_value(value: Any) -> str:
    """Return a value as TOML, on one line."""
    match value:
        case dict():
            return (
                "{ "
                + ", ".join(f"{format_key(key)} = {format_value(element)}" for key, element in value.items())
                + " }"
            )
        case list():
            return "[" + ", ".join(map(format_value, value)) + "]"
        case str():  # JSON's escapes are TOML's, but TOML wants DEL escaped too
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)
