"""Reports the settings that a worker on another host needs: ``join_report FD``.

The report is JSON. It contains secrets, so it goes to the open descriptor FD and not to the standard output, where
Airflow prints too. The settings may come from variables, airflow.cfg, a command or a secrets backend.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, TypedDict

from . import celery_call, dag_files, diagnosis

PROVIDERS = "apache-airflow-providers-"
NEEDED = {  # options of every worker, by major version; the package adds the URL of the execution API
    2: (("core", "fernet_key"), ("webserver", "secret_key"), ("database", "sql_alchemy_conn")),
    3: (("core", "fernet_key"), ("api", "secret_key")),
}
OF_ALL = (("celery", "broker_url"), ("logging", "worker_log_server_port"))
IF_CHANGED = (  # options that must be equal on all hosts; reported unless they have their defaults
    *(("celery", key) for key in ("ssl_active", "ssl_mutual_tls", "ssl_key", "ssl_cert", "ssl_cacert")),
    *(("celery", key) for key in ("celery_config_options", "result_backend_sqlalchemy_engine_options")),
    ("operators", "default_queue"),
    ("core", "default_timezone"),
    ("core", "xcom_backend"),
    ("database", "sql_alchemy_schema"),
    ("dag_processor", "dag_bundle_config_list"),
    ("api", "ssl_cert"),
    ("api", "ssl_ca_file"),
)
SECTIONS = ("celery_broker_transport_options", "celery_result_backend_transport_options")
ONLY_2 = ("database", "webserver")
DEFAULT_BROKER = "redis://redis:6379/0"


def versions() -> dict[str, str]:
    """Return the versions of the installed providers, by package."""
    from importlib import metadata

    found = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith(PROVIDERS):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def default(conf: Any, section: str, key: str) -> str:
    """Return the default of an option. The function for it differs between versions."""
    if not hasattr(conf, "get_default_value"):  # before 2.7
        return str(conf.airflow_defaults.get(section, key, fallback="") or "")
    value = conf.get_default_value(section, key, fallback="")
    if not value and hasattr(conf, "get_provider_config_fallback_defaults"):
        value = conf.get_provider_config_fallback_defaults(section, key)
    return str(value or "")


def values(conf: Any, major: int) -> dict[str, str]:
    """Return the options that a worker needs, by `section.key`."""
    found = {f"{section}.{key}": conf.get(section, key, fallback="") for section, key in (*NEEDED[major], *OF_ALL)}
    for section, key in IF_CHANGED:
        if major > 2 and section in ONLY_2:
            continue
        value = conf.get(section, key, fallback="") or ""
        own = key == "celery_config_options" and value.startswith("airflow.")  # its module differs between versions
        if value and not own and not is_same(value, default(conf, section, key)):
            found[f"{section}.{key}"] = value
    for section in SECTIONS:
        for key, value in (conf.getsection(section) or {}).items():
            if str(value) and str(value) != default(conf, section, key):
                found[f"{section}.{key}"] = str(value)
    return {name: one_line(str(value)) for name, value in found.items() if value}


def is_same(one: str, other: str) -> bool:
    """Return whether two values are equal as text or as JSON."""
    try:
        return one == other or bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def one_line(value: str) -> str:
    """Return a value on one line. JSON on several lines, such as a list of bundles, is reformatted."""
    if "\n" not in value:
        return value
    try:
        return json.dumps(json.loads(value))
    except ValueError:
        return value


class JoinSettings(TypedDict):
    """The keys of the report. They are those of JoinReport in join_file.py of the package, which describes them."""

    version: str
    python: str
    providers: dict[str, str]
    options: dict[str, str]
    default_broker: bool
    dags: dict[str, str]
    host: str


def report() -> JoinSettings:
    """Return the report. Addresses in it may be ones that only this host can use."""
    from airflow import __version__ as version
    from airflow.configuration import conf

    major = int(version.split(".")[0])
    options = values(conf, major)
    app = celery_call.airflow_application()
    options["celery.result_backend"] = str(app.conf.result_backend or "")
    folder = conf.get("core", "dags_folder")
    try:
        dags = dag_files.digests(folder)
    except OSError as error:
        print(f"cannot read the DAG folder {folder}: {error.strerror}", file=sys.stderr)
        dags = {}
    return {
        "version": version,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "providers": versions(),
        "options": options,
        "default_broker": options.get("celery.broker_url") == DEFAULT_BROKER,
        "dags": dags,
        "host": socket.gethostname(),
    }


def main(arguments: list[str]) -> int:
    """Write the report; return the exit status."""
    (fd,) = arguments
    try:
        text = json.dumps(report())
    except Exception as error:  # noqa: BLE001 - Airflow and its packages raise anything
        print(f"cannot read the configuration of Airflow: {diagnosis.first_line(error)}", file=sys.stderr)
        return 1
    with os.fdopen(int(fd), "w") as file:
        file.write(text)
    return 0
