"""How keys and the mouse move the selection and the focus, scroll, search and filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.ui.content import Content, Shown
from orchestrator.ui.keys import Mouse

if TYPE_CHECKING:
    from orchestrator.ui.view import View

WHEEL = 3  # lines
EVERYTHING = 1 << 30  # lines


class Navigation:
    """Moves in the list and the pane of one view."""

    def __init__(self, view: View, content: Content) -> None:
        self._view = view
        self._content = content

    def move(self, by: int) -> None:
        """Select another row, `by` rows down, or scroll the pane if it has the focus."""
        if self._view.focus_on_pane:
            self._content.scroll(-by)
        else:
            self._view.list.move(by)
            self._content.select_changed()

    def move_in_help(self, key: str) -> None:
        """Scroll the help, whatever has the focus."""
        lines = self._content.lines
        assert lines is not None
        if key in ("home", "end"):
            lines.go_to_top() if key == "home" else lines.go_to_end()
        elif key in ("page up", "page down"):
            lines.page(1 if key == "page up" else -1)
        else:
            lines.scroll(1 if key in ("k", "up") else -1)

    def page(self, by: int) -> None:
        """Go up by `by` pages."""
        if self._view.focus_on_pane or self._content.shown is not Shown.TERMINAL:
            self._content.scroll(by, pages=True)
        else:
            self._view.list.move(-by * max(1, self._view.drawing.layout.height - 2))
            self._content.select_changed()

    def jump(self, *, to_top: bool) -> None:
        """Go to the first or the last row or line."""
        if self._view.focus_on_pane or self._content.shown is not Shown.TERMINAL:
            if self._content.lines is not None and to_top:
                self._content.read_more(EVERYTHING)
                self._content.lines.go_to_top()
            elif self._content.lines is not None:
                self._content.lines.go_to_end()
        else:
            self._view.list.move(-(1 << 20) if to_top else 1 << 20)
            self._content.select_changed()

    def select_number(self, number: int) -> None:
        """Select the component at this position, from 1."""
        self._view.list.select_number(number)
        self._content.select_changed()

    def go_to_waiting(self) -> None:
        """Select the next component that waits for input, and show its terminal."""
        if not self._view.list.select_waiting():
            self._view.status.say("no component waits for input")
            return
        self._content.select_changed()
        self._content.show_terminal()

    def switch_focus(self) -> None:
        """Move the focus between list and pane."""
        self._view.focus_on_pane = not self._view.focus_on_pane

    def escape(self) -> None:
        """Leave the first of these that applies: a text, the zoom, the filter, older lines, the focus on the pane."""
        if self._content.shows_text:
            self._content.leave_text()
        elif self._view.zoom:
            self.zoom()
        elif self._view.list.filter_text:
            self._filter("")
        elif self._content.lines is not None and self._content.lines.offset:
            self._content.lines.go_to_end()
        elif self._view.focus_on_pane:
            self.switch_focus()

    def begin_search(self) -> None:
        """Prompt for a text: to search in the pane if it has the focus, otherwise to filter the list."""
        if self._view.focus_on_pane:
            if self._content.lines is None:
                self._content.show_lines(Shown.LOG)
            if self._content.lines is not None:
                self._view.status.read_text("search: ", self._search)
        else:
            self._view.status.read_text("filter: ", lambda text: None, self._filter)

    def _filter(self, text: str) -> None:
        self._view.list.set_filter(text)
        self._content.select_changed()

    def _search(self, text: str) -> None:
        if self._content.lines is not None:
            self._content.read_more(EVERYTHING)
            self._view.status.say(self._content.lines.find(text))

    def find_next(self, by: int) -> None:
        """Go to the next match: an older one with 1, a newer one with -1."""
        if self._content.lines is not None:
            self._view.status.say(self._content.lines.find_next(by))

    def failed_first(self) -> None:
        """Switch between the order of the definition and failed components first."""
        self._view.list.failed_first = not self._view.list.failed_first
        self._view.status.say("failed components first" if self._view.list.failed_first else "order of the definition")

    def group(self) -> None:
        """Group the list by tag, or stop that."""
        if not any(row["tags"] for row in self._view.list.instances.values()):
            self._view.status.say("no component has a tag")
            return
        self._view.list.by_tag = not self._view.list.by_tag
        self._view.status.say("grouped by tag" if self._view.list.by_tag else "not grouped")

    def zoom(self) -> None:
        """Show only the pane, or list and pane again."""
        self._view.zoom = not self._view.zoom
        self._view.display.forget()
        self._view.status.say("z or Esc ends the zoom" if self._view.zoom else "")

    def take_mouse(self, mouse: Mouse) -> None:
        """Select the component or focus the part that was clicked; scroll the part under the wheel."""
        view = self._view
        layout = view.drawing.layout
        on_pane = bool(layout.pane_columns) and mouse.column >= layout.pane_column
        line = mouse.row - layout.top
        if not 0 <= line < layout.height:
            return
        if mouse.what == "press":
            if layout.list_columns and layout.pane_columns:
                view.focus_on_pane = on_pane
            if not on_pane and line > 0 and view.list.select_line(line - 1):  # row 0 has the heads of the columns
                self._content.select_changed()
        else:
            by = WHEEL if mouse.what == "wheel up" else -WHEEL
            if on_pane:
                self._content.scroll(by)
            else:
                view.list.move(-by // WHEEL)
                self._content.select_changed()
