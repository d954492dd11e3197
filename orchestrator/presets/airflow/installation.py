"""Finds an installed Airflow: its command, and the interpreter that runs it. Nothing is executed.

The interpreter is read from the first lines of the command, which pip and uv write in one of two forms: `#!PYTHON`, or
where that path is too long or has blanks in it, a shell line that executes it. A shim of pyenv or asdf names none; the
`python` beside it is a shim too, and leads to the same place.
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
    """There is no Airflow where one was looked for."""

    status = 2


@dataclass(frozen=True, slots=True)
class Installation:
    """`command` is the path of the airflow command, `python` of its interpreter."""

    command: str
    python: str


def find(named: str | None, search_path: str | None) -> Installation:
    """Find Airflow: the command or environment that was named, else on PATH, else beside our own interpreter.

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
    """Return the version of the Airflow in an interpreter's environment; empty where it cannot be told."""
    packages = site_packages(python)
    found = sorted(packages.glob("apache_airflow-*.dist-info")) if packages else []
    return found[0].name.removeprefix("apache_airflow-").removesuffix(".dist-info") if found else ""


def is_older(version: str, than: str) -> bool:
    """Whether a version precedes another one. False if one of them is not a version."""
    first, second = _order(version), _order(than)
    return first is not None and second is not None and first < second


def _order(version: str) -> tuple[tuple[int, ...], bool, str] | None:
    """Return what versions are compared by: the release, and that a pre-release comes before it."""
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
    """Return the directory in which the interpreter of a virtual environment, or a plain one, has its packages and
    Airflow among them; None where that is not where it is."""
    for prefix in (Path(python).parent.parent, Path(os.path.realpath(python)).parent.parent):
        for directory in sorted(prefix.glob("lib/python3*/site-packages")):
            if any(directory.glob("apache_airflow-*.dist-info")):
                return directory
    return None
