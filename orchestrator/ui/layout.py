"""Where the parts of the view are on the screen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS_MIN, ROWS_MIN = 40, 10
BOTH_MIN = 80  # columns from which on list and pane are side by side
LIST_MIN, LIST_MAX = 30, 58


@dataclass(frozen=True, slots=True)
class Layout:
    """`list_columns` is 0 if the list is not shown, `pane_columns` 0 if the pane is not. `top` is the first row of
    both, `height` how many they have."""

    rows: int
    columns: int
    top: int
    height: int
    list_columns: int
    pane_column: int
    pane_columns: int

    @property
    def is_too_small(self) -> bool:
        """Whether nothing sensible can be shown."""
        return self.columns < COLUMNS_MIN or self.rows < ROWS_MIN


def layout_of(rows: int, columns: int, wanted: int, *, zoom: bool, shows_pane: bool) -> Layout:
    """Return the layout of a screen. `wanted` is how many columns the whole list needs; `shows_pane` says which of both
    a narrow screen shows."""
    if zoom:
        return Layout(rows, columns, 0, rows - 1, 0, 0, columns)
    if columns < BOTH_MIN:
        if shows_pane:
            return Layout(rows, columns, 1, rows - 2, 0, 0, columns)
        return Layout(rows, columns, 1, rows - 2, columns, 0, 0)
    list_columns = max(LIST_MIN, min(LIST_MAX, wanted, columns * 2 // 5))
    return Layout(rows, columns, 1, rows - 2, list_columns, list_columns + 1, columns - list_columns - 1)
