"""Hyperlinks of the terminal (OSC 8) for URLs and absolute paths in event lines.

A terminal without hyperlinks shows only the text, but some old ones show the sequence. So the caller requests links
only if the terminal is known to support them.
"""

from __future__ import annotations

import re
from urllib.parse import quote

# A path has two parts or more, so that `and/or` and `/` do not match. Punctuation that ends a sentence is excluded.
_TARGET = re.compile(r"https?://[^\s'\"<>)]*[^\s'\"<>).,;:…]|(?<![\w/.~-])/[\w.@+-]+(?:/[\w.@+-]+)+")


def hyperlink(text: str, target: str) -> str:
    """Return `text` as a hyperlink to `target`, a URL."""
    return f"\x1b]8;;{target}\x1b\\{text}\x1b]8;;\x1b\\"


def linked(text: str, host: str) -> str:
    """Return `text` with its URLs and absolute paths as hyperlinks; `host` is the machine that has the files."""

    def link(match: re.Match[str]) -> str:
        found = match[0]
        path = found.rstrip(".")
        target = found if found.startswith("http") else f"file://{host}{quote(path)}"
        return hyperlink(found, target)

    return _TARGET.sub(link, text)
