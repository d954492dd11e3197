"""The file that a worker on another host starts from: `orchestrate airflow join > worker.env`.

Each line is NAME=VALUE without quotes, as `docker --env-file` reads it. AIRFLOW__ variables are settings of Airflow.
ORCHESTRATE_ variables describe the first host, with which the worker's host is compared.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from orchestrator.model.errors import ConfigError
from orchestrator.presets.airflow import addresses

FORMAT = "1"
NAME = "worker.env"
EXECUTION_API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
BROKER = "AIRFLOW__CELERY__BROKER_URL"
RESULTS = "AIRFLOW__CELERY__RESULT_BACKEND"
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
AGAIN = "write it again on the first host: orchestrate airflow join > worker.env"
_HEAD = (
    "# Settings and secrets for a Celery worker on another host, by `orchestrate airflow join`.\n"
    "# Start it there with `orchestrate airflow worker --env FILE`. Keep this file private.\n"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX = 16 << 20  # bytes; such a file has a few kilobytes, and some dozen bytes for each DAG file
_META = {  # variables, and their contents
    "ORCHESTRATE_JOIN": "the format",
    "ORCHESTRATE_FIRST_HOST": "the name of the first host",
    "ORCHESTRATE_AIRFLOW_VERSION": "Airflow's version",
    "ORCHESTRATE_PYTHON_VERSION": "Python's minor version",
    "ORCHESTRATE_PROVIDERS": "the providers' versions",
    "ORCHESTRATE_DAG_FILES": "digests of the DAG files",
}


class JoinReport(TypedDict):
    """What `inside/join_report.py` reports: versions of Airflow, Python and, by package, the providers; `options` by
    `section.key`; whether the broker is Airflow's default; digests of the DAG files; the name of this host."""

    version: str
    python: str
    providers: dict[str, str]
    options: dict[str, str]
    default_broker: bool
    dags: dict[str, str]
    host: str


@dataclass(frozen=True, slots=True)
class JoinFile:
    """The content of the file. `host` is the name of the first host, `python` a minor version such as 3.11. `providers`
    has versions by package, `dags` digests by path. `variables` are for Airflow and contain secrets."""

    host: str
    airflow: str
    python: str
    providers: Mapping[str, str]
    dags: Mapping[str, str]
    variables: Mapping[str, str] = field(repr=False)

    @property
    def major(self) -> int:
        """2 or 3."""
        return int(self.airflow.partition(".")[0])

    def text(self) -> str:
        """Return the content of the file. Raises ConfigError for a value of several lines."""
        values = {
            "ORCHESTRATE_JOIN": FORMAT,
            "ORCHESTRATE_FIRST_HOST": self.host,
            "ORCHESTRATE_AIRFLOW_VERSION": self.airflow,
            "ORCHESTRATE_PYTHON_VERSION": self.python,
            "ORCHESTRATE_PROVIDERS": json.dumps(dict(self.providers), sort_keys=True),
            "ORCHESTRATE_DAG_FILES": json.dumps(dict(self.dags), sort_keys=True),
            **{name: self.variables[name] for name in sorted(self.variables)},
        }
        if broken := [name for name, value in values.items() if "\n" in value or "\r" in value]:
            raise ConfigError([f"cannot write {option(name)} for a worker: it has several lines" for name in broken])
        return _HEAD + "".join(f"{name}={value}\n" for name, value in values.items())

    def expected(self) -> str:
        """Return the description of the first host for the check, as JSON without secrets."""
        content = {"host": self.host, "version": self.airflow, "python": self.python}
        return json.dumps({**content, "providers": dict(self.providers), "dags": dict(self.dags)})


def option(variable: str) -> str:
    """Return the option that a variable sets: `[core] fernet_key`."""
    match = re.fullmatch(r"AIRFLOW__(\w+?)__(\w+)", variable)
    return f"[{match[1].lower()}] {match[2].lower()}" if match else variable


def variable(name: str) -> str:
    """Return the variable for `section.key`."""
    section, _, key = name.partition(".")
    return f"AIRFLOW__{section}__{key}".upper()


def unreachable(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a line for each URL that another host cannot use, by variable."""
    lines = {}
    for name in (BROKER, RESULTS, DATABASE, EXECUTION_API):
        if why := addresses.fault(variables[name]) if name in variables else "":
            shown = addresses.masked(variables[name])
            lines[name] = f"cannot join: another host cannot use {option(name)} = {shown}: it {why}; set {name}"
    return lines


def read(path: Path) -> JoinFile:
    """Read the file. Raises ConfigError with a line for each problem."""
    return parse(_content(path), str(path))


def parse(text: str, source: str) -> JoinFile:
    """Parse the content of a file named `source`. Raises ConfigError with a line for each problem."""
    problems: list[str] = []
    found: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign or not _VARIABLE.fullmatch(name):
            problems.append(f"{source}:{number}: expected NAME=VALUE")
        elif name in found:
            problems.append(f"{source}:{number}: {name} is set twice")
        else:
            found[name] = value
            problems += (f"{source}:{number}: {fault}" for fault in filter(None, (_fault(name, value),)))
    if "ORCHESTRATE_JOIN" not in found:
        raise ConfigError([f"{source}: not a file of `orchestrate airflow join`"], AGAIN)
    version = found.get("ORCHESTRATE_AIRFLOW_VERSION", "")
    needed = [*_META, BROKER, RESULTS, EXECUTION_API if version.startswith("3.") else DATABASE]
    problems += (f"{source}: {name} is missing" for name in needed if not found.get(name))
    if problems:
        raise ConfigError(problems, AGAIN)
    return JoinFile(
        host=found["ORCHESTRATE_FIRST_HOST"],
        airflow=version,
        python=found["ORCHESTRATE_PYTHON_VERSION"],
        providers=json.loads(found["ORCHESTRATE_PROVIDERS"]),
        dags=json.loads(found["ORCHESTRATE_DAG_FILES"]),
        variables={name: value for name, value in found.items() if name not in _META},
    )


def _fault(name: str, value: str) -> str:
    """Return what is wrong with a value; empty if nothing is."""
    if name == "ORCHESTRATE_JOIN" and value != FORMAT:
        return f"format {value} is of another version of orchestrate, expected {FORMAT}"
    if name == "ORCHESTRATE_AIRFLOW_VERSION" and not re.match(r"[23]\.\d", value):
        return f"{name}: expected a version of Airflow, not {value!r:.40}"
    if name in ("ORCHESTRATE_PROVIDERS", "ORCHESTRATE_DAG_FILES") and not _is_map(value):
        return f"{name}: expected a JSON object of texts"
    if name in (BROKER, RESULTS, DATABASE, EXECUTION_API):
        if "://" not in value:
            return f"{name}: expected a URL"
        if why := addresses.fault(value):
            return f"{name}: another host cannot use this URL: it {why}"
    if name == EXECUTION_API and not urlsplit(value).hostname:
        return f"{name}: expected a URL with a host"
    return ""


def _is_map(text: str) -> bool:
    try:
        value: object = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _content(path: Path) -> str:
    """Return the text of a file. Raises ConfigError if other users can read it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer would block
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {_reason(error)}"], _hint(error)) from None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        problems = []
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError([f"cannot read {path}: it is not a regular file"])
        if status.st_uid not in (os.geteuid(), 0):
            problems.append(f"cannot use {path}: it belongs to uid {status.st_uid}, who could change it")
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            problems.append(f"cannot use {path}: other users can read its secrets (mode {mode:04o})")
        if problems:
            raise ConfigError(problems, f"make it yours alone: chmod 600 {path}")
        try:
            data = file.read(_MAX)
        except OSError as error:
            raise ConfigError([f"cannot read {path}: {_reason(error)}"]) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: it is not UTF-8 text"], AGAIN) from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _hint(error: OSError) -> str:
    return AGAIN if isinstance(error, FileNotFoundError) else ""
