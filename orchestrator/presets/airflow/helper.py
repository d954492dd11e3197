"""The helper: the one Airflow process that runs first and alone, under Airflow's own interpreter.

It lets Airflow write its configuration file with the secrets in it, brings the database to the head of its schema,
makes the admin user, and reports what it found as JSON, not interpreted. All that starts after it reads the same
secrets: started together on an empty AIRFLOW_HOME, 2.11 and 3.x make different ones in each process.

Not part of the package: it imports nothing of orchestrator, and keeps to the syntax of Python 3.8. Usage:
``python helper.py REPORT_FILE [report | SECONDS]``; with ``report`` neither database nor user is touched. A database
that does not answer yet is given SECONDS.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]  # our own directory: nothing in it may stand in for a module of Airflow's

import configparser
import errno
import importlib
import importlib.util
import json
import secrets
import stat
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

LETTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789"  # no two that look alike
PASSWORD_LENGTH = 16
OPTIONS = {  # that are looked at outside, by major version
    2: "webserver.web_server_host webserver.web_server_port webserver.base_url webserver.web_server_ssl_cert"
    " webserver.config_file scheduler.standalone_dag_processor",
    3: "api.host api.port api.base_url api.ssl_cert core.execution_api_server_url logging.json_logs"
    " logging.uvicorn_logging_level fab.config_file",
}
OPTIONS_OF_ALL = (
    "logging.worker_log_server_port logging.trigger_log_server_port logging.logging_level"
    " logging.logging_config_class scheduler.enable_health_check scheduler.scheduler_health_check_server_port"
)
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"


TELLING = ("apache-airflow", "pydantic", "SQLAlchemy", "Flask")  # packages whose versions explain failed imports
LOCAL_EXECUTORS = ("LocalExecutor", "SequentialExecutor", "DebugExecutor")
REMOTE_EXECUTORS = {  # and the provider that has each today
    "CeleryExecutor": "apache-airflow-providers-celery",
    "KubernetesExecutor": "apache-airflow-providers-cncf-kubernetes",
    "CeleryKubernetesExecutor": "apache-airflow-providers-celery",
    "LocalKubernetesExecutor": "apache-airflow-providers-cncf-kubernetes",
    "DaskExecutor": "",
    "AwsEcsExecutor": "apache-airflow-providers-amazon",
    "AwsBatchExecutor": "apache-airflow-providers-amazon",
    "AwsLambdaExecutor": "apache-airflow-providers-amazon",
    "EdgeExecutor": "apache-airflow-providers-edge3",
}
WITH_WORKERS = ("CeleryExecutor", "EdgeExecutor")
SET_EXECUTOR = "set AIRFLOW__CORE__EXECUTOR=LocalExecutor to run this start without it"
ROLES = ("viewer", "user", "op", "admin")


class Unusable(Exception):
    """What is installed, or how it is configured, cannot be run; told in one line, and what to do in another."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


def beside(name: str) -> Any:
    """Return another file of this directory as a module: sys.path leads to Airflow's modules only."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    spec = importlib.util.spec_from_file_location("orchestrate_" + name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


diagnosis = beside("diagnosis")


def say(text: str) -> None:
    """Print a line at once, so that it stands in order with what Airflow logs."""
    print(text, flush=True)


def opened(path: str, flags: int) -> int:
    """Open a file that passwords are kept in. A link in its place is refused: it would say where they are written."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unusable("refusing to use " + path + ": it is a symlink; move it away") from None
        raise


def write_private(path: str, text: str) -> None:
    """Write a file that is 0600 from its first byte on."""
    with os.fdopen(opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write(text)


def make_private(path: str) -> None:
    """Take away what group and others may do with a password file of ours."""
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & 0o077 and status.st_uid == os.geteuid():
        os.chmod(path, mode & 0o700)
        say(f"Made {path} readable by its owner alone (it was {mode:o})")


def new_password() -> str:
    """Return a random password."""
    return "".join(secrets.choice(LETTERS) for _ in range(PASSWORD_LENGTH))


def read_password(path: str) -> str:
    """The password in a file of Airflow 2's kind; empty where there is none."""
    try:
        with os.fdopen(opened(path, os.O_RDONLY)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: Exception) -> Unusable:
    """A password file cannot be read, or is not one."""
    return Unusable(
        f"cannot read the password file {path}: {getattr(error, 'strerror', None) or 'it is not text'}",
        "correct it, or move it away: then a new one is made",
    )


# What is configured


def mask(url: str) -> str:
    """A database URL without its password, for people: also without the line end that an option's command printed."""
    head, sep, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return head + sep + user + (":***" if colon else "") + at + place.partition("?")[0].strip()


def from_elsewhere(conf: Any, config_file: str, environ: Mapping[str, str]) -> bool:
    """Whether a sensitive option is taken from a command or a secrets backend: then a later start may get another."""
    wanted = {(section, key + kind) for section, key in conf.sensitive_config_values for kind in ("_cmd", "_secret")}
    for section, key in wanted:
        if f"AIRFLOW__{section.upper()}__{key.upper()}" in environ:
            return True
    parser = configparser.RawConfigParser(strict=False)
    parser.read(config_file)
    return any(parser.has_option(*option) and parser.get(*option) for option in wanted)


def executor_classes(configured: str) -> list[str]:
    """The classes in `[core] executor`: a name or a path each, without aliases (2.10) and teams (3.0)."""
    parts = (part.strip() for part in configured.replace(";", ",").split(","))
    return [part.rpartition("=")[2].rpartition(":")[2].strip() for part in parts if part]


def check_executors(configured: str) -> None:
    """See that each executor exists: one that does not is a mistake, and nothing to replace without a word."""
    classes = executor_classes(configured)
    for name in classes or [""]:
        if "." not in name and name not in LOCAL_EXECUTORS and name not in REMOTE_EXECUTORS:
            near = diagnosis.nearest(name, (*LOCAL_EXECUTORS, *REMOTE_EXECUTORS))
            raise Unusable(
                f"[core] executor = {configured}: unknown executor '{name}'",
                f"did you mean {near}?" if near else f"there are {', '.join((*LOCAL_EXECUTORS, *REMOTE_EXECUTORS))}",
            )


def executor_facts(conf: Any, major: int) -> dict[str, Any]:
    """The executor, and a local one to force if the configured one is known not to be local."""
    from airflow.executors.executor_loader import ExecutorLoader

    configured = conf.get("core", "executor")
    check_executors(configured)
    first, *others = executor_classes(configured)
    name = first.rpartition(".")[2]
    try:
        executor = ExecutorLoader.import_default_executor_cls()[0]
        if executor.is_local:
            return {"executor": executor.__name__, "idle_executors": idle_executors(configured, others, ExecutorLoader)}
        reason = f"{name} is not local"
    except Unusable:
        raise
    except Exception as error:
        reason = f"{name} is not local" if name in REMOTE_EXECUTORS else diagnosis.first_line(error)
        if name not in LOCAL_EXECUTORS and name not in REMOTE_EXECUTORS:
            raise Unusable(f"[core] executor = {configured}: cannot use it: {reason}", SET_EXECUTOR) from error
    if name not in LOCAL_EXECUTORS and name not in REMOTE_EXECUTORS:
        raise Unusable(f"[core] executor = {configured}: {reason}", SET_EXECUTOR)
    sqlite = conf.get("database", "sql_alchemy_conn").startswith("sqlite")
    forced = "SequentialExecutor" if sqlite and major == 2 else "LocalExecutor"
    os.environ["AIRFLOW__CORE__EXECUTOR"] = forced
    forget_executors()
    return {"executor": forced, "forced_executor": forced, "forced_executor_reason": reason}


def idle_executors(configured: str, others: list[str], loader: Any) -> str:
    """Name the executors beside the first that nothing here serves; a class that cannot be imported ends the scheduler,
    and so it is refused."""
    for path in others:
        name = path.rpartition(".")[2]
        module = str(loader.executors.get(path, path)).rpartition(".")[0]
        try:
            importlib.import_module(module)
        except Exception as error:
            package = REMOTE_EXECUTORS.get(name, "")
            raise Unusable(
                f"[core] executor = {configured}: cannot use {name}: {diagnosis.first_line(error)}",
                f"{sys.executable} -m pip install {package}" if package else "",
            ) from error
    names = (path.rpartition(".")[2] for path in others)
    return ", ".join(name for name in names if name in WITH_WORKERS)


def forget_executors() -> None:
    """Make Airflow look at the configured executor again: 2.10 and later keep what they found in the module."""
    from airflow.executors import executor_loader

    for name, value in vars(executor_loader).items():
        if name.startswith("_") and not name.startswith("__") and isinstance(value, (dict, list)):
            value.clear()


def auth_facts(conf: Any) -> dict[str, Any]:
    """3.x: the auth manager that is configured, or the simple one where that cannot be imported."""
    configured = conf.get("core", "auth_manager")
    try:
        conf.getimport("core", "auth_manager")
        return {"auth_manager": configured}
    except Exception as error:  # noqa: BLE001 - whatever a class of the user raises: it cannot be used
        os.environ["AIRFLOW__CORE__AUTH_MANAGER"] = SIMPLE
        reason = str(error).strip().splitlines()[0]
    return {"auth_manager": SIMPLE, "forced_auth_manager": SIMPLE, "forced_auth_manager_reason": reason}


def gather(conf: Any, config_file: str, home: str, version: str) -> dict[str, Any]:
    """Everything about the configuration that has to be known outside."""
    from airflow import configuration
    from sqlalchemy.engine.url import make_url

    major = int(version.split(".")[0])
    names = f"{OPTIONS[major]} {OPTIONS_OF_ALL}".split()
    url = conf.get("database", "sql_alchemy_conn")
    report = {
        "version": version,
        "home": home,
        "python": sys.executable,
        "config_file": config_file,
        "database": mask(url),
        "sqlite_file": (make_url(url).database or "") if url.startswith("sqlite") else "",
        "elsewhere": from_elsewhere(conf, config_file, os.environ),
        "options": {name: conf.get(*name.split("."), fallback="") or "" for name in names},
    }
    report.update(executor_facts(conf, major))
    if major == 2:
        report["auth_manager"] = conf.get("core", "auth_manager", fallback="")
        write = getattr(configuration, "write_webserver_configuration_if_needed", None)
        if write is not None:  # else the first start of the webserver changes what the facts depend on
            write(conf)
    else:
        report.update(auth_facts(conf))
        if report["auth_manager"] == SIMPLE and not everybody_is_admin(conf):
            check_users(conf.get("core", "simple_auth_manager_users"))
    return report


# The admin user


def everybody_is_admin(conf: Any) -> bool:
    """3.x: whether there is no login."""
    return bool(conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False))


def simple_login(conf: Any, act: bool) -> dict[str, Any]:
    """Airflow 3's simple auth manager: users in the configuration, passwords in a JSON file."""
    if everybody_is_admin(conf):
        return {"login": "open"}
    manager = conf.getimport("core", "auth_manager")
    users = [username(user) for user in manager.get_users()]
    path = manager.get_generated_password_file()
    if act:
        seed_passwords(path, users)
    user = "admin" if "admin" in users else (users or [""])[0]
    return {"login": "json", "user": user, "password_file": path}


def check_users(text: str) -> None:
    """See that each user has a role: Airflow ends in a traceback if one has none."""
    for user in filter(None, (part.strip() for part in text.split(","))):
        name, _, role = user.partition(":")
        if not name or role.partition(":")[0].strip().lower() not in ROLES:
            raise Unusable(
                f"[core] simple_auth_manager_users = {text}: '{user}' is not NAME:ROLE",
                f"name a role, for example {name or 'ann'}:admin; roles are {', '.join(ROLES)}",
            )


def username(user: Any) -> str:
    """Return the name of a user of the simple auth manager: a dict before 3.2, an object since."""
    return str(user["username"] if isinstance(user, Mapping) else user.username)


def seed_passwords(path: str, users: list[str]) -> None:
    """Make the passwords that are missing, before Airflow does: it would print them, into a file that all may read."""
    known: Any
    try:
        with os.fdopen(opened(path, os.O_RDONLY)) as file:
            known = json.loads(file.read().strip() or "{}")
        make_private(path)
    except FileNotFoundError:
        known = {}
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise Unusable(
            f"the password file {path} is not a JSON object of users and passwords",
            "correct it, or move it away: then a new one is made",
        )
    missing = [user for user in users if user not in known]
    if missing:
        known.update((user, new_password()) for user in missing)
        write_private(path, json.dumps(known) + "\n")
        say(f"Created a password for user {', '.join(missing)} in {path}")


def application_builder() -> Any:
    """The context manager in which Flask AppBuilder's users can be reached; its place changed with the versions."""
    for name in ("airflow.providers.fab.auth_manager", "airflow.auth.managers.fab"):
        try:
            utils = __import__(name + ".cli_commands.utils", fromlist=["get_application_builder"])
            return utils.get_application_builder()
        except ImportError:
            continue
    from airflow.utils.cli_app_builder import get_application_builder

    return get_application_builder()


def fab_login(home: str, act: bool) -> dict[str, Any]:
    """Flask AppBuilder: users in the database, the admin's password in a file beside it."""
    path = os.path.join(home, "standalone_admin_password.txt")
    facts = {"login": "text", "user": "admin", "password_file": path}
    if not act:
        return facts
    with application_builder() as builder:
        manager = builder.sm
        if getattr(manager, "auth_type", 1) != 1:  # AUTH_DB; with any other, users and passwords are kept elsewhere
            return {"login": "elsewhere"}
        if manager.find_user("admin") is None:
            create_admin(manager, path)
    if os.path.isfile(path):
        make_private(path)
    return facts


def create_admin(manager: Any, path: str) -> None:
    """Create the user, with the password in the file, or a new one that is written there first."""
    say("Creating admin user")
    role = manager.find_role("Admin")
    if role is None:
        raise Unusable("unable to create the admin user: there is no role Admin in the database")
    password = read_password(path)
    if not password:
        password = new_password()
        write_private(path, password)
    if not manager.add_user("admin", "Admin", "User", "admin@example.com", role, password):
        raise Unusable("unable to create the admin user: Airflow refused it")
    say("Created admin user; its password is in " + path)


def login_facts(conf: Any, report: dict[str, Any], act: bool) -> dict[str, Any]:
    """Say how people log in; with `act` see to it that there is somebody who can."""
    name = report["auth_manager"].rpartition(".")[2]
    if name in ("", "FabAuthManager"):  # before 2.7 there is no other
        return fab_login(report["home"], act)
    if hasattr(conf.getimport("core", "auth_manager"), "get_generated_password_file"):
        return simple_login(conf, act)
    return {"login": "elsewhere"}


# The order of things


def wait_for_database(check: Any, explained: Any, seconds: float) -> None:
    """Return when the database answers. Raises Unusable if it does not within `seconds`, or never will."""
    start = time.monotonic()
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(max(2, int(seconds))))  # else libpq waits for minutes
    said = ""
    while True:
        try:
            check()
        except Exception as error:
            finding = explained(error)
            waited = time.monotonic() - start
            if not finding.later or waited >= seconds:
                after = f" (waited {waited:.0f} s for it)" if finding.later and seconds else ""
                raise Unusable(finding.reason + after, finding.hint) from error
            if said != finding.reason:
                said = finding.reason
                say(f"waiting for the database, up to {seconds:g} s: {said}")
            threading.Event().wait(min(1.0, seconds - waited))
        else:
            if said:
                say(f"the database answers after {time.monotonic() - start:.0f} s")
            return


def check_schema(db: Any, version: str, sqlite_file: str) -> None:
    """See that this Airflow knows the schema's revision; copy a SQLite file first that an earlier major version made:
    there is no way back from its migration."""
    from airflow import settings
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    heads = getattr(db, "_REVISION_HEADS_MAP", None) or getattr(db, "REVISION_HEADS_MAP", {})
    with settings.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None or current in list(heads.values())[-1:]:  # a new database, or one that nothing is done to
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
        say(f"Copied the database to {copy} before Airflow {version} changes its schema")


def copy_of(path: str, version: str) -> str:
    """Copy a SQLite file, what its write-ahead log holds included; returns the path of the copy."""
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
    """Name the processes that hold a lock on a file, as far as the kernel tells."""
    try:
        with open("/proc/locks") as file:
            locks = file.read()
        pids = diagnosis.lock_holders(locks, os.stat(path).st_ino)
    except OSError:
        pids = []
    return f"pid {', '.join(map(str, pids))}" if pids else "another process"


def explained(error: Exception) -> Any:
    """Explain an exception with what is known of the configuration by now."""
    from importlib import metadata

    versions = {}
    for name in TELLING:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    url, sqlite_file = CONTEXT.get("url", ""), CONTEXT.get("sqlite_file", "")
    return diagnosis.explain(
        error,
        database=mask(url) if "://" in url else "",
        sqlite_file=sqlite_file,
        holder=holder_of(sqlite_file),
        environment=sys.prefix,
        versions=versions,
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
    )


CONTEXT: dict[str, str] = {}  # what an error is explained with


def prepare(act: bool, wait: float) -> dict[str, Any]:
    """Configuration first, then the database, then the user. Returns the report."""
    try:
        from airflow import configuration
    except ModuleNotFoundError as error:
        if error.name != "airflow":
            raise
        raise Unusable("there is no Airflow in " + sys.prefix) from None
    # 2.6 writes the file when it is imported, later ones in the command line's `main`.
    write = getattr(configuration, "write_default_airflow_configuration_if_needed", None)
    conf = (write() if write is not None else None) or configuration.conf

    import logging

    from airflow import __version__ as version

    if version.split(".")[0] not in ("2", "3"):
        raise Unusable(f"Airflow {version} is not supported: 2.6 or later is")
    logging.getLogger("").setLevel(logging.WARNING)
    CONTEXT["url"] = conf.get("database", "sql_alchemy_conn")
    report = gather(conf, str(configuration.AIRFLOW_CONFIG), str(configuration.AIRFLOW_HOME), version)
    CONTEXT["sqlite_file"] = report["sqlite_file"]
    if act:
        from airflow.utils import db

        wait_for_database(db.check, explained, wait)
        say("Checking database is initialized")
        check_schema(db, version, report["sqlite_file"])
        db.initdb()
        say("Database ready")
    report.update(login_facts(conf, report, act))
    return report


def fail(reason: str, *hints: str) -> int:
    """Say why it failed and what to do; returns the exit status."""
    say(f"cannot prepare Airflow: {reason}")
    for hint in filter(None, hints):
        say(f"hint: {hint}")
    return 1


def main(arguments: list[str]) -> int:
    """Write the report; returns the exit status."""
    act = "report" not in arguments[1:]
    try:
        report = prepare(act, float(arguments[1]) if act and arguments[1:] else 0.0)
    except Unusable as error:
        return fail(str(error), error.hint)
    except Exception as error:  # noqa: BLE001 - whatever Airflow, its packages or a driver raise
        finding = explained(error)
        if finding.known:
            return fail(finding.reason, finding.hint)
        path = arguments[0] + ".traceback"
        write_private(path, traceback.format_exc())
        return fail(finding.reason, finding.hint, "the traceback is in " + path)
    write_private(arguments[0], json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    exit_status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_status)  # the components wait, and to take Airflow's modules apart costs half a second
