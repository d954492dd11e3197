"""Combines the options of a command with the definition to the system that runs."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from orchestrator.cli import links
from orchestrator.cli import sources as reading
from orchestrator.cli.options import PlanOptions
from orchestrator.cli.sources import Sources
from orchestrator.config import command_check, selection
from orchestrator.config.definition import SHELL, Definition
from orchestrator.config.diagnostics import Report, did_you_mean
from orchestrator.config.environment import FROM_SHELL, Layers, Variable, Variables
from orchestrator.config.ports import LAST
from orchestrator.config.resolve import Resolved, Settings, resolve
from orchestrator.config.selection import Selected, SelectionRequest
from orchestrator.config.validate import validate
from orchestrator.model.errors import ConfigError, UsageError, with_hint
from orchestrator.model.names import is_meant
from orchestrator.model.spec import Attributes, ComponentSpec, Condition, OnExit, SystemSpec
from orchestrator.runtime.accounts import faults, find_account

BASE_PORT = 5000
COMMAND_WIDTH = 60  # characters of a command in a message
UNCHANGED = Attributes()


def plan(options: PlanOptions, sources: Sources) -> tuple[Resolved, list[str]]:
    """Return the system, and notes on it for the user. Raises ConfigError with all mistakes."""
    report = sources.report
    validate(sources.definition, report)
    if not sources.definition.components:
        report.check()
    chosen, told = selection.select(sources.definition.components, selection_request(options))
    _check_names(options, sources.definition, chosen)
    sources = replace(sources, definition=with_needed_steps(options, sources.definition, chosen))
    resolved = resolve_chosen(options, sources, chosen)
    check_commands(sources, chosen, resolved, report)
    check_attributes(sources, chosen, resolved, report)
    report.check()
    return resolved, [*told, *report.notes]


def _check_names(options: PlanOptions, definition: Definition, chosen: list[Selected]) -> None:
    """Raise UsageError if an option names something that the definition does not have."""
    names = [m.name for m in (*definition.components, *definition.init)]
    known = dict.fromkeys((*names, *_instances(chosen)))
    tags = selection.tagged((*definition.components, *definition.init))
    for patterns in (options.quiet, options.no_tty):
        selection.matching(split(patterns), known, tags, names)


def _instances(chosen: list[Selected]) -> list[str]:
    """Return the names of all instances; the only one of `web` is also `web.1`."""
    return [f"{one.component.name}.{number}" for one in chosen for number in range(1, max(1, one.count) + 1)]


def with_needed_steps(options: PlanOptions, definition: Definition, chosen: list[Selected]) -> Definition:
    """Return the definition with only those initial steps that the components that start need."""
    starting = {one.component.name for one in chosen if one.starts}
    needed = () if options.no_init else definition.init
    return replace(definition, init=tuple(s for s in needed if not s.needed_by or starting & set(s.needed_by)))


def with_exit_policy(options: PlanOptions, component: ComponentSpec) -> ComponentSpec:
    """Return a component with the options on exits applied."""
    if is_meant(split(options.can_end), (component.name, component.component), component.tags):
        return replace(component, on_exit=OnExit.IGNORE, on_exit_is_set=True)
    if options.on_exit is None:
        return component
    return replace(component, on_exit=OnExit(options.on_exit), on_exit_is_set=True)


def tell(notes: list[str]) -> None:
    """Print the notes on standard error."""
    for note in notes:
        print(links.linked(f"orchestrate: {note}", sys.stderr), file=sys.stderr)


def selection_request(options: PlanOptions) -> SelectionRequest:
    """Return the components that the options select. Raises UsageError."""
    return SelectionRequest(
        names=[*options.names, *split(options.only)],
        without=split(options.without),
        profiles=split(options.profile),
        formation=selection.parse_formation(",".join(options.formation)),
        dependencies=not options.no_deps,
    )


def with_all_profiles(options: PlanOptions) -> PlanOptions:
    """Return options that select the components of all profiles, unless components are named."""
    if options.names or options.only or options.profile:
        return options
    return replace(options, profile=(selection.ALL_PROFILES,))


def split(texts: Iterable[str]) -> list[str]:
    """Return the words of lists that are separated by commas."""
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def resolve_chosen(options: PlanOptions, sources: Sources, chosen: list[Selected]) -> Resolved:
    """Return the spec of the chosen components."""
    settings = Settings(
        port=None if options.no_port else _base_port(options.base_port, sources.layers, sources.report),
        replace_port=_free_port if options.any_port else lambda port: port,
        grace=options.timeout,
        no_tty=split(options.no_tty),
        find_account=find_account,
    )
    add_file = functools.partial(reading.add_file_of, sources)
    return resolve(sources.definition, chosen, sources.layers, settings, add_file, sources.report)


def _base_port(option: int | None, layers: Layers, report: Report) -> Variable:
    if option is not None:
        return Variable(str(option), "-p")
    variable = layers.flat().get("PORT")
    if variable is None or not variable.value.strip():
        return Variable(str(BASE_PORT), "")
    text = variable.value
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) <= LAST):
        origin = "PORT in the environment" if variable.origin == FROM_SHELL else variable.origin
        report.problem(origin, f"{text!r:.40} is not a port; expected 1 to 65535")
        return Variable(str(BASE_PORT), "")
    return variable


_chosen: set[int] = set()  # ports that were taken, and those chosen instead


@functools.cache
def _free_port(port: int) -> int:
    """Return the port, or a free one if some process listens on it."""
    from orchestrator.process import tcp_ports  # imports socket, which only this option needs

    if not tcp_ports.fault("::", port):
        return port
    _chosen.add(port)
    other = tcp_ports.free("::", _chosen)
    _chosen.add(other)
    return other


def taken_ports(system: SystemSpec) -> tuple[str, ...]:
    """Report the ports of components on which another process listens."""
    uses = {int(port): c.name for c in system.components if (port := c.environment.get("PORT", "")).isdecimal()}
    if not uses:
        return ()
    from orchestrator.process import socket_table
    from orchestrator.process.procfs import command_of

    lines = [
        f"port {port} of {uses[port]} is in use by"
        f" {f'pid {pid} ({command_of(pid):.{COMMAND_WIDTH}})' if pid else 'another process'}"
        for port, pid in sorted(socket_table.taken(uses).items())
    ]
    return (
        *lines[:-1],
        *(with_hint(line, "stop it, or choose other ports with -p or --any-port") for line in lines[-1:]),
    )


def check_commands(sources: Sources, chosen: list[Selected], resolved: Resolved, report: Report) -> None:
    """Report commands and directories that are certainly missing.

    Skip what is uncertain, because an initial step, or a component that must complete first, may still create it.
    """
    made = {spec.cwd for spec in sources.airflow.components} if sources.airflow else ()  # at the start
    specs = {spec.name: spec for spec in (*resolved.system.init, *resolved.system.components)}
    first = sources.definition.init[:1]
    last = (Condition.COMPLETED, Condition.SUCCEEDED)
    free = [one for one in chosen if not first and not any(d.condition in last for d in one.component.depends_on)]
    for component, name in [
        *((step, step.name) for step in first),
        *((one.component, one.instances[0]) for one in free),
    ]:
        spec = specs[name]
        if not os.path.isdir(spec.cwd) and spec.cwd not in made:
            report.problem(component.where("cwd"), f"{component.name}: no such directory: {spec.cwd}")
        elif fault := command_check.fault(
            component.command if component.shell == SHELL else (), spec.argv[0], spec.cwd, spec.environment.get("PATH")
        ):  # the syntax of another shell is not checked, but the shell must exist
            report.problem(component.where("command"), f"{component.name}: {fault}")


def check_attributes(sources: Sources, chosen: list[Selected], resolved: Resolved, report: Report) -> None:
    """Report limits and priorities that this process may not set."""
    specs = {spec.component: spec.attributes for spec in (*resolved.system.init, *resolved.system.components)}
    for component in (*sources.definition.init, *(one.component for one in chosen)):
        attributes = specs.get(component.name, UNCHANGED)
        for key, fault in faults(attributes) if attributes != UNCHANGED else ():
            report.problem(component.where(key), f"{component.name}: {key}: {fault}")


def find(options: PlanOptions, sources: Sources, name: str) -> tuple[Selected, int]:
    """Return the component, or initial step, of this name or with an instance of this name, and the instance's number.

    Raises UsageError.
    """
    definition, formation = sources.definition, selection_request(options).formation
    if name.startswith("+"):
        name = _only_one(definition, name)
    for index, component in enumerate((*definition.components, *definition.init)):
        count = formation.get(component.name, formation.get(selection.ALL, component.replicas))
        one = Selected(component, max(1, count), index)
        if name == component.name:
            return one, 1
        if name in one.instances:
            return one, one.instances.index(name) + 1
    known = [component.name for component in (*definition.components, *definition.init)]
    hint = did_you_mean(name, known).removeprefix("; ") or f"there are: {', '.join(known) or 'none'}"
    raise UsageError(f"unknown component {name!r}", hint)


def _only_one(definition: Definition, tag: str) -> str:
    """Return the only component with a `+tag`. Raises UsageError if several have it."""
    components = (*definition.components, *definition.init)
    found = selection.matching([tag], [component.name for component in components], selection.tagged(components))
    if len(found) > 1:
        names = ", ".join(component.name for component in components if component.name in found)
        raise UsageError(f"{tag} is several components", f"choose one of {names}")
    return found.pop()


def _resolved(options: PlanOptions, sources: Sources, name: str) -> tuple[Resolved, str]:
    one, number = find(options, sources, name)
    if one.component in sources.definition.init:
        only = replace(sources, definition=replace(sources.definition, init=(one.component,)))
        resolved, instance = resolve_chosen(options, only, []), one.component.name
    else:
        only = replace(sources, definition=replace(sources.definition, init=()))
        resolved, instance = resolve_chosen(options, only, [one]), one.instances[number - 1]
    sources.report.check()
    return resolved, instance


def variables_of(options: PlanOptions, sources: Sources, name: str | None) -> Variables:
    """Return the variables of one instance; without a name, those that all share."""
    if name is None:
        sources.report.check()
        return sources.layers.flat()
    resolved, instance_name = _resolved(options, sources, name)
    return resolved.variables[instance_name]


def instances(options: PlanOptions, sources: Sources, name: str, count: int) -> tuple[ComponentSpec, ...]:
    """Return the specs of a component in `count` instances, without what it depends on. Raises ConfigError."""
    one, _ = find(options, sources, name)
    only = replace(sources, report=Report(), definition=replace(sources.definition, init=()))
    resolved = resolve_chosen(options, only, [replace(one, count=count)])
    only.report.check()
    return resolved.system.components


def instance(options: PlanOptions, sources: Sources, name: str) -> ComponentSpec:
    """Return the spec of one instance."""
    resolved, instance_name = _resolved(options, sources, name)
    return next(c for c in (*resolved.system.init, *resolved.system.components) if c.name == instance_name)


class InstanceFactory:
    """Specs for a running system that were not needed at its start; `sources` returns the definition as read."""

    def __init__(self, options: PlanOptions, sources: Callable[[], Sources]) -> None:
        self._options = options
        self._sources = sources

    def instances(self, name: str, count: int) -> tuple[ComponentSpec, ...]:
        """Return the specs of a component in `count` instances, without what it depends on. Raises ConfigError."""
        return instances(self._options, self._sources(), name, count)

    def missing(self, names: Collection[str], present: Collection[str]) -> tuple[ComponentSpec, ...]:
        """Return the specs of these components, and of what they need, that are not `present`. Their dependencies name
        components, not instances. Raises UsageError, ConfigError."""
        options, sources = self._options, self._sources()
        wanted = replace(selection_request(options), names=tuple(names), without=())
        chosen, _ = selection.select(sources.definition.components, wanted)
        new = [one for one in chosen if one.component.name not in present]
        self._check_steps(sources.definition, {one.component.name for one in new}, present)
        only = replace(sources, report=Report(), definition=replace(sources.definition, init=()))
        resolved = resolve_chosen(options, only, new)
        check_commands(only, new, resolved, only.report)
        check_attributes(only, new, resolved, only.report)
        only.report.check()
        needs = {one.component.name: one.component.depends_on for one in new}
        specs = (replace(c, depends_on=needs[c.component]) for c in resolved.system.components)
        return tuple(with_exit_policy(options, spec) for spec in specs)

    def _check_steps(self, definition: Definition, new: Collection[str], present: Collection[str]) -> None:
        for step in () if self._options.no_init else definition.init:
            if set(step.needed_by) & set(new) and not set(step.needed_by) & set(present):
                those = ", ".join(name for name in step.needed_by if name in new)
                raise ConfigError([f"{those} needs the initial step {step.name}, which did not run"], "name it at `up`")
