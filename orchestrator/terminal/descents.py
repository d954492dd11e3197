"""Rows below a prompt that a line editor only walks over.

prompt_toolkit (IPython) makes room for its menus below the prompt: it goes down to the last row with line feeds, writes
a blank there and takes it back, and goes up again by as many rows. Nothing is drawn, so in a stream of lines it is a
return to the beginning of the row.
"""

from __future__ import annotations

import re

_SGR = rb"(?:\x1b\[[0-9;]{0,20}m)*"
_DESCENT = re.compile(rb"((?:\r{0,3}\n)+)(" + _SGR + rb") \x08(" + _SGR + rb")\x1b\[(\d{1,4})A")


def less_descents(chunk: bytes) -> bytes:
    """Replace each way down and up again by CR. A chunk without a backspace costs one search."""
    return _DESCENT.sub(_stay, chunk) if b"\b" in chunk else chunk


def _stay(match: re.Match[bytes]) -> bytes:
    down, before, after, up = match.groups()
    return b"\r" + before + after if down.count(b"\n") == int(up) else match.group()
