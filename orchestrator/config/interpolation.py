"""`${VAR}` and its forms, as sh(1) and docker compose have them. Pure.

${VAR}             its value; nothing, and a note, if it is not set
${VAR:-default}    default if it is not set or empty; ${VAR-default} only if it is not set
${VAR:?message}    an error with this message; ${VAR?message} likewise
${VAR:+other}      other if it is set and not empty; ${VAR+other} if it is set
$VAR               as ${VAR}
${web.PORT}        the port of another component
$$                 a dollar; any other dollar stays as it is: $1, $( and a dollar before a blank
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PORT = re.compile(r"\w[\w.-]*\.PORT")
_TEMPLATE = re.compile(r"\$[${A-Za-z_]")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")
DEEPEST = 20  # defaults within defaults

Lookup = Callable[[str], str | None]


class ExpansionError(ValueError):
    """The text is not a template, or a variable that it requires is not set. The message says which."""


def expand(text: str, lookup: Lookup, unset: Callable[[str], None] = lambda name: None, depth: int = 0) -> str:
    """Return `text` with its variables replaced. `unset` gets each name that has neither value nor default."""
    if depth > DEEPEST:
        raise ExpansionError("too many defaults within defaults")
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "{":
            end = _closing(text, dollar + 2)
            parts.append(_value(text[dollar + 2 : end], lookup, unset, depth))
            at = end + 1
        elif match := _NAME.match(text, dollar + 1):
            parts.append(_value(match[0], lookup, unset, depth))
            at = match.end()
        else:
            parts.append("$")
            at = dollar + (2 if following == "$" else 1)
    parts.append(text[at:])
    return "".join(parts)


def _closing(text: str, at: int) -> int:
    depth = 1
    for match in re.compile(r"\$\$|\$\{|\}").finditer(text, at):
        if match[0] != "$$":
            depth += 1 if match[0] == "${" else -1
        if depth == 0:
            return match.start()
    raise ExpansionError("a '${' without its '}'; write $$ for a dollar")


def _value(inner: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> str:
    if (port := _PORT.fullmatch(inner)) and (value := lookup(port[0])) is not None:
        return value
    match = _NAME.match(inner)
    if not match:
        raise ExpansionError(f"'${{{inner}}}' names no variable; write $$ for a dollar")
    name, rest = match[0], inner[match.end() :]
    if _PORT.fullmatch(inner) and rest.startswith("."):
        raise ExpansionError(f"'${{{inner}}}': no component {inner.removesuffix('.PORT')!r} has a PORT")
    operator = next((o for o in _OPERATORS if rest.startswith(o)), "")
    if rest and not operator:
        raise ExpansionError(
            f"'${{{inner}}}' is not a valid expansion; write ${{VAR}}, ${{VAR:-default}}, ${{VAR:?message}}"
        )
    value, word = lookup(name), rest[len(operator) :]
    present = bool(value) if operator.startswith(":") else value is not None
    match operator[-1:]:
        case "+":
            return expand(word, lookup, unset, depth + 1) if present else ""
        case "-" if not present:
            return expand(word, lookup, unset, depth + 1)
        case "?" if not present:
            raise ExpansionError(f"{name} is not set: {expand(word, lookup, unset, depth + 1) or 'it must be'}")
    if value is None:
        unset(name)
    return value or ""


def is_template(text: str) -> bool:
    """Return whether expansion may change the text."""
    return bool(_TEMPLATE.search(text))


def escape(text: str) -> str:
    """Return a template that expands to `text`."""
    return text.replace("$", "$$")
