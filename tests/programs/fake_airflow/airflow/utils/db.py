import os
import sqlite3

from airflow.configuration import AIRFLOW_HOME
from airflow.executors.executor_loader import ExecutorLoader


class OperationalError(Exception):
    """As a driver's: told by its name."""


def check():
    if os.path.exists(os.path.join(AIRFLOW_HOME, "down")):
        raise OperationalError("could not connect to server: Connection refused\n\tIs the server running?")


def initdb():
    if os.environ.get("FAKE_BROKEN"):
        raise RuntimeError("the migration failed")
    if not ExecutorLoader.import_default_executor_cls()[0].is_local:  # 2.11 makes its web pages with it
        raise ModuleNotFoundError("No module named 'airflow.providers.celery'")
    connection = sqlite3.connect(os.path.join(AIRFLOW_HOME, "airflow.db"))
    with connection:
        connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
        connection.execute("DELETE FROM alembic_version")
        connection.execute("INSERT INTO alembic_version VALUES ('abc')")
    connection.close()
