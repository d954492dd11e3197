"""The keys of the view, for its help."""

from __future__ import annotations

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
    ("l", "show and focus its log: / searches, n and N find older and newer matches; Tab returns to the list"),
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


def help_lines(detach: str, *, owned: bool) -> list[bytes]:
    """Return the lines of the help; `detach` are the keys that end an attach session. With `owned` the system belongs
    to this terminal."""
    lines = [_line(key, what.replace("{detach}", detach)) for key, what in KEYS]
    lines.append(_line("q", "asks: stop, keep running, stay" if owned else "leave; the system keeps running"))
    if owned:
        lines.append(_line("u", "return to the merged stream"))
    return lines


def _line(key: str, what: str) -> bytes:
    return f"  {key:<19}{what}".encode() if what else f"\x1b[1m{key}\x1b[m".encode()
