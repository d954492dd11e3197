"""Recognizes files that define a system for another tool, so that they are not read as a Procfile. Pure."""

from __future__ import annotations

import json
import re

_TOOLS = {
    "compose.yaml": "docker compose",
    "compose.yml": "docker compose",
    "docker-compose.yaml": "docker compose",
    "docker-compose.yml": "docker compose",
    "process-compose.yaml": "process-compose",
    "process-compose.yml": "process-compose",
    "mprocs.yaml": "mprocs",
    "package.json": "npm",
    "supervisord.conf": "supervisord",
}
NAMES = tuple(_TOOLS)
EXAMPLE = "web: python -m http.server"

_SUFFIXES = {".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}
_SKIPPED = rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*"
_JSON = re.compile(rb"\s*\{")
_YAML = re.compile(_SKIPPED + rb"(?:---|%YAML|[\w.\"'-]+:[ \t]*(?:#[^\n]*)?\r?\n" + _SKIPPED + rb"(?:[ \t]+|- )\S)")
_INI = re.compile(rb"^\[(?:supervisord|(?:program|group|eventlistener):[^\]\n]+)\]", re.MULTILINE)


def tool_of(name: str) -> str:
    """Return the tool that uses a file of this name (without its directory); empty for none."""
    return _TOOLS.get(name, "")


def format_of(name: str, data: bytes) -> str:
    """Return YAML, JSON or INI if a file is in one of these formats, else empty. The suffix decides, then the
    content."""
    for suffix, kind in _SUFFIXES.items():
        if name.endswith(suffix):
            return kind
    if name.endswith(".toml"):
        return ""
    if _JSON.match(data):
        return "JSON"
    if _YAML.match(data):
        return "YAML"
    return "INI" if _INI.search(data) else ""


def line_for(name: str, data: bytes) -> str:
    """Return a line for a Procfile that could replace the file: for package.json one of its scripts."""
    if name == "package.json":
        try:
            scripts = json.loads(data)["scripts"]
            return next(f"web: npm run {script}" for script in ("dev", "start", "serve") if script in scripts)
        except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
            pass
    return EXAMPLE
