"""What keys and the mouse do in the view."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.model.control import Reply, Request, Verb
from orchestrator.ui.component_list import state_in_words
from orchestrator.ui.content import RUNNING, Content, Shown
from orchestrator.ui.help_text import help_lines
from orchestrator.ui.keys import Mouse, Paste, Press, Typed
from orchestrator.ui.outcome import Leave

if TYPE_CHECKING:
    from orchestrator.ui.view import View

WHEEL = 3  # lines
EVENTS_MAX = 1000
_SCROLLS = frozenset({"j", "k", "up", "down", "page up", "page down", "home", "end"})


class Commands:
    """Acts on one view and the content of its pane."""

    def __init__(self, view: View, content: Content) -> None:
        self._view = view
        self._content = content
        self._events: list[bytes] = []
        self._states: dict[str, str] = {}
        self._question: Callable[[str], None] | None = None
        self._typed_into: Callable[[str], None] | None = None
        self._keys = self._bindings()

    def _bindings(self) -> dict[str, Callable[[], None]]:
        move = self._move
        keys: dict[str, Callable[[], None]] = {
            "j": lambda: move(1),
            "k": lambda: move(-1),
            "down": lambda: move(1),
            "up": lambda: move(-1),
            "page up": lambda: self._page(1),
            "page down": lambda: self._page(-1),
            "home": lambda: self._jump(to_top=True),
            "end": lambda: self._jump(to_top=False),
            "tab": self._switch_focus,
            "backtab": self._switch_focus,
            "enter": self._attach_now,
            "a": self._attach_now,
            "r": self._restart,
            "s": self._stop_or_start,
            "K": self._kill,
            "w": self._why,
            "t": self._content.show_terminal,
            "l": lambda: self._show_lines(Shown.LOG),
            "m": lambda: self._show_lines(Shown.MERGED),
            "e": self._show_events,
            "/": self._begin_search,
            "n": lambda: self._find_next(1),
            "N": lambda: self._find_next(-1),
            "p": self._go_to_waiting,
            "+": lambda: self._scale(1),
            "-": lambda: self._scale(-1),
            "f": self._failed_first,
            "g": self._group,
            "y": self._copy,
            "z": self._zoom,
            "M": self._mouse,
            "?": self._help,
            "q": self._quit,
            "u": self._return_to_stream,
            "escape": self._escape,
            "ctrl-l": self._view.display.forget,
        }
        keys.update({str(n): lambda n=n: self._select_number(n) for n in range(1, 10)})  # type: ignore[misc]
        return keys

    def rows_changed(self) -> None:
        """Note an event for each instance that is in another state."""
        for name, row in self._view.list.instances.items():
            if self._states.get(name) != (words := state_in_words(dict(row))):
                if name in self._states:
                    self._note_event(name, dict(row))
                self._states[name] = words

    # Keys

    def take(self, typed: Typed) -> None:
        """Do what was typed."""
        if isinstance(typed, Mouse):
            self._take_mouse(typed)
        elif self._typed_into is not None:
            self._type(typed)
        elif isinstance(typed, Press):
            self._press(typed.name)

    def _press(self, key: str) -> None:
        status = self._view.status
        if self._question is not None:
            question, self._question = self._question, None
            status.question = ""
            question(key)
            return
        status.say("")
        if self._content.shown is Shown.HELP and self._content.lines is not None:
            if key in _SCROLLS:
                self._move_in_help(key)
                return
            self._content.leave_text()
            if key in ("?", "escape", "q"):
                return
        if action := self._keys.get(key):
            action()
        elif len(key) == 1:
            status.say(f"no command on {key!r}; ? shows all keys")

    def _ask(self, text: str, answered: Callable[[str], None]) -> None:
        self._view.status.question = text
        self._question = answered

    def _type_into(self, prompt: str, done: Callable[[str], None]) -> None:
        status = self._view.status
        status.prompt, status.typed = prompt, ""
        self._typed_into = done

    def _type(self, typed: Press | Paste) -> None:
        status = self._view.status
        done = self._typed_into
        assert done is not None
        key = typed.name if isinstance(typed, Press) else ""
        if isinstance(typed, Paste):
            status.typed += "".join(c for c in typed.text if c.isprintable())
        elif key == "enter":
            self._typed_into, status.prompt = None, None
            done(status.typed)
            return
        elif key == "escape":
            self._typed_into, status.prompt = None, None
            if not self._view.focus_on_pane:
                self._view.list.set_filter("")
                self._content.select_changed()
            return
        elif key == "backspace":
            status.typed = status.typed[:-1]
        elif len(key) == 1:
            status.typed += key
        if not self._view.focus_on_pane:
            self._view.list.set_filter(status.typed)
            self._content.select_changed()

    def _take_mouse(self, mouse: Mouse) -> None:
        view = self._view
        layout = view.layout
        if self._question is not None or self._typed_into is not None:
            return
        on_pane = bool(layout.pane_columns) and mouse.column >= layout.pane_column
        line = mouse.row - layout.top
        if not 0 <= line < layout.height:
            return
        if mouse.what == "press":
            if layout.list_columns and layout.pane_columns:
                view.focus_on_pane = on_pane
            if not on_pane and view.list.select_line(line - 1):
                self._content.select_changed()
        else:
            by = WHEEL if mouse.what == "wheel up" else -WHEEL
            if on_pane:
                self._content.scroll(by)
            else:
                view.list.move(-by // WHEEL)
                self._content.select_changed()

    # Moving

    def _move(self, by: int) -> None:
        if self._view.focus_on_pane:
            self._content.scroll(-by)
        else:
            self._view.list.move(by)
            self._content.select_changed()

    def _move_in_help(self, key: str) -> None:
        lines = self._content.lines
        assert lines is not None
        if key in ("home", "end"):
            lines.scroll(len(lines) if key == "home" else -len(lines))
        elif key in ("page up", "page down"):
            lines.page(1 if key == "page up" else -1)
        else:
            lines.scroll(1 if key in ("k", "up") else -1)

    def _page(self, by: int) -> None:
        if self._view.focus_on_pane or self._content.shown is not Shown.TERMINAL:
            self._content.scroll(by, pages=True)
        else:
            self._view.list.move(-by * max(1, self._view.layout.height - 2))
            self._content.select_changed()

    def _jump(self, *, to_top: bool) -> None:
        if self._view.focus_on_pane or self._content.shown is not Shown.TERMINAL:
            if self._content.lines is not None and to_top:
                self._content.read_more(1 << 30)
                self._content.lines.go_to_top()
            elif self._content.lines is not None:
                self._content.lines.offset = 0
        else:
            self._view.list.move(-(1 << 20) if to_top else 1 << 20)
            self._content.select_changed()

    def _select_number(self, number: int) -> None:
        self._view.list.select_number(number)
        self._content.select_changed()

    def _go_to_waiting(self) -> None:
        if not self._view.list.select_waiting():
            self._view.status.say("no component waits for input")
            return
        self._content.select_changed()
        self._content.show_terminal()

    def _switch_focus(self) -> None:
        self._view.focus_on_pane = not self._view.focus_on_pane

    def _escape(self) -> None:
        if self._content.shows_text:
            self._content.leave_text()
        elif self._view.zoom:
            self._zoom()
        elif self._view.list.filter_text:
            self._view.list.set_filter("")
            self._content.select_changed()
        elif self._content.lines is not None and self._content.lines.offset:
            self._content.lines.offset = 0
        elif self._view.focus_on_pane:
            self._switch_focus()

    # Actions

    def _selected(self) -> dict[str, Any] | None:
        row = self._view.list.current
        if row is None:
            self._view.status.say("no component is selected")
        return None if row is None else dict(row)

    def _attach_now(self) -> None:
        row = self._selected()
        if row is None:
            return
        name = str(row["instance"])
        if not row["tty"]:
            self._view.status.say(f"cannot attach to {name}: it has no terminal (tty = false)", is_error=True)
            return
        self._content.detach()
        said = self._view.with_terminal(lambda: self._view.options.attach(name))
        self._view.status.say(said)
        self._content.show_terminal()

    def _restart(self) -> None:
        if row := self._selected():
            name = row["instance"]
            self._view.ask(
                Request(Verb.RESTART, (name,)), f"restarting {name}", lambda reply: _done(reply, "restarted")
            )

    def _stop_or_start(self) -> None:
        if row := self._selected():
            name = row["instance"]
            if row["state"] in RUNNING:
                self._view.ask(Request(Verb.STOP, (name,)), f"stopping {name}", lambda _: f"{name} stopped")
            else:
                self._view.ask(Request(Verb.START, (name,)), f"starting {name}", lambda reply: _done(reply, "started"))

    def _kill(self) -> None:
        row = self._selected()
        if row is None:
            return
        name = row["instance"]

        def answered(key: str) -> None:
            if key == "y":
                self._view.ask(Request(Verb.KILL, (name,)), f"killing {name}", lambda _: f"{name} killed")
            else:
                self._view.status.say(f"{name} was not killed")

        self._ask(f"kill {name} without a grace period? y kills, any other key cancels", answered)

    def _scale(self, by: int) -> None:
        row = self._selected()
        if row is None:
            return
        component = row["component"]
        count = sum(each["component"] == component for each in self._view.list.instances.values()) + by
        if count < 1:
            text = f"{component} has one instance; `orchestrate scale {component}=0` removes it"
            self._view.status.say(text, is_error=True)
            return
        request = Request(Verb.SCALE, (component,), str(count))
        self._view.ask(request, f"scaling {component} to {count}", lambda _: f"{component} has {_instances(count)}")

    def _why(self) -> None:
        row = self._selected()
        if row is None:
            return
        name = row["instance"]

        def explained(reply: Reply) -> str:
            lines = [line for each in reply.rows for line in _explanation(each)]
            self._content.show_text(Shown.WHY, lines)
            return ""

        self._view.ask(Request(Verb.WHY, (name,)), f"asking why {name} is {row['state']}", explained)

    def _show_events(self) -> None:
        self._content.show_text(Shown.EVENTS, self._events or [b"\x1b[2mno component has changed its state yet\x1b[m"])

    def _note_event(self, name: str, row: dict[str, Any]) -> None:
        clock = time.strftime("%H:%M:%S")
        event = f"\x1b[2m{clock}\x1b[m  \x1b[1m{name}\x1b[m  {state_in_words(row)}".encode()
        self._events = [*self._events[1 - EVENTS_MAX :], event]
        if self._content.shown is Shown.EVENTS and self._content.lines is not None:
            self._content.lines.replace(self._events)

    def _show_lines(self, what: Shown) -> None:
        """Show a log or the merged stream, and move the focus to it, so that `/` and the arrow keys act on it."""
        self._content.show_lines(what)
        if self._content.shown is what:
            self._view.focus_on_pane = True

    def _begin_search(self) -> None:
        if self._view.focus_on_pane:
            if self._content.lines is None:
                self._content.show_lines(Shown.LOG)
            if self._content.lines is not None:
                self._type_into("search: ", self._search)
        else:
            self._type_into("filter: ", lambda text: None)

    def _search(self, text: str) -> None:
        if self._content.lines is not None:
            self._content.read_more(20_000)
            self._view.status.say(self._content.lines.find(text))

    def _find_next(self, by: int) -> None:
        if self._content.lines is not None:
            self._view.status.say(self._content.lines.find_next(by))

    def _failed_first(self) -> None:
        self._view.list.failed_first = not self._view.list.failed_first
        self._view.status.say("failed components first" if self._view.list.failed_first else "order of the definition")

    def _group(self) -> None:
        if not any(row["tags"] for row in self._view.list.instances.values()):
            self._view.status.say("no component has a tag")
            return
        self._view.list.by_tag = not self._view.list.by_tag
        self._view.status.say("grouped by tag" if self._view.list.by_tag else "not grouped")

    def _copy(self) -> None:
        from orchestrator.ui.pane import text_of

        self._view.copy(text_of(self._content.last_rows))

    def _zoom(self) -> None:
        self._view.zoom = not self._view.zoom
        self._view.display.forget()
        self._view.status.say("z or Esc ends the zoom" if self._view.zoom else "")

    def _mouse(self) -> None:
        self._view.mouse = not self._view.mouse
        self._view.display.set_mouse(self._view.mouse)
        on, off = "the view uses the mouse", "the terminal selects text with the mouse; M turns the view's mouse on"
        self._view.status.say(on if self._view.mouse else off)

    def _help(self) -> None:
        options, layout = self._view.options, self._view.layout
        columns = layout.pane_columns or layout.columns
        self._content.show_text(Shown.HELP, help_lines(options.detach_keys, columns, owned=options.owned))
        if self._content.lines is not None:
            self._content.lines.draw(columns, layout.height)
            self._content.lines.go_to_top()

    # Leaving

    def _quit(self) -> None:
        if not self._view.options.owned:
            self._view.leave(Leave.QUIT)
            return
        background = " · b run in the background" if self._view.options.can_background else ""
        self._ask(f"s stop the system{background} · u merged stream · other keys stay", self._leave_as)

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


def _done(reply: Reply, what: str) -> str:
    return ", ".join(
        f"{row['instance']} {what}" + (f" (pid {row['pid']})" if row.get("pid") else "") for row in reply.rows
    )


def _instances(count: int) -> str:
    return f"{count} instances" if count != 1 else "1 instance"


def _explanation(row: dict[str, Any]) -> list[bytes]:
    lines = [str(row.get("reason") or state_in_words(row)).encode()]
    if row.get("last_exit"):
        lines += [b"", f"last exit: {row['last_exit']}".encode()]
    if row.get("lines"):
        lines += [b"", b"\x1b[2mlast output:\x1b[m", *(f"  {line}".encode() for line in row["lines"])]
    return lines
