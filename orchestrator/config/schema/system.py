"""The keys of the whole system: its defaults, its .env files, the steps and components, and Apache Airflow."""

from __future__ import annotations

from orchestrator.config.schema.component import COMPONENT, ELSEWHERE, FILES, INIT, NAME, TEXTS
from orchestrator.config.schema.fields import (
    SECONDS,
    ByType,
    Flag,
    MapOf,
    Number,
    SchemaKey,
    Table,
    Text,
)
from orchestrator.config.schema.limits import IDENTITY
from orchestrator.model.names import name_fault

_SYSTEM_ELSEWHERE = {
    **dict.fromkeys(
        ("services", "service", "processes", "process", "procs", "programs", "program", "apps"), "[components.NAME]"
    ),
    "env": "'env_file', or 'environment' in [components.NAME]",
    "environment": "'env_file', or 'environment' in [components.NAME]",
}
AIRFLOW = Table(
    {
        "home": SchemaKey(
            Text("a directory"), "AIRFLOW_HOME (the variable, else ~/airflow); relative to the file's directory."
        ),
        "airflow": SchemaKey(Text("a path"), "The airflow command, or its environment (the command on PATH)."),
        "executor": SchemaKey(Text("an executor"), "[core] executor."),
        "port": SchemaKey(
            ByType({int: Number(1, 65535, whole=True), str: Text("a port")}), "The port of the web interface."
        ),
        "bind": SchemaKey(Text("an address"), "The address that the web interface listens on."),
        "listen": SchemaKey(
            Text("an address"), "The address of this host for Celery workers on others (this host only)."
        ),
        "any_port": SchemaKey(Flag(), "Whether to use free ports instead of those that are in use (false)."),
        "wait_for_database": SchemaKey(SECONDS, "Seconds to retry if the database does not answer (30)."),
        "workers": SchemaKey(Number(0, 1000, whole=True), "Celery workers here, if CeleryExecutor runs the tasks (1)."),
        "concurrency": SchemaKey(
            Number(1, 10_000, whole=True), "Tasks that each worker runs at a time (as configured)."
        ),
        "queues": SchemaKey(TEXTS, "Queues that the workers serve (as configured)."),
        "worker_grace": SchemaKey(SECONDS, "Seconds for running tasks when a worker stops (60)."),
        "flower": SchemaKey(Flag(), "Whether to start Flower, Celery's web interface (false)."),
        "with": SchemaKey(TEXTS, "Servers to start with Airflow: redis, postgresql."),
        "only": SchemaKey(TEXTS, "Start only these components of Airflow."),
        "except": SchemaKey(TEXTS, "All components of Airflow but these."),
    }
)
_DEFAULTS = (
    *("environment", "cwd", "shell", "unset", "stop", "restart", "color", "on_failure", "after_exit"),
    *IDENTITY,
)
DEFAULTS = Table({key: COMPONENT.keys[key] for key in _DEFAULTS}, ELSEWHERE)
SYSTEM = Table(
    {
        "defaults": SchemaKey(
            DEFAULTS, "Keys for all components and initial steps that do not have them; variables are merged."
        ),
        "env_file": SchemaKey(FILES, '.env files for all; { path = "…", required = false } may be missing.'),
        "init": SchemaKey(MapOf(INIT, name_fault, NAME), "Steps that run one after another before the components."),
        "components": SchemaKey(MapOf(COMPONENT, name_fault, NAME), "The programs of the system."),
        "airflow": SchemaKey(AIRFLOW, "Adds the components of Apache Airflow; tables with their names override them."),
    },
    _SYSTEM_ELSEWHERE,
)
