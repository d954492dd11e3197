"""The keys of the view, and what each of them does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.ui.component_actions import ComponentActions
from orchestrator.ui.content import Content, Shown
from orchestrator.ui.keys import Mouse, Press, Typed
from orchestrator.ui.navigation import Navigation
from orchestrator.ui.view_options import Leave

if TYPE_CHECKING:
    from orchestrator.ui.view import View

_SCROLLS = frozenset({"j", "k", "up", "down", "page up", "page down", "home", "end"})


class Commands:
    """Maps keys to actions on one view and the content of its pane."""

    def __init__(self, view: View, content: Content) -> None:
        self._view = view
        self._content = content
        self._navigation = Navigation(view, content)
        self._actions = ComponentActions(view, content)
        self._keys = self._bindings()

    def _bindings(self) -> dict[str, Callable[[], None]]:
        go, do = self._navigation, self._actions
        keys: dict[str, Callable[[], None]] = {
            "j": lambda: go.move(1),
            "k": lambda: go.move(-1),
            "down": lambda: go.move(1),
            "up": lambda: go.move(-1),
            "page up": lambda: go.page(1),
            "page down": lambda: go.page(-1),
            "home": lambda: go.jump(to_top=True),
            "end": lambda: go.jump(to_top=False),
            "tab": go.switch_focus,
            "backtab": go.switch_focus,
            "enter": do.attach,
            "a": do.attach,
            "r": do.restart,
            "s": do.stop_or_start,
            "K": do.kill,
            "w": do.why,
            "t": self._show_terminal,
            "l": lambda: self._show_lines(Shown.LOG),
            "m": lambda: self._show_lines(Shown.MERGED),
            "e": self._content.show_events,
            "/": go.begin_search,
            "n": lambda: go.find_next(1),
            "N": lambda: go.find_next(-1),
            "p": go.go_to_waiting,
            "+": lambda: do.scale(1),
            "-": lambda: do.scale(-1),
            "f": go.failed_first,
            "g": go.group,
            "y": self._copy,
            "z": go.zoom,
            "M": self._mouse,
            "?": self._help,
            "q": self._quit,
            "u": self._return_to_stream,
            "escape": go.escape,
            "ctrl-l": self._view.display.forget,
        }
        keys.update({str(n): lambda n=n: go.select_number(n) for n in range(1, 10)})  # type: ignore[misc]
        return keys

    def take(self, typed: Typed) -> None:
        """Handle a key, a mouse event or pasted text."""
        status = self._view.status
        if isinstance(typed, Mouse):
            if not status.is_asking:
                self._navigation.take_mouse(typed)
        elif status.prompt is not None:
            status.type(typed)
        elif isinstance(typed, Press):
            self._press(typed.name)

    def _press(self, key: str) -> None:
        status = self._view.status
        if status.question:
            status.answer(key)
            return
        status.say("")
        if self._content.shown is Shown.HELP and self._content.lines is not None:
            if key in _SCROLLS:
                self._navigation.move_in_help(key)
                return
            self._content.leave_text()
            if key in ("?", "escape", "q"):
                return
        if action := self._keys.get(key):
            action()
        elif len(key) == 1:
            status.say(f"no command on {key!r}; ? shows all keys")

    def _show_lines(self, what: Shown) -> None:
        """Show a log or the merged stream, and move the focus to it, so that `/` and the arrow keys act on it."""
        self._content.show_lines(what)
        if self._content.shown is what:
            self._view.focus_on_pane = True

    def _show_terminal(self) -> None:
        """Show the terminal; on a narrow screen instead of the list."""
        self._content.show_terminal()
        if not self._view.drawing.layout.pane_columns:
            self._view.focus_on_pane = True

    def _copy(self) -> None:
        from orchestrator.ui.pane import text_of

        is_shown = self._view.drawing.layout.pane_columns
        self._view.copy(text_of(self._content.last_rows) if is_shown else "")

    def _mouse(self) -> None:
        self._view.mouse = not self._view.mouse
        self._view.display.set_mouse(self._view.mouse)
        on, off = "the view uses the mouse", "the terminal selects text with the mouse; M turns the view's mouse on"
        self._view.status.say(on if self._view.mouse else off)

    def _help(self) -> None:
        from orchestrator.ui.help_text import help_lines

        options, layout = self._view.options, self._view.drawing.layout
        lines = help_lines(options.detach_keys, layout.pane_columns or layout.columns, owned=options.owned)
        self._content.show_text(Shown.HELP, lines, from_top=True)

    def close(self) -> None:
        """Stop reading the output of `orchestrate why`."""
        self._actions.close()

    # Leaving

    def _quit(self) -> None:
        if not self._view.options.owned:
            self._view.leave(Leave.QUIT)
            return
        background = " · b run in the background" if self._view.options.can_background else ""
        self._view.status.ask(f"s stop the system{background} · u merged stream · other keys stay", self._leave_as)

    def _leave_as(self, key: str) -> None:
        if key == "s":
            self._view.leave(Leave.STOP)
        elif key == "u":
            self._view.leave(Leave.STREAM)
        elif key == "b" and self._view.options.can_background:
            self._view.leave(Leave.BACKGROUND)

    def _return_to_stream(self) -> None:
        if self._view.options.owned:
            self._view.leave(Leave.STREAM)
        else:
            self._view.status.say("the stream is in the terminal of `up`; q leaves the view")
