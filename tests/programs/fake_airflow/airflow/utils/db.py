import os
import sqlite3

from airflow.configuration import AIRFLOW_HOME


def initdb():
    if os.environ.get("FAKE_BROKEN"):
        raise RuntimeError("the migration failed")
    connection = sqlite3.connect(os.path.join(AIRFLOW_HOME, "airflow.db"))
    with connection:
        connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
        connection.execute("DELETE FROM alembic_version")
        connection.execute("INSERT INTO alembic_version VALUES ('abc')")
    connection.close()
