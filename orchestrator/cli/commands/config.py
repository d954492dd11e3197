"""`orchestrate config`: the merged, resolved definition, as TOML or JSON, without its secrets."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial

from orchestrator.cli import planning, settings
from orchestrator.cli import sources as reading
from orchestrator.cli.options import LocationOptions, PlanOptions, PresetOptions
from orchestrator.config import dump, selection, toml


@dataclass(frozen=True, slots=True)
class ConfigOptions:
    """The options of `config`."""

    location: LocationOptions
    plan: PlanOptions
    airflow: PresetOptions
    json: bool = False
    schema: bool = False


def run(options: ConfigOptions) -> int:
    """Print the definition; raises ConfigError with all mistakes."""
    if options.schema:
        from orchestrator.config.schema import json_schema

        print(json_schema.text(), end="")
        return 0
    sources = reading.read(options.location, settings.read(), options.airflow, exact=True)
    resolved, notes = planning.plan(options.plan, sources)
    planning.tell(notes)
    add_file = partial(reading.add_file_of, sources)
    chosen, _ = selection.select(sources.definition.components, planning.selection_request(options.plan))
    ports = {
        c.name: int(port) for c in resolved.system.components if (port := c.environment.get("PORT", "")).isdecimal()
    }
    names = {one.component.name for one in chosen}
    known = [component.name for component in sources.definition.components]
    steps: dict[str, dump.Plain] = {}
    components: dict[str, dump.Plain] = {}
    if sources.airflow is not None:
        steps["airflow"] = sources.airflow.database_step()
    for step in sources.definition.init:
        steps[step.name] = dump.trim(dump.of_instance(step, None, sources.layers, add_file, known, sources.report))
    for one in chosen:
        first = ports.get(one.instances[0], 0)
        component = dump.of_instance(one.component, first, sources.layers, add_file, known, sources.report)
        depends_on = {name: condition for name, condition in component["depends_on"].items() if name in names}
        order: dump.Plain = {
            key: [name for name in component[key] if name in names]
            for key in ("start_after", "stop_before")
            if key in component
        }
        changed = {**component, **order, "replicas": one.count, "depends_on": depends_on}
        components[one.component.name] = dump.trim(changed)
    sources.report.check()
    tree: dump.Plain = {"env_file": list(sources.env_files)}
    if steps:
        tree["init"] = steps
    if components:
        tree["components"] = components
    text = json.dumps(tree, indent=2) + "\n" if options.json else toml.write(tree)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return 0
