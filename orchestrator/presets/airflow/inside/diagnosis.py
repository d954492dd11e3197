"""Turns an exception of Airflow, SQLAlchemy or a driver into one line that says why Airflow cannot start. Pure.

Exceptions are recognized by the names of their classes and by their texts: importing the classes would require packages
that may be missing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

DRIVERS = {  # module: what to install
    "psycopg2": "psycopg2-binary",
    "psycopg": "psycopg[binary]",
    "asyncpg": "asyncpg",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
    "mysql": "mysql-connector-python",
    "aiomysql": "aiomysql",
    "aiosqlite": "aiosqlite",
}
_LATER = re.compile(  # the server is starting, or its host is not up yet
    "refused|starting up|shutting down|recovery|time[d ]*out|could not translate host name|resolve|not known"
    "|name resolution|no route to host|unreachable|closed the connection|reset by peer|lost connection"
    "|can't connect|no such file or directory.*socket|too many (clients|connections)|remaining connection slots",
    re.IGNORECASE | re.DOTALL,
)
_FATAL = re.compile("authentication|password|does not exist|access denied|unknown database|role ", re.IGNORECASE)
SENTENCE_MAX = 200  # characters
_PACKAGING = ("ImportError", "AttributeError", "TypeError", "NameError")  # raised by packages of incompatible versions


class Diagnosis:
    """Why it failed: `reason` and `hint` are one line each, and the hint may be empty. `later`: trying again in a few
    seconds may help. Not `known`: the traceback is needed too."""

    def __init__(self, reason: str, hint: str = "", *, later: bool = False, known: bool = True) -> None:
        self.reason, self.hint, self.later, self.known = reason, hint, later, known


class Unusable(Exception):
    """What is installed, or its configuration, cannot be used. The message and `hint` are one line each; `others` are
    further problems with their hints."""

    def __init__(self, reason: str, hint: str = "", others: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(reason)
        self.hint = hint
        self.others = others


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most similar to `name`, ignoring case; empty if none is."""
    folded = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), folded, n=1)
    return folded[found[0]] if found else ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and its causes."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        yield found
        found = getattr(found, "orig", None) or found.__cause__ or found.__context__


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text; of a server's answer, the line with FATAL."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line]
    return (fatal or lines or [type(error).__name__])[0]


def reason(error: BaseException) -> str:
    """Return the first line of an exception, or of its first cause that has a text. Skip exceptions of SQLAlchemy that
    repeat the driver's."""
    found = [cause for cause in causes(error) if str(cause).strip() and getattr(cause, "orig", None) is None]
    return first_line(found[0]) if found else type(error).__name__


def shortened(text: str) -> str:
    """Return the first sentence of a text, at most SENTENCE_MAX characters."""
    sentence = re.split(r"\.\s", text, maxsplit=1)[0]
    return sentence if len(sentence) <= SENTENCE_MAX else sentence[:SENTENCE_MAX] + "…"


def lock_holders(locks: str, inode: int) -> list[int]:
    """Return the pids that hold a lock on a file, from the content of /proc/locks (proc(5))."""
    found = re.findall(r"^\d+: \w+\s+\w+\s+\w+\s+(\d+) \w+:\w+:(\d+) ", locks, re.MULTILINE)
    return sorted({int(pid) for pid, held in found if int(held) == inode})


def explain(
    error: BaseException,
    *,
    database: str,
    sqlite_file: str,
    holder: str = "another process",
    environment: str,
    versions: dict[str, str],
    python: str,
) -> Diagnosis:
    """Explain an exception. `database` is its URL without the password, empty if unknown; `holder` names the process
    that locks the SQLite file; `environment` is the directory of the virtual environment; `versions` are those of
    packages that often conflict."""
    for cause in causes(error):
        if isinstance(cause, ModuleNotFoundError) and (module := (cause.name or "").partition(".")[0]) in DRIVERS:
            return Diagnosis(
                f"{named(database)} needs the Python package {DRIVERS[module]}, which is not in {environment}",
                f"{environment}/bin/python -m pip install '{DRIVERS[module]}'",
            )
        if finding := _of_database(cause, database, sqlite_file, holder):
            return finding
    return _of_packages(error, environment, versions, python)


def named(database: str) -> str:
    """Name the database in a sentence."""
    return f"the database {database}" if database else "the database"


def _of_database(cause: BaseException, database: str, sqlite_file: str, holder: str) -> Diagnosis | None:
    kind, module = type(cause).__name__, type(cause).__module__.partition(".")[0]
    if module == "sqlalchemy" and kind in ("ArgumentError", "NoSuchModuleError"):
        # The text of ArgumentError contains the password.
        said = f": {first_line(cause)}" if kind == "NoSuchModuleError" else ""
        return Diagnosis(
            f"[database] sql_alchemy_conn is not the URL of a database{said}",
            "expected for example postgresql+psycopg2://USER:PASSWORD@HOST:5432/NAME or sqlite:////PATH",
        )
    if kind not in ("OperationalError", "DatabaseError", "InterfaceError", "InternalError"):
        return None
    if getattr(cause, "orig", None) is not None and module == "sqlalchemy":
        return None  # the driver's own exception follows
    text = first_line(cause)
    if module == "sqlite3" or sqlite_file:
        return Diagnosis(*_of_sqlite(text, sqlite_file, holder))
    server_text = str(cause)
    later = bool(_LATER.search(server_text)) and not _FATAL.search(text)
    return Diagnosis(f"cannot connect to {named(database)}: {text}", later=later)


def _of_sqlite(text: str, path: str, holder: str) -> tuple[str, str]:
    if "locked" in text or "busy" in text:
        return f"the SQLite file {path} is locked by {holder}", "end that process, or wait for its transaction"
    if "not a database" in text or "malformed" in text or "encrypted" in text:
        return f"the SQLite file {path} is damaged: {text}", "restore a copy of it, or move it away to start empty"
    return f"cannot use the SQLite file {path}: {text}", "name another home with --home DIR, or correct its permissions"


def _of_packages(error: BaseException, environment: str, versions: dict[str, str], python: str) -> Diagnosis:
    kind = type(error).__name__
    reason = f"{kind}: {shortened(first_line(error))}" if str(error) else kind
    root = type(error).__module__.partition(".")[0]
    if not (any(one.__name__ in _PACKAGING for one in type(error).__mro__) or root in ("pydantic", "sqlalchemy")):
        return Diagnosis(reason, known=False)
    installed = ", ".join(f"{name} {version}" for name, version in versions.items())
    if "apache-airflow" not in versions:
        return Diagnosis(reason, known=False)
    airflow = versions["apache-airflow"]
    return Diagnosis(
        f"{reason} (in {environment} are {installed})" if installed else reason,
        "a package may be too new for this Airflow; its constraints have those it was tested with:"
        f" {environment}/bin/python -m pip install 'apache-airflow=={airflow}' --constraint"
        f" https://raw.githubusercontent.com/apache/airflow/constraints-{airflow}/constraints-{python}.txt",
        known=False,
    )
