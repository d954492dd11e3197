"""The source and the parts of an export: pure data, and the code that all targets share.

Secrets are never written inline. A variable is a secret by its name or by what is in its value (a password in a URL);
all of them go to a file of mode 0600 for each component.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.config.environment import ASSIGNED
from orchestrator.config.redaction import mask
from orchestrator.model.errors import OrchestrateError
from orchestrator.model.masked import plain
from orchestrator.model.spec import (
    AskedProbe,
    ComponentSpec,
    Condition,
    DelayProbe,
    ExecProbe,
    FileProbe,
    HttpProbe,
    NotifyProbe,
    OnExit,
    Probe,
    PromptProbe,
    RestartPolicy,
    Scope,
    TcpProbe,
    UnixProbe,
)

SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A system to export. `name` names its files, `directory` is that of the definition. `variables` are those of each
    instance and step that the definition sets, `path` the search path of this shell. `needed` are variables that the
    definition takes from this shell, with their values. `rerun` is the command line that runs all of it under
    orchestrate, `ps` the one that lists what runs then."""

    name: str
    title: str
    directory: str
    init: tuple[ComponentSpec, ...]
    components: tuple[ComponentSpec, ...]
    variables: Mapping[str, Mapping[str, str]]
    path: str = ""
    needed: Mapping[str, str] = field(default_factory=dict)
    rerun: tuple[str, ...] = ()
    ps: str = ""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file to write; a private one is 0600."""

    name: str
    text: str
    private: bool = False
    executable: bool = False


@dataclass(frozen=True, slots=True)
class ExportLoss:
    """A feature without a counterpart. `component` is empty if it concerns the system."""

    component: str
    feature: str
    text: str


@dataclass(frozen=True, slots=True)
class Export:
    """`notes` are steps for the user, in order."""

    files: tuple[ExportedFile, ...]
    losses: tuple[ExportLoss, ...]
    notes: tuple[str, ...] = ()


def check_commands(components: Iterable[ComponentSpec]) -> None:
    """Raise OrchestrateError if a command contains a secret: each target would write it inline."""
    for component in components:
        probes = (*component.ready, *component.alive)
        asked_commands = (probe.argv for probe in probes if isinstance(probe, ExecProbe))
        stop_commands = (step.command for step in component.stop.steps)
        for words in (component.argv, component.unless, *asked_commands, *stop_commands):
            text = " ".join(map(plain, words))
            if mask("", text) != text:
                raise OrchestrateError(
                    f"cannot export {component.name}: its command contains a password",
                    "move it to a variable in an env_file, and use the variable in the command",
                )


def split_variables(variables: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables that may be written anywhere, and the secret ones."""
    public: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, value in variables.items():
        text = plain(value)
        (public if mask(name, text) == text and str(value) == text else secret)[name] = text
    return public, secret


def without_assigned(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that orchestrate assigns to each instance; PORT is kept."""
    return {name: value for name, value in variables.items() if name == "PORT" or name not in ASSIGNED}


def port_of(source: Source, component: ComponentSpec) -> int:
    """Return the port that a component listens on; 0 if it does not seem to use its PORT."""
    port = source.variables.get(component.name, {}).get("PORT", "")
    if not port.isdecimal():
        return 0
    words = [plain(word) for word in component.argv]
    for probe in (*component.ready, *component.alive):
        if isinstance(probe, HttpProbe) and f":{port}/" in f"{probe.url}/":
            return int(port)
        if isinstance(probe, TcpProbe) and probe.port == int(port):
            return int(port)
    used = any(re.search(rf"\$\{{?PORT\b|(?<!\d){port}(?!\d)", word) for word in words)
    return int(port) if used else 0


def grouped(components: Iterable[ComponentSpec]) -> dict[str, list[ComponentSpec]]:
    """Map each configured component to its instances."""
    found: dict[str, list[ComponentSpec]] = {}
    for component in components:
        found.setdefault(component.component or component.name, []).append(component)
    return found


def configured_name(component: ComponentSpec) -> str:
    """Return the name in the definition."""
    return component.component or component.name


def jobs(components: Iterable[ComponentSpec]) -> frozenset[str]:
    """Return the components that run to completion, because others wait for that."""
    ends = (Condition.COMPLETED, Condition.SUCCEEDED)
    return frozenset(d.name for c in components for d in c.depends_on if d.condition in ends)


def unless(step: ComponentSpec) -> tuple[str, ...]:
    """Return a command that runs a step unless its condition holds."""
    if not step.unless:
        return step.argv
    condition, command = (shlex.join(map(plain, words)) for words in (step.unless, step.argv))
    return (*SHELL, f"{condition} || exec {command}")


def probe_command(probe: Probe) -> tuple[str, ...] | None:
    """Return a command that succeeds if a probe holds; None if it is not a command. HTTP needs curl, TCP bash."""
    match probe:
        case ExecProbe():
            return probe.argv
        case HttpProbe():
            headers = (word for name, value in probe.request_headers for word in ("-H", f"{name}: {value}"))
            socket = ("--unix-socket", probe.unix) if probe.unix else ()
            url = re.sub(r"^http\+unix://.*?/(?=[^/]*$)", "http://localhost/", probe.url) if probe.unix else probe.url
            return ("curl", "-fsS", "-o", "/dev/null", "--max-time", f"{probe.timeout:g}", *socket, *headers, url)
        case TcpProbe():
            return ("bash", "-c", f"exec 3<>/dev/tcp/{probe.host}/{probe.port}")
        case UnixProbe():
            return ("test", "-S", probe.path)
        case FileProbe():
            return ("test", "-e", probe.path)
        case DelayProbe():
            return ("sleep", f"{probe.seconds:g}")
        case _:
            return None


def asked(probes: Iterable[Probe]) -> AskedProbe | None:
    """Return the first probe that can be repeated."""
    for probe in probes:
        if isinstance(probe, AskedProbe):
            return probe
    return None


def probe_in_words(probe: Probe) -> str:
    """Return the key of a probe in a definition."""
    kinds: dict[type, str] = {
        PromptProbe: "prompt",
        NotifyProbe: "notify",
        DelayProbe: "delay",
        TcpProbe: "tcp",
        HttpProbe: "http",
        UnixProbe: "unix",
        FileProbe: "file",
        ExecProbe: "exec",
    }
    return kinds.get(type(probe), "log")


def probe_details(probe: Probe) -> Iterator[str]:
    """Name the conditions of a probe that a plain request does not check."""
    if isinstance(probe, HttpProbe):
        if probe.status != (range(200, 300),):
            yield "status"
        for name, key in (("headers", "header"), ("body", "body"), ("healthy", "healthy"), ("fresh", "fresh")):
            if getattr(probe, name):
                yield key


def losses_if(name: str, *features: tuple[object, str, str]) -> Iterator[ExportLoss]:
    """Yield a loss for each feature that a component has: its value, its key, and what the other engine does."""
    for value, key, text in features:
        if value:
            yield ExportLoss(name, key, text)


def common_losses(component: ComponentSpec, *supported: str) -> Iterator[ExportLoss]:
    """Yield the features of a component that no other engine has, except for those `supported` by this one."""
    yield from (loss for loss in _common_losses(component) if loss.feature not in supported)


def _common_losses(component: ComponentSpec) -> Iterator[ExportLoss]:
    name = component.name
    yield from losses_if(
        name,
        (component.expect, "expect", "nothing answers or reports prompts"),
        (component.failed, "failed", "a line of output does not make the start fail"),
        (component.start_after, "start_after", "all start at the same time"),
        (component.hooks, "hooks", "on_failure and after_exit do not run"),
        (
            any(d.restart for d in component.depends_on),
            "depends_on.restart",
            "it is not restarted with what it depends on",
        ),
    )
    for key, probes in (("ready", component.ready), ("alive", component.alive)):
        for detail in (detail for probe in probes for detail in probe_details(probe)):
            yield ExportLoss(name, f"{key}.{detail}", "the check accepts any success status and does not look at it")
    steps = component.stop.steps
    yield from losses_if(
        name,
        (any(step.keys for step in steps), "stop.keys", "nothing is typed into its terminal before the signal"),
        (any(step.command for step in steps), "stop.command", "it does not run before the signal"),
        (
            sum(bool(step.signal) for step in steps) > 1,
            "stop.sequence",
            "only the first signal and the whole grace period are kept",
        ),
    )
    if component.restart.policy is not RestartPolicy.NEVER and component.restart.same_exits:
        yield ExportLoss(name, "restart.same_exits", "the same failure again and again is restarted as any other")


def restart_losses(component: ComponentSpec, text: str, *, counted: bool = False) -> Iterator[ExportLoss]:
    """Yield the limits of restarts, if a component is restarted; with `counted` the target has `max`."""
    if component.restart.policy is not RestartPolicy.NEVER:
        lost = "restart.within, restart.backoff" if counted else "restart.max, restart.within, restart.backoff"
        yield ExportLoss(component.name, lost, text)


def scope_losses(components: Iterable[ComponentSpec]) -> Iterator[ExportLoss]:
    """Yield the scope of stop signals of components that run in containers."""
    if any(component.stop.scope is not Scope.LEADER for component in components):
        yield ExportLoss("", "stop.scope", "the stop signal goes to the first process of a container")


def stop_command(component: ComponentSpec) -> tuple[tuple[str, ...], int]:
    """Return the command that runs before the stop signal, and the seconds until the signal; () if there is none."""
    step = component.stop.steps[0]
    return step.command, math.ceil(step.wait)


def ends_system(component: ComponentSpec) -> bool:
    """Whether the exit of a component stops the whole system."""
    return component.on_exit is OnExit.STOP


def stop_signal_loss(component: ComponentSpec, text: str) -> Iterator[ExportLoss]:
    """Yield a loss if an exit of this component stops the system."""
    if ends_system(component):
        yield ExportLoss(component.name, "on_exit", text)


def inside(path: str, directory: str) -> str | None:
    """Return a path relative to the directory; None if it is not inside."""
    relative = os.path.relpath(path, directory)
    return None if relative == ".." or relative.startswith("../") else relative


def machine_paths(source: Source, component: ComponentSpec) -> bool:
    """Whether a command or variable contains a path of this project's directory, which another host may not have."""
    words = (*component.argv, *source.variables.get(component.name, {}).values())
    return any(source.directory in plain(word) for word in words)


def kubernetes_literal(text: str) -> str:
    """Return a string that Kubernetes does not expand: `$$` stands for `$`, `$(NAME)` for a variable."""
    return re.sub(r"\$\$+|\$(?=\()", lambda dollars: dollars[0] * 2, text)


def env_file(variables: Mapping[str, str]) -> str:
    """Return a file of variables in the form that systemd, docker compose and POSIX shells read alike.

    Raises OrchestrateError if a value has a line feed, which the three read differently.
    """
    lines = []
    for name, value in sorted(variables.items()):
        if "\n" in value:
            raise OrchestrateError(f"cannot export {name}: its value has several lines", "put it into a file")
        if "'" not in value:
            quoted = f"'{value}'"
        else:
            quoted = '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
        lines.append(f"{name}={quoted}\n")
    return "".join(lines)


def notes_file(target: str, source: Source, export: Export) -> ExportedFile:
    """Return EXPORT-NOTES.txt."""
    lines = [f"Export of {source.title} ({source.directory}) to {target}", ""]
    if export.notes:
        lines += ["Next steps:", *(f"  {number}. {note}" for number, note in enumerate(export.notes, 1)), ""]
    if source.needed:
        lines += ["Variables that the definition takes from this shell; the export has their present values:"]
        lines += [f"  {name}" for name in source.needed] + [""]
    if export.losses:
        lines += ["Features of this definition without a counterpart:"]
        lines += [f"  {loss.component or 'all'}: {loss.feature}: {loss.text}" for loss in export.losses]
    else:
        lines += ["Each feature of this definition has a counterpart."]
    return ExportedFile("EXPORT-NOTES.txt", "\n".join(lines) + "\n")
