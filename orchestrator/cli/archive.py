"""Archives of bundles: .zip, .tar.gz and .tar.zst, as a mapping of names to contents. Bounded when they are read.

Only this file imports zstandard (the extra `zstd`); Python 3.14 and later have compression.zstd.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType

from orchestrator.model.errors import OrchestrateError, UsageError

ENDINGS = (".zip", ".tar.gz", ".tgz", ".tar.zst")
SIZE_MAX = 1 << 30  # bytes of all contents


def ending_of(path: Path) -> str:
    """Return the suffix that determines the format. Raises UsageError."""
    found = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    if not found:
        raise UsageError(f"invalid FILE '{path}': expected a name that ends in {', '.join(ENDINGS)}")
    return found


def write(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write a new archive that only its owner can read. Raises OrchestrateError."""
    ending = ending_of(path)
    buffer = io.BytesIO()
    if ending == ".zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=buffer, mode="w:" if ending == ".tar.zst" else "w:gz") as tar:
            for name, data in contents.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o600
                tar.addfile(member, io.BytesIO(data))
    data = buffer.getvalue()
    if ending == ".tar.zst":
        data = _zstd_module().compress(data)
    is_ours = False
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        is_ours = True
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    except OSError as error:
        if is_ours:
            path.unlink(missing_ok=True)  # a partial archive is useless
        raise OrchestrateError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def read(path: Path) -> dict[str, bytes]:
    """Return the contents of an archive, without names that leave its directory. Raises OrchestrateError."""
    ending = ending_of(path)
    try:
        data = path.read_bytes()
        if ending == ".tar.zst":
            data = _decompressed(data)
        return _unzipped(data) if ending == ".zip" else _untarred(data)
    except OSError as error:
        raise OrchestrateError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(":").lower()
        raise OrchestrateError(f"cannot read {path}: it is damaged: {reason}") from None


def _unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [member for member in archive.infolist() if _is_safe(member.filename) and not member.is_dir()]
        _check_size(sum(member.file_size for member in members))
        return {member.filename: archive.read(member) for member in members}


def _untarred(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    total = 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            total += member.size
            _check_size(total)
            file = tar.extractfile(member) if member.isreg() and _is_safe(member.name) else None
            if file is not None:
                found[member.name] = file.read()
    return found


def _check_size(size: int) -> None:
    if size > SIZE_MAX:
        raise ValueError(f"it has more than {SIZE_MAX // 1_000_000} MB")


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name and bool(path.parts)


def _decompressed(data: bytes) -> bytes:
    module = _zstd_module()
    if hasattr(module, "ZstdDecompressor") and module.__name__ == "zstandard":
        try:
            decompressed: bytes = module.ZstdDecompressor().decompress(data, max_output_size=SIZE_MAX)
        except module.ZstdError as error:
            raise ValueError(error) from None
        return decompressed
    try:
        return bytes(module.decompress(data))
    except module.ZstdError as error:
        raise ValueError(error) from None


def _zstd_module() -> ModuleType:
    for name in ("compression.zstd", "zstandard"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise OrchestrateError(
        "cannot use zstd: zstandard is not installed", "run `pip install 'orchestrate[zstd]'`, or use .zip or .tar.gz"
    )
