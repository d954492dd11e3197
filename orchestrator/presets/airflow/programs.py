"""The programs of this package that Airflow's own interpreter runs, as files.

They import each other, so all of them are in one directory: that of this package, or, if the package is in a zip file
(orchestrate.pyz), a copy in the user's cache. The name of the copy has a digest of its content, so that versions do not
disturb each other and a running system keeps its programs.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from importlib import resources
from pathlib import Path

from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import write_private


def path(name: str) -> str:
    """Return the path of a program, such as `helper.py`. Raises OrchestrateError if it cannot be written."""
    return str(_directory() / name)


@functools.cache
def _directory() -> Path:
    here = Path(__file__).parent
    return here if here.is_dir() else _copy(Path.home() / ".cache" / "orchestrate")


def _copy(cache: Path) -> Path:
    files = {
        entry.name: entry.read_bytes()
        for entry in resources.files(__package__).iterdir()
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
    """Write a file whole or not at all: another start may read it at this moment."""
    if file.is_file() and file.read_bytes() == content:
        return
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    write_private(scratch, content)
    scratch.replace(file)
