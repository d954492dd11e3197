"""Makes relative paths in Airflow's settings absolute, so that all processes resolve them in the same way. Pure.

Each process of Airflow resolves a relative path in its own working directory. Components, tasks and commands in a
second terminal may have different ones, and then do not find a relative DAG folder. Paths are relative to the directory
in which orchestrate was started, as with standalone.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping

OPTIONS = (("core", "dags_folder"), ("core", "plugins_folder"), ("logging", "base_log_folder"))
DATABASES = (("database", "sql_alchemy_conn"), ("core", "sql_alchemy_conn"))  # the second in versions up to 2.2
_SQLITE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?:///)(?P<path>[^/:?][^?]*)(?P<rest>.*)", re.DOTALL)
_LEFT_TO_AIRFLOW = re.compile(r"[/~]|.*[${%]", re.DOTALL)  # absolute, or expanded by Airflow


def absolute(environment: Mapping[str, str], config: str, directory: str) -> dict[str, str]:
    """Return the variables that make relative paths in environment and configuration file absolute.

    `config` is the content of airflow.cfg; the paths are relative to `directory`.
    """
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(config)
    except configparser.Error:  # Airflow reports it
        parser = configparser.RawConfigParser()
    result: dict[str, str] = {}
    for section, key in (*OPTIONS, *DATABASES):
        name = f"AIRFLOW__{section}__{key}".upper()
        value = environment.get(name)
        if value is None:
            value = parser.get(section, key, fallback="").partition(" #")[0].strip()
        made = _database(value, directory) if (section, key) in DATABASES else path(value, directory)
        if made != value:
            result[name] = made
    if "AIRFLOW_CONFIG" in environment:
        result["AIRFLOW_CONFIG"] = path(os.path.expanduser(environment["AIRFLOW_CONFIG"]), directory)
    if search_path := environment.get("PYTHONPATH"):
        entries = (os.path.normpath(os.path.join(directory, entry)) for entry in search_path.split(os.pathsep))
        result["PYTHONPATH"] = os.pathsep.join(entries)
    return result


def path(value: str, directory: str) -> str:
    """Return the absolute path; `value` itself if it is empty or Airflow expands it."""
    if not value or _LEFT_TO_AIRFLOW.match(value):
        return value
    return os.path.normpath(os.path.join(directory, value))


def expanded(value: str, directory: str) -> str:
    """Return a path as Airflow resolves it: relative to `directory`, with `~` expanded."""
    return os.path.join(directory, os.path.expanduser(value))


def _database(url: str, directory: str) -> str:
    match = _SQLITE.fullmatch(url)
    return url if match is None else f"{match['scheme']}{path(match['path'], directory)}{match['rest']}"
