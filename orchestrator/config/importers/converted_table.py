"""One table of a YAML file, such as a service of compose.yaml, that becomes a table of a draft. Pure.

The position of each key in the file is known. So keys without a counterpart are listed with their lines, and the
comments of the file stay with their keys.
"""

from __future__ import annotations

from typing import Any

from orchestrator.config.importers.draft import Draft
from orchestrator.config.importers.yaml_document import YamlDocument


class ConvertedTable:
    """The table `name` below the key `section`. `keys` are those of the new table, `key_comments` their comments."""

    def __init__(self, document: YamlDocument, draft: Draft, section: str, name: str) -> None:
        self._document = document
        self._draft = draft
        self._section = section
        self._name = name
        self.keys: dict[str, Any] = {}
        self.key_comments: dict[str, str] = {}

    def _path(self, *key: str | int) -> tuple[str | int, ...]:
        return (self._section, self._name, *key)

    def _place(self, *key: str | int) -> int:
        """Return the line of a key."""
        return self._document.line(*self._path(*key))

    def _lose(self, *key: str | int, text: str = "no counterpart") -> None:
        """Record that a key has no counterpart; without a key, that the table has none."""
        self._draft.lose(self._place(*key), ".".join(map(str, self._path(*key))), text)

    def _own_comments(self) -> list[str]:
        return self._document.comment(*self._path())

    def _comment(self, key: str, ours: str) -> None:
        """Keep the comments of a key for one of the new table."""
        if comments := self._document.comment(*self._path(key)):
            self.key_comments[ours] = "\n".join(comments)
