"""The last descriptors, set apart for looking at processes and signalling them: that has to work also where nothing
else can be opened any more, or what a killed guardian has left could not be ended.

Fact: open(2) and the like heed the soft limit alone, which anybody may raise as far as the hard one (setrlimit(2)).
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

SET_APART = 8


def set_some_apart() -> int:
    """Raise our soft RLIMIT_NOFILE to the hard one, less those that are set apart; return what it was before, which is
    what programs expect that are started below us (select(2) knows 1024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says that the hard limit is infinite, and refuses that
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard - SET_APART if hard > 2 * SET_APART else hard, hard))
    return soft


@contextlib.contextmanager
def last_ones() -> Iterator[None]:
    """Let what is opened within take of those that were set apart. It is to be closed within, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        yield
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
