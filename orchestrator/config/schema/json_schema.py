"""The JSON Schema of orchestrate.toml, from the same table that reads it. `orchestrate.schema.json` beside this file
is its output, for editors; tests check that."""

from __future__ import annotations

import json

from orchestrator.config.schema.system import SYSTEM

ABOUT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:orchestrate:schema:orchestrate.toml",
    "title": "orchestrate.toml",
    "description": "What orchestrate runs: initial steps, then components.",
}


def text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps({**ABOUT, **SYSTEM.schema()}, indent=2) + "\n"
