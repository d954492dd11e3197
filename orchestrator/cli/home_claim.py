"""Takes the home for this process: refused where another instance has it, late where an earlier one still ends."""

from __future__ import annotations

import errno
import shlex
import signal
import sys
from pathlib import Path

from orchestrator.model.errors import HeldError, OrchestrateError
from orchestrator.runtime.gone import wait_for
from orchestrator.runtime.home import ANOTHER, Home, running
from orchestrator.runtime.lock import Lock, holder
from orchestrator.runtime.loop import Loop

RETRY = 0.1  # seconds between looks at a lock whose holder cannot be waited for


def take(home: Home) -> Lock:
    """Take the instance lock. Raises HeldError, saying who holds it."""
    home.make()
    lock = Lock(home.lock_path)
    try:
        taken = lock.take()
    except OSError as error:
        raise OrchestrateError(f"unable to open {home.lock_path}: {error.strerror}", _advice(error)) from None
    if not taken:
        raise HeldError(*_who_holds(home))
    try:
        home.write_holder((Path(sys.argv[0]).name, *sys.argv[1:]))
    except OSError as error:
        raise OrchestrateError(f"unable to write {home.state_path}: {error.strerror}", _advice(error)) from None
    return lock


def _advice(error: OSError) -> str:
    return "move away what stands there" if error.errno in (errno.EISDIR, errno.ELOOP) else ANOTHER


def _who_holds(home: Home) -> tuple[str, str]:
    pid, record = holder(home.lock_path), home.read_holder()
    if pid is not None and (record is None or record.pid != pid):
        record = running(pid)  # it has just taken the lock, and not written its record yet
    if record is None:
        return f"cannot start: another orchestrate holds {home.directory}", "try again"
    return (
        f"cannot start: another orchestrate holds {home.directory}"
        f" (pid {record.pid}, since {record.started}, command: {shlex.join(record.command)})",
        f"run {_commands(home)}, or `kill {record.pid}`",
    )


def _commands(home: Home) -> str:
    """Return what can be typed here about the system that holds a home."""
    where = "" if home.directory == Path.cwd() else f" --home {shlex.quote(str(home.directory))}"
    verbs = {"attach": "to watch it", "ps": "to list it", "restart": "to restart its components", "down": "to end it"}
    return ", ".join(f"`orchestrate {verb}{where}` {what}" for verb, what in verbs.items())


def wait_for_old_trees(home: Home) -> None:
    """Wait for guardians of a supervisor that was killed: each holds its instance's lock until its tree is empty.

    Signals still have their default action here: there is nothing to clean up yet.
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
    """Let a guardian go on that somebody has stopped (SIGSTOP), or whose component was stopped before its program ran:
    it would never end."""
    from orchestrator.process import tree  # a refusal, which comes first, is quicker without

    tree.send(pid, signal.SIGCONT)
    tree.send_tree(pid, signal.SIGCONT)


def is_free(path: Path) -> bool:
    """Whether nobody holds this lock. Raises OrchestrateError where it cannot be opened."""
    lock = Lock(path)
    try:
        taken = lock.take()
    except OSError as error:  # a symlink, for example
        raise OrchestrateError(f"unable to open {path}: {error.strerror}", "move away what stands there") from None
    if taken:
        lock.release()
    return taken
