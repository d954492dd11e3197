"""Whether Airflow's Fernet key decrypts the connections and variables in its database.

Airflow starts with any key; later, each task that needs a connection or variable fails with InvalidToken.
"""

from __future__ import annotations

from typing import Any

ROWS_MAX = 1000  # rows of each kind that are checked
COLUMNS = (  # table; columns for the name, the content, and whether that is encrypted
    ("connection", "conn_id", "password", "is_encrypted"),
    ("connection", "conn_id", "extra", "is_extra_encrypted"),
    ("variable", "key", "val", "is_encrypted"),
)


def encrypted(engine: Any) -> list[tuple[str, str]]:
    """Return the name and content of each encrypted row in the database, such as ("connection db", "gAAA…")."""
    import sqlalchemy
    from sqlalchemy import column, select, table, true

    there = set(sqlalchemy.inspect(engine).get_table_names())
    found = []
    with engine.connect() as connection:
        for name, title, content, flag in COLUMNS:
            if name in there:
                rows = select(column(title), column(content)).select_from(table(name))
                rows = rows.where(column(flag) == true()).order_by(column(title)).limit(ROWS_MAX)
                found += [(f"{name} {row[0]}", str(row[1])) for row in connection.execute(rows) if row[1]]
    return found


def locked(rows: list[tuple[str, str]], keys: str) -> str:
    """Return which of these rows cannot be decrypted by any of `keys`, which are separated by commas; empty if none."""
    if not rows:
        return ""
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    try:
        fernet = MultiFernet([Fernet(key.strip().encode()) for key in keys.split(",") if key.strip()])
    except ValueError:  # not a key, or no key
        return in_words([name for name, _ in rows])
    names = []
    for name, content in rows:
        try:
            fernet.decrypt(content.encode())
        except InvalidToken:
            names.append(name)
    return in_words(names)


def in_words(names: list[str]) -> str:
    """Return the first name, and the number of the others."""
    unique = list(dict.fromkeys(names))
    return f"{unique[0]} and {len(unique) - 1} more" if len(unique) > 1 else "".join(unique)


def encrypted_rows(engine: Any) -> str:
    """Return which table of the database has encrypted rows; empty if none has."""
    import sqlalchemy
    from sqlalchemy import column, select, table, true

    there = set(sqlalchemy.inspect(engine).get_table_names())
    flags = (("connection", "is_encrypted"), ("connection", "is_extra_encrypted"), ("variable", "is_encrypted"))
    with engine.connect() as connection:
        for name, flag in flags:
            if name in there:
                rows = select(column(flag)).select_from(table(name)).where(column(flag) == true()).limit(1)
                if connection.execute(rows).first() is not None:
                    return name + "s"
        if "trigger" in there:
            rows = select(column("kwargs")).select_from(table("trigger"))
            if any(row[0] and not str(row[0]).startswith("{") for row in connection.execute(rows)):
                return "triggers"
    return ""


def key_fault(engine: Any, keys: str) -> str:
    """Return a line about what the Fernet key does not decrypt; empty if there is nothing, or no key."""
    rows = encrypted(engine) if engine is not None and keys else []
    names = locked(rows, keys)
    return f"[core] fernet_key does not decrypt {names}; set it to the key that encrypted it" if names else ""
