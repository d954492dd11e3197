"""Reads the load of Airflow from its database: ``growth_look CONFIG_FILE SINCE``.

Prints one line of JSON, see `Load` in growth.py. A scheduler counts if it has reported after SINCE (seconds since the
epoch) and within the last minute; rows of killed schedulers do not. Airflow is not imported: this takes 0.1 s with
SQLite, and 0.5 s with a server.
"""

from __future__ import annotations

import configparser
import contextlib
import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import database_fingerprint

FRESH = 60.0  # seconds; a running scheduler has sent a heartbeat within this time
TIMEOUT = 5.0  # seconds to wait for a locked SQLite file
TASKS = "SELECT COUNT(*), MIN(updated_at) FROM task_instance WHERE state IN ({})"
SCHEDULERS = "SELECT latest_heartbeat FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'"


@contextlib.contextmanager
def database(url: str) -> Iterator[Callable[[str], Any]]:
    """Return a function that runs a query. SQLite needs no package, other databases need SQLAlchemy."""
    if url.startswith("sqlite:"):
        import sqlite3
        from urllib.parse import quote

        path = url.partition("///")[2].partition("?")[0]
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=TIMEOUT)
        with contextlib.closing(connection):
            yield lambda statement: connection.execute(statement).fetchall()
        return
    from sqlalchemy import create_engine, text

    with create_engine(url).connect() as server:
        yield lambda statement: server.execute(text(statement)).fetchall()


def seconds(value: Any) -> float:
    """Return a time of the database in seconds since the epoch. A time without a zone is UTC."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.fromisoformat(str(value))
    return float((value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)).timestamp())


def look(query: Callable[[str], Any], now: float, since: float) -> dict[str, float]:
    """Return the load that the database shows at the time `now`, without schedulers that stopped before `since`."""
    running = query(TASKS.format("'running', 'restarting'"))[0][0]
    waiting, oldest = query(TASKS.format("'queued', 'scheduled'"))[0]
    beats = [seconds(row[0]) for row in query(SCHEDULERS) if row[0] is not None]
    return {
        "schedulers": sum(beat >= max(since, now - FRESH) for beat in beats),
        "running": running,
        "waiting": waiting,
        "oldest": round(max(0.0, now - seconds(oldest)), 1) if oldest is not None else 0.0,
    }


def number(config: configparser.RawConfigParser, environ: Mapping[str, str], option: str, default: int) -> int:
    """Return a configured number, `default` if there is none."""
    section, _, key = option.partition(".")
    value = environ.get(f"AIRFLOW__{section.upper()}__{key.upper()}") or config.get(section, key, fallback="")
    text = str(value).partition("#")[0].strip()
    return int(text) if text.isdigit() else default


def urls(config_file: str) -> Iterator[str]:
    """Yield candidates for the URL of the database."""
    yield from (url for url in database_fingerprint.configured(config_file, os.environ) if "://" in url)


def main(arguments: list[str]) -> int:
    """Print the load; return the exit status."""
    config_file, since = arguments
    config = configparser.RawConfigParser(strict=False)
    config.read(config_file)
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    url = next(urls(config_file), f"sqlite:///{os.environ.get('AIRFLOW_HOME', '')}/airflow.db")
    try:
        with database(url) as query:
            found = look(query, now, float(since))
    except Exception as error:  # noqa: BLE001 - SQLAlchemy and drivers raise anything
        print(str(error).strip().partition("\n")[0] or type(error).__name__)
        return 1
    found["parallelism"] = number(config, os.environ, "core.parallelism", 32)
    found["worker_concurrency"] = number(config, os.environ, "celery.worker_concurrency", 16)
    print(json.dumps(found))
    return 0
