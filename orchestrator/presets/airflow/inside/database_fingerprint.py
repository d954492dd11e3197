"""Whether a database on a server has changed since the last start. Airflow is not imported: 0.5 s instead of 5.

The URL of the database contains a password, so the record has only a salted digest of it. The URL is read again from
the environment or airflow.cfg; if it is not found there, the database counts as changed.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

ROUNDS = 20_000
KEYS = (("database", "sql_alchemy_conn"), ("core", "sql_alchemy_conn"))  # the second in versions before 2.3


def digest(url: str, salt: str = "") -> str:
    """Return the salt, a new one if it is empty, and a digest of the URL with it."""
    salt = salt or secrets.token_hex(16)
    return salt + "$" + hashlib.pbkdf2_hmac("sha256", url.encode(), salt.encode(), ROUNDS).hex()


def is_digest_of(url: str, known: str) -> bool:
    """Return whether `known` is a digest of this URL."""
    return secrets.compare_digest(digest(url, known.partition("$")[0]), known)


def configured(config_file: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield candidates for the URL: from the environment, then from the file, as written and with %% unescaped."""
    for section, key in KEYS:
        if value := environment.get(f"AIRFLOW__{section.upper()}__{key.upper()}"):
            yield os.path.expanduser(os.path.expandvars(value))
    parser = configparser.RawConfigParser(strict=False)
    parser.read(config_file)
    for option in KEYS:
        value = parser.get(*option, fallback="")
        for text in (value, value.replace("%%", "%")):
            yield os.path.expanduser(os.path.expandvars(text))


def schema(connection: Any) -> str:
    """Return the revision of the schema; several are separated by commas."""
    from sqlalchemy import text

    rows = connection.execute(text("SELECT version_num FROM alembic_version ORDER BY version_num"))
    return ",".join(str(row[0]) for row in rows)


def is_unchanged(record: str, environment: Mapping[str, str]) -> bool:
    """Return whether the database has the schema of the record and, if the password is in a text file, the admin user.

    Exceptions of the file, the server and its driver propagate.
    """
    with open(record, encoding="utf-8") as file:
        facts = json.load(file)["facts"]
    known = str(facts["url_digest"])
    url = next((url for url in configured(facts["config_file"], environment) if is_digest_of(url, known)), "")
    if not url or not known:
        return False
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.connect() as connection:
        if schema(connection) != facts["schema"]:
            return False
        if facts["login"] != "text":
            return True
        return bool(connection.execute(text("SELECT 1 FROM ab_user WHERE username = 'admin'")).fetchall())
