"""The JSON Schema of orchestrate.toml, from the same table that reads it. `orchestrate.schema.json` beside this file is
what this gives, for editors; tests hold that."""

from __future__ import annotations

import json

from orchestrator.config.schema.component import SYSTEM

ABOUT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:orchestrate:schema:orchestrate.toml",
    "title": "orchestrate.toml",
    "description": "What orchestrate runs: initial steps, then components.",
}


def text() -> str:
    """Return the schema as a file has it."""
    return json.dumps({**ABOUT, **SYSTEM.schema()}, indent=2) + "\n"
