"""A definition as a tree of plain values in which each value knows its place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.config.definition import Path
from orchestrator.config.diagnostics import Place, nearest


@dataclass(slots=True)
class Document:
    """`tree` holds what a TOML file can; `places` maps the path of each key to where it is written."""

    root: Place
    tree: dict[str, object] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return the place of a value, or of the nearest thing around it that has one."""
        return nearest(self.places, path, self.root)


def merge(documents: Iterable[Document]) -> Document:
    """Merge documents in order: tables key by key, of everything else the later one counts."""
    first, *others = documents
    merged = Document(first.root, _copy(first.tree), dict(first.places))
    for document in others:
        _merge_into(merged.tree, document.tree)
        merged.places.update(document.places)
    return merged


def _merge_into(target: dict[str, object], source: Mapping[str, object]) -> None:
    for key, value in source.items():
        present = target.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge_into(present, value)
        else:
            target[key] = _copy(value) if isinstance(value, dict) else value


def _copy(table: Mapping[str, object]) -> dict[str, object]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in table.items()}
