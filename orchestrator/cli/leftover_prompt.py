"""Asks what to do with what survived an earlier run whose supervisor and guardians were killed together."""

from __future__ import annotations

import os
import sys

from orchestrator.cli.settings import Surroundings
from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop

GRACE = 10.0  # seconds between TERM and KILL
OPTION = "--end-survivors"


def settle(home: Home, here: Surroundings) -> None:
    """Name what survived, and end it where that is asked for: by the option, or by an answer on the terminal.

    Without either the start goes on beside it, as `docker compose up` does beside orphans. Raises OrchestrateError
    where something was to be ended and could not be.
    """
    if not any(home.locks.glob("*.tree")):
        return
    from orchestrator.process import leftovers  # after a clean end nobody needs it here

    found, empty = leftovers.find(home.locks)
    for path in empty:
        path.unlink(missing_ok=True)
    if not found:
        return
    _say(f"{len(found)} processes of an earlier run are left: it was killed together with its guardians")
    for survivor in found:
        _say(f"  {survivor}")
    if not here.end_survivors and not _asked():
        _say(f"starting beside them; end them with `{OPTION}`, or `kill {' '.join(str(s.pid) for s in found)}`")
        return
    loop = Loop()
    left = leftovers.end(home.locks, GRACE, loop)
    loop.close()
    if left:
        raise OrchestrateError(f"unable to end what is left of an earlier run: {', '.join(map(str, left))}")
    for path in leftovers.find(home.locks)[1]:
        path.unlink(missing_ok=True)
    _say("ended what was left")


def _asked() -> bool:
    """Ask on the terminal; no where there is none, or where we are in its background and would be stopped (SIGTTIN)."""
    try:
        if not sys.stderr.isatty() or os.tcgetpgrp(0) != os.getpgrp():
            return False
    except OSError:
        return False
    sys.stderr.write("orchestrate: end them now? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def _say(text: str) -> None:
    print(f"orchestrate: {text}", file=sys.stderr, flush=True)
