"""`orchestrate graph`: the dependencies, as text or as a diagram; with --times, with the times of a start."""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.cli import client, history_reports, planning, settings, sources, system_lookup
from orchestrator.cli.options import LocationOptions, PlanOptions, PresetOptions
from orchestrator.history import start_times
from orchestrator.history.causes import Causes
from orchestrator.model.errors import UsageError
from orchestrator.model.spec import ComponentSpec, SystemSpec
from orchestrator.terminal.width import padded, width


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """The options of `graph`; `start` is the number of a start, or negative from the last."""

    location: LocationOptions
    plan: PlanOptions
    airflow: PresetOptions
    shape: str = "text"
    times: bool = False
    start: int | None = None


def run(options: GraphOptions) -> int:
    """Print the graph; returns the exit status."""
    if options.times:
        return _times(options)
    if options.shape == "svg":
        raise UsageError("invalid --svg: it is for --times alone", "run `orchestrate graph --times --svg`")
    read = sources.read(options.location, settings.read(), options.airflow)
    resolved, notes = planning.plan(options.plan, read)
    planning.tell(notes)
    draw = {"text": as_text, "mermaid": as_mermaid, "dot": as_dot}[options.shape]
    print(draw(resolved.system), end="")
    return 0


def _times(options: GraphOptions) -> int:
    found = history_reports.read(system_lookup.find(options.location).home, options.start or -1)
    times = start_times.of_record(found)
    path = start_times.critical_path(times)  # of the start, whichever instances are shown
    if options.plan.names:
        names = history_reports.chosen(Causes(found, history_reports.words(found)), found, options.plan.names)
        times = tuple(one for one in times if one.name in names)
    draw = {"text": start_times.as_text, "mermaid": start_times.as_mermaid, "svg": start_times.as_svg}
    if options.shape not in draw:
        raise UsageError("invalid --dot: --times has no Graphviz diagram", "use --mermaid or --svg")
    print(client.printable(draw[options.shape](times, path)), end="")
    return 0


def as_text(system: SystemSpec) -> str:
    """Return a line for each component, in the order in which they can start."""
    lines = [
        (step.name, "an initial step" + (f", after {before.name}" if before else "")) for step, before in _steps(system)
    ]
    for component in _in_order(system):
        after = ", ".join(f"{d.name} ({d.condition.value})" for d in component.depends_on)
        text = f"after {after}" if after else "at once"
        lines.append((component.name, text if component.autostart else f"{text}, on request"))
    columns = max(width(name) for name, _ in lines)
    return "".join(f"{padded(name, columns)}  {text}\n" for name, text in lines)


def as_mermaid(system: SystemSpec) -> str:
    """Return a flowchart; arrows point from a dependency to its dependents."""
    names = [spec.name for spec in (*system.init, *system.components)]
    ids = {name: f"n{number}" for number, name in enumerate(names)}
    lines = ["flowchart LR"]
    lines += [f'    {ids[step.name]}(["{step.name}"])' for step in system.init]
    lines += [f'    {ids[component.name]}["{component.name}"]' for component in system.components]
    lines += [f"    {ids[a]} -->|{label}| {ids[b]}" for a, b, label in _edges(system)]
    return "\n".join(lines) + "\n"


def as_dot(system: SystemSpec) -> str:
    """Return a Graphviz diagram, whose arrows point in the same direction."""
    quote = json.dumps
    lines = ["digraph orchestrate {", "    rankdir=LR;"]
    lines += [f"    {quote(step.name, ensure_ascii=False)} [shape=oval];" for step in system.init]
    lines += [f"    {quote(component.name, ensure_ascii=False)} [shape=box];" for component in system.components]
    for a, b, label in _edges(system):
        ends = f"{quote(a, ensure_ascii=False)} -> {quote(b, ensure_ascii=False)}"
        lines.append(f"    {ends} [label={quote(label)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _steps(system: SystemSpec) -> list[tuple[ComponentSpec, ComponentSpec | None]]:
    return list(zip(system.init, [None, *system.init], strict=False))


def _in_order(system: SystemSpec) -> list[ComponentSpec]:
    left, done = list(system.components), set[str]()
    ordered: list[ComponentSpec] = []
    while left:  # the definition was validated: it has no cycle
        free = [component for component in left if all(d.name in done for d in component.depends_on)]
        ordered += free
        done |= {component.name for component in free}
        left = [component for component in left if component.name not in done]
    return ordered


def _edges(system: SystemSpec) -> list[tuple[str, str, str]]:
    edges = [(before.name, step.name, "succeeded") for step, before in _steps(system) if before]
    for component in system.components:
        edges += [(d.name, component.name, d.condition.value) for d in component.depends_on]
        if system.init and not component.depends_on:
            edges.append((system.init[-1].name, component.name, "succeeded"))
    return edges
