"""The options of the Airflow preset, and what follows from them and the facts."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.errors import UsageError
from orchestrator.model.spec import StopPlan
from orchestrator.presets.airflow import addresses, network, workers
from orchestrator.presets.airflow import components as airflow_components
from orchestrator.presets.airflow.facts import Facts
from orchestrator.presets.airflow.workers import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowOptions:
    """The user's options. `wait_for_database` is in seconds, `listen` the address of this host for workers on other
    hosts. `show_password` is set if the output goes to a terminal only."""

    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    port: int | None = None
    any_port: bool = False
    bind: str | None = None
    wait_for_database: float = 0.0
    stop: StopPlan = airflow_components.STOP
    show_password: bool = False
    wanted: Wanted = workers.DEFAULT
    servers: frozenset[str] = frozenset()
    listen: str = ""

    def names(self, facts: Facts) -> tuple[str, ...]:
        """Return the components to run. Raises UsageError."""
        if self.listen and facts.executor and not facts.celery:
            raise UsageError(
                f"cannot listen on {self.listen} for workers: {facts.executor} has none",
                "add --executor CeleryExecutor",
            )
        if self.listen and facts.major > 2 and self.bind is not None and addresses.is_loopback(self.bind):
            raise UsageError(
                f"cannot listen on {self.listen} for workers: --bind {self.bind} keeps them from the api-server",
                "leave out --bind",
            )
        return airflow_components.names(
            facts, self.only, self.without, self.wanted, self.servers, listens=bool(self.listen)
        )

    def ports(self, facts: Facts) -> network.AirflowPorts:
        """Return the configured ports, whether or not they are taken."""
        return network.ports(facts, self.port)

    def url(self, facts: Facts, ports: network.AirflowPorts) -> str:
        """Return the URL of the web component."""
        return network.web_url(facts, ports, self.address(facts))

    def address(self, facts: Facts) -> str | None:
        """Return the address on which the web component listens; None for the configured one. Workers of 3.x must reach
        it."""
        if self.bind is None and self.listen and facts.major > 2 and addresses.is_loopback(facts.host):
            return self.listen
        return self.bind
