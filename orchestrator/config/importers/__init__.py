"""Definitions for other tools, and what a project's files say about it, as drafts of orchestrate.toml. Pure."""
