"""The programs in `inside`, which Airflow's own interpreter runs, as command lines.

They import each other, so all of them are in one directory: `inside`, or, if the package is in a zip file
(orchestrate.pyz), a copy of it in the user's cache. The name of the copy has a digest of its content: each version
has its own, and a running system keeps its programs.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from importlib import resources
from pathlib import Path

from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import Home, write_private


def command(python: str, program: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a program, such as `prepare`. Raises OrchestrateError if its file cannot be
    written."""
    return (python, str(_directory()), program, *arguments)


def run_directory(home: Home) -> Path:
    """Return the directory for pid files of programs. Create it if it is missing."""
    directory = home.state_dir / "run"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


@functools.cache
def _directory() -> Path:
    here = Path(__file__).parent / "inside"
    return here if here.is_dir() else _copy(Path.home() / ".cache" / "orchestrate")


def _copy(cache: Path) -> Path:
    files = {
        entry.name: entry.read_bytes()
        for entry in resources.files(__package__).joinpath("inside").iterdir()
        if entry.name.endswith(".py") and entry.is_file()
    }
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name] + b"\0")
    target = cache / f"airflow-{digest.hexdigest()[:16]}"
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = target.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise OrchestrateError(f"cannot use {target}: it is not a directory of your own", "move it away")
        for name, content in files.items():
            _write(target / name, content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OrchestrateError(f"cannot write {target}: {reason}", "make it writable, or install with pip") from None
    return target


def _write(file: Path, content: bytes) -> None:
    """Write a file atomically: another start may be reading it."""
    if file.is_file() and file.read_bytes() == content:
        return
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    write_private(scratch, content)
    scratch.replace(file)
