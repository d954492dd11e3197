"""`orchestrate check`: reports all mistakes in the definition together."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.cli import location, planning, settings, sources
from orchestrator.cli.options import LocationOptions, PlanOptions, PresetOptions

NAMES_MAX = 50  # names that are listed


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The options of `check`."""

    location: LocationOptions
    plan: PlanOptions
    airflow: PresetOptions


def run(options: CheckOptions) -> int:
    """Read and resolve all components, whatever their profile; start nothing. Raises ConfigError with all problems."""
    read = sources.read(options.location, settings.read(), options.airflow)
    resolved, notes = planning.plan(planning.with_all_profiles(options.plan), read)
    planning.tell(notes)
    system = resolved.system
    steps = f"{len(system.init)} initial steps, " if len(system.init) > 1 else "1 initial step, " * len(system.init)
    names = ", ".join(component.name for component in system.components[:NAMES_MAX])
    if (more := len(system.components) - NAMES_MAX) > 0:
        names += f" and {more} more"
    files = location.locate(options.location).files
    what = f"{', '.join(file.path for file in files)} are" if files[1:] else f"{system.title} is"
    print(f"{what} valid: {steps}{_count(len(system.components))}: {names}")
    return 0


def _count(number: int) -> str:
    return "1 component" if number == 1 else f"{number} components"
