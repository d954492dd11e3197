"""The home: the directory whose state the system is, and our directory in it, `<home>/.orchestrate`.

It is private: 0700, owned by us, not a symlink; its files are 0600 from their first byte. This file knows only paths,
not what is written into them.
"""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.model.errors import OrchestrateError

STATE_DIR = ".orchestrate"
ANOTHER = "make it writable, or name another with --home DIR"


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of the home: `started` is an ISO 8601 UTC time, `command` the argv."""

    pid: int
    started: str
    command: tuple[str, ...]


class Home:
    """Knows the paths below one home directory. `bundle` is the archive that its files are from, empty for none."""

    def __init__(self, directory: Path, bundle: str = "") -> None:
        self.bundle = bundle
        self.directory = directory.absolute()
        self.state_dir = self.directory / STATE_DIR
        self.lock_path = self.state_dir / "lock"
        self.locks = self.state_dir / "locks"
        self.logs = self.state_dir / "logs"
        self.history = self.state_dir / "history"
        self.control_path = self.state_dir / "control.sock"
        self.state_path = self.state_dir / "state.json"

    def instance_lock(self, instance: str) -> Path:
        """The path of the lock of the guardian of `instance`."""
        return self.locks / f"{instance}.lock"

    def make(self) -> None:
        """Create missing directories. Raises OrchestrateError if the home cannot be ours."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for directory in (self.state_dir, self.locks):
                self.make_private(directory)
            ignore = self.state_dir / ".gitignore"
            if not ignore.exists():
                write_private(ignore, b"*\n")
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""  # an error of write(2) has no file name
            raise OrchestrateError(
                f"cannot use {self.directory} as home: {error.strerror or error}{where}", ANOTHER
            ) from None

    def make_private(self, directory: Path) -> None:
        """Create one of our directories. Raises OrchestrateError if it is a link or belongs to another user;
        OSError."""
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            pass
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise OrchestrateError(f"cannot use {directory}: it is not a directory", "move it away")
        if status.st_uid != os.geteuid():
            raise OrchestrateError(
                f"cannot use {directory}: it belongs to uid {status.st_uid}",
                "name another home with --home DIR",
            )
        if stat.S_IMODE(status.st_mode) != 0o700:
            directory.chmod(0o700)

    def write_holder(self, command: tuple[str, ...]) -> None:
        """Record this process as the one that holds the home."""
        import datetime  # not needed to find a home

        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        content = json.dumps({"version": 1, **asdict(Holder(os.getpid(), now, command))}, indent=1)
        scratch = self.state_path.with_suffix(".new")
        write_private(scratch, content.encode() + b"\n")
        scratch.rename(self.state_path)

    def read_holder(self) -> Holder | None:
        """Return the record that the last holder wrote; None if it cannot be read."""
        try:
            content = json.loads(self.state_path.read_text(encoding="utf-8"))
            return Holder(int(content["pid"]), str(content["started"]), tuple(map(str, content["command"])))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget_holder(self) -> None:
        """Remove the record, before the lock is dropped."""
        self.state_path.unlink(missing_ok=True)


def running(pid: int) -> Holder | None:
    """Return the kernel's facts about a process (proc(5)); None if it has gone or /proc is missing."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        ticks = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    import datetime

    started = datetime.datetime.fromtimestamp(booted + ticks / os.sysconf("SC_CLK_TCK"), datetime.timezone.utc)
    return Holder(pid, started.isoformat(timespec="seconds"), tuple(os.fsdecode(word) for word in command))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that is 0600 from its first byte; a symlink in its place is refused (ELOOP)."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.fchmod(fd, 0o600)
        while content:
            content = content[os.write(fd, content) :]
    finally:
        os.close(fd)
