"""`orchestrate config`: the merged, resolved definition, as TOML or JSON, without its secrets."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import Any

from orchestrator.cli import planning, settings
from orchestrator.cli import sources as reading
from orchestrator.config import dump, selection


def run(options: argparse.Namespace) -> int:
    """Print it; raises ConfigError with all that is wrong."""
    if options.schema:
        from orchestrator.config.schema import json_schema

        print(json_schema.text(), end="")
        return 0
    sources = reading.read(options, settings.read(options), exact=True)
    resolved, notes = planning.plan(options, sources)
    planning.tell(notes)
    add_file = partial(reading.add_file_of, sources)
    chosen, _ = selection.select(sources.definition.components, planning.selection_request(options))
    ports = {
        c.name: int(port) for c in resolved.system.components if (port := c.environment.get("PORT", "")).isdecimal()
    }
    names = {one.member.name for one in chosen}
    known = [member.name for member in sources.definition.components]
    tree: dict[str, Any] = {"init": {}, "components": {}}
    if sources.airflow is not None:
        tree["init"]["airflow"] = sources.airflow.database_step()
    for step in sources.definition.init:
        tree["init"][step.name] = dump.trim(dump.of_member(step, None, sources.layers, add_file, known, sources.report))
    for one in chosen:
        first = ports.get(one.instances[0], 0)
        member = dump.of_member(one.member, first, sources.layers, add_file, known, sources.report)
        depends_on = {name: condition for name, condition in member["depends_on"].items() if name in names}
        order = {key: [name for name in member[key] if name in names] for key in ("start_after", "stop_before")}
        changed = {**member, **order, "replicas": one.count, "depends_on": depends_on}
        tree["components"][one.member.name] = dump.trim(changed)
    sources.report.check()
    tree = {"env_file": list(sources.env_files), **{key: tree[key] for key in ("init", "components") if tree[key]}}
    text = json.dumps(tree, indent=2) + "\n" if options.json else dump.write(tree)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return 0
