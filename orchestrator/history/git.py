"""Finds what is checked out in a repository, from its files (gitrepository-layout(5), gitformat-index(5)).

No git is run: the supervisor may not block on one. The index has size and modification time of each tracked file; a
file that differs in one of them is hashed as git does it. Untracked files are ignored. An index of
more than `INDEX_MAX` bytes, or of version 4, is not read: then the changed files are not known. Of a copied tree every
file differs in its time: of those beyond HASHED_MAX bytes, only such count as changed that have another size.

A repository may come from anywhere: its files name no files outside of it that we would read.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INDEX_MAX = 1_000_000  # about 10,000 files: 30 ms
CHANGED_MAX = 50
FILE_MAX = 1 << 22
HASHED_MAX = 1 << 25  # bytes of all files that are hashed: 0.1 s
_ENTRY = struct.Struct(">10I20sH")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
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
            return _commit(head)
        ref = head.removeprefix("ref: ")
        if not ref.startswith("refs/") or ".." in ref:
            return ""
        for place in (repository.git, repository.shared):
            if (place / ref).is_file():
                return _commit((place / ref).read_text().strip())
        packed = (repository.shared / "packed-refs").read_text().splitlines()
    except (OSError, ValueError):
        return ""
    return next((_commit(line.split(" ")[0]) for line in packed if line.endswith(f" {ref}")), "")


def _commit(text: str) -> str:
    return text if _COMMIT.fullmatch(text) else ""


def changed_files(repository: Repository) -> dict[str, str]:
    """Return the tracked files that differ from the index, each with a hash of its content, empty if it is missing."""
    found: dict[str, str] = {}
    budget = HASHED_MAX
    try:
        if (repository.git / "index").stat().st_size > INDEX_MAX:
            return found
        data = (repository.git / "index").read_bytes()
        for name, seconds, size, digest in _entries(data):
            if name.startswith(b"/") or b".." in name.split(b"/"):
                continue
            path = os.path.join(os.fsencode(repository.root), name)
            if (content := _content(path, seconds, size, budget)) is None:
                continue
            budget -= len(content)
            if (now := _changed(content, digest)) is not None:
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


def _content(path: bytes, seconds: int, size: int, budget: int) -> bytes | None:
    """Return the content of a file that may differ from the index, empty if it is missing or not a file any more; None
    if it does not differ, or cannot be read, or is too large to be compared."""
    try:
        status = os.stat(path, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return b""
        if (int(status.st_mtime), status.st_size & 0xFFFFFFFF) == (seconds, size) or status.st_size > FILE_MAX:
            return None
        if status.st_size == size and size > budget:
            return None
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(FILE_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError:
        return None


def _changed(content: bytes, digest: bytes) -> str | None:
    """Return a hash of the content if it differs from the index, empty for an empty one; None if it does not."""
    own = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).digest()
    if own == digest:
        return None
    return own.hex()[:16] if content else ""
