"""Which scripts of package.json a pattern means, in concurrently and in npm-run-all. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OMITTED = re.compile(r"\(!([^)]+)\)")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_GLOB = re.compile(r"(?P<kind>[!?*+@])\((?P<words>[^()]*)\)|(?P<stars>\*+)|(?P<one>\?)|(?P<set>\[!?[\w-]+\])")
_MANY = 6  # braces or negations, each of which doubles what is to be looked for


def of_concurrently(pattern: str, scripts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the scripts that match, each with what the first `*` stands for.

    `(!TEXT)` leaves out the scripts in which the regular expression TEXT finds something.
    """
    omitted = _OMITTED.search(pattern)
    before, _, after = _OMITTED.sub("", pattern, count=1).partition("*")
    wanted = re.compile(f"{re.escape(before)}(.*?){re.escape(after)}", re.DOTALL)
    unwanted = _compiled(omitted[1]) if omitted else None
    return [
        (script, match[1])
        for script in scripts
        if (match := wanted.fullmatch(script)) and not (unwanted and unwanted.search(script))
    ]


def _compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):  # valid in JavaScript only
        return re.compile(re.escape(text))


def of_npm_run_all(pattern: str, scripts: Iterable[str]) -> list[str]:
    """Return the scripts that match: minimatch with a colon for the slash. `*` stops at a colon; `**` stands for any
    number of parts, also none; `{a,b}`, `!(a|b)` and their like are known."""
    wanted = [_compiled("".join(map(_part, one.split(":")))) for one in _alternatives(pattern)]
    return [script for script in scripts if any(one.fullmatch(f":{script}") for one in wanted)]


def _alternatives(pattern: str) -> list[str]:
    """Return the patterns that `{a,b}` stands for."""
    found = [pattern]
    for _ in range(min(pattern.count("{"), _MANY)):
        found = [
            one[: match.start()] + word + one[match.end() :] if match else one
            for one in found
            for match in [_BRACES.search(one)]
            for word in (match[1].split(",") if match else [""])
        ]
    return found


def _part(text: str) -> str:
    """Return the regular expression for a colon and what follows it up to the next one."""
    return "(?::[^:]+)*" if text == "**" else f":{_glob(text, _MANY)}"


def _glob(text: str, negations: int) -> str:
    match = _GLOB.search(text)
    if match is None or (match["kind"] == "!" and not negations):
        return re.escape(text)
    rest = _glob(text[match.end() :], negations - (match["kind"] == "!"))
    if match["kind"]:
        words = "|".join(_glob(word, 0) for word in match["words"].split("|"))
        found = {
            "!": f"(?!(?:{words}){rest}(?::|$))(?=[^:])[^:]*?",
            "@": f"(?:{words})",
        }.get(match["kind"], f"(?:{words}){match['kind']}")
    elif match["set"]:
        found = match["set"].replace("[!", "[^", 1)
    else:
        found = "[^:]" if match["one"] else "[^:]*"
    return re.escape(text[: match.start()]) + found + rest
