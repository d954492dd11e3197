"""Derives a first orchestrate.toml from the files of a directory: Procfile, Django, Node, FastAPI, Flask, Celery,
compose, Airflow. Pure.

Components that cannot run on this machine are written as comments, so that the definition is valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from orchestrator.config.importers import package_json, procfile
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby, usable_name
from orchestrator.model.errors import ConfigError

ABOUT = (
    "What `orchestrate` starts in this directory. Written by `orchestrate init`: change it as you like.",
    "`orchestrate check` reports mistakes; `orchestrate` starts all components, Ctrl-C stops them.",
)
COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OTHERS = ("process-compose.yaml", "process-compose.yml", "mprocs.yaml", "supervisord.conf")
_DEPENDENCIES = ("requirements.txt", "pyproject.toml", "Pipfile", "setup.cfg", "requirements/base.txt")
_SERVERS = {
    "fastapi": r"^(?P<app>\w+)\s*(?::[^=\n]*)?=\s*(?:fastapi\.)?FastAPI\(",
    "flask": r"^(?P<app>\w+)\s*(?::[^=\n]*)?=\s*(?:flask\.)?Flask\(",
}
_MODULES = ("main.py", "app.py", "app/main.py", "app/__init__.py", "src/main.py", "server.py", "api.py", "wsgi.py")
_CELERY = r"^(?P<app>\w+)\s*(?::[^=\n]*)?=\s*(?:celery\.)?Celery\("
_CELERY_MODULES = ("celery_app.py", "celeryapp.py", "tasks.py", "worker.py", "app/celery.py", "app/worker.py")


def detect(nearby: Nearby) -> Draft:
    """Return a definition of what the directory contains, or an example if nothing is recognized."""
    draft = Draft(comments=list(ABOUT))
    if name := next((name for name in ("Procfile.dev", "Procfile") if name in nearby.names), ""):
        _add_procfile(draft, name, nearby)
    else:
        _add_python(draft, nearby)
        _add_package(draft, nearby)
    _add_services(draft, nearby)
    _comment_out(draft, nearby)
    _add_airflow(draft, nearby)
    for other in OTHERS:
        if other in nearby.names:
            draft.footer.append(f"{other} is here too: `orchestrate import {other} --print` converts it.")
    if not draft.components and "airflow" not in draft.keys:
        _add_example(draft, nearby)
    draft.drop_missing_dependencies()
    return draft


def _add_procfile(draft: Draft, name: str, nearby: Nearby) -> None:
    read = procfile.read(nearby.read(name) or "", name, nearby)
    draft.entries += read.entries
    draft.losses += read.losses
    if read.entries:
        draft.comments.append(f"The components are those of {name}.")


# Python


def python(nearby: Nearby) -> str:
    """Return the interpreter of the project: that of its virtual environment, or the one on PATH."""
    for path in (".venv/bin/python", "venv/bin/python", "env/bin/python"):
        if path.split("/")[0] + "/" in nearby.names and not nearby.fault(path):
            return path
    if "uv.lock" in nearby.names and not nearby.fault("uv"):
        return "uv run python"
    if "poetry.lock" in nearby.names and not nearby.fault("poetry"):
        return "poetry run python"
    return "python" if not nearby.fault("python") else "python3"


def _add_python(draft: Draft, nearby: Nearby) -> None:
    run = python(nearby)
    needs = _dependencies(nearby)
    if "manage.py" in nearby.names:
        draft.entries.append(
            DraftEntry(
                "migrate",
                {"command": f"{run} manage.py migrate", "unless": f"{run} manage.py migrate --check"},
                ["Runs before the components start, unless the database is up to date."],
                section="init",
            )
        )
        ready = {"tcp": "127.0.0.1:${PORT}"}
        web = DraftEntry("web", {"command": f"{run} manage.py runserver $PORT", "port": 8000, "ready": ready})
        web.comments.append("The development server of Django.")
        web.key_comments["ready"] = "ready once its own process accepts connections"
        draft.entries.append(web)
    else:
        _add_server(draft, nearby, run)
    if "celery" in needs and (app := _celery_app(nearby)):
        stop = {"timeout": 30}
        worker = DraftEntry("worker", {"command": f"{run} -m celery -A {app} worker -l info", "stop": stop})
        worker.key_comments["stop"] = "seconds that running tasks may take before they are killed"
        draft.entries.append(worker)
        if re.search(r"celery[-_]beat|beat_schedule|BEAT_SCHEDULE", needs + _settings(nearby)):
            draft.entries.append(DraftEntry("beat", {"command": f"{run} -m celery -A {app} beat -l info"}))


def _dependencies(nearby: Nearby) -> str:
    return "\n".join(nearby.read(name) or "" for name in _DEPENDENCIES).lower()


def _settings(nearby: Nearby) -> str:
    return "\n".join(nearby.read(path) or "" for path in (*_python_files(nearby), f"{_project(nearby)}/settings.py"))


def _project(nearby: Nearby) -> str:
    """Return the package of a Django project: that of DJANGO_SETTINGS_MODULE."""
    match = re.search(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"](\w+)", nearby.read("manage.py") or "")
    return match[1] if match else ""


def _python_files(nearby: Nearby) -> Iterable[str]:
    return dict.fromkeys((*_CELERY_MODULES, *_MODULES))


def _celery_app(nearby: Nearby) -> str:
    if project := _project(nearby):
        return project if nearby.read(f"{project}/celery.py") is not None else ""
    for path in _python_files(nearby):
        if re.search(_CELERY, nearby.read(path) or "", re.MULTILINE):
            return _module(path)
    return ""


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _add_server(draft: Draft, nearby: Nearby, run: str) -> None:
    for path in _MODULES:
        text = nearby.read(path)
        if text is None:
            continue
        for kind, pattern in _SERVERS.items():
            if match := re.search(pattern, text, re.MULTILINE):
                app = f"{_module(path)}:{match['app']}"
                commands = {
                    "fastapi": f"{run} -m uvicorn {app} --reload --port $PORT",
                    "flask": f"{run} -m flask --app {app} run --debug --port $PORT",
                }
                web = DraftEntry("web", {"command": commands[kind], "port": 8000 if kind == "fastapi" else 5000})
                web.keys["ready"] = {"tcp": "127.0.0.1:${PORT}"}
                web.key_comments["ready"] = "ready once its own process accepts connections"
                draft.entries.append(web)
                return


# Node, containers, Airflow


def _add_package(draft: Draft, nearby: Nearby) -> None:
    text = nearby.read("package.json")
    if text is None:
        return
    try:
        read = package_json.read(text, "package.json", nearby)
    except ConfigError:
        return
    for entry in read.entries:
        taken = [known.name for known in draft.entries]
        entry.name = usable_name(entry.name, taken)
        draft.entries.append(entry)


def _add_services(draft: Draft, nearby: Nearby) -> None:
    name = next((name for name in COMPOSE if name in nearby.names), "")
    if not name:
        return
    services = _image_services(nearby.read(name) or "")
    if services is None:
        services = {"": 0}
    added: dict[str, str] = {}
    entries: list[DraftEntry] = []
    for service, port in services.items():
        keys: dict[str, Any] = {"command": f"exec docker compose up --no-log-prefix {service}".rstrip()}
        if port:
            keys["ready"] = {"tcp": port, "owner": "any"}
        entry = DraftEntry(usable_name(service or "compose", [*added, *(known.name for known in draft.entries)]), keys)
        what = f"Service {service}" if service else "The services"
        entry.comments.append(f"{what} of {name}, in a container.")
        if port:
            entry.key_comments["ready"] = "owner: the process that listens belongs to Docker"
        entries.append(entry)
        added[entry.name] = "ready" if port else "started"
    if added:
        _wait_for(draft, added)
    draft.entries = [*entries, *draft.entries]


def _wait_for(draft: Draft, services: dict[str, str]) -> None:
    """Let the Python programs wait for services. A migration needs them too, so it becomes a component."""
    users = [entry for entry in draft.entries if entry.name in ("web", "worker", "beat", "migrate")]
    steps = [entry for entry in users if entry.section == "init"]
    for entry in users:
        if entry.keys["command"].startswith(("npm ", "pnpm ", "yarn ", "bun ")):
            continue
        entry.keys["depends_on"] = dict(services)
        if steps and entry not in steps:
            entry.keys["depends_on"][steps[0].name] = "succeeded"
    for step in steps:
        step.section = "components"
        step.keys.pop("unless", None)
        step.keys["on_exit"] = "ignore"
        step.comments = ["Runs once at each start, before the components that depend on it."]


def _image_services(text: str) -> dict[str, int] | None:
    """Return the services that run an image as it is, each with the port that it publishes here, or 0.

    None if PyYAML is not installed, or the file cannot be read.
    """
    try:
        from orchestrator.config.importers import compose
    except ImportError:
        return None
    try:
        return compose.image_services(text)
    except ConfigError:
        return None


def _add_airflow(draft: Draft, nearby: Nearby) -> None:
    if nearby.fault("airflow"):
        return
    has_dags = bool({"dags/", "airflow.cfg"} & nearby.names)
    if has_dags or not draft.components:
        draft.keys["airflow"] = {"home": "."} if "airflow.cfg" in nearby.names else {}
        draft.comments.append("The table [airflow] adds all components of Apache Airflow.")
    else:
        draft.footer += ["Apache Airflow is installed. This line adds its components:", "[airflow]"]


def _comment_out(draft: Draft, nearby: Nearby) -> None:
    for entry in draft.entries:
        if fault := nearby.fault(entry.keys["command"]):
            entry.is_active = False
            entry.comments.append(f"Commented out: {fault}.")
    if not draft.components:  # a step without components is useless
        for entry in draft.entries:
            entry.is_active = False


def _add_example(draft: Draft, nearby: Nearby) -> None:
    run = python(nearby)
    command = f"{run} -m http.server $PORT --bind 127.0.0.1"
    if nearby.fault(run.split()[0]):
        command = "while date; do sleep 5; done"
    name = usable_name("web", [entry.name for entry in draft.entries])
    draft.entries.append(DraftEntry(name, {"command": command}, ["An example: replace it with a program of yours."]))
    draft.footer += [
        "More keys of a component:",
        'depends_on = { db = "ready" }                    # wait for another component',
        'ready = { http = "http://127.0.0.1:${PORT}/" }   # when it is ready',
        'restart = "on-failure"                           # restart it if it fails',
        'stop = { signal = "INT", timeout = 20 }          # how to stop it',
        'environment = { LOG_LEVEL = "debug" }            # variables',
    ]
