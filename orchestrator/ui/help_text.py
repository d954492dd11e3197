"""The keys of the view, for its help."""

from __future__ import annotations

import textwrap

_KEYS_WIDTH = 19
_TEXT_MIN = 16  # columns of the right side, however narrow the pane is

KEYS = (
    ("Move", ""),
    ("j k ↓ ↑", "select, or scroll if the pane has the focus"),
    ("1 – 9", "select a component by its place"),
    ("p", "select the next component that waits for input"),
    ("Tab", "move the focus between list and pane"),
    ("PgUp PgDn Home End", "scroll"),
    ("Components", ""),
    ("Enter a", "attach: type into it; {detach} returns"),
    ("r", "restart"),
    ("s", "stop, or start"),
    ("K", "kill, after a question"),
    ("+ -", "one more instance, one less"),
    ("w", "why it is in its state"),
    ("Pane", ""),
    ("t", "its terminal"),
    ("l", "show and focus its log: / searches the last 20,000 lines, n and N find older and newer matches"),
    ("m", "show and focus the merged stream of all components"),
    ("e", "the events since the view was opened"),
    ("z", "zoom: only the pane"),
    ("y", "copy the pane to the clipboard"),
    ("List", ""),
    ("/", "filter by name, state or tag; Esc shows all"),
    ("f", "failed components first"),
    ("g", "group by tag"),
    ("View", ""),
    ("M", "let the terminal select text with the mouse; press again to turn the view's mouse on"),
    ("Ctrl-L", "draw the screen again"),
    ("?", "this help"),
)


def help_lines(detach: str, columns: int, *, owned: bool) -> list[bytes]:
    """Return the lines of the help, wrapped at words; `detach` are the keys that end an attach session. With `owned`
    the system belongs to this terminal."""
    keys = [(key, what.replace("{detach}", detach)) for key, what in KEYS]
    keys.append(("q", "asks: stop, keep running, stay" if owned else "leave; the system keeps running"))
    if owned:
        keys.append(("u", "return to the merged stream"))
    return [line for key, what in keys for line in _lines(key, what, columns)]


def _lines(key: str, what: str, columns: int) -> list[bytes]:
    if not what:
        return [f"\x1b[1m{key}\x1b[m".encode()]
    texts = textwrap.wrap(what, max(_TEXT_MIN, columns - _KEYS_WIDTH - 2))
    return [f"  {'' if index else key:<{_KEYS_WIDTH}}{text}".encode() for index, text in enumerate(texts)]
