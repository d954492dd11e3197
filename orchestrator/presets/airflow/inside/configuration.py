"""Airflow's configuration: how it is loaded, and whether an option is set, in airflow.cfg or by a variable."""

from __future__ import annotations

import configparser
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .diagnosis import Unusable

REFRESH = (("scheduler", "dag_dir_list_interval"), ("dag_processor", "refresh_interval"))  # 2.x, and since 3.0
REFRESH_DEFAULT = "300"
RETRIES = ("workers", "execution_api_retries")  # since 3.0
RETRIES_DEFAULT = "5"
MANY_OPTIONS = 100  # a file written by Airflow has several hundred


def load() -> Any:
    """Return Airflow's configuration. Write airflow.cfg first if there is none. Raises Unusable."""
    try:
        from airflow import __version__ as version
        from airflow import configuration
    except ModuleNotFoundError as error:
        if error.name != "airflow":
            raise
        raise Unusable("no Airflow in " + sys.prefix) from None
    if version.split(".")[0] not in ("2", "3"):
        raise Unusable(f"Airflow {version} is not supported: 2.6 or later is")
    logging.getLogger("").setLevel(logging.WARNING)
    # 2.6 writes the file when it is imported, later ones in the command line's `main`.
    write = getattr(configuration, "write_default_airflow_configuration_if_needed", None)
    return (write() if write is not None else None) or configuration.conf


def mask(url: str) -> str:
    """Return a database URL without its password and query, and without the newline that a _CMD option may add."""
    head, sep, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return head + sep + user + (":***" if colon else "") + at + place.partition("?")[0].strip()


def variable(section: str, key: str) -> str:
    """Return the name of the environment variable for an option."""
    return f"AIRFLOW__{section}__{key}".upper()


def from_elsewhere(conf: Any, config_file: str, environ: Mapping[str, str]) -> bool:
    """Return whether a command or a secrets backend sets a sensitive option. Its value may change between starts."""
    wanted = {(section, key + kind) for section, key in conf.sensitive_config_values for kind in ("_cmd", "_secret")}
    for section, key in wanted:
        if f"AIRFLOW__{section.upper()}__{key.upper()}" in environ:
            return True
    parser = configparser.RawConfigParser(strict=False)
    parser.read(config_file)
    return any(parser.has_option(*option) and parser.get(*option) for option in wanted)


def is_given(conf: Any, parser: configparser.RawConfigParser, section: str, key: str) -> bool:
    """Return whether the file or the environment sets an option: its value, a command, a secrets backend, or any of
    these under a deprecated name.

    `conf` cannot answer this: it returns a generated default like a configured value.
    """
    names = [(section, key)]
    earlier = getattr(conf, "deprecated_options", {}).get((section, key))
    if earlier is not None:
        names.append(tuple(earlier[:2]))
    for place, name in names:
        for kind in ("", "_cmd", "_secret"):
            found = os.environ.get(variable(place, name + kind))
            if found is None:
                found = parser.get(place, name + kind, fallback="")
            if found:
                return True
    return False


def refresh_option(major: int, config_file: str, environ: Mapping[str, str]) -> str:
    """Return the option that sets how often Airflow looks for new DAG files, as `section.key`; empty if it is set."""
    options = REFRESH[: 1 if major == 2 else 2]
    return ".".join(options[-1]) if _are_unset(options, REFRESH_DEFAULT, config_file, environ) else ""


def retries_option(major: int, config_file: str, environ: Mapping[str, str]) -> str:
    """Return the option that sets how often a task tries to reach the api-server, as `section.key`; empty if it is set,
    or does not exist (2.x)."""
    is_unset = major > 2 and _are_unset((RETRIES,), RETRIES_DEFAULT, config_file, environ)
    return ".".join(RETRIES) if is_unset else ""


def _are_unset(options: Sequence[tuple[str, str]], default: str, config_file: str, environ: Mapping[str, str]) -> bool:
    """Return whether none of these options is set.

    A file that Airflow wrote contains the default, so there the default does not count. In a file with few options,
    which the user wrote, it does.
    """
    parser = configparser.RawConfigParser(strict=False)
    parser.read(config_file)
    generated = sum(map(len, map(parser.options, parser.sections()))) >= MANY_OPTIONS
    for option in options:
        value = parser.get(*option, fallback="").strip()
        if environ.get(variable(*option)) or (value and not (generated and value == default)):
            return False
    return True
