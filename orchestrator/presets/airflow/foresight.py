"""What the facts will most likely be, before Airflow is asked: so that a port that is taken is said at once. Pure.

Environment over configuration file over Airflow's defaults, as Airflow has it. Where an option is given by a name of
an earlier version, which later ones translate, nothing is foreseen.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping

from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow.facts import WEB, Facts, interpret

_WEB = {
    2: {"webserver.web_server_host": "0.0.0.0", "webserver.web_server_port": "8080", "webserver.base_url": ""},
    3: {"api.host": "0.0.0.0", "api.port": "8080", "api.base_url": ""},
}
_SSL = {2: "webserver.web_server_ssl_cert", 3: "api.ssl_cert"}
_DEFAULTS = {
    "logging.worker_log_server_port": "8793",
    "logging.trigger_log_server_port": "8794",
    "logging.logging_level": "INFO",
    "logging.logging_config_class": "",
    "scheduler.enable_health_check": "False",
    "scheduler.scheduler_health_check_server_port": "8974",
    "scheduler.standalone_dag_processor": "False",
    "logging.celery_logging_level": "",
    "celery.flower_host": "",
    "celery.flower_port": "",
    "celery.flower_url_prefix": "",
    "celery.flower_basic_auth": "",
}


def foresee(version: str, home: str, environment: Mapping[str, str], config: str) -> Facts | None:
    """Return facts of which hosts, ports and components can be relied on; None where they cannot be told.

    `config` is the content of airflow.cfg, empty where there is none yet.
    """
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) not in WEB:
        return None
    defaults = {**_WEB[int(major)], _SSL[int(major)]: "", **_DEFAULTS}
    older = _WEB[2] if major == "3" else {}
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(config)
        if any(_given(name, environment, parser) is not None for name in older):
            return None
        options = {name: _given(name, environment, parser) or default for name, default in defaults.items()}
        executor = (_given("core.executor", environment, parser) or "").split(",")[0].rpartition(".")[2].strip()
        known = {"version": version, "home": home, "options": options}
        return interpret({**_UNKNOWN, **known, "executor": executor if executor == "CeleryExecutor" else ""})
    except (configparser.Error, OrchestrateError):
        return None


_UNKNOWN = {
    **dict.fromkeys(("config_file", "python", "database", "sqlite_file", "executor", "auth_manager", "login"), ""),
    "elsewhere": True,
}


def _given(name: str, environment: Mapping[str, str], parser: configparser.RawConfigParser) -> str | None:
    section, _, key = name.partition(".")
    variable = f"AIRFLOW__{section.upper()}__{key.upper()}"
    return environment.get(variable) or parser.get(section, key, fallback=None)
