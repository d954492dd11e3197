"""The last descriptors, set apart for looking at processes and signalling them: that has to work also where nothing
else can be opened any more, or what a killed guardian has left could not be ended.

Fact: open(2) and the like heed the soft limit alone, which anybody may raise as far as the hard one (setrlimit(2)).
"""

from __future__ import annotations

import resource

SET_APART = 8


def set_some_apart() -> int:
    """Raise our soft RLIMIT_NOFILE to the hard one, less those that are set apart; return what it was before, which is
    what programs expect that are started below us (select(2) knows 1024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _set(hard - SET_APART if hard > 2 * SET_APART else hard, hard)
    return soft


class ReservedDescriptors:
    """While it is entered, what is opened may take of those that were set apart. It is to be closed within, too.

    No generator of contextlib: what a guardian runs is memory of its own.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        _set(self._before[1], self._before[1])

    def __exit__(self, *_: object) -> None:
        _set(*self._before)


def _set(soft: int, hard: int) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (ValueError, OSError):  # macOS says that the hard limit is infinite, and refuses that
        pass
