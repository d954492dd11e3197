"""The executors: which are configured, whether they can be used, and which one replaces another that is not local."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from . import celery_call, configuration, diagnosis
from .diagnosis import Unusable

if TYPE_CHECKING:
    from .airflow_report import PreparationReport

LOCAL_EXECUTORS = ("LocalExecutor", "SequentialExecutor", "DebugExecutor")
REMOTE_EXECUTORS = {  # and the package that contains each
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
CELERY = "CeleryExecutor"
PROVIDER = "apache-airflow-providers-celery"
OWN_BROKER = "ORCHESTRATE_OWN_BROKER"  # set if the broker of --with redis starts later; also in preparation.py
BROKER_TIMEOUT = 5.0  # seconds
NO_SQLITE = "start one with --with postgresql, or set [database] sql_alchemy_conn"
NO_BROKER = "start it, start one with --with redis, or set [celery] broker_url; --executor LocalExecutor needs none"
SET_EXECUTOR = "set AIRFLOW__CORE__EXECUTOR=LocalExecutor to run this start without it"


def executor_facts(conf: Any, major: int) -> PreparationReport:
    """Return the executor, and which local one to force if the configured one is known not to be local."""
    from airflow.executors.executor_loader import ExecutorLoader

    configured = conf.get("core", "executor")
    check_executors(configured)
    first, *others = executor_classes(configured)
    name = first.rpartition(".")[2]
    if name == CELERY:
        return {"executor": name, "idle_executors": idle_executors(configured, others, ExecutorLoader)}
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


def executor_classes(configured: str) -> list[str]:
    """Return the classes in `[core] executor`, names or import paths, without aliases (2.10) and teams (3.0)."""
    parts = (part.strip() for part in configured.replace(";", ",").split(","))
    return [part.rpartition("=")[2].rpartition(":")[2].strip() for part in parts if part]


def check_executors(configured: str) -> None:
    """Raise Unusable if an executor does not exist: this is a typing error, and no reason to force another executor."""
    classes = executor_classes(configured)
    for name in classes or [""]:
        if "." not in name and name not in LOCAL_EXECUTORS and name not in REMOTE_EXECUTORS:
            near = diagnosis.nearest(name, (*LOCAL_EXECUTORS, *REMOTE_EXECUTORS))
            raise Unusable(
                f"[core] executor = {configured}: unknown executor '{name}'",
                f"did you mean {near}?" if near else f"there are {', '.join((*LOCAL_EXECUTORS, *REMOTE_EXECUTORS))}",
            )


def idle_executors(configured: str, others: list[str], loader: Any) -> str:
    """Return the names of further executors that need workers elsewhere. Raises Unusable for a class that cannot be
    imported: the scheduler would exit."""
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
    """Make Airflow load the configured executor again. 2.10 and later cache it in the module."""
    from airflow.executors import executor_loader

    for name, value in vars(executor_loader).items():
        if name.startswith("_") and not name.startswith("__") and isinstance(value, (dict, list)):
            value.clear()


def check_celery(conf: Any) -> None:
    """Check the provider, the broker, and that workers can share the database. Raises Unusable with all problems."""
    problems = []
    app = None
    try:
        app = celery_call.airflow_application()
    except Exception as error:  # noqa: BLE001 - the provider and its packages raise anything
        problems.append(
            (
                "cannot use CeleryExecutor: " + diagnosis.first_line(error),
                sys.executable + " -m pip install " + PROVIDER,
            )
        )
    if conf.get("database", "sql_alchemy_conn").startswith("sqlite"):
        problems.append(("cannot use CeleryExecutor: the database is SQLite, which workers cannot share", NO_SQLITE))
    if app is not None and not os.environ.pop(OWN_BROKER, ""):
        try:
            with app.connection_for_write(connect_timeout=BROKER_TIMEOUT) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - each transport has its own exceptions
            broker = configuration.mask(str(app.conf.broker_url))
            problems.append((f"the broker {broker} does not answer: {diagnosis.first_line(error)}", NO_BROKER))
    if problems:
        raise Unusable(*problems[0], problems[1:])
