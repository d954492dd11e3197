"""Reserves the last descriptors for inspecting and signaling processes. That must work even if no other file can be
opened; otherwise leftovers of a killed guardian could not be killed.

Fact: open(2) and the like obey only the soft limit, which any process may raise up to the hard one (setrlimit(2)).
"""

from __future__ import annotations

import resource

SET_APART = 8


def set_some_apart() -> int:
    """Raise our soft RLIMIT_NOFILE to the hard one, less the reserved descriptors. Return the previous value, which the
    programs that we start expect (select(2) supports 1024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _set(hard - SET_APART if hard > 2 * SET_APART else hard, hard)
    return soft


class ReservedDescriptors:
    """A context in which newly opened files may use the reserved descriptors. Close them in the same context.

    Not a generator of contextlib: each function that a guardian runs costs private memory.
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
    except (ValueError, OSError):  # macOS reports an infinite hard limit, and rejects it
        pass
