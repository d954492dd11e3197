"""The stamp: facts of an earlier start, with a fingerprint of all they depend on.

Where everything still is as it was, the helper is not needed, and a start costs no Airflow process but the components
themselves. What counts: the installation (the directory of its packages, by the time of its last change), the
configuration files by content, the environment that Airflow reads, the revision of the schema, and on 2.x that the
admin user is there; both are read from SQLite directly. For a database on a server the helper asks, under Airflow's
interpreter but without Airflow: see `unchanged`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.installation import Installation, site_packages
from orchestrator.runtime.home import write_private

FORMAT = 5
_VARIABLE = re.compile(r"\$\{?(\w+)")


def read(path: Path, installation: Installation, environment: Mapping[str, str]) -> Facts | None:
    """Return the stamped facts where they still hold; None where the helper has to look."""
    record = load(path)
    if record is None:
        return None
    try:
        facts = facts_module.from_json(record["facts"])
    except (KeyError, OrchestrateError):
        return None
    if not facts.stampable or record.get("fingerprint") != fingerprint(facts, installation, environment):
        return None
    return facts


def write(
    path: Path,
    facts: Facts,
    installation: Installation,
    environment: Mapping[str, str],
    *,
    valid: bool,
    url: str,
    components: tuple[str, ...],
    changes: Mapping[str, str] | None = None,
) -> None:
    """Keep the facts, with `valid` also for the next start; of this start, where its web component is, what runs, and
    what its components' environment has that ours had not (`changes`)."""
    mark = fingerprint(facts, installation, environment) if valid and facts.stampable else None
    content = {
        "format": FORMAT,
        "fingerprint": mark,
        "facts": facts_module.to_json(facts),
        "url": url,
        "components": components,
        "command": installation.command,
        "changes": dict(changes or {}),
    }
    scratch = path.with_suffix(".new")
    write_private(scratch, json.dumps(content, indent=1).encode() + b"\n")
    scratch.rename(path)


def load(path: Path) -> dict[str, Any] | None:
    """Return the record as it was written; None where there is none of this format."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def fingerprint(facts: Facts, installation: Installation, environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return what the facts depend on; None where that cannot be told, and so never matches again."""
    packages = site_packages(installation.python)
    config = _content(facts.config_file)
    revision = schema_revision(facts)
    if packages is None or config is None or not revision or not _login_is_there(facts):
        return None
    named = set(_VARIABLE.findall(config.decode("utf-8", "replace")))
    read_by_airflow = {
        name: value
        for name, value in environment.items()
        if name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON")) or name == "HOME" or name in named
    }
    return {
        "command": installation.command,
        "python": installation.python,
        "packages": f"{packages} {packages.stat().st_mtime_ns}",
        "installed": ",".join(sorted(p.name for p in packages.glob("apache_airflow*.dist-info"))),
        "config": hashlib.sha256(config).hexdigest(),
        "webserver_config": hashlib.sha256(_content(facts.webserver_config) or b"").hexdigest(),
        "environment": hashlib.sha256(json.dumps(read_by_airflow, sort_keys=True).encode()).hexdigest(),
        "schema": revision,
    }


def config_digest(path: str) -> str:
    """Return a digest of a file's content; empty where there is none."""
    content = _content(path)
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None


def schema_revision(facts: Facts) -> str:
    """Return the revision of the schema in the SQLite file, empty if it cannot be read. For a server it is that of the
    record, which the helper compares with the server's."""
    if not facts.sqlite_file:
        return facts.schema
    return ",".join(_query(facts, "SELECT version_num FROM alembic_version ORDER BY version_num"))


def _login_is_there(facts: Facts) -> bool:
    if facts.login == "text" and facts.sqlite_file:
        return bool(_query(facts, "SELECT username FROM ab_user WHERE username = 'admin'"))
    return facts.login != "json" or Path(facts.password_file).exists()


def _query(facts: Facts, statement: str) -> list[str]:
    import sqlite3  # 10 ms that only this needs

    if not facts.sqlite_file or not Path(facts.sqlite_file).exists():
        return []
    try:
        connection = sqlite3.connect(f"file:{_escaped(facts.sqlite_file)}?mode=ro", uri=True, timeout=1.0)
        try:
            return [str(row[0]) for row in connection.execute(statement)]
        finally:
            connection.close()
    except sqlite3.Error:
        return []


def _escaped(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
