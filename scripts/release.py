"""Builds wheel, sdist and orchestrate.pyz reproducibly: `release.py DIR`. Run by scripts/build, in its environment."""

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = {"python_version": "3.10", "python_full_version": "3.10.0", "extra": ""}
OLDEST = 315532800  # 1980, the first time that a zip file can have
MAIN = """\
import sys

if sys.version_info < (3, 10):
    sys.exit("orchestrate: cannot run: Python 3.10 or later is needed, this is %d.%d" % sys.version_info[:2])

from orchestrator.__main__ import main

main()
"""


def main() -> None:
    """Build everything into one directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    target = parser.parse_args().directory
    target.mkdir(parents=True, exist_ok=True)
    epoch = source_date()
    with tempfile.TemporaryDirectory(prefix="orchestrate-build-") as name:
        source, built = Path(name) / "source", Path(name) / "built"
        copy_sources(source)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC"}
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
        run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if run.returncode:
            sys.exit(f"build: cannot build the wheel:\n{run.stdout.decode(errors='replace')}")
        files = [repacked(path, target, epoch) for path in sorted(built.iterdir())]
        files.append(pyz(source, target / "orchestrate.pyz", epoch))
    wheels = [str(path) for path in files if path.suffix != ".pyz"]
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *wheels], check=True, stdout=subprocess.DEVNULL)
    for path in files:
        print(path)


def source_date() -> int:
    """Return the time of the last commit, in seconds; SOURCE_DATE_EPOCH overrides it."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return max(int(os.environ["SOURCE_DATE_EPOCH"]), OLDEST)
    text = git("log", "-1", "--format=%ct")
    return max(int(text), OLDEST) if text.strip() else OLDEST


def git(*words: str) -> str:
    """Return what git prints; nothing if this is not a checkout."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def copy_sources(target: Path) -> None:
    """Copy what a package is built from: nothing that git ignores, no caches."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    names = [name for name in listed if name and (ROOT / name).is_file()]
    if not names:
        paths = [*ROOT.glob("*.*"), ROOT / "LICENSE", *(ROOT / "orchestrator").rglob("*")]
        names = [str(path.relative_to(ROOT)) for path in paths if path.is_file() and path.suffix != ".pyc"]
    for name in names:
        if name.startswith("orchestrator/") or "/" not in name:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def repacked(path: Path, target: Path, epoch: int) -> Path:
    """Write an archive anew with sorted names, one time, one owner and plain modes; return it."""
    result = target / path.name
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            write_zip(result, {info.filename: archive.read(info) for info in archive.infolist()}, epoch)
        return result
    raw = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            found = tarfile.TarInfo(member.name)
            found.type, found.size, found.mtime = member.type, member.size, epoch
            found.mode = 0o755 if member.isdir() else 0o644
            new.addfile(found, old.extractfile(member) if member.isfile() else None)
    with open(result, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as packed:
        packed.write(raw.getvalue())
    return result


def write_zip(path: Path, files: dict[str, bytes], epoch: int, head: bytes = b"") -> None:
    """Write a zip file, after `head`. The record of a wheel comes last, as the standard wishes."""
    with open(path, "wb") as file:
        file.write(head)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files, key=lambda name: (".dist-info/" in name, name.endswith("/RECORD"), name)):
                info = zipfile.ZipInfo(name, time.gmtime(epoch)[:6])
                info.external_attr = 0o100644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, files[name])


def pyz(source: Path, path: Path, epoch: int) -> Path:
    """Write the single file: the package, its dependencies with their licenses, and a main program."""
    files = {"__main__.py": MAIN.encode()}
    for file in sorted((source / "orchestrator").rglob("*")):
        if file.is_file() and file.suffix not in (".svg", ".pyc"):  # setup.py has imported some of them
            files[str(file.relative_to(source))] = file.read_bytes()
    with tempfile.TemporaryDirectory(prefix="orchestrate-build-") as name:
        files |= dependencies(Path(name))
    write_zip(path, files, epoch, b"#!/usr/bin/env python3\n")
    path.chmod(0o755)
    return path


def dependencies(directory: Path) -> dict[str, bytes]:
    """Install what orchestrate depends on, as wheels for any Python from 3.10 on, and return the files by name."""
    wanted = directory / "wanted.txt"
    wanted.write_text(pins((ROOT / "scripts" / "locks" / "test.txt").read_text()))
    target = directory / "files"
    options = (
        "--quiet --no-input --disable-pip-version-check --no-deps --no-compile --require-hashes --only-binary :all:"
    )
    any_python = "--python-version 3.10 --implementation py --abi none --platform any"
    command = [sys.executable, "-m", "pip", "install", *options.split(), *any_python.split()]
    run = subprocess.run([*command, "--target", str(target), "-r", str(wanted)], check=False)
    if run.returncode:
        sys.exit("build: cannot install what goes into orchestrate.pyz: see above")
    return {
        str(file.relative_to(target)): file.read_bytes()
        for file in sorted(target.rglob("*"))
        if file.is_file() and "bin" not in file.relative_to(target).parts[:1] and file.name not in _LOCAL
    }


_LOCAL = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # of this installation, not of the package


def needed(name: str) -> set[str]:
    """Return all that an installed package depends on, also indirectly, on Python 3.10."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        try:
            texts = metadata.requires(waiting.pop()) or ()
        except metadata.PackageNotFoundError:  # only for Python 3.10, and this is a later one
            continue
        for requirement in map(Requirement, texts):
            one = canonicalize_name(requirement.name)
            if one not in found and (requirement.marker is None or requirement.marker.evaluate(OLDEST_PYTHON)):
                found.add(one)
                waiting.append(one)
    return found


def pins(lock: str) -> str:
    """Return the requirements of a lock file that orchestrate has on Python 3.10, with their hashes."""
    wanted, found = needed("orchestrate"), []
    for block in lock.replace("\\\n", " ").splitlines():
        requirement, *hashes = block.split(" --hash=")
        if not requirement.strip() or requirement.startswith("#"):
            continue
        parsed = Requirement(requirement.strip())
        if canonicalize_name(parsed.name) in wanted and (
            parsed.marker is None or parsed.marker.evaluate(OLDEST_PYTHON)
        ):
            found.append(" ".join([f"{parsed.name}{parsed.specifier}", *(f"--hash={text.strip()}" for text in hashes)]))
    return "\n".join(found) + "\n"


if __name__ == "__main__":
    main()
