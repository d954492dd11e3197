"""Kubernetes manifests: a Deployment for each component, a Job for each component that runs to completion, a Service
for each port. Pure.

Secrets are referred to by name. Initial steps are init containers of each pod.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.export import source as common
from orchestrator.export.source import Export, ExportedFile, ExportLoss, Source
from orchestrator.export.yaml import documents
from orchestrator.model.masked import plain
from orchestrator.model.spec import (
    AskedProbe,
    ComponentSpec,
    ExecProbe,
    HttpProbe,
    RestartPolicy,
    StopPlan,
    TcpProbe,
)

ROOT = "/app"
Tree = dict[str, object]
_OWN = ("127.0.0.1", "localhost", "0.0.0.0", "::1")


def export(source: Source, image: str) -> Export:
    """Return the manifests, and for each component a file to make its Secret of."""
    files: list[ExportedFile] = []
    losses = [ExportLoss("", "attach", "use kubectl attach and kubectl logs")]
    trees: list[Tree] = []
    prefix = name_of(source.name)
    ends = common.jobs(source.components)
    steps = [_container(source, step, image, prefix, files, f"init-{step.name}") for step in source.init]
    for name, instances in common.grouped(source.components).items():
        first = instances[0]
        labels = {"app.kubernetes.io/name": name_of(name), "app.kubernetes.io/part-of": prefix}
        container = _container(source, first, image, prefix, files, name)
        if name not in ends:
            container |= _probes(first)
        command, seconds = common.stop_command(first)
        if command:
            hook = [*common.SHELL, f'"$@" & sleep {seconds}', "sh", *map(plain, command)]  # which is not expanded
            container["lifecycle"] = {"preStop": {"exec": {"command": hook}}}
        pod: Tree = {
            "terminationGracePeriodSeconds": math.ceil(first.stop.grace),
            **({"initContainers": steps} if steps else {}),
            "containers": [container],
        }
        meta = {"name": name_of(f"{prefix}-{name}"), "labels": labels}
        if name in ends:
            count = len(instances)
            limit = first.restart.max if first.restart.policy is not RestartPolicy.NEVER else 0
            template = {"metadata": {"labels": labels}, "spec": {**pod, "restartPolicy": "Never"}}
            trees.append(
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": meta,
                    "spec": {
                        "backoffLimit": limit,
                        **({"completions": count, "parallelism": count} if count > 1 else {}),
                        **({"suspend": True} if not first.autostart else {}),
                        "template": template,
                    },
                }
            )
        else:
            spec = {
                "replicas": len(instances) if first.autostart else 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            }
            trees.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        port = common.port_of(source, first)
        if port and name not in ends:
            ports = [{"name": "main", "port": port, "targetPort": port}]
            trees.append(
                {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}}
            )
        losses += _losses(source, first, job=name in ends)
    losses += [loss for step in source.init for loss in _step_losses(step)]
    losses += common.scope_losses(source.components)
    secrets = [f.name.removesuffix(".env") for f in files]
    notes = (
        f"Build and push the image {image} with this project in {ROOT}",
        *(f"kubectl create secret generic {prefix}-{name} --from-env-file={name}.env" for name in secrets),
        f"kubectl apply -f {prefix}.yaml",
    )
    return Export((ExportedFile(f"{prefix}.yaml", documents(trees)), *files), tuple(losses), notes)


def name_of(text: str) -> str:
    """Return a name that Kubernetes accepts (RFC 1123 label)."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "system"


def _words(argv: tuple[str, ...]) -> list[str]:
    """Return a command of a container or of a probe."""
    return [common.kubernetes_literal(plain(word)) for word in argv]


def _container(
    source: Source, component: ComponentSpec, image: str, prefix: str, files: list[ExportedFile], name: str
) -> Tree:
    public, secret = common.split_variables(common.without_assigned(source.variables.get(component.name, {})))
    where = common.inside(component.cwd, source.directory)
    container: Tree = {
        "name": name_of(name),
        "image": image,
        "command": _words(common.unless(component)),
        "workingDir": component.cwd if where is None else ROOT if where == "." else f"{ROOT}/{where}",
    }
    if public:
        pairs = sorted(public.items())
        container["env"] = [{"name": key, "value": common.kubernetes_literal(value)} for key, value in pairs]
    if secret:
        lines = "".join(f"{key}={value}\n" for key, value in sorted(secret.items()))  # kubectl takes values literally
        common.env_file(secret)  # rejects values of several lines
        file = ExportedFile(f"{name_of(name)}.env", lines, private=True)
        files.append(file)
        container["envFrom"] = [{"secretRef": {"name": f"{prefix}-{name_of(name)}"}}]
    attributes = component.attributes
    if attributes.account is not None:
        container["securityContext"] = {"runAsUser": attributes.account.uid, "runAsGroup": attributes.account.gid}
    if attributes.limits.memory is not None:
        container["resources"] = {"limits": {"memory": str(attributes.limits.memory)}}
    if component.tty:
        container["tty"] = True
    return container


def _probes(component: ComponentSpec) -> Tree:
    found: Tree = {}
    for key, probes in (("readinessProbe", component.ready), ("livenessProbe", component.alive)):
        if (probe := common.asked(probes)) is not None:
            found[key] = {
                **_action(probe),
                "initialDelaySeconds": math.ceil(probe.start_period),
                "periodSeconds": max(1, math.ceil(probe.interval)),
                "timeoutSeconds": max(1, math.ceil(probe.timeout)),
                "failureThreshold": probe.retries or 3,
            }
    return found


def _action(probe: AskedProbe) -> Tree:
    if isinstance(probe, HttpProbe) and not probe.unix and urlsplit(probe.url).hostname in _OWN:
        parts = urlsplit(probe.url)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        headers = [{"name": name, "value": value} for name, value in probe.request_headers]
        port = parts.port or (443 if parts.scheme == "https" else 80)
        get: Tree = {"path": path, "port": port, "scheme": parts.scheme.upper()}
        return {"httpGet": {**get, **({"httpHeaders": headers} if headers else {})}}
    if isinstance(probe, TcpProbe) and probe.host in _OWN:
        return {"tcpSocket": {"port": probe.port}}
    command = common.probe_command(probe)
    assert command is not None
    return {"exec": {"command": _words(command)}}


def _step_losses(step: ComponentSpec) -> Iterator[ExportLoss]:
    yield ExportLoss(step.name, "init", "it runs in each pod before its component; it has to allow that")
    yield from common.common_losses(step)
    yield from _attribute_losses(step, step.name)
    if step.stop != StopPlan():
        yield ExportLoss(step.name, "stop", "it has the stop signal of the image and the grace period of the pod")
    if step.timeout is not None:
        yield ExportLoss(step.name, "timeout", "an init container has no time limit")


def _attribute_losses(component: ComponentSpec, name: str) -> Iterator[ExportLoss]:
    limits = component.attributes.limits
    if component.attributes.nice is not None or component.attributes.umask is not None:
        yield ExportLoss(name, "nice, umask", "set them in the image")
    if limits.files is not None or limits.processes is not None:
        yield ExportLoss(name, "limits.files, limits.processes", "they are the node's")


def _losses(source: Source, component: ComponentSpec, *, job: bool) -> Iterator[ExportLoss]:
    name = common.configured_name(component)
    yield from common.common_losses(component, "depends_on.restart", "stop.command")
    yield from common.stop_signal_loss(component, "its exit does not stop the others")
    for need in component.depends_on:
        yield ExportLoss(name, "depends_on", f"it does not wait for {need.name}; it has to retry")
    for probe in component.ready:
        if common.asked((probe,)) is None:
            yield ExportLoss(name, f"ready.{common.probe_in_words(probe)}", "no readiness probe can see it")
    for key, probes in (("ready", component.ready), ("alive", component.alive)):
        if sum(common.asked((probe,)) is not None for probe in probes) > 1:
            yield ExportLoss(name, key, "a container has one such probe; the others are left out")
    if any(
        isinstance(p, HttpProbe | TcpProbe) and _action(p).get("exec") for p in (*component.ready, *component.alive)
    ):
        yield ExportLoss(name, "probe", "the image needs curl and bash for it")
    if any(
        isinstance(p, HttpProbe | TcpProbe) and not _action(p).get("exec") for p in (*component.ready, *component.alive)
    ):
        yield ExportLoss(name, "addresses", "probes reach the pod's address: let it listen on 0.0.0.0")
    if any(isinstance(p, ExecProbe) for p in (*component.ready, *component.alive)):
        yield ExportLoss(name, "probe.exec", "the image needs the command")
    if component.stop.stop_signal != signal.SIGTERM:
        yield ExportLoss(name, "stop.signal", "the stop signal is the image's STOPSIGNAL, SIGTERM by default")
    if job:
        text = "a Job counts all failures, with its own backoff, and is done at the first success"
        yield from common.restart_losses(component, text, counted=True)
        if component.restart.policy is RestartPolicy.ALWAYS:
            yield ExportLoss(name, "restart.policy", "a Job is not restarted after a success")
        for key, probes in (("ready", component.ready), ("alive", component.alive)):
            if probes:
                yield ExportLoss(name, key, "a Job has no probes")
    elif component.restart.policy is not RestartPolicy.ALWAYS:
        yield ExportLoss(name, "restart", "a Deployment restarts it always, with its own backoff")
    else:
        yield from common.restart_losses(component, "it is restarted without a limit, with Kubernetes's own backoff")
    if component.success != frozenset({0}):
        yield ExportLoss(name, "success_exit_codes", "only 0 is a success")
    if component.stop_before:
        yield ExportLoss(name, "stop_before", "all stop at the same time")
    yield from _attribute_losses(component, name)
    if not component.autostart:
        how = "the Job is suspended; resume it with kubectl patch" if job else "start it with kubectl scale"
        yield ExportLoss(name, "autostart", how)
    if common.machine_paths(source, component):
        yield ExportLoss(name, "command", f"it names paths in {source.directory}, which the image has in {ROOT}")
