"""`--dry-run`: what would be started, and after whom."""

from __future__ import annotations

from orchestrator.config.definition import SHELL
from orchestrator.config.redaction import mask
from orchestrator.model.spec import ComponentSpec, SystemSpec


def show(system: SystemSpec) -> int:
    """Print the steps and components in their order; returns the exit status."""
    for spec in (*system.init, *system.components):
        print(_line(spec, system))
    return 0


def _line(spec: ComponentSpec, system: SystemSpec) -> str:
    if spec.argv[:2] == SHELL:  # nothing was expanded there
        command = mask("", spec.argv[2])
    else:
        command = " ".join(map(str, spec.argv))
    words = [f"{spec.name}: {command}"]
    details = [f"in {spec.cwd}"]
    if spec in system.init:
        details.insert(0, "an initial step")
    elif port := spec.environment.get("PORT"):
        details.append(f"PORT={port}")
    if spec.depends_on:
        details.append("after " + ", ".join(f"{d.name} ({d.condition.value})" for d in spec.depends_on))
    return "\n".join([*words, f"    {'; '.join(details)}"])
