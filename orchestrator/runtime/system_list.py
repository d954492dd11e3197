"""The system list: the homes on which this user's systems run, one small file each in the user's runtime directory.

An entry is a hint, never a fact: it counts only while the recorded process lives and the lock on its home is held,
even if the files in the home were removed.
If the list cannot be written, only commands that look up a system are affected.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.runtime.home import Home, running, write_private
from orchestrator.runtime.lock import Lock, has_open, holder

VERSION = 1
NAME = "orchestrate"


@dataclass(frozen=True, slots=True)
class SystemListEntry:
    """A system: its home, its title, the AIRFLOW_HOME of its preset (empty for none), its supervisor and the start time
    of that (ISO 8601, UTC)."""

    home: str
    title: str
    pid: int
    started: str
    airflow_home: str = ""


def candidates(runtime_directory: str | None, uid: int) -> tuple[Path, ...]:
    """Return the directories that may hold the list, the preferred one first.

    `runtime_directory` is XDG_RUNTIME_DIR. The service manager removes it when the user's last session ends, but a
    detached system survives that, and a session begun by su(1) has none: so /tmp holds the list too.
    """
    private = Path(f"/tmp/{NAME}-{uid}")
    if runtime_directory and os.path.isabs(runtime_directory):
        return Path(runtime_directory, NAME), private
    return (private,)


class SystemList:
    """Reads the list in these directories; writes and removes the entry of one system."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories
        self._written: list[Path] = []

    def add(self, entry: SystemListEntry) -> None:
        """Record a system whose lock this process holds. Faults are ignored."""
        content = json.dumps({"version": VERSION, **asdict(entry)}, indent=1).encode() + b"\n"
        for directory in self._directories:
            with contextlib.suppress(OSError):
                directory.mkdir(mode=0o700, exist_ok=True)
                if _is_ours(directory):
                    path = directory / _file_name(entry.home)
                    scratch = path.with_suffix(f".{os.getpid()}.new")
                    write_private(scratch, content)
                    scratch.rename(path)
                    self._written.append(path)

    def remove(self) -> None:
        """Remove the entry that `add` wrote, before the lock is released."""
        for path in self._written:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._written.clear()

    def running(self) -> list[SystemListEntry]:
        """Return the running systems, the oldest first. Remove stale entries."""
        found: dict[str, SystemListEntry] = {}
        for directory in self._directories:
            with contextlib.suppress(OSError):
                if not _is_ours(directory):
                    continue
                for path in directory.glob("*.json"):
                    entry = _read(path)
                    if entry is not None and is_running(entry):
                        found[entry.home] = entry
                    else:
                        path.unlink(missing_ok=True)
        return sorted(found.values(), key=lambda entry: (entry.started, entry.home))


def is_running(entry: SystemListEntry) -> bool:
    """Whether the recorded process still lives and holds the lock on its home."""
    now = running(entry.pid)
    if os.path.exists("/proc/self/stat") and now is None:
        return False
    lock = Home(Path(entry.home)).lock_path
    return is_held(lock, entry.pid) or has_open(lock, entry.pid)


def is_held(path: Path, pid: int) -> bool:
    """Whether process `pid` holds this lock; if the kernel does not show that, whether any process does.

    /proc/locks is asked first: taking the lock for a moment would make a start at that moment fail. Some file systems
    (btrfs) number their devices differently there.
    """
    if found := holder(path):
        return found == pid
    try:
        lock = Lock(path)
        if not path.is_file() or not lock.take():
            return path.is_file()
    except OSError:
        return False
    lock.release()
    return False


def _file_name(home: str) -> str:
    status = os.stat(home)  # the same for every path to it
    return f"{status.st_dev:x}-{status.st_ino:x}.json"


def _is_ours(directory: Path) -> bool:
    """Whether this is a private directory of this user and not a link: in /tmp any user may have made it."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return private and not stat.S_IMODE(status.st_mode) & 0o077


def _read(path: Path) -> SystemListEntry | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8") as file:
            fields = json.loads(file.read(1 << 16))
        if fields["version"] != VERSION or not os.path.isabs(fields["home"]):
            return None
        texts = (str(fields[name]) for name in ("started", "airflow_home"))
        return SystemListEntry(str(fields["home"]), str(fields["title"]), int(fields["pid"]), *texts)
    except (OSError, ValueError, KeyError, TypeError):
        return None
