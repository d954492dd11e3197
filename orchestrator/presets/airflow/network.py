"""The addresses on which Airflow listens, and the environment by which all its processes use them. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from orchestrator.presets.airflow.facts import Facts

ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]", "": "127.0.0.1", "*": "127.0.0.1"}
REFRESH = 10  # seconds between searches for new DAG files; Airflow's default of 300 suits thousands of files
# How often a task tries to reach the api-server, with growing pauses: for about two minutes. The default of 5 tries
# takes about 10 s, but on a slow machine the api-server listens 20 s after the scheduler has started the first task,
# and after an exit it takes as long until it is back.
API_RETRIES = 10
LOCAL = ("localhost", "127.0.0.1", "0.0.0.0", "::1")
EXECUTION_API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class Use(enum.Enum):
    """What a port is used for; each value is a field of AirflowPorts."""

    WEB = "web"
    WORKER_LOG = "worker_log"
    TRIGGER_LOG = "trigger_log"
    SCHEDULER_HEALTH = "scheduler_health"
    FLOWER = "flower"


@dataclass(frozen=True, slots=True)
class AirflowPorts:
    """The ports that this start uses. `scheduler_health` is 0 if there is none."""

    web: int
    worker_log: int
    trigger_log: int
    scheduler_health: int = 0
    flower: int = 5555

    def of(self, use: Use) -> int:
        """Return the port for this use."""
        port: int = getattr(self, use.value)
        return port

    def moved(self, others: Mapping[Use, int]) -> AirflowPorts:
        """Return these ports with some of them replaced."""
        return replace(self, **{use.value: port for use, port in others.items()})


def ports(facts: Facts, wanted: int | None) -> AirflowPorts:
    """Return the configured ports, with `wanted` for the web component unless it is None."""
    return AirflowPorts(
        facts.port if wanted is None else wanted,
        facts.worker_log_port,
        facts.trigger_log_port,
        facts.scheduler_health_port,
        facts.flower_port,
    )


def in_words(use: Use, facts: Facts) -> str:
    """Return what a port is used for, in words."""
    return {
        Use.WEB: facts.web,
        Use.WORKER_LOG: f"the log server of {'worker' if facts.celery else 'scheduler'}",
        Use.TRIGGER_LOG: "the log server of triggerer",
        Use.SCHEDULER_HEALTH: "the health server of scheduler",
        Use.FLOWER: "flower",
    }[use]


def listeners(
    facts: Facts, chosen: AirflowPorts, running: tuple[str, ...], bind: str | None
) -> dict[Use, tuple[str, int]]:
    """Map each use to the host and port on which a component will listen."""
    uses: dict[Use, tuple[str, int]] = {}
    if facts.web in running:
        uses[Use.WEB] = (bind or facts.host, chosen.web)
    if ("worker" if facts.celery else "scheduler") in running:
        uses[Use.WORKER_LOG] = ("::", chosen.worker_log)
    if "scheduler" in running and chosen.scheduler_health:
        uses[Use.SCHEDULER_HEALTH] = ("::", chosen.scheduler_health)
    if "triggerer" in running:
        uses[Use.TRIGGER_LOG] = ("::", chosen.trigger_log)
    if "flower" in running:
        uses[Use.FLOWER] = (facts.flower_address, chosen.flower)
    return uses


_VARIABLES = {  # of ports on which no other setting depends
    Use.WORKER_LOG: "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
    Use.TRIGGER_LOG: "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
    Use.SCHEDULER_HEALTH: "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT",
    Use.FLOWER: "AIRFLOW__CELERY__FLOWER_PORT",
}


def environment(
    facts: Facts,
    base: Mapping[str, str],
    chosen: AirflowPorts,
    bind: str | None,
    running: tuple[str, ...],
    own_hosts: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Return the complete environment of the components: `base`, and the variables that we change.

    `running` are the components that we start, `own_hosts` further names of this machine.
    """
    result = dict(base)
    result["AIRFLOW_HOME"] = facts.home
    if facts.forced_executor:
        result["AIRFLOW__CORE__EXECUTOR"] = facts.forced_executor
    if facts.refresh_option:
        result[_variable(facts.refresh_option)] = str(REFRESH)
    if facts.web in running:
        result.update(task_retries(facts))
    if facts.forced_auth_manager:
        result["AIRFLOW__CORE__AUTH_MANAGER"] = facts.forced_auth_manager
    if bind is not None:
        result["AIRFLOW__API__HOST" if facts.major > 2 else "AIRFLOW__WEBSERVER__WEB_SERVER_HOST"] = bind
    url = web_url(facts, chosen, bind)
    result.update(_web_port(facts, chosen, url, here=facts.web in running))
    configured = ports(facts, None)
    changed = (use for use in _VARIABLES if chosen.of(use) != configured.of(use))
    result.update((_VARIABLES[use], str(chosen.of(use))) for use in changed)
    host = urlsplit(execution_url(facts, result)).hostname or ""
    if facts.major > 2 and host in {*LOCAL, *own_hosts, urlsplit(url).hostname}:
        result.update(_past_proxies(result, host))
    return result


def task_retries(facts: Facts) -> dict[str, str]:
    """Return the variable that lets tasks wait for the api-server; nothing if that is configured."""
    return {_variable(facts.retries_option): str(API_RETRIES)} if facts.retries_option else {}


def _variable(option: str) -> str:
    """Return the name of the environment variable for an option, `section.key`."""
    return f"AIRFLOW__{option.replace('.', '__')}".upper()


def _web_port(facts: Facts, chosen: AirflowPorts, url: str, *, here: bool) -> dict[str, str]:
    """Return the variables for the web port and the URLs that contain it. Without them a 3.x task would call port 8080
    whatever [api] port is, or call an api-server that is `here` through the reverse proxy of [api] base_url."""
    moved = chosen.web != facts.port
    changes: dict[str, str] = {}
    if moved:
        changes["AIRFLOW__API__PORT" if facts.major > 2 else "AIRFLOW__WEBSERVER__WEB_SERVER_PORT"] = str(chosen.web)
        if facts.base_url and _is_local(facts.base_url):
            section = "API" if facts.major > 2 else "WEBSERVER"
            changes[f"AIRFLOW__{section}__BASE_URL"] = url
    if facts.major > 2:
        configured = facts.execution_api_url
        local = not facts.base_url or _is_local(facts.base_url)
        if _is_local(configured) and moved if configured else here or local:
            changes[EXECUTION_API] = f"{url}/execution/"
    return changes


def execution_url(facts: Facts, complete: Mapping[str, str]) -> str:
    """Return the URL of the execution API that tasks use in this environment, as Airflow derives it."""
    base = facts.base_url or "/"
    base = f"http://localhost:8080{base}" if base.startswith("/") else base
    return complete.get(EXECUTION_API) or facts.execution_api_url or f"{base.rstrip('/')}/execution/"


def proxy(environment: Mapping[str, str]) -> str:
    """Return the name of the variable that sets a proxy; empty if none does."""
    return next((name for name in _PROXIES if environment.get(name)), "")


def _past_proxies(environment: Mapping[str, str], host: str) -> dict[str, str]:
    """Return the variables that exempt `host` from the proxy; empty without a proxy, or if `host` is exempt already.

    Both spellings get all names, because programs read one or the other.
    """
    given = [name.strip() for key in ("no_proxy", "NO_PROXY") for name in environment.get(key, "").split(",")]
    known = list(dict.fromkeys(filter(None, given)))
    if not proxy(environment) or "*" in known:
        return {}
    exempt = ",".join(known if host in known else [*known, host])
    return {key: exempt for key in ("NO_PROXY", "no_proxy") if environment.get(key) != exempt}


def notes(facts: Facts, base: Mapping[str, str], complete: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each setting of the network that we changed, except ports."""
    lines = []
    url = execution_url(facts, complete)
    if facts.major > 2 and not facts.execution_api_url and facts.base_url and not _is_local(facts.base_url):
        public = execution_url(facts, base)
        if url != public:
            lines.append(f"Tasks call {url}, not {public}; to change that, set [core] execution_api_server_url")
    host = urlsplit(url).hostname or ""
    if any(host in complete.get(key, "") and host not in base.get(key, "") for key in ("NO_PROXY", "no_proxy")):
        lines.append(f"{proxy(complete)} is set: added {host} to NO_PROXY, so that tasks reach the api-server")
    return tuple(lines)


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in LOCAL


def web_url(facts: Facts, chosen: AirflowPorts, bind: str | None = None, *, by_address: bool = False) -> str:
    """Return the URL of the web component as this machine reaches it, without a trailing slash."""
    host = facts.host if bind is None else bind
    reachable = ANY_HOST.get(host, f"[{host}]" if ":" in host and not host.startswith("[") else host)
    if reachable == "127.0.0.1" and not by_address:
        reachable = "localhost"
    path = urlsplit(facts.base_url).path.rstrip("/")
    return f"{'https' if facts.ssl else 'http'}://{reachable}:{chosen.web}{path}"


def flower_url(facts: Facts, chosen: AirflowPorts) -> str:
    """Return the URL of Flower as this machine reaches it, without a trailing slash."""
    host = ANY_HOST.get(facts.flower_address, facts.flower_address)
    prefix = facts.flower_prefix.strip("/")
    return f"http://{host}:{chosen.flower}{'/' if prefix else ''}{prefix}"
