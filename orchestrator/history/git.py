"""Finds what is checked out in a repository, from its files (gitrepository-layout(5), gitformat-index(5)).

No git is run: the supervisor may not block on one. The index has size and modification time of each tracked file; a
file that differs in one of them is hashed as git does it. Untracked files are ignored. An index of
more than `INDEX_MAX` bytes, or of version 4, is not read: then the changed files are not known.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INDEX_MAX = 1_000_000  # about 10,000 files: 30 ms
CHANGED_MAX = 50
FILE_MAX = 1 << 22
_ENTRY = struct.Struct(">10I20sH")
_EXTENDED, _NAME_MASK, _REGULAR = 0x4000, 0xFFF, 0o100000


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree, the directory with its HEAD and index, and the one with its branches."""

    root: Path
    git: Path
    shared: Path


def find(directory: Path) -> Repository | None:
    """Return the repository that a directory is in."""
    for parent in (directory, *directory.parents):
        git = parent / ".git"
        try:
            if git.is_file():  # a linked work tree or a submodule
                git = parent / git.read_text().removeprefix("gitdir:").strip()
            if not (git / "HEAD").is_file():
                continue
            common = git / "commondir"
            return Repository(parent, git, git / common.read_text().strip() if common.is_file() else git)
        except (OSError, ValueError):
            continue
    return None


def commit_of(repository: Repository) -> str:
    """Return the commit that is checked out; empty if no commit exists."""
    try:
        head = (repository.git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head[:64]
        ref = head.removeprefix("ref: ")
        for place in (repository.git, repository.shared):
            if (place / ref).is_file():
                return (place / ref).read_text().strip()[:64]
        packed = (repository.shared / "packed-refs").read_text().splitlines()
    except (OSError, ValueError):
        return ""
    return next((line.split(" ")[0][:64] for line in packed if line.endswith(f" {ref}")), "")


def changed_files(repository: Repository) -> dict[str, str]:
    """Return the tracked files that differ from the index, each with a hash of its content, empty if it is missing."""
    found: dict[str, str] = {}
    try:
        if (repository.git / "index").stat().st_size > INDEX_MAX:
            return found
        data = (repository.git / "index").read_bytes()
        for name, seconds, size, digest in _entries(data):
            path = os.path.join(os.fsencode(repository.root), name)
            if (now := _changed(path, seconds, size, digest)) is not None:
                found[os.fsdecode(name)] = now
            if len(found) >= CHANGED_MAX:
                break
    except (OSError, ValueError, struct.error):
        pass
    return found


def _entries(data: bytes) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Yield name, modification time, size and hash of each regular file in an index of version 2 or 3."""
    signature, version, count = struct.unpack_from(">4sII", data)
    if signature != b"DIRC" or version not in (2, 3):
        return
    at = 12
    for _ in range(count):
        fields = _ENTRY.unpack_from(data, at)
        start = at + _ENTRY.size + (2 if fields[11] & _EXTENDED else 0)
        end = data.index(b"\0", start)
        if fields[6] & 0o170000 == _REGULAR:
            yield data[start:end], fields[2], fields[9], fields[10]
        at += (end - at + 8) & ~7  # padded with 1 to 8 NULs


def _changed(path: bytes, seconds: int, size: int, digest: bytes) -> str | None:
    """Return a hash of the content if it differs from the index; None if it does not."""
    try:
        status = os.stat(path, follow_symlinks=False)
        if (int(status.st_mtime), status.st_size & 0xFFFFFFFF) == (seconds, size) or status.st_size > FILE_MAX:
            return None
        content = Path(os.fsdecode(path)).read_bytes()
    except FileNotFoundError:
        return ""
    except OSError:
        return None
    own = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).digest()
    return None if own == digest else own.hex()[:16]
