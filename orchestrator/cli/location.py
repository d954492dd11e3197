"""Where the system is: which files define it, and which directory is its home.

Every command asks here, so `up` and the commands in a second terminal agree. An answer depends only on the options, the
shell's PROCFILE and .env files. Definitions are not read for it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import surroundings
from orchestrator.cli.env_files import EnvFiles
from orchestrator.config.environment import Layers
from orchestrator.config.report import Report

TOML, PROCFILE, DOTENV = "orchestrate.toml", "Procfile", ".env"
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Location:
    """`files` are the files that define the system, as the user named them, relative to `base`. `named` is whether an
    option or PROCFILE names them. `pointer` is the .env file in which PROCFILE was found, if it names a file in another
    directory. `directory` is that of the first file, `home` the home without --home."""

    base: Path
    files: tuple[str, ...]
    named: bool
    directory: Path
    home: Path
    pointer: Path | None
    env_files: EnvFiles


def locate(options: argparse.Namespace) -> Location:
    """Return where the system of these options is. The answer is kept in the options: pipes are read only once."""
    if options.location is None:
        options.location = _locate(options)
    found: Location = options.location
    return found


def home_of(options: argparse.Namespace) -> Path:
    """Return the directory whose state the system is."""
    if options.home:
        return Path(options.directory or ".", options.home)
    return locate(options).home


def named_env_files(options: argparse.Namespace, base: Path) -> list[Path]:
    """Return the files that `-e` names."""
    return [base / name for text in options.env or () for name in text.split(",") if name]


def directory_of(base: Path, file: str) -> Path:
    """Return the directory that relative paths in a definition start from: for standard input and pipes, such as
    `-f <(command)`, the current one."""
    path = base / file
    if file == STDIN or (path.exists() and not path.is_file()):
        return base.absolute()
    return path.absolute().parent


def _locate(options: argparse.Namespace) -> Location:
    base = Path(options.directory or ".")
    env_files, pointer = EnvFiles(), None
    if options.file:
        files, named = tuple(options.file), True
    else:
        file, pointer = _procfile_variable(options, base, env_files)
        named = bool(file)
        files = (file,) if file else tuple(name for name in (TOML, PROCFILE) if (base / name).exists())[:1]
    directory = directory_of(base, files[0]) if files else base.absolute()
    if directory == base.absolute():
        pointer = None
    return Location(base, files, named, directory, directory, pointer, env_files)


def _procfile_variable(options: argparse.Namespace, base: Path, env_files: EnvFiles) -> tuple[str, Path | None]:
    """Return the value of PROCFILE, as honcho has it, and the default .env file if it comes from there.

    The default .env counts if it is a regular file: to open a pipe only in order to find the home could block `ps`.
    """
    layers = Layers({"PROCFILE": value} if (value := surroundings.variable("PROCFILE")) else {}, options.env_override)
    default = base / DOTENV
    paths = [default] if options.env is None and default.is_file() else []
    for path in (*named_env_files(options, base), *paths):
        layers = env_files.add(layers, str(path), "", Report())  # faults are reported when it is read for good
    variable = layers.flat().get("PROCFILE")
    if variable is None:
        return "", None
    return variable.value, default if paths and "PROCFILE" in layers.files else None
