"""What the preparation reported on the three pinned versions, literally; a test changes what it is about."""

from orchestrator.presets.airflow.facts import interpret

_ALL = {
    "logging.worker_log_server_port": "8793",
    "logging.trigger_log_server_port": "8794",
    "logging.logging_level": "INFO",
    "logging.logging_config_class": "",
    "scheduler.enable_health_check": "False",
    "scheduler.scheduler_health_check_server_port": "8974",
}
_TWO = {
    "webserver.web_server_host": "0.0.0.0",
    "webserver.web_server_port": "8080",
    "webserver.base_url": "http://localhost:8080",
    "webserver.web_server_ssl_cert": "",
    "webserver.config_file": "",
    "scheduler.standalone_dag_processor": "False",
}
_THREE = {
    "api.host": "0.0.0.0",
    "api.port": "8080",
    "api.base_url": "",
    "api.ssl_cert": "",
    "core.execution_api_server_url": "",
    "logging.json_logs": "False",
    "logging.uvicorn_logging_level": "info",
}
_SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
_COMMON = {
    "home": "/h",
    "python": "/v/bin/python",
    "config_file": "/h/airflow.cfg",
    "database": "sqlite:////h/airflow.db",
    "sqlite_file": "/h/airflow.db",
    "elsewhere": False,
    "user": "admin",
}
_PASSWORD_2 = {"login": "text", "password_file": "/h/standalone_admin_password.txt"}
_PASSWORD_3 = {"login": "json", "password_file": "/h/simple_auth_manager_passwords.json.generated"}

REPORTS = {
    "2.6.3": {
        **_COMMON,
        **_PASSWORD_2,
        "version": "2.6.3",
        "executor": "SequentialExecutor",
        "auth_manager": "",
        "options": {**_ALL, **_TWO},
    },
    "2.11.2": {
        **_COMMON,
        **_PASSWORD_2,
        "version": "2.11.2",
        "executor": "SequentialExecutor",
        "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "options": {**_ALL, **_TWO, "webserver.config_file": "/h/webserver_config.py"},
    },
    "3.3.2": {
        **_COMMON,
        **_PASSWORD_3,
        "version": "3.3.2",
        "executor": "LocalExecutor",
        "auth_manager": _SIMPLE,
        "options": {**_ALL, **_THREE},
    },
}
VERSIONS = tuple(REPORTS)


def report(version, options=None, **changes):
    return {**REPORTS[version], **changes, "options": {**REPORTS[version]["options"], **(options or {})}}


def facts(version, options=None, **changes):
    return interpret(report(version, options, **changes))
