"""Facts about an installed and configured Airflow: a report of `inside/prepare.py` becomes a frozen dataclass. Pure.

`foresee` predicts the facts without running Airflow, so that a taken port is reported at once. As in Airflow, variables
take precedence over the configuration file, and that over defaults. If an option has a deprecated name, nothing is
predicted.
"""

from __future__ import annotations

import configparser
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from orchestrator.model.errors import ConfigError, OrchestrateError

EXECUTORS = {  # short names of --executor
    name.removesuffix("Executor").lower(): name
    for name in ("LocalExecutor", "SequentialExecutor", "CeleryExecutor", "KubernetesExecutor")
}
# The name of the web component, by major version, and the names of components of all versions.
WEB = {2: "webserver", 3: "api-server"}
NAMES = (
    *("scheduler", "webserver", "api-server", "dag-processor", "triggerer"),
    *("worker", "flower", "hosts", "redis", "postgresql"),
)


class AirflowReport(TypedDict, total=False):
    """What `inside/prepare.py` reports, or `inside/worker_check.py` with less: JSON, not interpreted.

    `options` are raw values by `section.key`. With `elsewhere`, a sensitive option comes from a command or a secrets
    backend. The other keys have their meaning in `Facts`.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Airflow as it is configured, before our own options. `home` is AIRFLOW_HOME.

    `executor` is the class that runs. If it replaces the configured one, `forced_executor` is the same, with the
    reason. `idle_executors` are others that need workers. `refresh_option` is the option for the search for new DAG
    files, `retries_option` that for a task's calls of the api-server; both are empty if the user has set them. `login`
    says where the password is: "json" or "text" for the format of `password_file`, "open" (no login), "elsewhere".
    `scheduler_health_port` is 0 if there is none. `log_lines` and `web_log_lines` say whether the components print the
    lines that readiness depends on. `generated` names the variables of generated secrets. `stampable` says that a later
    start may use these facts. `schema` is the revision of a database on a server, `url_digest` a salted digest of its
    URL.
    """

    version: str
    home: str
    config_file: str
    python: str
    database: str
    executor: str
    auth_manager: str
    login: str
    host: str
    port: int
    worker_log_port: int
    trigger_log_port: int
    sqlite_file: str = ""
    schema: str = ""
    url_digest: str = ""
    stampable: bool = False
    dag_processor: bool = False
    base_url: str = ""
    dags_folder: str = ""
    ssl: bool = False
    execution_api_url: str = ""
    task_client: tuple[str, ...] = ()
    scheduler_health_port: int = 0
    log_lines: bool = True
    web_log_lines: bool = True
    forced_executor: str = ""
    forced_executor_reason: str = ""
    idle_executors: str = ""
    refresh_option: str = ""
    retries_option: str = ""
    forced_auth_manager: str = ""
    forced_auth_manager_reason: str = ""
    webserver_config: str = ""
    user: str = ""
    password_file: str = ""
    generated: tuple[str, ...] = ()
    unset_secrets: tuple[str, ...] = ()
    key_fault: str = ""
    worker_log_lines: bool = True
    flower_host: str = ""
    flower_port: int = 5555
    flower_prefix: str = ""
    flower_login: bool = False

    @property
    def celery(self) -> bool:
        """Return whether Celery workers run the tasks."""
        return self.executor == "CeleryExecutor"

    @property
    def flower_address(self) -> str:
        """The address on which Flower listens: the loopback address, unless a login or another address is
        configured."""
        exposed = self.flower_host in ("", "0.0.0.0", "::")
        return "127.0.0.1" if exposed and not self.flower_login else self.flower_host or "0.0.0.0"

    @property
    def major(self) -> int:
        """2 or 3."""
        return int(self.version.partition(".")[0])

    @property
    def web(self) -> str:
        """The name of the web component."""
        return WEB[self.major]


def from_json(document: object) -> Facts:
    """Return the facts in a document of `to_json`. Raises OrchestrateError for any other document."""
    known = {field.name for field in dataclasses.fields(Facts)}
    content = document if isinstance(document, dict) else {}
    try:
        return Facts(**{key: _frozen(value) for key, value in content.items() if key in known})
    except TypeError as error:
        raise OrchestrateError(f"cannot read the facts about Airflow: {error}") from None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def to_json(facts: Facts) -> dict[str, object]:
    """Return a document that `from_json` reads."""
    return dataclasses.asdict(facts)


def parse(text: str) -> Facts:
    """Return the facts in a report of `inside/prepare.py`. Raises OrchestrateError."""
    try:
        return interpret(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OrchestrateError(f"cannot read the report about Airflow: {error!r}") from None


def interpret(report: AirflowReport) -> Facts:
    """Return the facts in a report: raw options become ports, flags and paths."""
    options = {key: value.partition("#")[0].strip() for key, value in report["options"].items()}
    major = int(report["version"].partition(".")[0])
    web = "webserver.web_server_" if major == 2 else "api."
    base_url = "webserver.base_url" if major == 2 else "api.base_url"
    plain = not _flag(options, "logging.json_logs") and not options["logging.logging_config_class"]
    level = options["logging.logging_level"]
    health = _flag(options, "scheduler.enable_health_check")
    if major == 2:
        webserver_config = options.get("webserver.config_file") or f"{report['home']}/webserver_config.py"
    else:
        webserver_config = options.get("fab.config_file", "")  # empty without the FAB provider
    taken_over = {key: _frozen(value) for key, value in report.items() if key in _SAME}
    return Facts(
        **taken_over,
        stampable=bool(report["sqlite_file"] or report.get("url_digest"))
        and not (report["elsewhere"] or report.get("key_fault")),
        dag_processor=major > 2 or _flag(options, "scheduler.standalone_dag_processor"),
        host=options[f"{web}host"],
        port=_port(options, f"{web}port"),
        base_url=options[base_url],
        dags_folder=options.get("core.dags_folder", ""),
        ssl=bool(options[f"{web}ssl_cert"]),
        execution_api_url=options.get("core.execution_api_server_url", ""),
        task_client=tuple(f"{key.split('.')[1]}={options[key]}" for key in _OF_TASKS if options.get(key)),
        worker_log_port=_port(options, "logging.worker_log_server_port"),
        trigger_log_port=_port(options, "logging.trigger_log_server_port"),
        scheduler_health_port=_port(options, "scheduler.scheduler_health_check_server_port") if health else 0,
        log_lines=plain and level.upper() in _SPEAKING,
        web_log_lines=plain and options.get("logging.uvicorn_logging_level", "info").upper() in _SPEAKING,
        webserver_config=webserver_config,
        worker_log_lines=plain and (options.get("logging.celery_logging_level") or level).upper() in _SPEAKING,
        flower_host=options.get("celery.flower_host", ""),
        flower_port=_port({"celery.flower_port": "5555", **_given(options)}, "celery.flower_port"),
        flower_prefix=options.get("celery.flower_url_prefix", ""),
        flower_login=bool(options.get("celery.flower_basic_auth")),
    )


def _given(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value}


_OF_TASKS = (  # options, except the secret, that affect a task's call of the execution API
    *("api.ssl_cert", "api.ssl_ca_file", "api.client_ssl_cert", "api.client_ssl_key", "api.client_use_public_certs"),
    *("api_auth.jwt_issuer", "api_auth.jwt_kid", "api_auth.jwt_private_key_path", "api_auth.jwt_algorithm"),
    "execution_api.jwt_audience",
)
_SPEAKING = ("TRACE", "DEBUG", "INFO")
_SAME = (
    *("version", "home", "config_file", "python", "database", "sqlite_file", "executor", "auth_manager"),
    *("idle_executors", "forced_executor", "forced_executor_reason"),
    *("forced_auth_manager", "forced_auth_manager_reason"),
    *("login", "user", "password_file", "generated", "schema", "url_digest", "refresh_option", "key_fault"),
    "retries_option",
    "unset_secrets",
)


def _flag(options: dict[str, str], key: str) -> bool:
    return options.get(key, "").lower() in ("true", "t", "1", "yes", "on")


def _port(options: dict[str, str], key: str) -> int:
    text = options[key]
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigError([f"cannot start Airflow: [{key.replace('.', '] ', 1)} = {text!r} is not a port"])
    return int(text)


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
    """Return facts in which hosts, ports and components are right; None if these cannot be predicted.

    `config` is the content of airflow.cfg, empty if there is none yet.
    """
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) not in WEB:
        return None
    defaults = {**_WEB[int(major)], _SSL[int(major)]: "", **_DEFAULTS}
    older = _WEB[2] if major == "3" else {}
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(config)
        if any(_foresight_given(name, environment, parser) is not None for name in older):
            return None
        options = {name: _foresight_given(name, environment, parser) or default for name, default in defaults.items()}
        executor = (
            (_foresight_given("core.executor", environment, parser) or "").split(",")[0].rpartition(".")[2].strip()
        )
        report: AirflowReport = {
            "version": version,
            "home": home,
            "options": options,
            "executor": executor if executor == "CeleryExecutor" else "",
            **_UNKNOWN,
        }
        return interpret(report)
    except (configparser.Error, OrchestrateError):
        return None


_UNKNOWN: AirflowReport = {
    "config_file": "",
    "python": "",
    "database": "",
    "sqlite_file": "",
    "auth_manager": "",
    "login": "",
    "elsewhere": True,
}


def _foresight_given(name: str, environment: Mapping[str, str], parser: configparser.RawConfigParser) -> str | None:
    section, _, key = name.partition(".")
    variable = f"AIRFLOW__{section.upper()}__{key.upper()}"
    return environment.get(variable) or parser.get(section, key, fallback=None)
