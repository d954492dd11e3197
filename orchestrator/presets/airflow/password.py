"""The admin's password, in the file in which this version of Airflow keeps it."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.presets.airflow.facts import Facts


def read(facts: Facts) -> str:
    """Return the password; empty where it is not known."""
    try:
        text = Path(facts.password_file).read_text(encoding="utf-8") if facts.password_file else ""
    except (OSError, UnicodeDecodeError):
        return ""
    if facts.login == "text":
        return text.strip()
    try:
        return str(json.loads(text)[facts.user]) if facts.login == "json" else ""
    except (ValueError, KeyError, TypeError):
        return ""
