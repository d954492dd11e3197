"""The JSON Schema is a schema itself, and has a name."""

import json

import jsonschema

from orchestrator.config.schema import json_schema


def test_the_schema_passes_the_metaschema():
    schema = json.loads(json_schema.text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].startswith("urn:")
