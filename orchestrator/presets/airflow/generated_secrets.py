"""Secrets that Airflow's configuration does not have: the helper generates them once, and each start passes them on.

Without that each process invents its own `[api_auth] jwt_secret`, and every task of Airflow 3 fails with "Invalid auth
token". They are in `.orchestrate/airflow-secrets.env` (0600), by the names of their environment variables. As variables
they come before the configuration file, so only those that are not configured are passed.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow.facts import Facts
from orchestrator.runtime.home import Home

FILE = "airflow-secrets.env"  # also in helper.py


def path(home: Home) -> Path:
    """Return where they are stored."""
    return home.state_dir / FILE


def read(home: Home, facts: Facts) -> dict[str, str]:
    """Return the variables that the facts name. Raises OrchestrateError if the file does not have all of them."""
    known = stored(home) if facts.generated else {}
    if missing := [name for name in facts.generated if name not in known]:
        raise OrchestrateError(f"cannot read {missing[0]} in {path(home)}")
    return {name: known[name] for name in facts.generated}


def stored(home: Home) -> dict[str, str]:
    """Return all variables in the file; none if it cannot be read."""
    try:
        with open(os.open(path(home), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            lines = [line.strip().partition("=") for line in file if not line.startswith("#")]
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in lines if value}


def are_there(home: Home, facts: Facts) -> bool:
    """Whether the file has all that the facts name."""
    try:
        read(home, facts)
    except OrchestrateError:
        return False
    return True


def in_words(facts: Facts, home: Home) -> str:
    """Report in one line which secrets are generated ones; empty if none are."""
    if not facts.generated:
        return ""
    options = []
    for name in facts.generated:
        section, key = name.removeprefix("AIRFLOW__").lower().split("__")
        options.append(f"[{section}] {key}")
    names = " and ".join(filter(None, (", ".join(options[:-1]), options[-1])))
    verb = "is" if len(options) == 1 else "are"
    return f"{names} {verb} not configured: using generated values from {path(home)}"
