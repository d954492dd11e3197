"""Finds out which tool a file belongs to, and converts it. Pure."""

from __future__ import annotations

import re

from orchestrator.config.definition import Document
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.importers.draft import Draft, Nearby
from orchestrator.config.schema.component import COMPONENT, INIT
from orchestrator.config.schema.fields import At, InvalidValue
from orchestrator.model.errors import ConfigError

KNOWN = (
    "process-compose.yaml, mprocs.yaml, compose.yaml, supervisord.conf, package.json, Procfile, .foreman, .overmind.env"
)
_PROCFILE_LINE = re.compile(r"^[\w.-]+\s*:\s*\S", re.MULTILINE)


def convert(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the draft for a file; `name` is without its directory. Raises ConfigError.

    The name decides; if it is not decisive, the content does.
    """
    draft = _convert(text, name, nearby)
    before = len(draft.losses)
    _drop_faults(draft)
    if not draft.components:
        faults = [loss for loss in draft.losses[before:] if loss.key.endswith(".command")]
        raise ConfigError(
            [f"cannot import {name}: {loss.key}: {loss.text.removeprefix('left out: ')}" for loss in faults]
            or [f"cannot import {name}: nothing in it can run"]
        )
    draft.drop_missing_dependencies()
    return draft


def _drop_faults(draft: Draft) -> None:
    """Remove values that orchestrate.toml does not allow, and record them."""
    for entry in list(draft.entries):
        path = (entry.section, entry.name)
        table = COMPONENT if entry.section == "components" else INIT
        for key in list(entry.keys):
            report = Report()
            place = At(Document(Place("")), report, (*path, key))
            try:
                table.keys[key].shape.read(entry.keys[key], place)
            except InvalidValue:
                pass
            if report.problems:
                del entry.keys[key]
                for problem in report.problems:
                    draft.lose(0, ".".join((*path, key)), f"left out: {problem.split(': ', 2)[-1]}")
        if "command" not in entry.keys:
            draft.entries.remove(entry)


def _convert(text: str, name: str, nearby: Nearby) -> Draft:
    if name.endswith(".toml"):
        raise ConfigError([f"cannot import {name}: it is TOML"], f"use it as it is: `orchestrate -f {name}`")
    if name == ".foreman":
        from orchestrator.config.importers import procfile

        return procfile.read_foreman(text, name, nearby)
    if name.startswith(".overmind"):
        from orchestrator.config.importers import procfile

        return procfile.read_overmind(text, name, nearby)
    if name == "package.json":
        from orchestrator.config.importers import package_json

        return package_json.read(text, name, nearby)
    if re.search(r"^\[(?:supervisord|(?:program|group):[^\]\n]+)\]", text, re.MULTILINE):
        from orchestrator.config.importers import supervisord

        return supervisord.read(text, name, nearby)
    if name.endswith((".yaml", ".yml", ".json")) or re.search(
        r"^(?:processes|procs|services):\s*$", text, re.MULTILINE
    ):
        return _convert_yaml(text, name, nearby)
    if name.startswith("Procfile") or _PROCFILE_LINE.search(text):
        from orchestrator.config.importers import procfile

        draft = procfile.read(text, name, nearby)
        if not draft.components:
            raise ConfigError([f"cannot import {name}: it has no `name: command` line"])
        return draft
    raise ConfigError([f"cannot import {name}: unknown format"], f"known are {KNOWN}")


def _convert_yaml(text: str, name: str, nearby: Nearby) -> Draft:
    try:
        from orchestrator.config.importers import compose, mprocs, process_compose, yaml_document
    except ImportError:
        raise ConfigError(
            [f"cannot import {name}: PyYAML is not installed"], "run `pip install 'orchestrate[yaml]'`"
        ) from None
    tree = yaml_document.parse(text, name).tree
    keys = tree.keys() if isinstance(tree, dict) else ()
    if "processes" in keys:
        return process_compose.read(text, name)
    if "procs" in keys:
        return mprocs.read(text, name)
    if "services" in keys:
        return compose.read(text, name, nearby)
    if "scripts" in keys:
        from orchestrator.config.importers import package_json

        return package_json.read(text, name, nearby)
    raise ConfigError([f"cannot import {name}: it has neither processes, procs nor services"], f"known are {KNOWN}")
