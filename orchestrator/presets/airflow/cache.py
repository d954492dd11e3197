"""The record of a start: the facts, and a fingerprint of everything that they depend on.

If the fingerprint still matches, the next start does not prepare Airflow, and runs no Airflow process but the
components. The fingerprint has the modification time of the directory of packages, the content of the configuration
files, the variables that Airflow reads, the revision of the schema, and on 2.x that the admin user exists. The last two
are read from the SQLite file. For a database on a server, `inside/database_fingerprint.py` compares them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow import facts as facts_module
from orchestrator.presets.airflow import generated_secrets
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.installation import Installation, site_packages
from orchestrator.runtime.home import Home, write_private

FORMAT = 5
_VARIABLE = re.compile(r"\$\{?(\w+)")


class FactsRecord(TypedDict):
    """The content of the file; `write` describes it. Without a `fingerprint` no later start uses the facts."""

    format: int
    fingerprint: dict[str, str] | None
    facts: dict[str, object]
    url: str
    components: Sequence[str]
    command: str
    changes: dict[str, str]
    listen: str


def facts_path(home: Home) -> Path:
    """Return the path of the record of the last start."""
    return home.state_dir / "airflow.json"


def stamped_facts(home: Home, installation: Installation, environment: Mapping[str, str]) -> Facts | None:
    """Return the facts of the last start, if they still hold and the secrets that it generated exist."""
    facts = read(facts_path(home), installation, environment)
    return facts if facts is not None and generated_secrets.are_there(home, facts) else None


def read(path: Path, installation: Installation, environment: Mapping[str, str]) -> Facts | None:
    """Return the facts of the record if they still hold; None if Airflow has to be prepared."""
    record = load(path)
    if record is None:
        return None
    try:
        facts = facts_module.from_json(record["facts"])
    except (KeyError, OrchestrateError):
        return None
    is_whole = record["facts"].keys() == facts_module.to_json(facts).keys()  # not of another version of orchestrate
    if not (is_whole and facts.stampable) or record.get("fingerprint") != fingerprint(facts, installation, environment):
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
    listen: str = "",
) -> None:
    """Write the record. With `valid` it has a fingerprint, so that the next start may use the facts. `url` is that of
    the web component, `changes` are variables that the components have and our environment had not, and `listen` is the
    address for other hosts."""
    mark = fingerprint(facts, installation, environment) if valid and facts.stampable else None
    content: FactsRecord = {
        "format": FORMAT,
        "fingerprint": mark,
        "facts": facts_module.to_json(facts),
        "url": url,
        "components": components,
        "command": installation.command,
        "changes": dict(changes or {}),
        "listen": listen,
    }
    scratch = path.with_suffix(".new")
    write_private(scratch, json.dumps(content, indent=1).encode() + b"\n")
    scratch.rename(path)


def load(path: Path) -> FactsRecord | None:
    """Return the record; None if there is none of this format."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(record, dict) and record.get("format") == FORMAT
    return cast(FactsRecord, record) if is_ours else None


def fingerprint(facts: Facts, installation: Installation, environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return a fingerprint of everything that the facts depend on; None if a part of it cannot be read."""
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
    """Return a digest of a file's content; empty if it cannot be read."""
    content = _content(path)
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None


def schema_revision(facts: Facts) -> str:
    """Return the revision of the schema in the SQLite file, empty if it cannot be read. For a database on a server,
    return the revision in the facts."""
    if not facts.sqlite_file:
        return facts.schema
    return ",".join(_query(facts, "SELECT version_num FROM alembic_version ORDER BY version_num"))


def _login_is_there(facts: Facts) -> bool:
    if facts.login == "text" and facts.sqlite_file:
        return bool(_query(facts, "SELECT username FROM ab_user WHERE username = 'admin'"))
    return facts.login != "json" or Path(facts.password_file).exists()


def _query(facts: Facts, statement: str) -> list[str]:
    import sqlite3  # takes 10 ms, and only this function needs it

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
