"""A definition and a selection to the spec that the engine runs: instances, variables, expanded texts. Pure."""

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

# Reads one more .env file into the layers: path, the member that names it, the index in its list, the layers so far.
AddFile = Callable[[str, ComponentDefinition, int, Layers], Layers]


# Returns the account of a user and a group, either empty, None for ours; or the key that is wrong, and why.
FindAccount = Callable[[str, str], Account | tuple[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What options say about all components: base port (None: no PORT), grace (seconds), which get pipes instead of a
    terminal, and which port is used instead of one that is taken. `find_account` looks a user and a group up."""

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

    def inherited(self, member: ComponentDefinition) -> Mapping[str, Variable]:
        """Return what comes from the shell and files: the same for all that have no files of their own."""
        if not member.env_file:
            if not self.shared:
                self.shared = self.layers.flat()
            return self.shared
        layers = self.layers
        for index, file in enumerate(member.env_file):
            expanded = self.expand(member, ("env_file", index), file.path, layers.values)
            layers = self.add_file(expanded, member, index, layers)
        return layers.flat()

    def own_port(self, member: ComponentDefinition, number: int) -> Variable | None:
        """Return the PORT of an instance of a component that sets one; None if that is wrong."""
        name = member.name if number == 1 else f"{member.name}.{number}"
        variables = {**self.inherited(member), **environment.assigned(member.name, number, name)}
        before, text = len(self.report.problems), str(member.port)
        first = self.expand(member, ("port",), text, self.values(variables))
        if len(self.report.problems) > before:
            if member.name in self.ports.cycle:  # reported once, for the first of them
                del self.report.problems[before:]
                if member.name == self.ports.cycle[0]:
                    path = " → ".join(self.ports.cycle)
                    self.report.problem(member.where("port"), f"{member.name}: port refers to itself: {path}")
            return None
        port = int(first) + number - 1 if first.isascii() and first.isdecimal() and len(first) < 6 else 0
        if not 0 < port <= LAST:
            origin = f" (from {text})" if first != text else ""
            self.report.problem(member.where("port"), f"{member.name}: {first!r:.20} is not a port{origin}")
            return None
        return Variable(str(port), str(member.where("port")))

    def values(self, variables: Variables) -> Values:
        """Return what texts of an instance with these variables are expanded with."""
        return values_of(variables, self.ports.look_up)

    def expand(self, member: ComponentDefinition, key: tuple[str | int, ...], text: str, values: Values) -> str:
        """Expand one text of a member."""
        return expand_at(member.where(*key), text, values, self.report)

    def instance(
        self, member: ComponentDefinition, number: int, name: str, port: Variable | None, inherited: Variables
    ) -> ComponentSpec:
        """Return the spec of one instance, or of a step, which has no port."""

        def expand(key: tuple[str | int, ...], text: str, variables: Variables) -> str:
            return self.expand(member, key, text, self.values(variables))

        inherited = environment.without(inherited, member.unset)
        account = self.account(member, number, name, inherited)
        if accounts := environment.of_account(account):
            # What the shell says is another user's; a file of the definition counts if it is stronger than the shell.
            inherited = {**inherited, **{k: v for k, v in accounts.items() if _is_of_shell(inherited.get(k))}}
        variables = environment.of_instance(member, inherited, number, name, port, expand)
        self.variables[name] = variables
        values = self.values(variables)
        cwd = self.expand(member, ("cwd",), member.cwd, values)
        if cwd == "~" or cwd.startswith("~/"):
            cwd = masked((values.get("HOME") or "~") + cwd[1:], (values.get("HOME") or "~") + str(cwd)[1:])
        expect = tuple(self.rule(member, index, rule, values) for index, rule in enumerate(member.expect))
        stop = self.stop(member, values)
        cwd = _path(member.where("cwd").directory, cwd)
        return ComponentSpec(
            name=name,
            component=member.name,
            tags=frozenset(member.tags),
            argv=self.argv(member, "command", member.command, values),
            cwd=cwd,
            environment={key: plain(variable.value) for key, variable in variables.items()},
            source=str(member.place),
            ready=(
                *(self.probe(member, "ready", probe, values, cwd) for probe in member.ready),
                *(PromptProbe(rule.prompt) for rule in expect if rule.do is PromptAction.READY),
            ),
            failed=tuple(self.probe(member, "failed", probe, values, cwd) for probe in member.failed),
            alive=tuple(self.probe(member, "alive", probe, values, cwd) for probe in member.alive),
            restart=member.restart,
            stop=stop,
            on_exit=member.on_exit or OnExit.STOP,
            on_exit_is_set=member.on_exit is not None,
            success=member.success_exit_codes,
            tty=member.tty and not is_meant(self.settings.no_tty, (name, member.name), member.tags),
            unless=self.argv(member, "unless", member.unless, values),
            timeout=member.timeout,
            expect=expect,
            colour=member.color,
            attributes=Attributes(account, member.umask, member.nice, member.limits),
            hooks=self.hooks(member, variables) if member.on_failure or member.after_exit else Hooks(),
        )

    def hooks(self, member: ComponentDefinition, variables: Variables) -> Hooks:
        """Return the hooks; what is known only when they run stays a variable, for a shell in a list."""
        later = {name: environment.Variable(f"${{{name}}}", "orchestrate") for name in HOOK_VARIABLES}
        values = self.values({**variables, **later})
        return Hooks(
            self.argv(member, "on_failure", member.on_failure, values),
            self.argv(member, "after_exit", member.after_exit, values),
        )

    def account(self, member: ComponentDefinition, number: int, name: str, inherited: Variables) -> Account | None:
        """Return as whom an instance runs; None as the supervisor."""
        if not member.user and not member.group:
            return None
        values = self.values({**inherited, **environment.assigned(member.name, number, name)})
        user, group = (
            self.expand(member, (key,), text, values) for key, text in (("user", member.user), ("group", member.group))
        )
        found = self.settings.find_account(plain(user), plain(group))
        if isinstance(found, tuple):
            self.report.problem(member.where(found[0]), f"{member.name}: {found[1]}")
            return None
        return found

    def rule(self, member: ComponentDefinition, index: int, rule: Rule, values: Values) -> Rule:
        """Return a rule for prompts with its texts expanded; what it answers with has to be there."""
        from orchestrator.config.schema import component  # whose shapes a Procfile does not pay for

        key = ("expect", index)
        if rule.answer_env and values.get(rule.answer_env) is None:
            self.report.problem(
                member.where(*key, "answer_env"), f"{member.name}: answer_env {rule.answer_env} is not set"
            )
        path = rule.answer_file
        if path:
            path = self.expand(member, (*key, "answer_file"), path, values)
            path = _path(member.where(*key).directory, path)
        place = (*key, "prompt")
        prompt = self.checked(member, place, component.prompt_pattern, self.expand(member, place, rule.prompt, values))
        return replace(rule, prompt=prompt, answer_file=path)

    def argv(self, member: ComponentDefinition, key: str, command: Command, values: Values) -> tuple[str, ...]:
        """Return an argv. A text goes to the shell as it is; a list is expanded, as no shell does it."""
        if isinstance(command, str):
            return (*member.shell, self.for_shell(member, key, command))
        return tuple(self.expand(member, (key, index), word, values) for index, word in enumerate(command))

    def for_shell(self, member: ComponentDefinition, key: str, text: str) -> str:
        """Return a text for the shell. It stays as it is but for `${web.PORT}`, which no shell understands."""

        def port(match: re.Match[str]) -> str:
            value = self.ports.look_up(match[1])
            if value is None:
                self.report.problem(member.where(key), f"{member.name}: {match[0]}: {self.ports.fault(match[1])}")
            return value or ""

        return REFERENCE.sub(port, text)

    def stop(self, member: ComponentDefinition, values: Values) -> StopPlan:
        """Return how it is stopped, the words of a command expanded."""
        grace = self.settings.grace
        plan = member.stop if grace is None else member.stop.with_grace(grace)
        steps = tuple(
            replace(step, command=self.words(member, ("stop", "command"), step.command, values)) for step in plan.steps
        )
        return replace(plan, steps=steps)

    def words(
        self, member: ComponentDefinition, key: tuple[str, ...], argv: tuple[str, ...], values: Values
    ) -> tuple[str, ...]:
        """Return an argv expanded, but a line for the shell."""
        if argv[:2] == SHELL:
            return argv
        return tuple(self.expand(member, (*key, index), word, values) for index, word in enumerate(argv))

    def pattern(self, member: ComponentDefinition, key: tuple[str | int, ...], text: str, values: Values) -> str:
        """Return a regular expression, expanded."""
        from orchestrator.config.schema import probes  # whose shapes a Procfile does not pay for

        return self.checked(member, key, probes.pattern, self.expand(member, key, text, values))

    def checked(
        self, member: ComponentDefinition, key: tuple[str | int, ...], check: Callable[[str], object], text: str
    ) -> str:
        """Return what was expanded; if `check` raises ValueError, report it without the secrets in the text."""
        try:
            check(plain(text))
        except ValueError as error:
            reason = _fault_without_secrets(check, text) if isinstance(text, Masked) else str(error)
            self.report.problem(member.where(*key), f"{member.name}: {key[-1]} {reason}")
        return text

    def probe(self, member: ComponentDefinition, key: str, probe: P, values: Values, cwd: str) -> P:
        """Return a probe with its texts expanded; its paths are relative to `cwd`."""
        from orchestrator.config.schema import probes  # whose shapes a Procfile does not pay for

        def expand(text: str, *path: str) -> str:
            return self.expand(member, (key, *path), text, values)

        def pattern(text: str, *path: str) -> str:
            return self.pattern(member, (key, *path), text, values)

        match probe:
            case HttpProbe():
                url = self.checked(member, (key, "http"), probes.url, expand(probe.url, "http"))
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
                text = self.checked(member, (key, "tcp"), probes.address, expand(probe.host, "tcp"))
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
                return replace(probe, argv=self.words(member, (key, "exec"), probe.argv, values))
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
    """Return the path of the socket that a URL of http+unix names; empty for another URL, and for one that is wrong."""
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
    """Return the spec; what is wrong with values goes to `report`."""
    resolver = _Resolver(definition, layers, settings, add_file, report)
    steps = tuple(resolver.instance(step, 1, step.name, None, resolver.inherited(step)) for step in definition.init)
    same: dict[str, tuple[ComponentDefinition, str]] = {}
    instances = {one.member.name: one.instances for one in selected}
    components: list[ComponentSpec] = []
    for one in selected:
        depends_on = tuple(
            replace(dependency, name=instance)
            for dependency in one.member.depends_on
            for instance in instances.get(dependency.name, ())
        )
        for number, name in enumerate(one.instances, 1):
            inherited = resolver.inherited(one.member)
            port = resolver.ports.of(one.member.name, number)
            if port is not None:
                same[name] = one.member, port.value
            elif settings.port is not None and one.member.port is None:
                check_use(one.member, name, report)
                inherited = {key: variable for key, variable in inherited.items() if key != "PORT"}
            spec = resolver.instance(one.member, number, name, port, inherited)
            start_after, stop_before = (
                tuple(instance for other in others for instance in instances.get(other, ()))
                for others in (one.member.start_after, one.member.stop_before)
            )
            spec = replace(spec, depends_on=depends_on, start_after=start_after, stop_before=stop_before)
            components.append(replace(spec, autostart=one.starts))
    check_twice(same, report)
    labels = tuple(c.name for c in (*steps, *components))
    colors = {step.name: "" for step in steps}
    for member in definition.components:
        colors.update(dict.fromkeys(instances.get(member.name, (member.name,)), member.color))
    system = SystemSpec(title=definition.title, init=steps, components=tuple(components), labels=labels, colors=colors)
    return Resolved(system, resolver.variables)
