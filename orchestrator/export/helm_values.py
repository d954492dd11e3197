"""values.yaml for the official Helm chart of Apache Airflow (1.2x), from the Airflow preset. Pure.

Facts: the chart's "Parameters reference". Secrets are referred to by name; the chart reads the keys `connection`,
`fernet-key`, `webserver-secret-key`, `api-secret-key` and `jwt-secret` from them.
"""

from __future__ import annotations

from orchestrator.export import source as common
from orchestrator.export.source import Export, ExportedFile, ExportLoss, Source
from orchestrator.export.yaml import write
from orchestrator.model.errors import OrchestrateError
from orchestrator.model.spec import ComponentSpec

Tree = dict[str, object]
NAMES = ("scheduler", "webserver", "api-server", "dag-processor", "triggerer", "worker", "flower")
SERVERS = ("redis", "postgresql")
_SECTIONS = {"webserver": "webserver", "api-server": "apiServer", "dag-processor": "dagProcessor"}
# Variable, key of the chart, name of the secret, key in the secret.
_SECRETS = (
    ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "data.metadataSecretName", "airflow-metadata", "connection"),
    ("AIRFLOW__CELERY__RESULT_BACKEND", "data.resultBackendSecretName", "airflow-result-backend", "connection"),
    ("AIRFLOW__CELERY__BROKER_URL", "data.brokerUrlSecretName", "airflow-broker-url", "connection"),
    ("AIRFLOW__CORE__FERNET_KEY", "fernetKeySecretName", "airflow-fernet-key", "fernet-key"),
    ("AIRFLOW__WEBSERVER__SECRET_KEY", "webserverSecretKeySecretName", "airflow-webserver-key", "webserver-secret-key"),
    ("AIRFLOW__API__SECRET_KEY", "apiSecretKeySecretName", "airflow-api-key", "api-secret-key"),
    ("AIRFLOW__API_AUTH__JWT_SECRET", "jwtSecretName", "airflow-jwt", "jwt-secret"),
)
_OF_2 = ("AIRFLOW__WEBSERVER__SECRET_KEY",)
_OF_3 = ("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")
_OF_THIS_HOST = (  # variables that the chart sets itself, or that are valid only on this host
    *("AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__PLUGINS_FOLDER"),
    *("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__API__BASE_URL", "AIRFLOW__WEBSERVER__BASE_URL"),
    *("AIRFLOW__API__PORT", "AIRFLOW__API__HOST", "AIRFLOW__WEBSERVER__WEB_SERVER_PORT"),
    *("AIRFLOW__WEBSERVER__WEB_SERVER_HOST", "AIRFLOW__LOGGING__BASE_LOG_FOLDER"),
    *("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT"),
    *("AIRFLOW__CELERY__FLOWER_PORT", "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT"),
)


def export(source: Source, version: str, image: str) -> Export:
    """Return values.yaml, and files to make secrets of. `version` is Airflow's; an empty image means the chart's."""
    groups = common.grouped(source.components)
    airflow = [name for name in groups if name in NAMES]
    if not airflow or not version:
        raise OrchestrateError("cannot export helm-values: the definition has no Airflow", "add a table [airflow]")
    first = groups[airflow[0]][0]
    variables = common.without_assigned(source.variables.get(first.name, {}))
    losses = [
        ExportLoss(name, "component", "the chart has Airflow's components only")
        for name in groups
        if name not in (*NAMES, *SERVERS)
    ]
    values: Tree = {"airflowVersion": version, "executor": _executor(groups, variables, losses)}
    values |= _image(image) if image else {"defaultAirflowTag": version}
    files: list[ExportedFile] = []
    notes = ["helm repo add apache-airflow https://airflow.apache.org"]
    celery = "worker" in groups
    for variable, key, secret, inner in _SECRETS:
        if ".broker" in key or ".result" in key:
            if not celery:
                continue
        elif variable in (_OF_3 if version.startswith("2.") else _OF_2):
            continue
        given = variables.get(variable, "") if not any(server in groups for server in SERVERS) else ""
        if key.startswith("data.") and ("127.0.0.1" in given or "localhost" in given or given.startswith("sqlite")):
            given = ""
        if key == "data.resultBackendSecretName" and variable not in variables:
            continue  # the chart has the database as values
        _set(values, key, secret)
        notes.append(_how(secret, inner, given, files, variable))
    public, secrets = common.split_variables(variables)
    ours = {variable for variable, *_ in _SECRETS}
    env = {n: v for n, v in public.items() if n.startswith("AIRFLOW__") and n not in ours and n not in _OF_THIS_HOST}
    if env:
        values["env"] = [
            {"name": name, "value": common.kubernetes_literal(value)} for name, value in sorted(env.items())
        ]
    if more := {name: value for name, value in secrets.items() if name not in ours}:
        files.append(
            ExportedFile("airflow-env.env", "".join(f"{n}={v}\n" for n, v in sorted(more.items())), private=True)
        )
        values["secret"] = [{"envName": name, "secretName": "airflow-env", "secretKey": name} for name in sorted(more)]
        notes.append("kubectl create secret generic airflow-env --from-env-file=airflow-env.env")
    values["postgresql"] = {"enabled": False}
    values["redis"] = {"enabled": False}
    for name in airflow:
        values[_SECTIONS.get(name, name if name != "worker" else "workers")] = _section(name, groups[name])
    values["ingress"] = {"apiServer" if "api-server" in groups else "web": {"enabled": False}}
    if "flower" not in groups:
        values["flower"] = {"enabled": False}
    if version.startswith("2.") and not version.startswith("2.11"):
        losses.append(ExportLoss("", "version", "the chart supports 2.11 and later"))
    losses += [
        ExportLoss("", "components", "of each, the file has replicas and variables; the rest is the chart's own"),
        ExportLoss("", "dags", "put DAGs into the image, or set dags.gitSync"),
        ExportLoss("", "users", "the chart makes its own admin"),
    ]
    for name in SERVERS:
        if name in groups:
            losses.append(ExportLoss(name, "server", "use one outside the chart: the chart's own is for tests"))
    notes.append("helm upgrade --install airflow apache-airflow/airflow -f values.yaml")
    return Export((ExportedFile("values.yaml", write(values)), *files), tuple(losses), tuple(notes))


def _executor(groups: dict[str, list[ComponentSpec]], variables: dict[str, str], losses: list[ExportLoss]) -> str:
    named = variables.get("AIRFLOW__CORE__EXECUTOR", "")
    if "worker" in groups:
        return named or "CeleryExecutor"
    if named in ("", "SequentialExecutor"):
        losses.append(ExportLoss("scheduler", "executor", "LocalExecutor is used; SQLite has to become PostgreSQL"))
        return "LocalExecutor"
    return named


def _image(image: str) -> Tree:
    head, _, tag = image.rpartition(":")
    repository, tag = (head, tag) if head and "/" not in tag else (image, "latest")
    return {"images": {"airflow": {"repository": repository, "tag": tag}}}


def _set(values: Tree, key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        assert isinstance(inner, dict)
        values = inner
    values[last] = value


def _how(secret: str, inner: str, value: str, files: list[ExportedFile], variable: str) -> str:
    """Return how to make a secret: from a private file if the value is known and valid on other hosts."""
    if not value:
        section, option = variable.removeprefix("AIRFLOW__").lower().split("__")
        return f"kubectl create secret generic {secret} --from-literal={inner}=VALUE, the value of [{section}] {option}"
    files.append(ExportedFile(f"{secret}.txt", value, private=True))
    return f"kubectl create secret generic {secret} --from-file={inner}={secret}.txt"


def _section(name: str, instances: list[ComponentSpec]) -> Tree:
    section: Tree = {"enabled": True} if name in ("dag-processor", "triggerer", "flower") else {}
    if name != "flower":
        section["replicas"] = len(instances)
    if name == "worker":
        section["terminationGracePeriodSeconds"] = round(instances[0].stop.steps[0].wait)
    section["resources"] = {}
    return section
