"""Options from the environment, else from airflow.cfg, else the defaults below."""

import configparser
import os

AIRFLOW_HOME = os.environ["AIRFLOW_HOME"]
AIRFLOW_CONFIG = os.environ.get("AIRFLOW_CONFIG") or os.path.join(AIRFLOW_HOME, "airflow.cfg")
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
DEFAULTS = {
    "core.executor": "LocalExecutor",
    "core.auth_manager": SIMPLE,
    "core.simple_auth_manager_users": "admin:admin",
    "database.sql_alchemy_conn": f"sqlite:///{AIRFLOW_HOME}/airflow.db",
    "api.host": "0.0.0.0",
    "api.port": "8080",
    "logging.worker_log_server_port": "8793",
    "logging.trigger_log_server_port": "8794",
    "logging.logging_level": "INFO",
    "logging.uvicorn_logging_level": "info",
    "scheduler.scheduler_health_check_server_port": "8974",
}


class User:
    def __init__(self, username):
        self.username = username


class SimpleAuthManager:
    @staticmethod
    def get_users():
        return [User(user.split(":")[0]) for user in conf.get("core", "simple_auth_manager_users").split(",")]

    @staticmethod
    def get_generated_password_file():
        return os.path.join(AIRFLOW_HOME, "simple_auth_manager_passwords.json.generated")


class Conf:
    deprecated_options = {("api", "secret_key"): ("webserver", "secret_key", "3.0.2")}
    sensitive_config_values = {("database", "sql_alchemy_conn"), ("api_auth", "jwt_secret")}

    def __init__(self):
        self.parser = configparser.RawConfigParser()
        self.parser.read(AIRFLOW_CONFIG)

    def get(self, section, key, fallback=None):
        variable = f"AIRFLOW__{section.upper()}__{key.upper()}"
        default = DEFAULTS.get(f"{section}.{key}", fallback)
        return os.environ.get(variable) or self.parser.get(section, key, fallback=default)

    def getboolean(self, section, key, fallback=False):
        return str(self.get(section, key, fallback)).lower() == "true"

    def getimport(self, section, key):
        if self.get(section, key) != SIMPLE:
            raise ImportError(f"no module {self.get(section, key)}")
        return SimpleAuthManager


conf = Conf()


def write_default_airflow_configuration_if_needed():
    if not os.path.exists(AIRFLOW_CONFIG):
        with open(AIRFLOW_CONFIG, "w") as file:
            for section, key in (("api_auth", "jwt_secret"), ("api", "secret_key"), ("core", "fernet_key")):
                file.write(f"[{section}]\n{key} = {os.urandom(8).hex()}\n")
    return Conf()
