"""Locks the home for this process. Fails if another start holds it; waits while an earlier one is still exiting.

It also asks what to do with leftovers of an earlier start whose supervisor and guardians were killed together.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
from pathlib import Path

from orchestrator.cli import settings
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import HeldError, OrchestrateError
from orchestrator.process.tree import wait_for
from orchestrator.runtime.home import ANOTHER, Home, running
from orchestrator.runtime.lock import Lock, holder
from orchestrator.runtime.loop import Loop

RETRY = 0.1  # seconds between checks of a lock whose holder cannot be waited for


def take(home: Home) -> Lock:
    """Take the instance lock. Raises HeldError, which names the holder."""
    if not os.path.lexists(home.lock_path):
        _check_removed(home)
    home.make()
    lock = Lock(home.lock_path)
    try:
        taken = lock.take()
    except OSError as error:
        raise OrchestrateError(f"cannot open {home.lock_path}: {error.strerror}", _advice(error)) from None
    if not taken:
        _check_removed(home)
        raise HeldError(*_who_holds(home))
    try:
        home.write_holder((Path(sys.argv[0]).name, *sys.argv[1:]))
    except OSError as error:
        raise OrchestrateError(f"cannot write {home.state_path}: {error.strerror}", _advice(error)) from None
    return lock


def _check_removed(home: Home) -> None:
    """Raise HeldError if the socket of a running supervisor was removed, perhaps together with its lock file."""
    entries = settings.system_list().running()
    if not any(os.path.realpath(entry.home) == os.path.realpath(home.directory) for entry in entries):
        return
    from orchestrator.cli import system_lookup  # imports a client, which no other start needs

    if pid := system_lookup.unreachable_pid(home):
        raise HeldError(
            f"cannot start: another orchestrate holds {home.directory} (pid {pid}), whose control socket was removed",
            f"run `orchestrate down` or `kill {pid}` to stop it",
        )


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free space there, or name another home with --home DIR"
    return "move the file at that path away" if error.errno in (errno.EISDIR, errno.ELOOP) else ANOTHER


def _who_holds(home: Home) -> tuple[str, str]:
    pid, record = holder(home.lock_path), home.read_holder()
    if pid is not None and (record is None or record.pid != pid):
        record = running(pid)  # it has just taken the lock and has not written its record yet
    if record is None:
        return f"cannot start: another orchestrate holds {home.directory}", "try again"
    return (
        f"cannot start: another orchestrate holds {home.directory}"
        f" (pid {record.pid}, since {record.started}, command: {shlex.join(record.command)})",
        f"run {_commands(home)}, or `kill {record.pid}`",
    )


def _commands(home: Home) -> str:
    """Return the commands that can be typed here for the system that holds a home."""
    where = "" if home.directory == Path.cwd() else f" --home {shlex.quote(str(home.directory))}"
    verbs = {"attach": "to watch it", "ps": "to list it", "restart": "to restart its components", "down": "to stop it"}
    return ", ".join(f"`orchestrate {verb}{where}` {what}" for verb, what in verbs.items())


def wait_for_old_trees(home: Home) -> None:
    """Wait for guardians of a supervisor that was killed: each holds its instance's lock until its tree is empty.

    Signals still have their default action here: nothing must be cleaned up yet.
    """
    held = [path for path in sorted(home.locks.glob("*.lock")) if not is_free(path)]
    if not held:
        return
    who = ", ".join(f"{path.stem} (guardian {holder(path) or '?'})" for path in held)
    print(
        f"orchestrate: waiting for what an earlier run left and is still ending: {who}",
        file=sys.stderr,
        flush=True,
    )
    loop = Loop()
    for path in held:
        if pid := holder(path):
            _wake(pid)
        while not is_free(path):
            wait_for(holder(path), loop, RETRY)
    loop.close()


def _wake(pid: int) -> None:
    """Continue a guardian that was suspended (SIGSTOP), or whose component was suspended before its program ran: it
    would never exit."""
    from orchestrator.process import tree  # imported here, so that a refusal, which comes first, is quicker

    tree.send(pid, signal.SIGCONT)
    tree.send_tree(pid, signal.SIGCONT)


def is_free(path: Path) -> bool:
    """Return whether a lock is free. Raises OrchestrateError if it cannot be opened."""
    lock = Lock(path)
    try:
        taken = lock.take()
    except OSError as error:  # a symlink, for example
        raise OrchestrateError(f"cannot open {path}: {error.strerror}", "move the file at that path away") from None
    if taken:
        lock.release()
    return taken


GRACE = 10.0  # seconds between TERM and KILL
OPTION = "--end-survivors"


def settle(home: Home, here: CommandSettings) -> None:
    """List leftovers of an earlier start. Kill them if the option or an answer on the terminal says so.

    Without either the start continues beside them, as `docker compose up` does beside orphans. Raises OrchestrateError
    if processes that should be killed could not be.
    """
    if not any(home.locks.glob("*.tree")):
        return
    from orchestrator.process import leftovers  # not needed after a clean exit

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
        raise OrchestrateError(f"cannot end what is left of an earlier run: {', '.join(map(str, left))}")
    for path in leftovers.find(home.locks)[1]:
        path.unlink(missing_ok=True)
    _say("ended what was left")


def _asked() -> bool:
    """Ask on the terminal. Return False without one, or in the background, where reading would stop us (SIGTTIN)."""
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
