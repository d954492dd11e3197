"""Finds the system: the files that define it, and its home directory.

Every command uses this file, so `up` and the commands in another terminal agree. The location depends only on the
options, the shell's PROCFILE and .env files. Definitions are not read for it.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.cli import settings
from orchestrator.cli.env_files import EnvFiles
from orchestrator.cli.options import LocationOptions
from orchestrator.config.diagnostics import Report
from orchestrator.model.errors import UsageError
from orchestrator.model.masked import plain
from orchestrator.model.names import name_fault

TOML, PROCFILE, DOTENV = "orchestrate.toml", "Procfile", ".env"
STDIN = "-"


@dataclass(frozen=True, slots=True)
class File:
    """A file that defines components. `path` is relative to the base, as the user named it. `prefix` comes before each
    of their names, with a dot, unless it is empty."""

    path: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Location:
    """`base` is the directory of -C. `files` are the files that define the system. `origin` says what names them if
    that is not an option. `directory` is the base of relative paths in the first file, and has its .env file. `home` is
    the home without --home. `pointer` is the .env file in which PROCFILE was found, if that names a file in another
    directory. `is_inherited` is whether the definition was found in a parent directory. `foreign` holds definitions in
    parent directories that were not used because another user owns them. `root` is the directory of --root."""

    base: Path
    files: tuple[File, ...]
    origin: str
    directory: Path
    env_files: EnvFiles
    pointer: Path | None = None
    is_inherited: bool = False
    foreign: tuple[Path, ...] = ()
    root: Path | None = None

    @property
    def home(self) -> Path:
        """Return the home without --home."""
        return self.directory

    def directory_of(self, file: File) -> Path:
        """Return the directory at which relative paths in a file start."""
        return self.root or directory_of(self.base, file.path)


def locate(options: LocationOptions) -> Location:
    """Return the location of the system of these options. It is cached, because pipes can be read only once."""
    return _locate(replace(options, home=None, preset="", bundle=""))  # these do not affect it


def home_of(options: LocationOptions) -> Path:
    """Return the home of the system."""
    if options.home:
        return Path(options.directory or ".", options.home)
    return locate(options).home


def named_env_files(options: LocationOptions, base: Path) -> list[tuple[Path, bool]]:
    """Return the files that `-e` names, each with whether it is required: `?FILE` may be missing."""
    names = [name for text in options.env for name in text.split(",") if name.removeprefix("?")]
    return [(base / os.path.expanduser(name.removeprefix("?")), not name.startswith("?")) for name in names]


def directory_of(base: Path, file: str) -> Path:
    """Return the directory that relative paths in a definition start from: for standard input and pipes, such as
    `-f <(command)`, the current one."""
    path = base / file
    if file == STDIN or (path.exists() and not path.is_file()):
        return base.absolute()
    return path.absolute().parent


@functools.cache
def _locate(options: LocationOptions) -> Location:
    base = Path(options.directory or ".")
    _check_directory(base, "change to")
    env_files = EnvFiles()
    root = base / options.root if options.root else None
    if root is not None:
        _check_directory(root, "use --root")
        root = Path(os.path.abspath(root))
    if options.file:
        files = tuple(_with_prefix(base, file) for file in options.file)
        first = base.absolute() if files[0].prefix else directory_of(base, files[0].path)
        return Location(base, files, "", root or first, env_files, root=root)
    path, origin, pointer = _procfile_variable(options, base, env_files)
    if path:
        directory = root or directory_of(base, path)
        if directory == base.absolute():
            pointer = None
        return Location(base, (File(path),), origin, directory, env_files, pointer, root=root)
    if name := _definition_in(base):
        return Location(base, (File(name),), "", root or base.absolute(), env_files, root=root)
    return _in_parents(base, env_files, root)


def _check_directory(path: Path, verb: str) -> None:
    if not path.is_dir():
        reason = "it is not a directory" if path.exists() else "no such directory"
        raise UsageError(f"cannot {verb} {path}: {reason}")


def _with_prefix(base: Path, text: str) -> File:
    """Read `FILE` or `NAME=FILE`. A file that exists and whose name contains `=` is read as FILE."""
    prefix, sign, path = text.partition("=")
    if not sign or not path or (base / text).exists():
        return File(text)
    fault = name_fault(prefix)
    if not fault:
        return File(path, prefix)
    if (base / path).is_file():
        raise UsageError(f"invalid name {prefix!r}: {fault}", f"write `-f NAME={path}`")
    return File(text)


def _definition_in(directory: Path) -> str:
    return next((name for name in (TOML, PROCFILE) if (directory / name).exists()), "")


def _in_parents(base: Path, env_files: EnvFiles, root: Path | None) -> Location:
    """Look for the definition in the parent directories, as git does.

    A definition that another user owns is not used: in /tmp, any user could put one.
    """
    here, foreign = Path(os.path.abspath(base)), []
    for directory in here.parents:
        if name := _definition_in(directory):
            path = directory / name
            if path.stat().st_uid in (os.geteuid(), 0):
                files = (File(str(path)),)
                return Location(base, files, "", root or directory, env_files, is_inherited=True, root=root)
            foreign.append(path)
    return Location(base, (), "", root or here, env_files, foreign=tuple(foreign), root=root)


def _procfile_variable(options: LocationOptions, base: Path, env_files: EnvFiles) -> tuple[str, str, Path | None]:
    """Return the value of PROCFILE, as honcho has it, its origin in words, and the default .env if it came from there.

    The default .env counts if it is a regular file: opening a pipe only to find the home could block `ps`.
    """
    value = settings.variable("PROCFILE")
    default = base / DOTENV
    paths = [default] if not options.env and default.is_file() else []
    named = [path for path, _ in named_env_files(options, base)]
    if not (value or named or paths):
        return "", "", None
    from orchestrator.config.environment import FROM_SHELL, Layers  # 4 ms, which most commands save

    layers = Layers({"PROCFILE": value} if value else {}, options.env_override)
    for path in (*named, *paths):
        layers = env_files.add(layers, str(path), "", Report())  # faults are reported when it is read for good
    variable = layers.flat().get("PROCFILE")
    if variable is None:
        return "", "", None
    from_file = variable.origin != FROM_SHELL
    origin = f"PROCFILE in {variable.origin if from_file else 'the environment'}"
    return plain(variable.value), origin, default if paths and from_file else None
