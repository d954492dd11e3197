"""Whether a worker reaches the first host's servers: broker, result backend, database, execution API."""

from __future__ import annotations

import email.utils
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from . import configuration, fernet, task_call
from .problems import REACH, Problems

TIMEOUT = 10  # seconds in which a server has to answer
FIRST_CALL = 60.0  # seconds; at the first call the api-server imports many modules
CLOCK = 5.0  # seconds by which clocks may differ
EPOCH = {"postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())", "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))"}


def check_broker(app: Any, problems: Problems) -> bool:
    """Check that the broker answers and accepts the password; return whether it does."""
    try:
        with app.connection_for_write(connect_timeout=TIMEOUT) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT)
            connection.default_channel.close()
    except Exception as error:  # noqa: BLE001 - each transport has its own exceptions
        problems.add_server(f"the broker {configuration.mask(str(app.conf.broker_url))}", error)
        return False
    return True


def check_results(app: Any, problems: Problems) -> None:
    """Check that Celery's result backend answers."""
    url = str(app.conf.result_backend or "")
    try:
        if url.startswith("db+"):
            query(url[len("db+") :], "SELECT 1")
        elif url.startswith(("redis", "rediss")):
            app.backend.client.ping()
    except Exception as error:  # noqa: BLE001 - each driver has its own exceptions
        problems.add_server(f"the result backend {configuration.mask(url)}", error)


def check_database(url: str, problems: Problems) -> float:
    """Check that the database answers; return by how many seconds our clock is ahead of its clock."""
    import sqlalchemy

    backend = sqlalchemy.engine.url.make_url(url).get_backend_name()
    try:
        value, now = query(url, EPOCH.get(backend, "SELECT 1"))
    except Exception as error:  # noqa: BLE001 - each driver has its own exceptions
        problems.add_server(f"the database {configuration.mask(url)}", error)
        return 0.0
    return now - float(value) if backend in EPOCH else 0.0


def query(url: str, statement: str) -> Any:
    """Return the single value of a statement, and our time halfway through the request."""
    import sqlalchemy

    dialect = sqlalchemy.engine.url.make_url(url)
    arguments = {"connect_timeout": TIMEOUT} if dialect.get_backend_name() in EPOCH else {}
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, connect_args=arguments)
    with engine.connect() as connection:
        before = time.time()
        value = connection.execute(sqlalchemy.text(statement)).scalar()
        return value, (before + time.time()) / 2


def check_key(url: str, keys: str, host: str, problems: Problems) -> None:
    """Check that the Fernet key decrypts what tasks read. On 3.x the api-server of the first host decrypts it."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    try:
        locked = fernet.locked(fernet.encrypted(engine), keys)
    except sqlalchemy.exc.SQLAlchemyError:
        return  # check_database has reported it
    if locked:
        hint = "write the file again on the first host (orchestrate airflow join), and do not change its values"
        problems.add(f"[core] fernet_key does not decrypt {locked} of {host}", hint)


def check_api(url: str, options: Mapping[str, str], problems: Problems) -> float:
    """Call the execution API as a task does; return by how many seconds our clock is ahead."""
    import httpx

    more: dict[str, Any] = {}
    try:
        if url.startswith("https:"):
            more["verify"] = task_call.context(options)
        with httpx.Client(timeout=httpx.Timeout(FIRST_CALL, connect=TIMEOUT), **more) as client:
            client.get(f"{url.rstrip('/')}/health")  # the first call is slow, so the second gives the time
            before = time.time()
            response = client.get(f"{url.rstrip('/')}/health")
            now = (before + time.time()) / 2
    except task_call.Refused as error:
        problems.add(f"the execution API {url}: {error}")
        return 0.0
    except Exception as error:  # noqa: BLE001 - of httpx, for a proxy that needs another package, for an invalid URL
        problems.add(f"the execution API {url} does not answer: {task_call.explained(error, url)}", REACH)
        return 0.0
    if fault := not_the_api(response.status_code, response.content):
        via = task_call.through_proxy(url)
        problems.add(f"the execution API {url}: {fault}{' ' if via else ''}{via}")
        return 0.0
    return ahead(response.headers.get("date", ""), now)


def not_the_api(status: int, body: bytes) -> str:
    """Return why an answer cannot be that of the execution API's /health; empty if it can."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict) and "status" in answer:
        return ""
    return f"status {status}: that is not the execution API"


def check_clock(seconds: float, host: str, problems: Problems) -> None:
    """Check that the clocks agree; ours is `seconds` ahead."""
    if abs(seconds) > CLOCK:
        side = "ahead of" if seconds > 0 else "behind"
        problems.add(
            f"the clock of this host is {abs(seconds):.0f} s {side} that of {host}",
            "synchronize both: timedatectl set-ntp true, or chronyc makestep",
        )


def ahead(date: str, now: float) -> float:
    """Return by how many seconds a time is later than that of an HTTP header, which has whole seconds (RFC 9110)."""
    try:
        return now - (email.utils.parsedate_to_datetime(date).timestamp() + 0.5)
    except (TypeError, ValueError, IndexError):
        return 0.0


def check_names(app: Any, count: int, problems: Problems) -> None:
    """Check that no running worker has the name of one of ours: Celery could not tell them apart."""
    host = socket.gethostname()
    nodes = [f"worker.{number + 1}@{host}" for number in range(count)]
    answers = app.control.inspect(destination=nodes, timeout=1.5).ping() or {}
    for node in sorted(answers):
        problems.add(
            f"a worker named {node} answers already: it still runs, or another host has the name {host}",
            "stop it, or give this host another name: hostnamectl set-hostname NAME",
        )
