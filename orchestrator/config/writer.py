"""Plain values to TOML. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write(tree: Mapping[str, Any]) -> str:
    """Return a definition as TOML: a table for each member, with `environment` as a table below it."""
    lines = [f"{key} = {format_value(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    for section, members in tree.items():
        if isinstance(members, dict):
            for name, member in members.items():
                lines += ["", *_member(f"{section}.{format_key(name)}", member)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _member(path: str, member: Mapping[str, Any]) -> list[str]:
    lines = [f"[{path}]"]
    lines += [f"{format_key(key)} = {format_value(value)}" for key, value in member.items() if key != "environment"]
    if variables := member.get("environment"):
        lines += [
            f"[{path}.environment]",
            *(f"{format_key(key)} = {format_value(value)}" for key, value in variables.items()),
        ]
    return lines


def format_key(key: str) -> str:
    """Return a key as TOML."""
    return key if _BARE.fullmatch(key) else format_value(key)


def format_value(value: Any) -> str:
    """Return a value as TOML, on one line."""
    match value:
        case dict():
            return (
                "{ "
                + ", ".join(f"{format_key(key)} = {format_value(element)}" for key, element in value.items())
                + " }"
            )
        case list():
            return "[" + ", ".join(map(format_value, value)) + "]"
        case str():  # JSON's escapes are TOML's, but TOML wants DEL escaped too
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)
