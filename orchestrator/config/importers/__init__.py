"""Converts definitions of other tools, and the files of a project, to drafts of orchestrate.toml. Pure."""
