"""How users log in: the auth manager, the users, and the admin's password."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import private_files
from .diagnosis import Unusable

if TYPE_CHECKING:
    from .airflow_report import PreparationReport

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
ROLES = ("viewer", "user", "op", "admin")
LETTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789"  # without characters that look alike
PASSWORD_LENGTH = 16


def auth_facts(conf: Any, major: int) -> PreparationReport:
    """Return the configured auth manager. On 3.x the simple one replaces it if it cannot be imported."""
    if major == 2:
        from airflow import configuration

        write = getattr(configuration, "write_webserver_configuration_if_needed", None)
        if write is not None:  # else the first webserver writes it, and the record of this start does not hold
            write(conf)
        return {"auth_manager": conf.get("core", "auth_manager", fallback="")}
    facts: PreparationReport = {"auth_manager": conf.get("core", "auth_manager")}
    try:
        conf.getimport("core", "auth_manager")
    except Exception as error:  # noqa: BLE001 - the class may be the user's and raise anything
        os.environ["AIRFLOW__CORE__AUTH_MANAGER"] = SIMPLE
        reason = str(error).strip().splitlines()[0]
        facts = {"auth_manager": SIMPLE, "forced_auth_manager": SIMPLE, "forced_auth_manager_reason": reason}
    if facts["auth_manager"] == SIMPLE and not has_no_login(conf):
        check_users(conf.get("core", "simple_auth_manager_users"))
    return facts


def login_facts(conf: Any, report: PreparationReport, act: bool) -> PreparationReport:
    """Return how users log in. With `act`, create a missing admin user or missing passwords."""
    name = report["auth_manager"].rpartition(".")[2]
    if name in ("", "FabAuthManager"):  # before 2.7 there is only this one
        return fab_login(report["home"], act)
    if hasattr(conf.getimport("core", "auth_manager"), "get_generated_password_file"):
        return simple_login(conf, act)
    return {"login": "elsewhere"}


def has_no_login(conf: Any) -> bool:
    """Return whether 3.x requires no login."""
    return bool(conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False))


def check_users(text: str) -> None:
    """Raise Unusable if a user has no valid role: Airflow would exit with a traceback."""
    for user in filter(None, (part.strip() for part in text.split(","))):
        name, _, role = user.partition(":")
        if not name or role.partition(":")[0].strip().lower() not in ROLES:
            raise Unusable(
                f"[core] simple_auth_manager_users = {text}: '{user}' is not NAME:ROLE",
                f"name a role, for example {name or 'ann'}:admin; roles are {', '.join(ROLES)}",
            )


def simple_login(conf: Any, act: bool) -> PreparationReport:
    """Return the login of Airflow 3's simple auth manager: users are configured, their passwords are in a JSON file."""
    if has_no_login(conf):
        return {"login": "open"}
    manager = conf.getimport("core", "auth_manager")
    users = [username(user) for user in manager.get_users()]
    path = manager.get_generated_password_file()
    if act:
        seed_passwords(path, users)
    user = "admin" if "admin" in users else (users or [""])[0]
    return {"login": "json", "user": user, "password_file": path}


def username(user: Any) -> str:
    """Return the name of a user of the simple auth manager, which is a dict before 3.2 and an object since."""
    return str(user["username"] if isinstance(user, Mapping) else user.username)


def seed_passwords(path: str, users: list[str]) -> None:
    """Create missing passwords. Airflow would print them, and store them in a file that all users can read."""
    known: object
    try:
        with os.fdopen(private_files.open_private(path, os.O_RDONLY)) as file:
            known = json.loads(file.read().strip() or "{}")
        private_files.make_private(path)
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
        private_files.write_private(path, json.dumps(known) + "\n")
        print(f"Created a password for user {', '.join(missing)} in {path}", flush=True)


def fab_login(home: str, act: bool) -> PreparationReport:
    """Return the login of Flask AppBuilder: users are in the database, the admin's password is in a text file."""
    path = os.path.join(home, "standalone_admin_password.txt")
    facts: PreparationReport = {"login": "text", "user": "admin", "password_file": path}
    if not act:
        return facts
    with application_builder() as builder:
        manager = builder.sm
        if getattr(manager, "auth_type", 1) != 1:  # AUTH_DB; with other types, users are not in the database
            return {"login": "elsewhere"}
        if manager.find_user("admin") is None:
            create_admin(manager, path)
    if os.path.isfile(path):
        private_files.make_private(path)
    return facts


def application_builder() -> Any:
    """Return the context manager that gives access to the users of Flask AppBuilder. Its module differs between
    versions."""
    for name in ("airflow.providers.fab.auth_manager", "airflow.auth.managers.fab"):
        try:
            utils = __import__(name + ".cli_commands.utils", fromlist=["get_application_builder"])
            return utils.get_application_builder()
        except ImportError:
            continue
    from airflow.utils.cli_app_builder import get_application_builder

    return get_application_builder()


def create_admin(manager: Any, path: str) -> None:
    """Create the admin user with the password in the file. If it has none, write a new one there first."""
    print("Creating admin user", flush=True)
    role = manager.find_role("Admin")
    if role is None:
        raise Unusable("cannot create the admin user: the database has no role Admin")
    password = read_password(path)
    if not password:
        password = new_password()
        private_files.write_private(path, password)
    if not manager.add_user("admin", "Admin", "User", "admin@example.com", role, password):
        raise Unusable("cannot create the admin user: Airflow refused it")
    print("Created admin user; its password is in " + path, flush=True)


def new_password() -> str:
    """Return a random password."""
    return "".join(secrets.choice(LETTERS) for _ in range(PASSWORD_LENGTH))


def read_password(path: str) -> str:
    """Return the password in a text file as Airflow 2 writes it; empty if there is none."""
    try:
        with os.fdopen(private_files.open_private(path, os.O_RDONLY)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: Exception) -> Unusable:
    """Return the error for a password file that cannot be read or is not text."""
    return Unusable(
        f"cannot read the password file {path}: {getattr(error, 'strerror', None) or 'it is not text'}",
        "correct it, or move it away: then a new one is made",
    )
