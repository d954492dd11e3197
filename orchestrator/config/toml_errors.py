"""Rewords the errors of tomllib about invalid TOML in the terms of the definition. Pure.

The messages are those of tomllib, and of tomli 2.0 and later on Python 3.10, which differ in quotes and in "Can not".
An unknown message is passed on unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAMES = re.compile(r"\((?P<names>[^()]*)\)")
_PROCFILE_LINE = re.compile(r"\s*[\w.-]+\s*:\s*\S")
_OPEN_TABLE = re.compile(r"=\s*\{[^}]*$")


def explain(message: str, text: str, line: int) -> str:
    """Return the fault on `line` (from 1) of `text`."""
    lines = text.split("\n")
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    canonical = message.replace('"', "'").replace("Can not", "Cannot")
    for begin, reword in _REWORDED.items():
        if canonical.startswith(begin):
            return reword if isinstance(reword, str) else reword(message, lines, line, here)
    return message


def _path(message: str) -> str:
    match = _NAMES.search(message)
    return ".".join(part.strip(" ,'\"") for part in match["names"].split(",") if part.strip(" ,")) if match else ""


def _twice(message: str, lines: list[str], line: int, here: str) -> str:
    path = _path(message)
    header = re.compile(
        r"\s*\[\s*" + r"\s*\.\s*".join(f"[\"']?{re.escape(n)}[\"']?" for n in path.split(".")) + r"\s*\]"
    )
    first = next((number for number, text in enumerate(lines[: line - 1], 1) if header.match(text)), 0)
    where = f" on line {first}" if first else ""
    return f"[{path}] is already defined{where}; put all its keys under one header"


def _key(message: str, lines: list[str], line: int, here: str) -> str:
    if any(_OPEN_TABLE.search(text) for text in lines[max(0, line - 2) : line]):
        return "a table in braces { … } must be on one line; write a header such as [components.NAME.ready] instead"
    return "expected a key"


def _sign(message: str, lines: list[str], line: int, here: str) -> str:
    more = "; lines like `name: command` belong in a Procfile" if _PROCFILE_LINE.match(here) else ""
    return f"expected KEY = VALUE{more}"


def _value(message: str, lines: list[str], line: int, here: str) -> str:
    value = here.partition("=")[2].strip()
    if value.lower() in ("true", "false"):
        return f"invalid value; write {value.lower()}"
    if re.match(r"[A-Za-z_./~$-]", value):
        return 'invalid value; a string needs quotes: KEY = "text"'
    return "invalid value" if value else "the value is missing"


def _more(message: str, lines: list[str], line: int, here: str) -> str:
    if re.match(r".*=\s*0\d", here):
        return "a number has no leading zero; a string needs quotes"
    return "expected one KEY = VALUE on a line"


_BACKSLASH = "in double quotes a backslash begins an escape; write 'C:\\Users' in single quotes, or \\\\"
_OPEN_STRING = "a string has no closing quote"
_REWORDED: dict[str, str | Callable[[str, list[str], int, str], str]] = {
    "Invalid initial character for a key part": _key,
    "Unclosed inline table": _key,
    "Invalid hex value": _BACKSLASH,
    "Unescaped '\\' in a string": _BACKSLASH,
    "Escaped character is not a Unicode scalar value": _BACKSLASH,
    "Cannot declare": _twice,
    "Cannot overwrite a value": "this key already has a value above",
    "Cannot mutate immutable namespace": lambda message, *_: (
        f"{_path(message)} is already defined in full by a table in braces {{ … }}, or twice in it"
    ),
    "Cannot redefine namespace": lambda message, *_: f"{_path(message)} is already defined above",
    "Duplicate inline table key": "a key occurs twice in a table in braces { … }",
    "Expected '=' after a key in a key/value pair": _sign,
    "Invalid statement": "expected a [header] or KEY = VALUE",
    "Invalid value": _value,
    "Illegal character '\\n'": _OPEN_STRING,
    "Unterminated string": _OPEN_STRING,
    "Expected '''''": _OPEN_STRING,
    "Unclosed array": "a list has no closing bracket ]",
    "Expected ']": "a header has no closing bracket ]",
    "Expected newline or end of document after a statement": _more,
}
