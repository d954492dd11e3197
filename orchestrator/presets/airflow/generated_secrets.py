"""Secrets that are not configured: the first start generates them, and each start passes them to the components.

Otherwise each process generates its own `[api_auth] jwt_secret`, and every task of Airflow 3 fails with "Invalid auth
token". They are in `.orchestrate/airflow-secrets.env` (0600), by the names of their environment variables. Variables
take precedence over the configuration file, so a secret that is configured is not passed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow.facts import Facts
from orchestrator.runtime.home import Home

FILE = "airflow-secrets.env"  # also in inside/missing_secrets.py


def path(home: Home) -> Path:
    """Return the path of the file with the secrets."""
    return home.state_dir / FILE


def read(home: Home, facts: Facts) -> dict[str, str]:
    """Return the variables that the facts name. Raises OrchestrateError if the file does not have all of them."""
    known = stored(home) if facts.generated else {}
    if missing := [name for name in facts.generated if name not in known]:
        raise OrchestrateError(f"cannot read {missing[0]} in {path(home)}")
    return {name: known[name] for name in facts.generated}


def stored(home: Home) -> dict[str, str]:
    """Return all variables in the file; an empty dict if it cannot be read."""
    try:
        with open(os.open(path(home), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            lines = [line.strip().partition("=") for line in file if not line.startswith("#")]
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in lines if value}


def are_there(home: Home, facts: Facts) -> bool:
    """Return whether the file has all variables that the facts name."""
    try:
        read(home, facts)
    except OrchestrateError:
        return False
    return True


def in_words(facts: Facts, home: Home) -> str:
    """Return a line about the generated secrets; empty if there are none."""
    if not facts.generated:
        return ""
    return f"{options(facts.generated)} not configured: using generated values from {path(home)}"


def options(variables: Sequence[str]) -> str:
    """Return the options that these variables set, and a verb: `[api] secret_key and [core] fernet_key are`."""
    words = []
    for name in variables:
        section, key = name.removeprefix("AIRFLOW__").lower().split("__")
        words.append(f"[{section}] {key}")
    names = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"{names} {'is' if len(words) == 1 else 'are'}"
