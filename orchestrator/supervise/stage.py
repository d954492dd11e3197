"""What the supervisor shows: our own lines, and a painter with its prefix for each member."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.model.spec import Component
from orchestrator.output.console import Console, Kind
from orchestrator.text.prefix import Painter, Style

OWN_NAME = "orchestrate"
SEPARATOR = " | "
WITHOUT_TERMINAL = (40, 120)  # rows and columns of a pty where stdout is no terminal
NARROWEST = 20  # columns that are left to a component however long the prefix

Wrap = Callable[[str, str], bytes]


class Stage:
    """Prefixes lines. `palette` makes the function that colours a prefix; it is called at the first line, when the
    components have been forked already, because it imports blessed."""

    def __init__(
        self,
        console: Console,
        style: Style,
        names: Iterable[str],
        palette: Callable[[], tuple[Wrap, tuple[str, ...]]],
    ) -> None:
        self.console = console
        self._style = style
        self._palette = palette
        self._width = 0
        self._colours: dict[str, str] = {}
        self._wrap: Wrap | None = None
        self._cycle: tuple[str, ...] = ()
        self._own: Painter | None = None
        self.make_room(names)

    def make_room(self, names: Iterable[str]) -> None:
        """Pad all prefixes from now on to the longest of these names too."""
        self._width = max([self._width, len(OWN_NAME), *map(len, names)])
        self._own = None

    @property
    def pty_size(self) -> tuple[int, int]:
        """Rows and columns for a component's pty: the terminal's, less the prefix."""
        if self.console.kind is not Kind.TERMINAL:
            return WITHOUT_TERMINAL
        size = self.console.size()
        if size is None:
            return WITHOUT_TERMINAL
        columns, rows = size
        return rows, max(NARROWEST, columns - self._width - len(SEPARATOR))

    def painter(self, component: Component) -> Painter:
        """Return a painter for a component's lines, in its own colour or the next one of the cycle."""
        return Painter(self._prefix(component.name, component.colour), self._style)

    def tell(self, text: str) -> None:
        """Show a line of our own; never skipped."""
        if self._own is None:
            self._own = Painter(self._prefix(OWN_NAME, ""), Style.NO_COLOURS)
        self.console.write(self._own.paint("".join(f"{line}\n" for line in text.split("\n")).encode()), may_skip=False)

    def _prefix(self, name: str, colour: str) -> bytes:
        label = name.ljust(self._width) + SEPARATOR
        if self._style is not Style.COLOURS:
            return label.encode()
        if self._wrap is None:
            self._wrap, self._cycle = self._palette()
        if name not in self._colours:
            own = sum(1 for other in self._colours if other != OWN_NAME)
            chosen = self._cycle[0] if name == OWN_NAME else self._cycle[1:][own % (len(self._cycle) - 1)]
            self._colours[name] = colour or chosen
        return self._wrap(self._colours[name], label)
