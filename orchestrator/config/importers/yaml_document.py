"""YAML to plain values whose lines and comments are known. Pure. The only file that imports PyYAML."""

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

    def comment(self, *path: str | int) -> list[str]:
        """Return the comments of a key."""
        return list(self.comments.get(path, ()))


def parse(text: str, name: str) -> YamlDocument:
    """Read the first document of a file. Raises ConfigError with the line of a syntax error."""
    loader = yaml.SafeLoader(text)
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
        if node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:binary"):
            return node.value
        if re.fullmatch(r"\d+(?::[0-5]?\d)+", node.value):  # 22:22 is text, not a number in base 60
            return node.value
        if node.tag.startswith("!"):  # a tag of the application
            return node.value
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
