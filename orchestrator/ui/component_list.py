"""The list of instances: which are shown, in which order, which is selected, and how they are drawn.

Pure. The rows are those that the supervisor sends; a `Sample` is what an instance was measured to use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.model.control import NO_PROMPT
from orchestrator.terminal.width import width
from orchestrator.ui.styled_text import BOLD, CYAN, DIM, GREEN, MAGENTA, RED, REVERSE, YELLOW, Row, cut, padded

if TYPE_CHECKING:
    from orchestrator.model.control import ShownRow

NAME_MAX = 24  # columns; a longer name is cut
SPARKS = 8  # samples that are drawn
_BARS = "▁▂▃▄▅▆▇█"
_MARKS = {
    "running": ("●", GREEN),
    "ready": ("●", GREEN),
    "starting": ("◐", YELLOW),
    "waiting": ("○", DIM),
    "stopping": ("◌", YELLOW),
    "restarting": ("↻", YELLOW),
    "stopped": ("○", DIM),
    "completed": ("✓", DIM),
    "failed": ("✗", RED),
    "stuck": ("✗", RED),
}
PROMPT_MARK = ("?", MAGENTA + BOLD)  # of an instance that waits for input
WORKING = frozenset({"running", "ready"})
_BAD = {"stuck": 0, "failed": 1, "restarting": 2}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process tree of an instance uses: `cpu` as a share of one processor and `memory` in bytes, None while
    unknown; `ports` that it listens on; `activity`, bytes of output between the last samples, the newest last."""

    cpu: float | None = None
    memory: int | None = None
    ports: tuple[int, ...] = ()
    activity: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    width: int
    is_right: bool


# In the order in which they are shown.
_COLUMNS = {
    "activity": _Column("OUTPUT", SPARKS, False),
    "restarts": _Column("RST", 3, True),
    "port": _Column("PORT", 5, True),
    "cpu": _Column("CPU", 5, True),
    "memory": _Column("MEM", 6, True),
}
# A narrow list leaves out the last ones.
_BY_NEED = ("port", "cpu", "memory", "activity", "restarts")


@dataclass(slots=True)
class ComponentList:
    """Owns the rows and the selection. `filter_text` hides instances without its words in name, state and tags; the
    state is that of the supervisor and as it is shown."""

    instances: dict[str, ShownRow] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)
    filter_text: str = ""
    failed_first: bool = False
    by_tag: bool = False
    selected: str = ""
    top: int = 0  # the first line that is shown

    # What there is

    def update(self, row: ShownRow) -> None:
        """Store the current row of an instance."""
        self.instances[row["instance"]] = row
        if not self.selected:
            self.selected = row["instance"]

    def set_order(self, names: Iterable[str]) -> None:
        """Store the names of all instances, in order, and forget the rows of others."""
        self.order = list(names)
        for gone in self.instances.keys() - set(self.order):
            del self.instances[gone]
            self.samples.pop(gone, None)
        if self.selected not in self.order:  # `scale` has renamed web to web.1, or back
            renamed = (f"{self.selected}.1", self.selected.removesuffix(".1"))
            self.selected = next((name for name in renamed if name in self.order), self.selected)
        self._keep_selection(self.order)

    @property
    def current(self) -> ShownRow | None:
        """The selected instance."""
        return self.instances.get(self.selected)

    @property
    def names(self) -> list[str]:
        """The instances that are shown, in order."""
        return [name for name in self._lines() if name in self.instances]

    @property
    def waiting(self) -> list[str]:
        """The instances that wait for input."""
        return [name for name in self.order if name in self.instances and is_at_prompt(self.instances[name])]

    # The selection

    def move(self, by: int) -> None:
        """Move the selection down by `by` rows."""
        names = self.names
        if names:
            outside = -1 if by > 0 else len(names)  # the filter hides the selected one since its state has changed
            at = names.index(self.selected) if self.selected in names else outside
            self.selected = names[max(0, min(len(names) - 1, at + by))]

    def select_number(self, number: int) -> None:
        """Select the instance at this position, from 1."""
        names = self.names
        if 0 < number <= len(names):
            self.selected = names[number - 1]

    def select_waiting(self) -> bool:
        """Select the next instance that waits for input; return False if there is none."""
        waiting = self.waiting
        if not waiting:
            return False
        later = waiting[waiting.index(self.selected) + 1 :] if self.selected in waiting else []
        self.selected = (later or waiting)[0]
        if self.selected not in self.names:
            self.filter_text = ""
        return True

    def select_line(self, line: int) -> bool:
        """Select the instance on this line of the list as last drawn, from 0; return False if there is none."""
        lines = self._lines()
        at = self.top + line
        if not 0 <= at < len(lines) or lines[at] not in self.instances:
            return False
        self.selected = lines[at]
        return True

    def set_filter(self, text: str) -> None:
        """Show only instances that contain this text."""
        self.filter_text = text
        self._keep_selection(self.names)

    def _keep_selection(self, names: list[str]) -> None:
        if self.selected not in names and names:
            self.selected = names[0]

    # What is drawn

    def visible(self, height: int) -> list[str]:
        """Return the instances that are visible in `height` rows; the selected one is among them."""
        lines = self._lines()
        self._scroll(lines, height)
        return [name for name in lines[self.top : self.top + height] if name in self.instances]

    def draw(self, columns: int, height: int, *, is_focused: bool) -> list[Row]:
        """Return `height` rows of `columns` columns; the first has the column heads."""
        shown = self._shown_columns(columns)
        rows = [padded(self._head(shown, columns), columns)]
        lines = self._lines()
        self._scroll(lines, height - 1)
        for line in lines[self.top : self.top + height - 1]:
            if line in self.instances:
                rows.append(self._row(line, shown, columns, is_focused=is_focused))
            else:
                rows.append(padded([(line.removeprefix("\0"), DIM)], columns))
        if not lines:
            text = "nothing matches; Esc shows all" if self.filter_text else "no components"
            rows.append(padded([(f" {text}", DIM)], columns))
        return rows + [padded([], columns)] * (height - len(rows))

    def _scroll(self, lines: list[str], height: int) -> None:
        at = lines.index(self.selected) if self.selected in lines else 0
        self.top = max(at - height + 1, min(self.top, at), 0)
        self.top = max(0, min(self.top, len(lines) - height))

    def _lines(self) -> list[str]:
        """Return the names of the shown instances and the headings of their groups, which begin with NUL."""
        names = [name for name in self.order if name in self.instances and self._matches(self.instances[name])]
        if self.failed_first:
            names.sort(key=lambda name: _BAD.get(self.instances[name]["state"], 3))
        return list(self._grouped(names)) if self.by_tag else names

    def _grouped(self, names: list[str]) -> Iterator[str]:
        tags = sorted({tag for name in names for tag in self.instances[name]["tags"]})
        done: set[str] = set()
        for tag in tags:
            group = [name for name in names if name not in done and tag in self.instances[name]["tags"]]
            if group:
                yield f"\0{tag}"
                yield from group
                done.update(group)
        rest = [name for name in names if name not in done]
        if rest and tags:
            yield "\0without a tag"
        yield from rest

    def _matches(self, row: ShownRow) -> bool:
        words = self.filter_text.lower().split()
        text = " ".join((row["instance"], row["state"], state_in_words(row), *row["tags"])).lower()
        if is_at_prompt(row):
            text += " waiting for input"  # as `ps` has it
        return all(word in text for word in words)

    def _name_width(self) -> int:
        return max(4, min(NAME_MAX, max(map(width, self.order), default=4)))

    def _shown_columns(self, columns: int) -> list[str]:
        left = columns - 3 - self._name_width()
        shown = set()
        for name in _BY_NEED:
            if left >= _COLUMNS[name].width + 1:
                left -= _COLUMNS[name].width + 1
                shown.add(name)
            else:
                break
        return [name for name in _COLUMNS if name in shown]

    def _head(self, shown: list[str], columns: int) -> Row:
        cells = [_aligned(_COLUMNS[name].head, _COLUMNS[name]) for name in shown]
        left = columns - 2 - sum(len(cell) + 1 for cell in cells)
        row = padded([(f"  /{self.filter_text}", BOLD) if self.filter_text else ("  NAME", DIM)], 2 + left)
        return [*row, *((f" {cell}", DIM) for cell in cells)]

    def _row(self, name: str, shown: list[str], columns: int, *, is_focused: bool) -> Row:
        instance = self.instances[name]
        is_selected = name == self.selected
        mark, style = PROMPT_MARK if is_at_prompt(instance) else _MARKS.get(instance["state"], ("·", b""))
        head: Row = [("▌" if is_selected else " ", CYAN), (mark, style), (" ", b"")]
        if instance["state"] in WORKING and not is_at_prompt(instance):
            cells = [self._cell(column, name) for column in shown]
            left = columns - 3 - sum(len(text) + 1 for text, _ in cells)
            row = [*head, *padded([(name, BOLD if is_selected else b"")], left)]
            for text, cell_style in cells:
                row += [(" ", b""), (text, cell_style)]
        else:
            left = min(self._name_width(), columns // 2)
            words, space = state_in_words(instance), columns - 5 - left
            if width(words) > space:
                words = words.replace(": exited with ", ": ", 1)
            row = [*head, *padded([(name, BOLD if is_selected else b"")], left), (" ", b"")]
            row += [*cut([(words, style)], space), (" ", b"")]
        row = padded(row, columns)
        if is_selected and is_focused:  # in one color: in reverse, several would be patches of background
            return [(text, REVERSE + (BOLD if BOLD in style else b"")) for text, style in row]
        return row

    def _cell(self, column: str, name: str) -> tuple[str, bytes]:
        instance, sample = self.instances[name], self.samples.get(name, Sample())
        match column:
            case "activity":
                return _aligned(sparkline(sample.activity), _COLUMNS[column]), GREEN
            case "restarts":
                count = instance["restarts"]
                return _aligned(str(count) if count else "", _COLUMNS[column]), YELLOW
            case "port":
                return _aligned(port_of(instance, sample), _COLUMNS[column]), b""
            case "cpu":
                text = "" if sample.cpu is None else percent(sample.cpu)
                return _aligned(text, _COLUMNS[column]), YELLOW if (sample.cpu or 0.0) >= 0.8 else b""
            case _:
                return _aligned("" if sample.memory is None else size(sample.memory), _COLUMNS[column]), b""


def is_at_prompt(row: ShownRow) -> bool:
    """Return whether an instance waits at a prompt. A full-screen program does not count: it always waits for keys."""
    return bool(row.get("waiting")) and not row.get("full_screen")


def state_in_words(row: ShownRow) -> str:
    """Return the state of an instance and what it waits for, or how it ended."""
    state = str(row["state"])
    if is_at_prompt(row):
        prompt = str(row["waiting"]).strip()
        return "waits for input" if prompt == NO_PROMPT else f"asks {prompt}"
    if row.get("waits_for"):
        return f"waiting for {', '.join(row['waits_for'])}"
    if state in ("failed", "completed", "restarting") and row.get("last_exit"):
        return f"{state}: {row['last_exit']}"
    return state


def port_of(row: ShownRow, sample: Sample) -> str:
    """Return the port that an instance listens on; of several, the assigned one. Empty if none is known."""
    assigned = str(row.get("port") or "")
    if not sample.ports or assigned in map(str, sample.ports):
        return assigned
    return str(sample.ports[0])


def sparkline(activity: tuple[int, ...]) -> str:
    """Return a bar for each number of bytes, on a logarithmic scale: each step is a factor of 4, from 16 bytes; 0 is a
    blank."""
    return "".join(_bar(count) for count in activity[-SPARKS:]).rjust(SPARKS)


def _bar(count: int) -> str:
    return _BARS[max(0, min(len(_BARS) - 1, (count.bit_length() - 4) // 2))] if count else " "


def percent(share: float) -> str:
    """Return a share as a percentage in at most five characters."""
    return f"{100 * share:.1f}%" if share < 0.9995 else f"{100 * share:.0f}%"


def size(count: int) -> str:
    """Return a number of bytes in decimal units, such as 1.5M."""
    return f"{count / 1e9:.1f}G" if count >= 999.95e6 else f"{count / 1e6:.1f}M"


def _aligned(text: str, column: _Column) -> str:
    text = text[: column.width]
    return text.rjust(column.width) if column.is_right else text.ljust(column.width)
