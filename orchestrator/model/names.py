"""What the names mean that a user gives to options and commands: a name, a pattern like `web*`, or `+TAG`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase


def is_meant(given: Iterable[str], names: Collection[str], tags: Collection[str] = ()) -> bool:
    """Return whether one of the given names, patterns or tags means something that has these names and tags."""
    return any(
        one[1:] in tags if one.startswith("+") else any(name == one or fnmatchcase(name, one) for name in names)
        for one in given
    )


LISTED = 8  # names in one line


def listed(names: Iterable[str]) -> str:
    """Return the names with commas; of more than LISTED the first ones, and how many more there are."""
    every = list(names)
    more = len(every) - LISTED
    return ", ".join([*every[:LISTED], f"… and {more} more"] if more > 0 else every)
