"""Names of components: which are valid, and how names in options and commands are matched: a name, a pattern like
`web*`, or `+TAG`. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

NAME_PATTERN = re.compile(r"\w[\w.-]*")
NAME_MAX = 64  # bytes: a name is also a file name, and a label in the prefix of every line


def is_meant(given: Iterable[str], names: Collection[str], tags: Collection[str] = ()) -> bool:
    """Return whether one of the given names, patterns or tags matches something with these names and tags."""
    return any(
        one[1:] in tags if one.startswith("+") else any(name == one or fnmatchcase(name, one) for name in names)
        for one in given
    )


LISTED = 8  # names in one line


def listed(names: Iterable[str]) -> str:
    """Return the names with commas; if there are more than LISTED, the first ones and the number of the rest."""
    every = list(names)
    more = len(every) - LISTED
    return ", ".join([*every[:LISTED], f"… and {more} more"] if more > 0 else every)


def composed(name: str) -> str:
    """Return a name in composed Unicode (NFC): macOS and some editors write `é` as two characters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def name_fault(name: str) -> str:
    """Say in a few words what is wrong with a component's name; empty if it is valid."""
    if not NAME_PATTERN.fullmatch(name):
        return "a name starts with a letter, digit or underscore and continues with those, dots and hyphens"
    if len(name.encode()) > NAME_MAX:
        return f"a name has at most {NAME_MAX} bytes"
    if re.search(r"\.\d+$", name):
        return "a name does not end in a dot and digits, as instances do"
    if name == "orchestrate":
        return "it names the messages of orchestrate itself"
    return ""
