"""Rows of figures to a table of text; medians."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """`key` names the figure in a row, `heading` says what it is, with its unit; `form` is a format specification."""

    key: str
    heading: str
    form: str = ""


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows under their headings; figures to the right, words to the left, – for what there is not."""
    cells = [[c.heading for c in columns], *([_cell(row.get(c.key), c.form) for c in columns] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["  ".join(_justify(cell, w, c) for cell, w, c in zip(row, widths, columns, strict=True)) for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def median(values: Iterable[float]) -> float | None:
    """Return the median; None of nothing."""
    values = list(values)
    return statistics.median(values) if values else None


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the median of the ratios of what was measured in the same turn: a machine that grows slower slows both."""
    return median(a / b for a, b in zip(ours, theirs, strict=False) if b)


def _cell(value: Any, form: str) -> str:
    return "–" if value is None else format(value, form)


def _justify(cell: str, width: int, column: Column) -> str:
    return cell.rjust(width) if column.form else cell.ljust(width)
