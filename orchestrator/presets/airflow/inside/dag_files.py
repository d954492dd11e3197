"""The files of a DAG folder and their digests. A worker needs the same files as the first host.

Hidden files are left out, and so are temporary files of editors and compiled Python.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

DIGITS = 16  # of a digest: enough to detect changes, not meant to resist attacks
SHOWN = 8  # files named in one line
_LEFT_ALONE = (".pyc", ".pyo", "~", ".swp", ".tmp")


def digests(folder: str) -> dict[str, str]:
    """Return the digest of each file below a folder, by relative path. It is empty for a file that cannot be read.
    Follow symbolic links, but visit each directory once. Raises OSError if the folder cannot be read."""
    os.listdir(folder)  # raises OSError; os.walk ignores errors
    found: dict[str, str] = {}
    seen: set[str] = set()
    for directory, directories, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        if real in seen:
            directories.clear()
            continue
        seen.add(real)
        directories[:] = sorted(name for name in directories if name[0] != "." and name != "__pycache__")
        for name in sorted(names):
            path = os.path.join(directory, name)
            if name[0] != "." and not name.endswith(_LEFT_ALONE) and os.path.isfile(path):
                found[os.path.relpath(path, folder)] = digest(path)
    return found


def digest(path: str) -> str:
    """Return the digest of a file; empty if it cannot be read."""
    content = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 16), b""):
                content.update(block)
    except OSError:
        return ""
    return content.hexdigest()[:DIGITS]


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for each kind of difference between the files of the first host and of this one."""
    kinds = {
        "DAG files differ from those of the first host": [n for n in there if n in here and there[n] != here[n]],
        "DAG files of the first host are missing here": [name for name in there if name not in here],
        "DAG files are here only": [name for name in here if name not in there],
    }
    return [f"{text}: {listed(sorted(names))}" for text, names in kinds.items() if names]


def listed(names: list[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
