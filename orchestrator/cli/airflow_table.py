"""The Airflow preset as a part of a definition: the table [airflow] of orchestrate.toml, or `orchestrate airflow`.

The components depend on the installed Airflow and on its configuration. Before a start they are those of the last start
if nothing has changed, else those that configuration file and environment suggest. Once Airflow is prepared, the
definition is read again with the facts. The user's tables are merged over the preset's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.cli.options import WAIT_FOR_DATABASE, PresetOptions
from orchestrator.config import component_dump, loading
from orchestrator.config.definition import Definition, Document, PresetTable, merge
from orchestrator.config.diagnostics import Place, Report, did_you_mean
from orchestrator.config.environment import Layers, expand_at
from orchestrator.config.interpolation import escape
from orchestrator.model.errors import ConfigError
from orchestrator.model.masked import plain
from orchestrator.model.spec import ComponentSpec
from orchestrator.presets.airflow import (
    base_environment,
    cache,
    generated_secrets,
    servers,
    workers,
)
from orchestrator.presets.airflow import (
    installation as airflow_installation,
)
from orchestrator.presets.airflow.facts import EXECUTORS, NAMES, Facts, foresee
from orchestrator.presets.airflow.options import AirflowOptions
from orchestrator.presets.airflow.preset import Preset
from orchestrator.runtime.home import Home

SOURCE = "the Airflow preset"
Ask = Callable[[Home, airflow_installation.Installation, dict[str, str]], Facts]


def table_of(given: PresetOptions | None, home: str | None) -> dict[str, object]:
    """Return the table [airflow] that corresponds to options of `orchestrate airflow`."""
    options = given or PresetOptions()
    lists = {"only": options.components, "except": options.left_out, "queues": options.queues, "with": options.servers}
    texts = {"home": home, "airflow": options.airflow, "executor": options.executor, "bind": options.bind}
    texts["listen"] = options.listen
    table: dict[str, object] = {key: text.replace("$", "$$") for key, text in texts.items() if text is not None}
    table |= {key: [n.strip() for n in text.split(",") if n.strip()] for key, text in lists.items() if text is not None}
    if options.port is not None:
        table["port"] = options.port
    if options.any_port:
        table["any_port"] = True
    if options.workers != 1:
        table["workers"] = options.workers
    if options.concurrency is not None:
        table["concurrency"] = options.concurrency
    if options.worker_grace is not None:
        table["worker_grace"] = options.worker_grace
    if options.flower:
        table["flower"] = True
    return table


@dataclass(frozen=True, slots=True)
class AirflowTable:
    """`document` is the user's definition, `environment` the variables for Airflow, `shell` the same without .env files
    and the table. `home` is AIRFLOW_HOME, `directory` where components run. `version` and `components` are what is
    expected to run; `unset_secrets` are variables of secrets that only a start generates."""

    document: Document
    title: str
    installation: airflow_installation.Installation
    home: Home
    directory: str
    environment: Mapping[str, str]
    shell: Mapping[str, str]
    airflow_options: AirflowOptions
    version: str = ""
    components: tuple[ComponentSpec, ...] = ()
    unset_secrets: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the preset's components."""
        return frozenset(component.component or component.name for component in self.components)

    def foreseen(self, ask: Ask | None = None) -> AirflowTable:
        """Return it with its version and components, as they are configured. With `ask` they are exact, from the
        preparation; else as far as they are known without running Airflow. Raises ConfigError."""
        environment = base_environment.prepared(
            self.environment, self.installation, self.home.directory, self.directory
        )
        facts = cache.stamped_facts(self.home, self.installation, environment)
        if facts is None and ask is not None:
            facts = ask(self.home, self.installation, environment)
        if facts is None:
            version = airflow_installation.version(self.installation.python)
            home, config = str(self.home.directory), _content(environment, self.home)
            facts = foresee(version, home, environment, config) or foresee(version, home, {}, "")
        if facts is None:
            raise ConfigError([f"cannot tell which version of Airflow {self.installation.command} is"])
        components = self._preset(self.airflow_options).expected(self.home, facts)
        return replace(self, version=facts.version, components=components, unset_secrets=facts.unset_secrets)

    def database_step(self) -> dict[str, Any]:
        """Return the keys of an initial step that prepares the database as the preset does, with Airflow's command."""
        spec = next((one for one in self.components if one.name not in servers.NAMES), self.components[0])
        verb = "init" if tuple(map(int, self.version.split(".")[:2])) < (2, 7) else "migrate"
        tree = self._tree(spec)
        kept: dict[str, Any] = {key: tree[key] for key in ("environment", "env_file") if key in tree}
        command: tuple[str, ...] = (self.installation.command, "db", verb)
        if found := self._preset(self.airflow_options).find_servers(self.home):
            command = found.wrapped(command)
        return {"command": [escape(word) for word in command], **kept}

    def _tree(self, component: ComponentSpec) -> dict[str, Any]:
        """Return a component as keys. Generated secrets stay in their file: otherwise we would print them."""
        environment = component.environment
        secrets = generated_secrets.stored(self.home)
        used = {name: value for name, value in secrets.items() if environment.get(name) == value}
        files: list[Any] = [str(generated_secrets.path(self.home))] if used else []
        if self.airflow_options.servers and any(name in environment for name in servers.VARIABLES):
            used |= {name: environment[name] for name in servers.VARIABLES if name in environment}
            files.append({"path": str(servers.variables_file(self.home)), "required": False})  # made by a start
        tree = component_dump.of_component(component, {**self._inherited, **used})
        if files:
            tree["env_file"] = files
        return tree

    @property
    def _inherited(self) -> dict[str, str]:
        """The variables that components get unchanged. AIRFLOW_HOME is included, because another shell may have another
        one; so is the executor if the table names it."""
        table = self.document.tree.get("airflow")
        named = isinstance(table, dict) and "executor" in table
        written = {"AIRFLOW_HOME", *(("AIRFLOW__CORE__EXECUTOR",) if named else ())}
        return {name: value for name, value in self.environment.items() if name not in written}

    def definition(self, components: tuple[ComponentSpec, ...], report: Report) -> Definition:
        """Return the definition with these components of the preset under the user's tables."""
        trees: dict[str, dict[str, Any]] = {}
        for component in components:
            name = component.component or component.name
            if name in trees:  # a further instance, which differs from the first only in its number
                trees[name]["replicas"] = trees[name].get("replicas", 1) + 1
            else:
                trees[name] = self._tree(component)
        tables = self.document.tree.get("components")
        mine = dict(tables) if isinstance(tables, dict) else {}
        for name in [name for name in mine if name in NAMES and name not in trees]:
            if isinstance(mine[name], dict) and "command" not in mine[name]:
                there = f"Airflow {self.version} runs {', '.join(trees)} here"
                place = self.document.place(("components", name))
                report.problem(place, f"components.{name}: {there}, so this one needs a command")
                del mine[name]
        for name, tree in trees.items():
            if name in mine:
                mine[name] = _fitted(tree, mine[name])
        below = Document(Place(SOURCE, 0, str(self.home.directory)), {"components": trees})
        below.places = {("components", name): below.root for name in trees}
        above = Document(self.document.root, {**self.document.tree, "components": mine}, self.document.places)
        merged = merge([below, above])
        merged.root = self.document.root
        return loading.read(merged, self.title, report)

    def preset_of(self, names: Collection[str]) -> Preset:
        """Return the preset of a system in which only the components of these `names` run."""
        airflow_options = replace(self.airflow_options, only=frozenset(names) & frozenset(NAMES), without=frozenset())
        return self._preset(airflow_options)

    def _preset(self, airflow_options: AirflowOptions) -> Preset:
        return Preset(
            self.installation, self.home.directory, self.environment, airflow_options, self.directory, self.shell
        )


def _fitted(tree: dict[str, Any], mine: object) -> object:
    """Return the user's keys for a merge over the preset's `tree`, and remove contradicting keys from that: a stop
    sequence includes signal and timeout. A list replaces the preset's, but env_file adds to it."""
    if not isinstance(mine, dict):
        return mine
    stop, files = mine.get("stop"), mine.get("env_file")
    if isinstance(stop, dict) and {"signal", "timeout", "keys", "command"} & set(stop):
        tree["stop"].pop("sequence", None)
    if "env_file" in tree and isinstance(files, str | list):
        return {**mine, "env_file": [*tree["env_file"], *([files] if isinstance(files, str) else files)]}
    return mine


def _content(environment: Mapping[str, str], home: Home) -> str:
    path = environment.get("AIRFLOW_CONFIG") or str(home.directory / "airflow.cfg")
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read(
    document: Document,
    title: str,
    table: PresetTable,
    layers: Layers,
    shell: Mapping[str, str],
    report: Report,
    *,
    shows_password: bool,
) -> AirflowTable:
    """Return the preset that the table describes; `shell` is the environment without files.

    Raises OrchestrateError if Airflow is not installed; mistakes in the table go to `report`.
    """

    def text(key: str) -> str | None:
        value = table.values.get(key)
        return None if value is None else plain(expand_at(table.where(key), str(value), layers.values, report))

    environment = {name: plain(variable.value) for name, variable in layers.flat().items()}
    if executor := text("executor"):
        environment["AIRFLOW__CORE__EXECUTOR"] = EXECUTORS.get(executor, executor)
    base = table.place.directory
    home = os.path.expanduser(text("home") or environment.get("AIRFLOW_HOME") or "~/airflow")
    command = text("airflow")
    if command is not None:
        command = os.path.normpath(os.path.join(base, os.path.expanduser(command)))
    for key in ("only", "except"):
        for index, name in enumerate(table.values.get(key, ())):
            if name not in NAMES:
                near = did_you_mean(name, NAMES) or f"; there are {', '.join(NAMES)}"
                report.problem(table.where(key, index), f"airflow.{key}: {name!r} is not a component of Airflow{near}")
    for index, name in enumerate(table.values.get("with", ())):
        if name not in servers.NAMES:
            near = did_you_mean(name, servers.NAMES) or f"; there are {', '.join(servers.NAMES)}"
            report.problem(table.where("with", index), f"airflow.with: unknown server {name!r}{near}")
    port = text("port")
    if port is not None and not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
        report.problem(table.where("port"), f"airflow.port: must be 1 to 65535, not {port!r:.40}")
        port = None
    report.check()
    airflow_options = AirflowOptions(
        only=frozenset(table.values.get("only", ())),
        without=frozenset(table.values.get("except", ())),
        port=None if port is None else int(port),
        any_port=table.values.get("any_port", False),
        bind=text("bind"),
        wait_for_database=table.values.get("wait_for_database", WAIT_FOR_DATABASE),
        show_password=shows_password,
        wanted=workers.Wanted(
            count=table.values.get("workers", 1),
            concurrency=table.values.get("concurrency"),
            queues=",".join(table.values.get("queues", ())),
            grace=table.values.get("worker_grace", workers.GRACE),
            flower=table.values.get("flower", False),
        ),
        servers=frozenset(table.values.get("with", ())),
        listen=text("listen") or "",
    )
    installation = airflow_installation.find(command, environment.get("PATH"))
    return AirflowTable(
        document,
        title,
        installation,
        Home(Path(os.path.normpath(os.path.join(base, home)))),
        os.path.abspath(base),
        environment,
        shell,
        airflow_options,
    )
