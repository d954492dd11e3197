"""`.env` files: NAME=value lines. Pure.

The rules are those of foreman, honcho, python-dotenv and docker compose; if these disagree, those of docker compose:
`export NAME=value`; blanks around the sign; ` # comment` after a value without quotes; in single quotes everything is
literal; in double quotes \\n, \\t, \\" and their like are characters; in quotes a value may continue over several
lines; ${VAR} and $VAR are expanded except in single quotes, and $$ is a dollar there. A name without a value has no
effect, because the shell's value remains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.config.interpolation import escape

_START = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*(?:(?P<sign>=|:(?=[ \t]))[ \t]*)?", re.ASCII
)
_VOID = re.compile(r"[ \t]*(?:#.*)?\r?$", re.MULTILINE)
# No text may match in two ways here: otherwise an unclosed quote would take exponential time.
_SINGLE = re.compile(r"'(?P<value>(?:\\['\\]|[^'\\]|\\(?!['\\]))*)'", re.DOTALL)
_LITERAL = re.compile(r"'(?P<value>[^']*)'", re.DOTALL)  # ends in a backslash: 'C:\'
_DOUBLE = re.compile(r'"(?P<value>(?:\\.|[^"\\])*)"', re.DOTALL)
_COMMENT = re.compile(r"[ \t]#")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_FORM = re.compile(r"\$\$|\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*(?::?[-?+](?:[^{}\n]|\$\{[^{}\n]*\})*)?\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Assignment:
    """`template` is for `interpolation.expand`; `line` counts from 1."""

    name: str
    template: str
    line: int


def parse(text: str, source: str) -> tuple[list[Assignment], list[str]]:
    """Return the assignments in their order, and a line for each problem. `source` is the file's name."""
    found: list[Assignment] = []
    problems: list[str] = []
    text = text.removeprefix("\ufeff")
    at, line = 0, 1
    while at < len(text):
        end = _take(text, at, line, source, found, problems)
        line += text.count("\n", at, end)
        at = end
    return found, problems


def _take(text: str, at: int, line: int, source: str, found: list[Assignment], problems: list[str]) -> int:
    """Read the entry at `at`, the beginning of a line; return the position of the next line."""
    if void := _VOID.match(text, at):
        return void.end() + 1
    stop = text.find("\n", at)
    stop = len(text) if stop < 0 else stop
    start = _START.match(text, at, stop)
    if start and not start["sign"] and _VOID.match(text, start.end()):
        return stop + 1
    if not start or not start["sign"]:
        problems.append(f"{source}:{line}: not a `NAME=value` line: {_shown(text[at:stop])}")
        return stop + 1
    name, at = start["name"], start.end()
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        raw = text[at - 1 : stop]  # with the character before it: a comment needs a blank before its sign
        comment = _COMMENT.search(raw)
        value, end = raw[1 : comment.start() + 1 if comment else None].strip(" \t\r"), at
    else:
        match = _DOUBLE.match(text, at) if quote == '"' else _SINGLE.match(text, at) or _LITERAL.match(text, at)
        if match is None:
            problems.append(f"{source}:{line}: {name}: the quote {quote} has no end")
            return stop + 1
        value, end = match["value"].replace("\r\n", "\n"), match.end()
        if not _VOID.match(text, end):
            problems.append(f"{source}:{line}: {name}: something follows the closing quote {quote}")
            return _next_line(text, end)
    if "\0" in value:
        problems.append(f"{source}:{line}: {name}: a NUL byte cannot be in a variable")
    else:
        found.append(Assignment(name, _template(value, quote), line))
    return _next_line(text, end)


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _template(value: str, quote: str) -> str:
    if quote == "'":
        return escape(re.sub(r"\\(['\\])", r"\1", value))
    if quote != '"':
        return _keep_forms(value)
    parts, at = [], 0
    for match in _ESCAPE.finditer(value):
        parts.append(_keep_forms(value[at : match.start()]))
        parts.append("$$" if match[1] == "$" else escape(_ESCAPES.get(match[1], match[0])))
        at = match.end()
    return "".join(parts) + _keep_forms(value[at:])


def _keep_forms(text: str) -> str:
    """Make every dollar literal that does not begin `$NAME`, `$$` or a well-formed `${…}`: passwords contain
    dollars."""
    parts, at = [], 0
    for match in _FORM.finditer(text):
        parts += [escape(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join(parts) + escape(text[at:])


def _shown(line: str) -> str:
    """Name the line without its value, which may be a secret."""
    return repr(line.partition("=")[0].strip()[:30] + ("=…" if "=" in line else ""))
