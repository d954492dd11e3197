"""What the preparation needs of SQLAlchemy. Each database is the SQLite file that the fake Airflow writes."""

import os
import sqlite3


def text(statement):
    return statement


class Engine:
    def connect(self):
        return Connection()


class Connection:
    def __enter__(self):
        self._connection = sqlite3.connect(os.path.join(os.environ["AIRFLOW_HOME"], "airflow.db"))
        return self._connection

    def __exit__(self, *error):
        self._connection.close()


def create_engine(url):
    return Engine()


class inspect:  # nothing is encrypted
    def __init__(self, engine):
        self.engine = engine

    def get_table_names(self):
        return []


column = select = table = true = None
