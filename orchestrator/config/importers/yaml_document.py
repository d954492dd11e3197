"""YAML to plain values whose lines and comments are known. Pure. The only file that imports PyYAML.

Plain scalars mean what they mean to go-yaml v3, which docker compose and process-compose use: the core schema of YAML
1.2. So `on`, `off`, `yes`, `no` and `1:30` are texts; PyYAML reads them as YAML 1.1 does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.config.definition import Path
from orchestrator.model.errors import ConfigError

MAX_NODES = 200_000  # aliases can multiply: "billion laughs"


@dataclass(slots=True)
class YamlDocument:
    """`tree` is made of dicts, lists and scalars. `lines` and `comments` are those of keys and list items: the line of
    each, from 1, and the comment lines directly above it with the one that follows it."""

    tree: Any
    lines: dict[Path, int] = field(default_factory=dict)
    comments: dict[Path, list[str]] = field(default_factory=dict)

    def line(self, *path: str | int) -> int:
        """Return the line of a key, or of the nearest thing around it that has one."""
        for end in range(len(path), 0, -1):
            if line := self.lines.get(path[:end]):
                return line
        return 0

    def tables(self, key: str, name: str) -> dict[str, Any]:
        """Return the tables below a key of the file `name`. Raises ConfigError if there is none."""
        found = self.tree.get(key) if isinstance(self.tree, dict) else None
        if not isinstance(found, dict) or not found:
            raise ConfigError([f"cannot import {name}: it has no {key}"])
        return found

    def comment(self, *path: str | int) -> list[str]:
        """Return the comments of a key."""
        return list(self.comments.get(path, ()))


_TAG = "tag:yaml.org,2002:"
_PLAIN = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by `_PLAIN` only."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _integer(text: str) -> int:
    """Read an integer; one with a leading 0 is octal, as in go-yaml."""
    digits = text.replace("_", "")
    return int(digits, 8 if re.fullmatch(r"[-+]?0[0-7]+", digits) else 0)


def parse(text: str, name: str) -> YamlDocument:
    """Read the first document of a file. Raises ConfigError with the line of a syntax error."""
    loader = _Loader(text)
    try:
        node = loader.get_node() if loader.check_node() else None
        found = YamlDocument(None)
        if node is not None:
            found.tree = _YamlReader(loader, text, found).value(node, ())
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError([f"cannot read {name}{line}: not YAML: {error.problem or error.context}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([f"cannot read {name}: not YAML: {str(error).splitlines()[0]}"]) from None
    finally:
        loader.dispose()


class _YamlReader:
    def __init__(self, loader: yaml.SafeLoader, text: str, found: YamlDocument) -> None:
        self._loader = loader
        self._lines = text.splitlines()
        self._found = found
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node, and record lines and comments below `path`."""
        self._count += 1
        if self._count > MAX_NODES:
            raise ValueError("too many values")
        if isinstance(node, yaml.MappingNode):
            self._loader.flatten_mapping(node)
            table: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
                self._record(key_node, value_node, (*path, key))
                table[key] = self.value(value_node, (*path, key))
            return table
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self._record(item, item, (*path, index))
                items.append(self.value(item, (*path, index)))
            return items
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        if node.tag in (_TAG + "timestamp", _TAG + "binary") or node.tag.startswith("!"):  # a tag of the application
            return node.value
        if node.tag == _TAG + "int":
            return _integer(node.value)
        return self._loader.construct_object(node)

    def _record(self, key: yaml.Node, value: yaml.Node, path: Path) -> None:
        number = key.start_mark.line + 1
        self._found.lines[path] = number
        found: list[str] = []
        for line in reversed(self._lines[: number - 1]):
            text = line.strip()
            if not text.startswith("#"):
                break
            found.insert(0, text.lstrip("#").strip())
        end = value.end_mark
        if isinstance(value, yaml.ScalarNode) and not value.style and end.line < len(self._lines):
            after = re.match(r"\s+#+\s*(.*)", self._lines[end.line][end.column :])
            found += [after[1].rstrip()] if after else []
        if found:
            self._found.comments[path] = found
