"""Resolves a definition and a selection to the spec that runs: instances, variables, expanded texts. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from orchestrator.config import environment
from orchestrator.config.definition import SHELL, Command, ComponentDefinition, Definition
from orchestrator.config.diagnostics import Report
from orchestrator.config.environment import Layers, Values, Variable, Variables, expand_at, values_of
from orchestrator.config.ports import LAST, REFERENCE, PortAssignment, Replace, check_twice, check_use
from orchestrator.config.redaction import MASK
from orchestrator.config.selection import Selected
from orchestrator.model.masked import Masked, masked, plain
from orchestrator.model.names import is_meant
from orchestrator.model.prompt_rules import PromptAction, Rule
from orchestrator.model.spec import (
    HOOK_VARIABLES,
    Account,
    Attributes,
    ComponentSpec,
    ExecProbe,
    FileProbe,
    Hooks,
    HttpProbe,
    LogProbe,
    OnExit,
    Probe,
    PromptProbe,
    StopPlan,
    SystemSpec,
    TcpProbe,
    UnixProbe,
    split_unix_url,
)

P = TypeVar("P", bound=Probe)

# Reads one more .env file into the layers: path, the component that names it, the index in its list, the layers so far.
AddFile = Callable[[str, ComponentDefinition, int, Layers], Layers]


# Returns the account of a user and a group, either empty, None for ours; or the key that is wrong, and why.
FindAccount = Callable[[str, str], Account | tuple[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options for all components: base port (None: no PORT), grace (seconds), which get pipes instead of a
    terminal, and a replacement for a port that is taken. `find_account` looks up a user and a group."""

    port: Variable | None
    replace_port: Replace = lambda port: port
    grace: float | None = None
    no_tty: Collection[str] = ()
    find_account: FindAccount = lambda user, group: None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The system, and for each instance and step its variables with their origins."""

    system: SystemSpec
    variables: Mapping[str, Variables]


@dataclass(slots=True)
class _Resolver:
    definition: Definition
    layers: Layers
    settings: Settings
    add_file: AddFile
    report: Report
    variables: dict[str, Variables] = field(default_factory=dict)
    shared: dict[str, Variable] = field(default_factory=dict)
    ports: PortAssignment = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.ports = PortAssignment(self.definition.components, settings.port, self.own_port, settings.replace_port)

    def inherited(self, component: ComponentDefinition) -> Mapping[str, Variable]:
        """Return the variables from the shell and files: shared by all components without separate env files."""
        if not component.env_file:
            if not self.shared:
                self.shared = self.layers.flat()
            return self.shared
        layers = self.layers
        for index, file in enumerate(component.env_file):
            expanded = self.expand(component, ("env_file", index), file.path, layers.values)
            layers = self.add_file(expanded, component, index, layers)
        return layers.flat()

    def own_port(self, component: ComponentDefinition, number: int) -> Variable | None:
        """Return the PORT of an instance of a component that sets one; None if it is invalid."""
        name = component.name if number == 1 else f"{component.name}.{number}"
        variables = {**self.inherited(component), **environment.assigned(component.name, number, name)}
        before, text = len(self.report.problems), str(component.port)
        first = self.expand(component, ("port",), text, self.values(variables))
        if len(self.report.problems) > before:
            if component.name in self.ports.cycle:  # reported once, for the first of them
                del self.report.problems[before:]
                if component.name == self.ports.cycle[0]:
                    path = " → ".join(self.ports.cycle)
                    self.report.problem(component.where("port"), f"{component.name}: port refers to itself: {path}")
            return None
        port = int(first) if first.isascii() and first.isdecimal() and len(first) < 6 else 0
        if 0 < port <= LAST < port + number - 1:
            fault = f"{component.name}: too few ports from {port} to {LAST} for its instances; choose a lower one"
            self.report.problem(component.where("port"), fault)
            return None
        if not 0 < port <= LAST:
            origin = f" (from {text})" if first != text else ""
            self.report.problem(component.where("port"), f"{component.name}: {first!r:.20} is not a port{origin}")
            return None
        return Variable(str(port + number - 1), str(component.where("port")))

    def values(self, variables: Variables) -> Values:
        """Return the values for expanding texts of an instance with these variables."""
        return values_of(variables, self.ports.look_up)

    def expand(self, component: ComponentDefinition, key: tuple[str | int, ...], text: str, values: Values) -> str:
        """Expand one text of a component."""
        return expand_at(component.where(*key), text, values, self.report)

    def instance(
        self, component: ComponentDefinition, number: int, name: str, port: Variable | None, inherited: Variables
    ) -> ComponentSpec:
        """Return the spec of one instance, or of a step, which has no port."""

        def expand(key: tuple[str | int, ...], text: str, variables: Variables) -> str:
            return self.expand(component, key, text, self.values(variables))

        inherited = environment.without(inherited, component.unset)
        account = self.account(component, number, name, inherited)
        if accounts := environment.of_account(account):
            # The shell's values belong to another user; a file of the definition counts if it overrides the shell.
            inherited = {**inherited, **{k: v for k, v in accounts.items() if _is_of_shell(inherited.get(k))}}
        variables = environment.of_instance(component, inherited, number, name, port, expand)
        self.variables[name] = variables
        values = self.values(variables)
        cwd = self.expand(component, ("cwd",), component.cwd, values)
        if cwd == "~" or cwd.startswith("~/"):
            cwd = masked((values.get("HOME") or "~") + cwd[1:], (values.get("HOME") or "~") + str(cwd)[1:])
        expect = tuple(self.rule(component, index, rule, values) for index, rule in enumerate(component.expect))
        stop = self.stop(component, values)
        cwd = _path(component.where("cwd").directory, cwd)
        return ComponentSpec(
            name=name,
            component=component.name,
            tags=frozenset(component.tags),
            argv=self.argv(component, "command", component.command, values),
            cwd=cwd,
            environment={key: plain(variable.value) for key, variable in variables.items()},
            source=str(component.place),
            ready=(
                *(self.probe(component, "ready", probe, values, cwd) for probe in component.ready),
                *(PromptProbe(rule.prompt) for rule in expect if rule.do is PromptAction.READY),
            ),
            failed=tuple(self.probe(component, "failed", probe, values, cwd) for probe in component.failed),
            alive=tuple(self.probe(component, "alive", probe, values, cwd) for probe in component.alive),
            restart=component.restart,
            stop=stop,
            on_exit=component.on_exit or OnExit.STOP,
            on_exit_is_set=component.on_exit is not None,
            success=component.success_exit_codes,
            tty=component.tty and not is_meant(self.settings.no_tty, (name, component.name), component.tags),
            unless=self.argv(component, "unless", component.unless, values),
            timeout=component.timeout,
            expect=expect,
            color=component.color,
            attributes=Attributes(account, component.umask, component.nice, component.limits),
            hooks=self.hooks(component, variables) if component.on_failure or component.after_exit else Hooks(),
        )

    def hooks(self, component: ComponentDefinition, variables: Variables) -> Hooks:
        """Return the hooks; values known only when they run remain variables, for a shell in an argument list."""
        later = {name: environment.Variable(f"${{{name}}}", "orchestrate") for name in HOOK_VARIABLES}
        values = self.values({**variables, **later})
        return Hooks(
            self.argv(component, "on_failure", component.on_failure, values),
            self.argv(component, "after_exit", component.after_exit, values),
        )

    def account(self, component: ComponentDefinition, number: int, name: str, inherited: Variables) -> Account | None:
        """Return the account that an instance runs as; None for the supervisor's."""
        if not component.user and not component.group:
            return None
        values = self.values({**inherited, **environment.assigned(component.name, number, name)})
        user, group = (
            self.expand(component, (key,), text, values)
            for key, text in (("user", component.user), ("group", component.group))
        )
        found = self.settings.find_account(plain(user), plain(group))
        if isinstance(found, tuple):
            self.report.problem(component.where(found[0]), f"{component.name}: {found[1]}")
            return None
        return found

    def rule(self, component: ComponentDefinition, index: int, rule: Rule, values: Values) -> Rule:
        """Return a prompt rule with its texts expanded; the source of its answer must exist."""
        from orchestrator.config.schema.component import prompt_pattern  # a Procfile does not need it

        key = ("expect", index)
        if rule.answer_env and values.get(rule.answer_env) is None:
            self.report.problem(
                component.where(*key, "answer_env"), f"{component.name}: answer_env {rule.answer_env} is not set"
            )
        path = rule.answer_file
        if path:
            path = self.expand(component, (*key, "answer_file"), path, values)
            path = _path(component.where(*key).directory, path)
        place = (*key, "prompt")
        prompt = self.checked(component, place, prompt_pattern, self.expand(component, place, rule.prompt, values))
        return replace(rule, prompt=prompt, answer_file=path)

    def argv(self, component: ComponentDefinition, key: str, command: Command, values: Values) -> tuple[str, ...]:
        """Return an argv. A text is passed to the shell unchanged; a list is expanded, because no shell does that."""
        if isinstance(command, str):
            return (*component.shell, self.for_shell(component, key, command))
        return tuple(self.expand(component, (key, index), word, values) for index, word in enumerate(command))

    def for_shell(self, component: ComponentDefinition, key: str, text: str) -> str:
        """Return a text for the shell. It is unchanged except for `${web.PORT}`, which no shell understands."""

        def port(match: re.Match[str]) -> str:
            value = self.ports.look_up(match[1])
            if value is None:
                self.report.problem(component.where(key), f"{component.name}: {match[0]}: {self.ports.fault(match[1])}")
            return value or ""

        return REFERENCE.sub(port, text)

    def stop(self, component: ComponentDefinition, values: Values) -> StopPlan:
        """Return how it is stopped, the words of a command expanded."""
        grace = self.settings.grace
        plan = component.stop if grace is None else component.stop.with_grace(grace)
        steps = tuple(
            replace(step, command=self.words(component, ("stop", "command"), step.command, values))
            for step in plan.steps
        )
        return replace(plan, steps=steps)

    def words(
        self, component: ComponentDefinition, key: tuple[str, ...], argv: tuple[str, ...], values: Values
    ) -> tuple[str, ...]:
        """Return an expanded argv, or a line for the shell."""
        if argv[:2] == SHELL:
            return argv
        return tuple(self.expand(component, (*key, index), word, values) for index, word in enumerate(argv))

    def pattern(self, component: ComponentDefinition, key: tuple[str | int, ...], text: str, values: Values) -> str:
        """Return a regular expression, expanded."""
        from orchestrator.config.schema import probes  # a Procfile does not need it

        return self.checked(component, key, probes.pattern, self.expand(component, key, text, values))

    def checked(
        self, component: ComponentDefinition, key: tuple[str | int, ...], check: Callable[[str], object], text: str
    ) -> str:
        """Return what was expanded; if `check` raises ValueError, report it without the secrets in the text."""
        try:
            check(plain(text))
        except ValueError as error:
            reason = _fault_without_secrets(check, text) if isinstance(text, Masked) else str(error)
            self.report.problem(component.where(*key), f"{component.name}: {key[-1]} {reason}")
        return text

    def probe(self, component: ComponentDefinition, key: str, probe: P, values: Values, cwd: str) -> P:
        """Return a probe with its texts expanded; its paths are relative to `cwd`."""
        from orchestrator.config.schema import probes  # a Procfile does not need it

        def expand(text: str, *path: str) -> str:
            return self.expand(component, (key, *path), text, values)

        def pattern(text: str, *path: str) -> str:
            return self.pattern(component, (key, *path), text, values)

        match probe:
            case HttpProbe():
                url = self.checked(component, (key, "http"), probes.url, expand(probe.url, "http"))
                return replace(
                    probe,
                    url=url,
                    unix=_socket_of(url, cwd),
                    headers=tuple((field, pattern(text, "header", field)) for field, text in probe.headers),
                    request_headers=tuple(
                        (field, expand(text, "request_headers", field)) for field, text in probe.request_headers
                    ),
                    body=pattern(probe.body, "body"),
                )
            case TcpProbe():
                text = self.checked(component, (key, "tcp"), probes.address, expand(probe.host, "tcp"))
                try:
                    host, port = probes.address(plain(text))
                except ValueError:
                    return probe
                return replace(probe, host=masked(host, MASK) if isinstance(text, Masked) else host, port=port)
            case UnixProbe():
                return replace(probe, path=_path(cwd, expand(probe.path, "unix")))
            case FileProbe():
                return replace(probe, path=_path(cwd, expand(probe.path, "file")))
            case ExecProbe():
                return replace(probe, argv=self.words(component, (key, "exec"), probe.argv, values))
            case LogProbe() | PromptProbe():
                name = "log" if isinstance(probe, LogProbe) else "prompt"
                return replace(probe, pattern=pattern(probe.pattern, name))
        return probe


def _is_of_shell(variable: Variable | None) -> bool:
    return variable is None or variable.origin == environment.FROM_SHELL


def _path(directory: str, path: str) -> str:
    """Return a path that is relative to a directory."""
    shown = os.path.normpath(os.path.join(directory, str(path)))
    return masked(os.path.normpath(os.path.join(directory, plain(path))), shown)


def _socket_of(url: str, cwd: str) -> str:
    """Return the path of the socket that a URL of http+unix names; empty for other and invalid URLs."""
    if not url.startswith("http+unix://"):
        return ""
    try:
        path, shown = split_unix_url(plain(url))[0], split_unix_url(str(url))[0]
    except ValueError:
        return ""
    return _path(cwd, masked(path, shown))


def _fault_without_secrets(check: Callable[[str], object], text: str) -> str:
    try:
        check(str(text))
    except ValueError as error:
        return str(error)
    return "is not valid"


def resolve(
    definition: Definition,
    selected: Sequence[Selected],
    layers: Layers,
    settings: Settings,
    add_file: AddFile,
    report: Report,
) -> Resolved:
    """Return the spec; mistakes in values go to `report`."""
    resolver = _Resolver(definition, layers, settings, add_file, report)
    steps = tuple(resolver.instance(step, 1, step.name, None, resolver.inherited(step)) for step in definition.init)
    same: dict[str, tuple[ComponentDefinition, str]] = {}
    instances = {one.component.name: one.instances for one in selected}
    components: list[ComponentSpec] = []
    for one in selected:
        depends_on = tuple(
            replace(dependency, name=instance)
            for dependency in one.component.depends_on
            for instance in instances.get(dependency.name, ())
        )
        for number, name in enumerate(one.instances, 1):
            inherited = resolver.inherited(one.component)
            port = resolver.ports.of(one.component.name, number)
            if port is not None:
                same[name] = one.component, port.value
            elif settings.port is not None and one.component.port is None:
                check_use(one.component, name, report)
                inherited = {key: variable for key, variable in inherited.items() if key != "PORT"}
            spec = resolver.instance(one.component, number, name, port, inherited)
            start_after, stop_before = (
                tuple(instance for other in others for instance in instances.get(other, ()))
                for others in (one.component.start_after, one.component.stop_before)
            )
            spec = replace(spec, depends_on=depends_on, start_after=start_after, stop_before=stop_before)
            components.append(replace(spec, autostart=one.starts))
    check_twice(same, report)
    labels = tuple(c.name for c in (*steps, *components))
    colors = {step.name: "" for step in steps}
    for component in definition.components:
        colors.update(dict.fromkeys(instances.get(component.name, (component.name,)), component.color))
    system = SystemSpec(title=definition.title, init=steps, components=tuple(components), labels=labels, colors=colors)
    return Resolved(system, resolver.variables)
