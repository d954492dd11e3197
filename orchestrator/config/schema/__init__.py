"""The keys of orchestrate.toml: one table for reading them, for the JSON Schema and for messages about mistakes."""
