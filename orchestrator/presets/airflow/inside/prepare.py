"""Prepares Airflow before its components start: ``prepare REPORT_FILE [report | SECONDS [RECORD]]``.

It lets Airflow write airflow.cfg, generates missing secrets, migrates the database, creates the admin user, and writes
a report as JSON. It runs alone, since components that start together on an empty AIRFLOW_HOME would each generate
their own secrets. With ``report`` it only writes the report. It waits up to SECONDS until the database answers. If
the database has not changed since RECORD was written, it does nothing, and the report is empty. Missing secrets are
stored beside the report in airflow-secrets.env, by the names of their environment variables.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from . import (
    airflow_report,
    configuration,
    database,
    database_fingerprint,
    diagnosis,
    executors,
    fernet,
    login,
    missing_secrets,
    private_files,
)
from .airflow_report import PreparationReport
from .diagnosis import Diagnosis, Unusable

CONFLICTING = ("apache-airflow", "pydantic", "SQLAlchemy", "Flask")  # packages whose versions explain failed imports


class Preparation:
    """One preparation. `url` and `sqlite_file` are those of the database as soon as they are known; they explain
    errors."""

    def __init__(self) -> None:
        self.url, self.sqlite_file = "", ""

    def run(self, act: bool, wait: float, secrets_file: str) -> PreparationReport:
        """Prepare the configuration, then the database, then the admin user. Return the report. Without `act`, leave
        the database and the users alone."""
        conf = configuration.load()
        self.url = conf.get("database", "sql_alchemy_conn")
        report = airflow_report.collect(conf)
        version, config_file, self.sqlite_file = report["version"], report["config_file"], report["sqlite_file"]
        engine = None
        if act:
            if report["executor"] == executors.CELERY:
                executors.check_celery(conf)
            from airflow.utils import db

            database.wait_for_database(db.check, self.explain, wait)
            from airflow import settings

            engine = settings.engine
        major = int(version.split(".")[0])
        generated, unset = missing_secrets.complete_secrets(conf, major, config_file, secrets_file, engine)
        report.update({"generated": generated, "unset_secrets": unset})
        if act:
            print("Checking database is initialized", flush=True)
            database.check_schema(db, version, self.sqlite_file)
            db.initdb()
            report["key_fault"] = fernet.key_fault(engine, conf.get("core", "fernet_key"))
            print("Database ready", flush=True)
            if engine is not None and not self.sqlite_file:
                with engine.connect() as connection:
                    report["schema"] = database_fingerprint.schema(connection)
                report["url_digest"] = database_fingerprint.digest(self.url)
        report.update(login.login_facts(conf, report, act))
        return report

    def explain(self, error: Exception) -> Diagnosis:
        """Explain an exception with what is known about the configuration so far."""
        from importlib import metadata

        versions = {}
        for name in CONFLICTING:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return diagnosis.explain(
            error,
            database=configuration.mask(self.url) if "://" in self.url else "",
            sqlite_file=self.sqlite_file,
            holder=database.holder_of(self.sqlite_file),
            environment=sys.prefix,
            versions=versions,
            python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        )


def is_unchanged(record: str) -> bool:
    """Return whether the database has not changed since the record of an earlier start."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", "5")
    try:
        return bool(database_fingerprint.is_unchanged(record, os.environ))
    except Exception:  # noqa: BLE001 - drivers raise anything; the preparation explains it
        return False


def fail(reason: str, *hints: str) -> int:
    """Print why it failed and what to do; return the exit status."""
    print(f"cannot prepare Airflow: {reason}", flush=True)
    for hint in filter(None, hints):
        print(f"hint: {hint}", flush=True)
    return 1


def main(arguments: list[str]) -> int:
    """Prepare Airflow and write the report; return the exit status."""
    act = "report" not in arguments[1:]
    if arguments[2:] and is_unchanged(arguments[2]):
        private_files.write_private(arguments[0], "{}\n")
        return 0
    preparation = Preparation()
    try:
        secrets_file = os.path.join(os.path.dirname(arguments[0]), missing_secrets.SECRETS_FILE)
        report = preparation.run(act, float(arguments[1]) if act and arguments[1:] else 0.0, secrets_file)
    except Unusable as error:
        for reason, hint in ((str(error), error.hint), *error.others):
            fail(reason, hint)
        return 1
    except Exception as error:  # noqa: BLE001 - Airflow, its packages and drivers raise anything
        finding = preparation.explain(error)
        if finding.known:
            return fail(finding.reason, finding.hint)
        path = arguments[0] + ".traceback"
        private_files.write_private(path, traceback.format_exc())
        return fail(finding.reason, finding.hint, "the traceback is in " + path)
    private_files.write_private(arguments[0], json.dumps(report, indent=1) + "\n")
    return 0
