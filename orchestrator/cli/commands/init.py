"""`orchestrate init`: a first orchestrate.toml, from what the directory contains."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import definition_writer, links
from orchestrator.cli.location import TOML
from orchestrator.config.importers import project
from orchestrator.config.importers.draft import Draft, render
from orchestrator.model.errors import OrchestrateError, UsageError


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The options of `init`."""

    directory: str | None = None
    print: bool = False


def run(options: InitOptions) -> int:
    """Write the file, or print it with --print. Raises OrchestrateError if it exists."""
    directory = Path(options.directory or ".")
    if not directory.is_dir():
        raise UsageError(f"cannot change to {directory}: no such directory")
    target = directory / TOML
    if target.exists() and not options.print:
        raise OrchestrateError(f"cannot write {target}: it already exists", "use --print to see what would be written")
    draft = project.detect(definition_writer.look_around(directory))
    text = render(draft)
    if options.print:
        print(text, end="")
        return 0
    definition_writer.write_new(target, text)
    print(links.linked(f"wrote {target}: {summary(draft)}"))
    for loss in draft.losses:
        print(f"orchestrate: line {loss.line}: {loss.key}: {loss.text}", file=sys.stderr)
    left_out = [entry.name for entry in draft.entries if not entry.is_active]
    if left_out:
        print(f"commented out, because they cannot run here yet: {', '.join(left_out)}")
    print("next: read it, then run `orchestrate check` and `orchestrate`")
    return 0


def summary(draft: Draft) -> str:
    """Return what a draft defines, in words."""
    names = [entry.name for entry in draft.components]
    found = [f"{len(names)} component{'s' * (len(names) != 1)} ({', '.join(names)})"] if names else []
    return " and ".join([*found, *(["Apache Airflow"] if "airflow" in draft.keys else [])])
