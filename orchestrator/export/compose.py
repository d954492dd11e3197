"""compose.yaml: a service for each component and initial step. Pure.

Facts: the Compose Specification. `$` is doubled in all strings. `entrypoint: []` clears the image's, so that `command`
is the whole command line; an env_file is read literally between single quotes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.export import source as common
from orchestrator.export.source import Export, ExportedFile, ExportLoss, Source
from orchestrator.export.yaml import write
from orchestrator.model.errors import signal_name
from orchestrator.model.masked import plain
from orchestrator.model.spec import (
    AskedProbe,
    ComponentSpec,
    Condition,
    HttpProbe,
    RestartPlan,
    RestartPolicy,
    TcpProbe,
)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
ROOT = "/app"  # where the project is in the image
Tree = dict[str, object]


def export(source: Source, image: str) -> Export:
    """Return compose.yaml and the files of secret variables."""
    files: list[ExportedFile] = []
    losses = [ExportLoss("", "attach", "use docker compose attach and logs")]
    services: dict[str, Tree] = {}
    groups = common.grouped(source.components)
    ends = common.jobs(source.components)
    before: list[str] = []
    unpublished: list[str] = []
    for step in source.init:
        name = f"init-{step.name}"
        services[name] = {**_service(source, step, image, files), "restart": "no"}
        if step.unless:
            services[name]["command"] = _escaped(common.unless(step))
        if before:
            services[name]["depends_on"] = {before[-1]: {"condition": "service_completed_successfully"}}
        before.append(name)
        losses += common.common_losses(step)
        losses += _attribute_losses(step, step.name)
        if step.timeout is not None:
            losses.append(ExportLoss(step.name, "timeout", "a service has no time limit"))
    for name, instances in groups.items():
        first = instances[0]
        service = _service(source, first, image, files)
        if health := _health(first):
            service["healthcheck"] = health
        service["restart"] = "no" if name in ends else _restart(first.restart)
        needs: Tree = {step: {"condition": "service_completed_successfully"} for step in before[-1:]}
        if needs := {**needs, **_needs(first, groups)}:
            service["depends_on"] = needs
        port = common.port_of(source, first) or _probed_port(first)
        if port and len(instances) == 1:
            service["ports"] = [f"{port}:{port}"]
        elif name not in ends:
            unpublished.append(name)
        if len(instances) > 1:
            service["deploy"] = {"replicas": len(instances)}
        if not first.autostart:
            service["profiles"] = ["manual"]
        services[name] = service
        losses += _losses(source, first, groups)
    losses += common.scope_losses(source.components)
    if unpublished:
        text = f"not published for {', '.join(unpublished)}; add `ports` to those that are used from outside"
        losses.append(ExportLoss("", "ports", text))
    notes = (
        f"Build the image {image} with this project in {ROOT}, and with curl and bash for the health checks",
        "docker compose up -d",
    )
    return Export(
        (ExportedFile("compose.yaml", write({"name": _project(source.name), "services": services})), *files),
        tuple(losses),
        notes,
    )


def _project(name: str) -> str:
    cleaned = "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower()).strip("-")
    return cleaned or "system"


def _escaped(words: tuple[str, ...]) -> list[str]:
    return [plain(word).replace("$", "$$") for word in words]


def _service(source: Source, component: ComponentSpec, image: str, files: list[ExportedFile]) -> Tree:
    public, secret = common.split_variables(common.without_assigned(source.variables.get(component.name, {})))
    where = common.inside(component.cwd, source.directory)
    service: Tree = {
        "image": image,
        "init": True,
        "entrypoint": [],
        "command": _escaped(component.argv),
        "working_dir": component.cwd if where is None else ROOT if where == "." else f"{ROOT}/{where}",
        "stop_signal": signal_name(component.stop.stop_signal),
        "stop_grace_period": f"{math.ceil(component.stop.grace)}s",
    }
    if component.tty:
        service["tty"] = True
    if public:
        service["environment"] = {name: value.replace("$", "$$") for name, value in sorted(public.items())}
    if secret:
        file = ExportedFile(f"{common.configured_name(component)}.env", common.env_file(secret), private=True)
        files.append(file)
        service["env_file"] = [file.name]
    attributes = component.attributes
    if attributes.account is not None:
        service["user"] = f"{attributes.account.uid}:{attributes.account.gid}"
    limits = attributes.limits
    if limits.memory is not None:
        service["mem_limit"] = limits.memory
    if limits.processes is not None:
        service["pids_limit"] = limits.processes
    if limits.files is not None:
        service["ulimits"] = {"nofile": limits.files}
    return service


def _health(component: ComponentSpec) -> Tree:
    probe: AskedProbe | None = common.asked(component.alive) or common.asked(component.ready)
    command = common.probe_command(probe) if probe is not None else None
    if probe is None or command is None:
        return {}
    return {
        "test": ["CMD", *_escaped(command)],
        "interval": f"{max(1, math.ceil(probe.interval))}s",
        "timeout": f"{max(1, math.ceil(probe.timeout))}s",
        "start_period": f"{math.ceil(max(probe.start_period, 30.0))}s",
        "retries": probe.retries or 3,
    }


def _probed_port(component: ComponentSpec) -> int:
    """Return the port of this machine that a probe connects to; 0 if there is none."""
    for probe in (*component.ready, *component.alive):
        if isinstance(probe, TcpProbe) and probe.host in _LOOPBACK:
            return probe.port
        if isinstance(probe, HttpProbe) and not probe.unix:
            parts = urlsplit(probe.url)
            if parts.hostname in _LOOPBACK:
                return parts.port or (443 if parts.scheme == "https" else 80)
    return 0


def _restart(plan: RestartPlan) -> str:
    match plan.policy:
        case RestartPolicy.NEVER:
            return "no"
        case RestartPolicy.ON_FAILURE:
            if plan.max == 1:  # the first exit is the last one
                return "no"
            return f"on-failure:{plan.max - 1}" if plan.max else "on-failure"
        case RestartPolicy.ALWAYS:
            return "always"


def _needs(component: ComponentSpec, groups: dict[str, list[ComponentSpec]]) -> Tree:
    found: Tree = {}
    for need in component.depends_on:
        name = next((key for key, group in groups.items() if need.name in (key, *(c.name for c in group))), need.name)
        has_health = name in groups and bool(_health(groups[name][0]))
        condition = {
            Condition.STARTED: "service_started",
            Condition.READY: "service_healthy" if has_health else "service_started",
            Condition.COMPLETED: "service_completed_successfully",
            Condition.SUCCEEDED: "service_completed_successfully",
        }[need.condition]
        entry: Tree = {"condition": condition}
        if need.restart:
            entry["restart"] = True
        if not need.required:
            entry["required"] = False
        found[name] = entry
    return found


def _attribute_losses(component: ComponentSpec, name: str) -> Iterator[ExportLoss]:
    if component.attributes.nice is not None or component.attributes.umask is not None:
        yield ExportLoss(name, "nice, umask", "set them in the image")


def _losses(source: Source, component: ComponentSpec, groups: dict[str, list[ComponentSpec]]) -> Iterator[ExportLoss]:
    name = common.configured_name(component)
    # stop.command is not exported as a `pre_stop` hook: a hook that ends its container fails, and then the stop fails.
    yield from common.common_losses(component, "depends_on.restart")
    yield from common.stop_signal_loss(component, "its exit does not stop the other services")
    for probe in component.ready:
        if common.probe_command(probe) is None:
            yield ExportLoss(name, f"ready.{common.probe_in_words(probe)}", "no health check can see it")
    asked = [probe for probe in component.ready if common.probe_command(probe)]
    if len(asked) > 1 or (asked and component.alive):
        yield ExportLoss(name, "ready", "a service has one health check; the others are left out")
    if component.alive:
        yield ExportLoss(name, "alive", "an unhealthy service is reported, and not restarted")
    for need in component.depends_on:
        if need.condition is Condition.READY and need.name in groups and not _health(groups[need.name][0]):
            yield ExportLoss(name, "depends_on", f"{need.name} has no health check: waits for its start only")
        if need.condition is Condition.COMPLETED:
            yield ExportLoss(name, "depends_on", f"waits for the success of {need.name}, not for any exit")
    if component.stop_before or component.start_after:
        yield ExportLoss(name, "stop_before", "services stop in the order of depends_on only")
    counted = component.restart.policy is RestartPolicy.ON_FAILURE
    text = "all failures are counted" if counted else "it is restarted without a limit"
    yield from common.restart_losses(component, f"{text}, with Docker's own backoff", counted=counted)
    if component.success != frozenset({0}):
        yield ExportLoss(name, "success_exit_codes", "only 0 is a success")
    yield from _attribute_losses(component, name)
    if common.machine_paths(source, component):
        yield ExportLoss(name, "command", f"it names paths in {source.directory}, which the image has in {ROOT}")
    text = " ".join((*map(plain, component.argv), *map(plain, source.variables.get(component.name, {}).values())))
    if "127.0.0.1" in text or "localhost" in text:
        yield ExportLoss(
            name, "addresses", "localhost is each service's own: reach others by their name, and listen on 0.0.0.0"
        )
