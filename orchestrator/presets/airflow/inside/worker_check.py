"""Checks whether workers of another host can run on this one: ``worker_check REPORT EXPECTED WORKERS``.

EXPECTED is a JSON file about the first host; settings and secrets are in the environment. Each problem is printed on
a line, followed by a hint. Without problems a report about this Airflow is written to REPORT, like that of prepare.py.
Some facts are requested from the first host (see host_answers.py), which changes nothing there.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from . import (
    airflow_report,
    celery_call,
    configuration,
    diagnosis,
    executors,
    host_answers,
    host_checks,
    join_report,
    private_files,
    server_checks,
)
from .host_checks import AIRFLOW, FirstHost
from .problems import Problems, secrets_of


def check(report: str, expected: FirstHost, count: int, problems: Problems) -> None:
    """Make all checks. Write the report unless another major version of Airflow, or none, is installed."""
    here = installed()
    host_checks.check_versions(expected, here, f"{sys.version_info[0]}.{sys.version_info[1]}", problems)
    if here[AIRFLOW].split(".")[0] != expected["version"].split(".")[0]:
        return  # it could not use the settings
    conf = configuration.load()
    facts = airflow_report.collect(conf)
    host = expected["host"]
    app = application(problems)
    answers = app is not None and server_checks.check_broker(app, problems)
    check_servers(conf, int(facts["version"].split(".")[0]), app, host, problems)

    def ask(method: str, **arguments: Any) -> Any:
        return host_answers.ask(app, host, method, **arguments) if answers else None

    from airflow.utils.net import get_hostname

    host_checks.check_logs(conf.get("logging", "base_log_folder"), problems)
    name, port = get_hostname(), conf.getint("logging", "worker_log_server_port")
    is_answered = host_checks.check_log_server(port, name, host, ask, problems)
    current = ((ask(host_answers.DAGS) or {}) if is_answered else {}).get("files")
    files = expected["dags"] if current is None else current
    host_checks.check_dags(conf.get("core", "dags_folder"), files, problems, is_current=current is not None)
    if answers:
        server_checks.check_names(app, count, problems)
        if current is None:
            print(f"{host} does not answer: its DAG files are taken from the file of `orchestrate airflow join`, and")
            print(f"whether it reaches the log server of this host at {name}:{port} is not checked", flush=True)
    private_files.write_private(report, json.dumps(facts) + "\n")


def installed() -> dict[str, str]:
    """Return the versions of Airflow and its providers, by package. That of Airflow is empty if it is not installed."""
    from importlib import metadata

    try:
        return {**join_report.versions(), AIRFLOW: metadata.version(AIRFLOW)}
    except metadata.PackageNotFoundError:
        return {**join_report.versions(), AIRFLOW: ""}


def application(problems: Problems) -> Any:
    """Return Celery's application; None if the provider cannot be used."""
    try:
        return celery_call.airflow_application()
    except Exception as error:  # noqa: BLE001 - the provider and its packages raise anything
        install = f"{sys.executable} -m pip install {executors.PROVIDER}"
        problems.add("cannot use CeleryExecutor: " + diagnosis.first_line(error), install)
        return None


def check_servers(conf: Any, major: int, app: Any, host: str, problems: Problems) -> None:
    """Check the servers that a worker uses, apart from the broker, and the clock; `app` is None without Celery."""
    if app is not None:
        server_checks.check_results(app, problems)
    if major == 2:
        url = conf.get("database", "sql_alchemy_conn")
        seconds = server_checks.check_database(url, problems)
        server_checks.check_key(url, conf.get("core", "fernet_key"), host, problems)
    else:
        options = {key: conf.get("api", key, fallback="") for key in ("ssl_cert", "ssl_ca_file")}
        seconds = server_checks.check_api(conf.get("core", "execution_api_server_url"), options, problems)
    server_checks.check_clock(seconds, host, problems)


def main(arguments: list[str]) -> int:
    """Make the checks; return the exit status."""
    report, path, count = arguments
    with open(path) as file:
        expected: FirstHost = json.load(file)
    problems = Problems(secrets_of(os.environ))
    logging.disable(logging.WARNING)  # the worker prints the same warnings
    try:
        check(report, expected, int(count), problems)
    except Exception as error:  # noqa: BLE001 - Airflow, its packages and drivers raise anything
        problems.add(
            diagnosis.reason(error), getattr(error, "hint", "") or "run Airflow's own command here: airflow info"
        )
    problems.print()
    if not problems.found:
        print(f"This host is ready for workers of {expected['host']}", flush=True)
    return 1 if problems.found else 0
