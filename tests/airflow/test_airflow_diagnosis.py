"""What is said when Airflow cannot be prepared: one line for each kind of failure, and no password."""

import sqlite3
from pathlib import Path

import pytest

from orchestrator.presets.airflow.inside import diagnosis

REFUSED = (
    'connection to server at "db" (10.0.0.5), port 5432 failed: Connection refused\n'
    "\tIs the server running on that host and accepting TCP/IP connections?\n"
)
FATAL = 'connection to server at "localhost" (::1), port 5432 failed: Connection refused\n\tIs the server running?\n'
FATAL += 'connection to server at "localhost" (127.0.0.1), port 5432 failed: FATAL:  '


def made(name, module, *bases):
    return type(name, bases or (Exception,), {"__module__": module})


Driver = made("OperationalError", "psycopg2")
Wrapped = made("OperationalError", "sqlalchemy.exc")
Argument = made("ArgumentError", "sqlalchemy.exc")
Plugin = made("NoSuchModuleError", "sqlalchemy.exc", Argument)


def wrapped(orig):
    error = Wrapped(f"(psycopg2.OperationalError) {orig}\n(Background on this error at: https://sqlalche.me/e/14/e3q8)")
    error.orig = orig
    return error


def explain(error, **known):
    defaults = {
        "database": "postgresql://a:***@db/af",
        "sqlite_file": "",
        "environment": "/v",
        "versions": {"apache-airflow": "2.6.3", "pydantic": "2.14.4"},
        "python": "3.11",
    }
    return diagnosis.explain(error, **{**defaults, **known})


@pytest.mark.parametrize(
    ("text", "said", "later"),
    [
        (REFUSED, 'connection to server at "db" (10.0.0.5), port 5432 failed: Connection refused', True),
        ('could not translate host name "db" to address: Name or service not known', None, True),
        (FATAL + "the database system is starting up", None, True),
        ("server closed the connection unexpectedly\n\tThis probably means", None, True),
        ("(2003, \"Can't connect to MySQL server on 'db:3306' (111)\")", None, True),
        ("timeout expired", None, True),
        (FATAL + 'password authentication failed for user "a"', None, False),
        (FATAL + 'database "af" does not exist', None, False),
        (FATAL + 'role "a" does not exist', None, False),
        ("(1045, \"Access denied for user 'a'@'localhost' (using password: YES)\")", None, False),
    ],
)
def test_a_database_server_that_does_not_take_us(text, said, later):
    finding = explain(wrapped(Driver(text)))
    said = said or next((line for line in text.splitlines() if "FATAL" in line), text.splitlines()[0])
    assert finding.reason == f"cannot connect to the database postgresql://a:***@db/af: {said}"
    assert (finding.later, finding.known) == (later, True)


def test_a_missing_driver():
    finding = explain(ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2"))
    assert (
        finding.reason
        == "the database postgresql://a:***@db/af needs the Python package psycopg2-binary, which is not in /v"
    )
    assert finding.hint == "/v/bin/python -m pip install 'psycopg2-binary'"
    assert not finding.later
    nested = RuntimeError("cannot load")
    nested.__cause__ = ModuleNotFoundError("No module named 'MySQLdb'", name="MySQLdb")
    assert "needs the Python package mysqlclient" in explain(nested, database="").reason


@pytest.mark.parametrize("number", range(3))
def test_a_sqlite_file_that_cannot_be_used(number, tmp_path):
    path = tmp_path / "airflow.db"
    error, said = [
        (lambda: damaged(path), "is damaged: file is not a database"),
        (lambda: locked(path), "is locked by pid 7"),
        (lambda: sqlite3.connect(tmp_path / "no" / "airflow.db"), "unable to open database file"),
    ][number]
    with pytest.raises(sqlite3.Error) as caught:
        error()
    finding = explain(wrapped(caught.value), sqlite_file=str(path), holder="pid 7")
    assert f"the SQLite file {path}" in finding.reason
    assert said in finding.reason
    assert finding.known


def damaged(path):
    path.write_text("this is text, and not the header of a database")
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def locked(path):
    first, second = sqlite3.connect(path), sqlite3.connect(path, timeout=0)
    try:
        first.execute("BEGIN EXCLUSIVE")
        second.execute("CREATE TABLE t (a)")
    finally:
        first.close()
        second.close()


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="no /proc/locks")
def test_who_holds_the_lock_is_read_from_the_kernels_list():
    text = (
        "1: POSIX  ADVISORY  WRITE 4711 fe:01:2000 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 12 00:19:77 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 13 00:19:77 0 EOF\n"
        "3: POSIX  ADVISORY  READ 4712 fe:01:2000 1073741826 1073742335\n"
    )
    assert diagnosis.lock_holders(text, 2000) == [4711, 4712]
    assert diagnosis.lock_holders(text, 200) == []


def test_a_url_that_is_not_one_does_not_show_its_password():
    finding = explain(Argument("Could not parse SQLAlchemy URL from string 'postgresql:/a:s3cr3t@x'"), database="")
    assert "s3cr3t" not in finding.reason + finding.hint
    assert finding.reason == "[database] sql_alchemy_conn is not the URL of a database"
    assert "dialects:postgres" in explain(Plugin("Can't load plugin: sqlalchemy.dialects:postgres")).reason


def test_packages_that_do_not_fit_are_named_with_what_helps():
    text = "Cannot generate pydantic-core schema for X. Set `arbitrary_types_allowed=True` in the model_config."
    finding = explain(made("PydanticSchemaGenerationError", "pydantic.errors")(text))
    assert finding.reason == (
        "PydanticSchemaGenerationError: Cannot generate pydantic-core schema for X"
        " (in /v are apache-airflow 2.6.3, pydantic 2.14.4)"
    )
    assert "constraints-2.6.3/constraints-3.11.txt" in finding.hint
    assert not finding.known, "the traceback is kept"
    assert "constraints" in explain(ImportError("cannot import name 'x' from 'sqlalchemy'")).hint


def test_anything_else_is_named_in_one_short_line():
    finding = explain(RuntimeError("first\nsecond"))
    assert (finding.reason, finding.hint, finding.known) == ("RuntimeError: first", "", False)
    assert explain(KeyError()).reason == "KeyError"
    assert len(explain(RuntimeError("x" * 5000)).reason) < 300


def test_a_circle_of_causes_ends():
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert explain(one).reason == "RuntimeError: one"
