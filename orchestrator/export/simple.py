"""A Procfile, and a configuration file of supervisord. Pure.

Facts: a Procfile's line is for `sh -c`. In supervisord.conf `%` is doubled, and a command is split as by shlex. It has
no key for a file of variables, so a shell reads it.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator

from orchestrator.export import source as common
from orchestrator.export.source import SHELL, Export, ExportedFile, ExportLoss, Source
from orchestrator.model.errors import signal_name
from orchestrator.model.masked import plain
from orchestrator.model.spec import ComponentSpec, RestartPolicy, Scope


def procfile(source: Source) -> Export:
    """Return a Procfile. Variables are in a private file for each component, which its line reads."""
    files: list[ExportedFile] = []
    losses = (
        [ExportLoss("", "init", f"run these first: {', '.join(step.name for step in source.init)}")]
        if source.init
        else []
    )
    lines = []
    for name, instances in common.grouped(source.components).items():
        first = instances[0]
        variables = common.without_assigned(source.variables.get(first.name, {}))
        variables.pop("PORT", None)
        lines.append(f"{name}: {_line(source, first, name, variables, files)}\n")
        losses += _procfile_losses(first, len(instances))
    return Export(
        (ExportedFile("Procfile", "".join(lines)), *files), tuple(losses), ("foreman start, overmind s, honcho start",)
    )


def _line(
    source: Source, component: ComponentSpec, name: str, variables: dict[str, str], files: list[ExportedFile]
) -> str:
    words = [f"cd {shlex.quote(component.cwd)}"] if component.cwd != source.directory else []
    if variables:
        files.append(
            ExportedFile(f"{name}.env", common.env_file({k: plain(v) for k, v in variables.items()}), private=True)
        )
        words.insert(0, f"set -a && . ./{shlex.quote(name)}.env && set +a")
    command = plain(component.argv[2]) if component.argv[:2] == SHELL else shlex.join(map(plain, component.argv))
    if "\n" in command:
        files.append(ExportedFile(f"{name}.sh", command.rstrip("\n") + "\n", executable=True))
        command = (
            f'exec /bin/sh "$OLDPWD/{name}.sh"' if component.cwd != source.directory else f"exec /bin/sh ./{name}.sh"
        )
    return " && ".join([*words, command]) if words else command


def _procfile_losses(component: ComponentSpec, count: int) -> Iterator[ExportLoss]:
    name = common.configured_name(component)
    yield from common.common_losses(component)
    for key, used in (
        ("depends_on", component.depends_on),
        ("ready", component.ready),
        ("alive", component.alive),
        ("stop_before", component.stop_before),
    ):
        if used:
            yield ExportLoss(name, key, "a Procfile has commands only")
    if component.restart.policy is not RestartPolicy.NEVER:
        yield ExportLoss(name, "restart", "it is not restarted")
    if count > 1:
        yield ExportLoss(name, "replicas", f"run it with -m {name}={count}")
    if component.stop.stop_signal != 15 or component.stop.grace != 10:
        yield ExportLoss(name, "stop", "the stop signal is SIGTERM, the grace period the tool's own")
    if any(
        value is not None
        for value in (component.attributes.account, component.attributes.nice, component.attributes.umask)
    ):
        yield ExportLoss(name, "user, nice, umask", "it runs as the user who starts it")
    if not component.autostart:
        yield ExportLoss(name, "autostart", "it starts with the others")


def supervisord(source: Source, directory: str) -> Export:
    """Return a part of supervisord.conf. `directory` is where variables' files will be."""
    files: list[ExportedFile] = []
    losses = (
        [ExportLoss("", "init", f"run these first: {', '.join(step.name for step in source.init)}")]
        if source.init
        else []
    )
    sections = []
    names = []
    for priority, component in enumerate(source.components):
        name = re.sub(r"[^\w-]", "-", component.name, flags=re.ASCII)
        names.append(name)
        public, secret = common.split_variables(source.variables.get(component.name, {}))
        argv: tuple[str, ...] = component.argv
        if secret:
            files.append(ExportedFile(f"{name}.env", common.env_file(secret), private=True))
            read = f'set -a; . {shlex.quote(f"{directory}/{name}.env")}; set +a; exec "$@"'
            argv = (*SHELL, read, "sh", *argv)
        sections.append(_section(source, component, name, argv, public, priority))
        losses += _supervisord_losses(component)
    group = re.sub(r"[^\w-]", "-", source.name, flags=re.ASCII)
    sections.append(f"[group:{group}]\nprograms={','.join(names)}\n")
    notes = (
        f"Copy {group}.conf to /etc/supervisor/conf.d/; leave the .env files in {directory}",
        "supervisorctl reread, then supervisorctl update",
    )
    return Export((ExportedFile(f"{group}.conf", "\n".join(sections)), *files), tuple(losses), notes)


def _section(
    source: Source, component: ComponentSpec, name: str, argv: tuple[str, ...], public: dict[str, str], priority: int
) -> str:
    variables = {"PATH": source.path, **public} if source.path else public
    pairs = ",".join(f"{key}={_quoted(value)}" for key, value in sorted(variables.items()))
    policy = {RestartPolicy.NEVER: "false", RestartPolicy.ON_FAILURE: "unexpected", RestartPolicy.ALWAYS: "true"}
    whole = "false" if component.stop.scope is Scope.LEADER else "true"
    keys = {
        "command": shlex.join(plain(word) for word in argv).replace("%", "%%").replace("\n", " "),
        "directory": component.cwd.replace("%", "%%"),
        "environment": pairs,
        "priority": str(100 + priority),
        "autostart": "true" if component.autostart else "false",
        "autorestart": policy[component.restart.policy],
        "startretries": str(component.restart.max or 1000),
        "exitcodes": ",".join(map(str, sorted(component.success))),
        "stopsignal": signal_name(component.stop.stop_signal).removeprefix("SIG"),
        "stopwaitsecs": str(math.ceil(component.stop.grace)),
        "stopasgroup": whole,
        "killasgroup": "true",
    }
    attributes = component.attributes
    if attributes.account is not None and attributes.account.name:
        keys["user"] = attributes.account.name
    if attributes.umask is not None:
        keys["umask"] = f"{attributes.umask:03o}"
    return f"[program:{name}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items() if value)


def _quoted(value: str) -> str:
    """Return a value of `environment`, which supervisord splits as by shlex and expands `%` in."""
    return '"' + re.sub(r'(["\\])', r"\\\1", value).replace("%", "%%") + '"'


def _supervisord_losses(component: ComponentSpec) -> Iterator[ExportLoss]:
    name = component.name
    yield from common.common_losses(component)
    yield from common.stop_signal_loss(component, "its exit does not stop the other programs")
    if component.depends_on:
        yield ExportLoss(name, "depends_on", "programs start in the order of priority, and do not wait")
    if component.ready:
        yield ExportLoss(name, "ready", "it counts as running after one second")
    if component.alive:
        yield ExportLoss(name, "alive", "it is restarted only if it exits")
    if component.stop_before:
        yield ExportLoss(name, "stop_before", "programs stop in the reverse order of priority, and do not wait")
    if component.tty:
        yield ExportLoss(name, "tty", "it has pipes instead of a terminal")
    if any("\n" in plain(word) for word in component.argv):
        yield ExportLoss(name, "command", "its lines are joined: write a script")
    if component.attributes.nice is not None or component.attributes.limits.need_group:
        yield ExportLoss(name, "nice, limits", "set them in the command")
