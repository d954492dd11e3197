"""The database before its migration: wait until it answers, check its schema, back up a SQLite file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from . import diagnosis
from .diagnosis import Diagnosis, Unusable


def wait_for_database(check: Callable[[], None], explain: Callable[[Exception], Diagnosis], seconds: float) -> None:
    """Return when the database answers. Raises Unusable after `seconds`, or at once if waiting cannot help."""
    start = time.monotonic()
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(max(2, int(seconds))))  # by default libpq waits for minutes
    said = ""
    while True:
        try:
            check()
        except Exception as error:
            finding = explain(error)
            waited = time.monotonic() - start
            if not finding.later or waited >= seconds:
                after = f" (waited {waited:.0f} s for it)" if finding.later and seconds else ""
                raise Unusable(finding.reason + after, finding.hint) from error
            if said != finding.reason:
                said = finding.reason
                print(f"waiting for the database, up to {seconds:g} s: {said}", flush=True)
            threading.Event().wait(min(1.0, seconds - waited))
        else:
            if said:
                print(f"the database answers after {time.monotonic() - start:.0f} s", flush=True)
            return


def check_schema(db: Any, version: str, sqlite_file: str) -> None:
    """Raise Unusable if this Airflow does not know the revision of the schema. Copy the SQLite file of an earlier major
    version: its migration cannot be undone."""
    from airflow import settings
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    heads = getattr(db, "_REVISION_HEADS_MAP", None) or getattr(db, "REVISION_HEADS_MAP", {})
    with settings.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None or current in list(heads.values())[-1:]:  # a new database, or nothing to migrate
        return
    script = ScriptDirectory.from_config(db._get_alembic_config())
    try:
        script.get_revision(current)
    except CommandError:
        raise Unusable(
            f"the database has the schema of another Airflow (revision {current}), which {version} does not know",
            "name another home with --home DIR; or run the Airflow that made it, or one between the two",
        ) from None
    earlier = [head for of, head in heads.items() if int(of.split(".")[0]) < int(version.split(".")[0])]
    if sqlite_file and earlier and current in {one.revision for one in script.iterate_revisions(earlier[-1], "base")}:
        copy = copy_of(sqlite_file, version)
        print(f"Copied the database to {copy} before Airflow {version} changes its schema", flush=True)


def copy_of(path: str, version: str) -> str:
    """Copy a SQLite file with the content of its write-ahead log; return the path of the copy."""
    import sqlite3

    copy, number = f"{path}.before-{version}", 1
    while os.path.lexists(copy):
        number += 1
        copy = f"{path}.before-{version}.{number}"
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        source, target = sqlite3.connect(path), sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
    except (OSError, sqlite3.Error) as error:
        if os.path.exists(copy):
            os.unlink(copy)
        raise Unusable(
            f"cannot copy {path} to {copy} before the migration: {error}",
            "make room for the copy, or name another home with --home DIR",
        ) from None
    return copy


def holder_of(path: str) -> str:
    """Return the processes that hold a lock on a file; "another process" if the kernel does not list them."""
    try:
        with open("/proc/locks") as file:
            locks = file.read()
        pids = diagnosis.lock_holders(locks, os.stat(path).st_ino)
    except OSError:
        pids = []
    return f"pid {', '.join(map(str, pids))}" if pids else "another process"
