"""How the user logs in: the admin's password, and the line about it.

The password is in the file in which this version of Airflow keeps it; a symlink in its place is not followed.
"""

from __future__ import annotations

import json
import os

from orchestrator.presets.airflow.facts import Facts


def read_password(facts: Facts) -> str:
    """Return the password; empty if unknown."""
    try:
        text = _content(facts.password_file) if facts.password_file else ""
    except (OSError, UnicodeDecodeError):
        return ""
    if facts.login == "text":
        return text.strip()
    try:
        return str(json.loads(text)[facts.user]) if facts.login == "json" else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _content(path: str) -> str:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
        return file.read()


def login_line(facts: Facts, password: str, *, shown: bool) -> str:
    """Return the line about the login. `password` is empty if unknown; it is part of the line only with `shown`."""
    match facts.login:
        case "open":
            return "No login is needed: every user is an admin"
        case "json" | "text" if facts.user and password:
            return f"Login with username: {facts.user}  password: {password if shown else f'in {facts.password_file}'}"
        case "text":
            return f"Login with username: {facts.user}  (its password is not known: it is not in {facts.password_file})"
    return ""
