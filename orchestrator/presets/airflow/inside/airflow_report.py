"""The part of the report that follows from Airflow's configuration. facts.py of the package interprets it."""

from __future__ import annotations

import os
import sys
from typing import Any, TypedDict

from . import configuration, executors, login

OPTIONS = {  # those that the package interprets, by major version
    2: "webserver.web_server_host webserver.web_server_port webserver.base_url webserver.web_server_ssl_cert"
    " webserver.config_file scheduler.standalone_dag_processor",
    3: "api.host api.port api.base_url api.ssl_cert core.execution_api_server_url logging.json_logs"
    " logging.uvicorn_logging_level fab.config_file api.ssl_ca_file api.client_ssl_cert api.client_ssl_key"
    " api.client_use_public_certs api_auth.jwt_issuer api_auth.jwt_kid api_auth.jwt_private_key_path"
    " api_auth.jwt_algorithm execution_api.jwt_audience",
}
OPTIONS_OF_ALL = (
    "core.dags_folder logging.worker_log_server_port logging.trigger_log_server_port logging.logging_level"
    " logging.logging_config_class scheduler.enable_health_check scheduler.scheduler_health_check_server_port"
    " logging.celery_logging_level celery.flower_host celery.flower_port celery.flower_url_prefix"
    " celery.flower_basic_auth"
)


class PreparationReport(TypedDict, total=False):
    """The keys of the report. They are those of AirflowReport in facts.py of the package, which describes them."""

    version: str
    home: str
    python: str
    config_file: str
    database: str
    sqlite_file: str
    elsewhere: bool
    options: dict[str, str]
    refresh_option: str
    retries_option: str
    executor: str
    forced_executor: str
    forced_executor_reason: str
    idle_executors: str
    auth_manager: str
    forced_auth_manager: str
    forced_auth_manager_reason: str
    login: str
    user: str
    password_file: str
    generated: list[str]
    unset_secrets: list[str]
    key_fault: str
    schema: str
    url_digest: str


def collect(conf: Any) -> PreparationReport:
    """Return the report without the parts that require the database. Raises Unusable."""
    from airflow import __version__ as version
    from airflow import configuration as airflow_configuration
    from sqlalchemy.engine.url import make_url

    major = int(version.split(".")[0])
    config_file = str(airflow_configuration.AIRFLOW_CONFIG)
    url = conf.get("database", "sql_alchemy_conn")
    names = f"{OPTIONS[major]} {OPTIONS_OF_ALL}".split()
    report: PreparationReport = {
        "version": version,
        "home": str(airflow_configuration.AIRFLOW_HOME),
        "python": sys.executable,
        "config_file": config_file,
        "database": configuration.mask(url),
        "sqlite_file": (make_url(url).database or "") if url.startswith("sqlite") else "",
        "elsewhere": configuration.from_elsewhere(conf, config_file, os.environ),
        "options": {name: conf.get(*name.split("."), fallback="") or "" for name in names},
        "refresh_option": configuration.refresh_option(major, config_file, os.environ),
        "retries_option": configuration.retries_option(major, config_file, os.environ),
        "login": "elsewhere",
    }
    report.update(executors.executor_facts(conf, major))
    report.update(login.auth_facts(conf, major))
    return report
