"""Writes drafts of orchestrate.toml, and never over a file that exists."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.cli import settings
from orchestrator.config import command_check
from orchestrator.config.encoding import as_utf8
from orchestrator.config.importers.draft import SCHEMA_FILE, Nearby
from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import Home

LONGEST = 1_000_000  # bytes of a file that describes a project


def look_around(directory: Path) -> Nearby:
    """Return the facts for importers about a directory. Raises OrchestrateError if it cannot be read."""
    try:
        entries = list(os.scandir(directory))
    except OSError as error:
        raise OrchestrateError(f"cannot read {directory}: {(error.strerror or str(error)).lower()}") from None
    names = frozenset(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
    path = settings.variable("PATH") or None

    def read(name: str) -> str | None:
        try:
            with open(directory / name, "rb") as file:
                return as_utf8(file.read(LONGEST)).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def fault(command: str) -> str:
        return command_check.line_fault(command, str(directory), path)

    return Nearby(os.path.abspath(directory), names, read, fault)


def write_new(path: Path, text: str) -> None:
    """Create a file with this text, and the schema that its first line names. Raises OrchestrateError."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OrchestrateError(
            f"cannot write {path}: it already exists", "use --print to see what would be written"
        ) from None
    except OSError as error:
        raise OrchestrateError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    _write_schema(path.parent)


def _write_schema(directory: Path) -> None:
    """Write the JSON Schema where editors find it. Without it, the only loss is completion in the editor."""
    from orchestrator.config.schema import json_schema

    home = Home(directory)
    try:
        home.make()
        (home.directory / SCHEMA_FILE).write_text(json_schema.text(), encoding="utf-8")
    except (OSError, OrchestrateError):
        pass
