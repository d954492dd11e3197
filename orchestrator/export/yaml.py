"""Writes YAML: block mappings and sequences, with each string quoted as in JSON, which YAML 1.2 contains. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_PLAIN_KEY = re.compile(r"[A-Za-z_][\w./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def write(tree: object, indent: int = 0) -> str:
    """Return a tree of dicts, lists, strings, numbers and booleans as lines of YAML."""
    pad = "  " * indent
    if isinstance(tree, dict) and tree:
        return "".join(f"{pad}{_key(key)}:{_below(value, indent)}" for key, value in tree.items())
    if isinstance(tree, list) and tree:
        return "".join(_item(value, indent) for value in tree)
    return f"{pad}{_scalar(tree)}\n"


def documents(trees: Iterable[object]) -> str:
    """Return several documents in one file."""
    return "---\n".join(map(write, trees))


def _below(value: object, indent: int) -> str:
    if isinstance(value, dict | list) and value:
        return "\n" + write(value, indent + 1)
    return f" {_scalar(value)}\n"


def _item(value: object, indent: int) -> str:
    pad = "  " * indent
    if isinstance(value, dict | list) and value:
        return f"{pad}- {write(value, indent + 1)[len(pad) + 2 :]}"
    return f"{pad}- {_scalar(value)}\n"


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else json.dumps(key, ensure_ascii=False)
