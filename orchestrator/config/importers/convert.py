"""Conversions that several importers share: durations, variables, commands, names. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

from orchestrator.config.importers.draft import Draft, usable_name
from orchestrator.config.interpolation import escape
from orchestrator.config.schema.fields import DAY
from orchestrator.config.units import parse_duration, parse_size
from orchestrator.model import errors

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SHELL = re.compile(r"[|&;<>()`\n*?\[\]{}~!#]|^\w+=")
_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def text_of(value: Any) -> str:
    """Return a scalar as the text that other tools derive from it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return "" if value is None else str(value)


def flag(value: Any) -> bool | None:
    """Return a value that other tools read as a boolean, also in the words of YAML 1.1; None if it is not one."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return True if word in ("y", "yes", "on", "true") else False if word in ("n", "no", "off", "false") else None


def duration(value: Any) -> float | int | str | None:
    """Return a duration of Go or of compose (`1m30s`, `500ms`, seconds) as ours, at most a day; None if it is
    invalid."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return min(max(value, 0), int(DAY))
    if not isinstance(value, str):
        return None
    if (ours := parse_duration(value)) is not None:
        return value if ours <= DAY else int(DAY)
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)", value)
    if not parts or "".join(a + b for a, b in parts) != value:
        return int(value) if value.isascii() and value.isdecimal() else None
    return min(round(sum(float(number) * _GO_UNITS[unit] for number, unit in parts), 6), DAY)


def positive(value: Any) -> float | int | str | None:
    """Return a duration other than 0, for intervals and timeouts; None if it is invalid."""
    found = duration(value)
    seconds = parse_duration(found) if isinstance(found, str) else found
    return found if seconds is not None and seconds >= 0.01 else None


def signal_name(value: Any) -> str | None:
    """Return a stop signal by its name or number, without SIG; None if it is unknown."""
    number = errors.signal_number(text_of(value))
    if number is None:
        return None
    word = text_of(value).upper().removeprefix("SIG")
    if word.isdecimal():
        import signal

        try:
            word = signal.Signals(number).name.removeprefix("SIG")
        except ValueError:
            pass
    return word


def is_shell(command: str) -> bool:
    """Return whether a shell would find more in a command line than words, quotes and variables."""
    return _SHELL.search(command) is not None


def words_of(command: str) -> list[str] | None:
    """Return the words of a command line that no shell reads; None if a quote has no end."""
    try:
        return shlex.split(command)
    except ValueError:
        return None


def without_shell(command: str) -> str | list[str] | None:
    """Return a command line that another tool runs without a shell: unchanged if a shell runs the same program."""
    words = words_of(command)
    if not words:
        return None
    return words if is_shell(command) else command


def variables(value: Any, draft: Draft, line: Any, key: str, *, expands: bool) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a map, or a list of NAME=VALUE, and the names that are to be unset.

    `line` returns the line of an element. A name without a value keeps that of the shell. Unless `expands`, a dollar is
    literal.
    """
    found: dict[str, str] = {}
    unset: list[str] = []
    items: Iterable[tuple[Any, str, Any]]
    if isinstance(value, dict):
        items = ((name, str(name), element) for name, element in value.items())
    elif isinstance(value, list):
        texts = [(index, text_of(element).partition("=")) for index, element in enumerate(value)]
        items = ((index, name, text if sign else None) for index, (name, sign, text) in texts)
    else:
        if value is not None:
            draft.lose(line(), key, "neither a map nor a list of NAME=VALUE")
        return found, unset
    for place, name, element in items:
        if not VARIABLE.fullmatch(name):
            draft.lose(line(place), f"{key}.{name}", "not the name of a variable")
        elif isinstance(element, dict | list):
            draft.lose(line(place), f"{key}.{name}", "not a string")
        elif element is None:
            unset.append(name)
        else:
            text = text_of(element).replace("\0", "")
            found[name] = forms(text) if expands else escape(text)
    return found, unset


_FORM = re.compile(r"\$\$|\$\{[A-Za-z_]\w*(?::?[-?+][^{}]*)?\}|\$[A-Za-z_]\w*", re.ASCII)


def forms(text: str) -> str:
    """Return a template of ours for a text with `$VAR`, `${VAR}`, `${VAR:-default}` and `$$`; other dollars stay."""
    parts, at = [], 0
    for match in _FORM.finditer(text):
        parts += [escape(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join(parts) + escape(text[at:])


def for_shell(text: str) -> str:
    """Return a command for `sh -c` from one in which another tool reads `$$` as a dollar."""
    return text.replace("$$", "$")


def names(wanted: Iterable[Any]) -> dict[str, str]:
    """Return a usable name for each name of the source."""
    found: dict[str, str] = {}
    for name in wanted:
        found[str(name)] = usable_name(str(name), found.values())
    return found


def count(value: Any, most: int = 1000) -> int | None:
    """Return a number of instances, retries or the like from 0 to `most`; None if it is invalid."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def exits_of(restarts: int) -> int:
    """Return the value of `restart.max`, which counts exits, for a number of restarts."""
    return min(restarts + 1, 1000000)


def size(value: Any) -> int | str | None:
    """Return a size such as `512m`, or a number of bytes, if it is one of ours too; else None."""
    if isinstance(value, str):
        return value if parse_size(value) is not None else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
