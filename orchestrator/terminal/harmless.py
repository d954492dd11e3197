"""Text of somebody else's making, made fit for a message of ours: what could steer a terminal is shown as U+FFFD.

Those are the C0 and C1 controls and DEL: ESC begins a sequence, as U+009B does in some terminals, and ENQ is answered.
"""

from __future__ import annotations

_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "�")
_WITHIN_LINES = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\t\n"}


def one_line(text: str) -> str:
    """Return it without a line's end or a tab in it."""
    return text.translate(_CONTROLS)


def lines(text: str) -> str:
    """Return it with its lines and tabs as they are."""
    return text.translate(_WITHIN_LINES)
