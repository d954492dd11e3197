"""Finds an installed Airflow: its command, and the interpreter that runs it. Nothing is executed.

The interpreter is read from the first lines of the command. pip and uv write `#!PYTHON`, or a shell line that executes
PYTHON if that path is too long or contains blanks. A shim of pyenv or asdf names no interpreter; the `python` beside it
is a shim of the same environment.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.errors import OrchestrateError

_HOW_TO_INSTALL = (
    "install one in a separate environment (python3 -m venv v && v/bin/pip install apache-airflow)"
    " and name it: --airflow v/bin/airflow"
)
_DIRECT = re.compile(rb"#!\s*(/[^\n]*python[^\s/]*)\s*(?:-\S+\s*)*\n")
_BY_SHELL = re.compile(rb"""#!\s*/bin/sh\s*\n'''exec'\s+"?(/[^\n"]*python[^\s/"]*)"?\s""")


class NotFoundError(OrchestrateError):
    """No Airflow was found."""

    status = 2


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed Airflow: the paths of its command and of the interpreter that runs it."""

    command: str
    python: str


def find(named: str | None, search_path: str | None) -> Installation:
    """Find Airflow: the named command or environment, else the command on PATH, else the one beside our interpreter.

    Raises NotFoundError.
    """
    command = _named(named) if named is not None else _found(search_path)
    return Installation(command, _interpreter(command))


def _named(named: str) -> str:
    path = Path(named).expanduser()
    if path.is_dir():
        path = path / "bin" / "airflow"
    if not path.exists():
        raise NotFoundError(f"cannot find Airflow: no such file: {path}", _HOW_TO_INSTALL)
    if path.is_dir() or not os.access(path, os.X_OK):
        raise NotFoundError(f"cannot run {path}: it is not executable", "name the airflow command with --airflow PATH")
    return str(path.absolute())


def _found(search_path: str | None) -> str:
    beside = Path(sys.executable).with_name("airflow")
    if command := shutil.which("airflow", path=search_path):
        return os.path.abspath(command)
    if os.access(beside, os.X_OK):
        return str(beside)
    raise NotFoundError("cannot find Airflow: no airflow on PATH", _HOW_TO_INSTALL)


def _interpreter(command: str) -> str:
    with open(command, "rb") as file:
        head = file.read(1024)
    match = _DIRECT.match(head) or _BY_SHELL.match(head)
    candidates = [os.fsdecode(match[1])] if match else []
    directory = os.path.dirname(command)
    candidates += [f"{directory}/python", f"{directory}/python3"]
    for python in candidates:
        if os.access(python, os.X_OK):
            return python
    raise NotFoundError(
        f"cannot tell which Python runs {command}",
        f"name the airflow command of an environment with --airflow PATH ({candidates[0]} does not exist)",
    )


def version(python: str) -> str:
    """Return the version of Airflow in an interpreter's environment; empty if unknown."""
    packages = site_packages(python)
    found = sorted(packages.glob("apache_airflow-*.dist-info")) if packages else []
    return found[0].name.removeprefix("apache_airflow-").removesuffix(".dist-info") if found else ""


def is_older(version: str, than: str) -> bool:
    """Return whether `version` is older than `than`. False if one of them is not a version."""
    first, second = _order(version), _order(than)
    return first is not None and second is not None and first < second


def _order(version: str) -> tuple[tuple[int, ...], bool, str] | None:
    """Return a key to compare versions by: a pre-release is older than its release."""
    match = re.match(r"(\d+(?:\.\d+)*)(.*)", version)
    if match is None:
        return None
    return tuple(map(int, match[1].split("."))), not re.match(r"\.?(a|b|rc|dev)", match[2]), match[2]


def has_gunicorn_control_socket(python: str) -> bool:
    """Return whether the environment has gunicorn 25.1 or later, which makes a socket in the current directory."""
    packages = site_packages(python)
    found = packages.glob("gunicorn-*.dist-info") if packages else ()
    names = [path.name.removeprefix("gunicorn-").removesuffix(".dist-info") for path in found]
    return any(not is_older(name, "25.1.0") for name in names)


def site_packages(python: str) -> Path | None:
    """Return the directory of packages of an interpreter, in a virtual environment or not; None if Airflow is not in
    it."""
    for prefix in (Path(python).parent.parent, Path(os.path.realpath(python)).parent.parent):
        for directory in sorted(prefix.glob("lib/python3*/site-packages")):
            if any(directory.glob("apache_airflow-*.dist-info")):
                return directory
    return None
