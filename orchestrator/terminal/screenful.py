"""The last screenful of a component's lines, for somebody who attaches."""

from __future__ import annotations

from orchestrator.terminal.escapes import RESET, keep_colours
from orchestrator.terminal.row import replay


def screenful(lines: bytes, unfinished: bytes, rows: int) -> bytes:
    """Return the last of `lines`, and the unfinished one, as a terminal with so many rows takes them.

    Colours only: a query in them would be answered by the terminal, and the answer typed into the component.
    """
    whole = lines.split(b"\n")[:-1][-max(1, rows - 1) :]
    shown = [keep_colours(replay(line)) + RESET + b"\r\n" for line in whole]
    return b"".join(shown) + keep_colours(replay(unfinished))
