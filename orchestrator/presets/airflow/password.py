"""The admin's password, in the file in which this version of Airflow keeps it.

A symlink in its place is not followed.
"""

from __future__ import annotations

import json
import os

from orchestrator.presets.airflow.facts import Facts


def read(facts: Facts) -> str:
    """Return the password; empty where it is not known."""
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
