"""Converts files to UTF-8. PowerShell's `>` and some editors on Windows write UTF-16. Pure."""

from __future__ import annotations

import codecs

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def as_utf8(data: bytes) -> bytes:
    """Return the content of a file in UTF-8, without a byte order mark. Bytes that are not Unicode stay as they are."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace").encode("utf-8", "replace")
    if len(data) >= 4 and data[0] and data[2] and not data[1] and not data[3]:
        return data.decode("utf-16-le", "replace").encode("utf-8", "replace")
    return data.removeprefix(codecs.BOM_UTF8)
