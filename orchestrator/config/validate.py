"""Finds mistakes in a definition as a whole: dependencies that are unknown, cyclic, or never met. Pure."""

from __future__ import annotations

from orchestrator.config.definition import Definition
from orchestrator.config.diagnostics import Report, did_you_mean
from orchestrator.model import scheduling
from orchestrator.model.spec import ComponentSpec, Condition, RestartPolicy


def validate(definition: Definition, report: Report) -> None:
    """Report every mistake in the relations of components."""
    _check_names(definition, report)
    _check_order(definition, report)
    _check_circles(definition, report)
    _check_ends(definition, report)
    _check_terminals(definition, report)
    _check_prompts(definition, report)
    _check_failures(definition, report)
    _check_steps(definition, report)


def _check_names(definition: Definition, report: Report) -> None:
    steps = {step.name for step in definition.init}
    for component in definition.components:
        for dependency in component.depends_on:
            if dependency.name in definition.names:
                continue
            if dependency.name in steps:
                why = "is an initial step; all components start after those anyway, so leave it out"
            else:
                why = f"is not a component{did_you_mean(dependency.name, definition.names)}"
            place = component.where("depends_on", dependency.name)
            report.problem(place, f"components.{component.name}.depends_on: {dependency.name!r} {why}")


def _check_circles(definition: Definition, report: Report) -> None:
    components = {
        component.name: component
        for component in definition.components
        if component.depends_on or component.stop_before
    }
    while True:
        specs = [
            ComponentSpec(name=m.name, argv=(), cwd="", depends_on=m.depends_on, stop_before=m.stop_before)
            for m in components.values()
        ]
        circle = scheduling.find_cycle(specs)
        if not circle:
            return
        first = components.pop(circle[0])
        path = " → ".join(circle)
        key = "depends_on" if any(d.name == circle[1] for d in first.depends_on) else "stop_before"
        by_stop = key == "stop_before" or any(components[m].stop_before for m in circle[1:-1])
        if len(set(circle)) == 1:
            fault = "stops before itself" if by_stop else "depends on itself"
        else:
            fault = f"{'stop order' if by_stop else 'dependency'} cycle: {path}"
        report.problem(
            first.where(key, circle[1]),
            f"components.{first.name}.{key}: {fault}",
        )


def _check_order(definition: Definition, report: Report) -> None:
    for component in definition.components:
        for key, others in (("start_after", component.start_after), ("stop_before", component.stop_before)):
            for index, name in enumerate(others):
                if name not in definition.names:
                    why = f"is not a component{did_you_mean(name, definition.names)}"
                    report.problem(component.where(key, index), f"components.{component.name}.{key}: {name!r} {why}")


def _check_ends(definition: Definition, report: Report) -> None:
    always = {m.name for m in definition.components if m.restart.policy is RestartPolicy.ALWAYS}
    for component in definition.components:
        for dependency in component.depends_on:
            ends = dependency.condition in (Condition.COMPLETED, Condition.SUCCEEDED)
            if ends and dependency.name in always:
                report.problem(
                    component.where("depends_on", dependency.name),
                    f"components.{component.name}.depends_on: waits for the end of {dependency.name},"
                    ' which never comes: its restart is "always"',
                )


def _check_terminals(definition: Definition, report: Report) -> None:
    for component in (*definition.components, *definition.init):
        if not component.tty and any(step.keys for step in component.stop.steps):
            place = component.where("stop", "keys")
            section = "init" if component in definition.init else "components"
            report.problem(place, f"{section}.{component.name}.stop.keys: typed into a terminal, and tty is false")


def _check_prompts(definition: Definition, report: Report) -> None:
    for component in definition.components:
        if component.expect and not component.tty:
            report.problem(
                component.where("expect"),
                f"components.{component.name}.expect: prompts need a terminal, and tty is false",
            )


def _check_failures(definition: Definition, report: Report) -> None:
    for component in definition.components:
        if component.failed and not component.ready:
            report.problem(
                component.where("failed"),
                f"components.{component.name}.failed: counts until the component is ready, and it has no ready",
            )


def _check_steps(definition: Definition, report: Report) -> None:
    for step in definition.init:
        for index, name in enumerate(step.needed_by):
            if name not in definition.names:
                why = f"is not a component{did_you_mean(name, definition.names)}"
                report.problem(step.where("for", index), f"init.{step.name}.for: {name!r} {why}")
