"""A Procfile, and a configuration file of supervisord. Pure.

Facts: a Procfile's line is for `sh -c`. In supervisord.conf `%` is doubled, a value has one line, and `;` or `#` after
white space begins a comment, also between quotes. A command is split as by shlex, `environment` without its escapes. It
has no key for a file of variables, so a shell reads it.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.export import source as common
from orchestrator.export.source import SHELL, Export, ExportedFile, ExportLoss, Source
from orchestrator.model.errors import signal_name
from orchestrator.model.masked import plain
from orchestrator.model.spec import (
    Attributes,
    ComponentSpec,
    Limits,
    OnExit,
    RestartPlan,
    RestartPolicy,
    Scope,
    StopPlan,
)


def procfile(source: Source) -> Export:
    """Return a Procfile. Variables are in a private file for each component, which its line reads."""
    files: list[ExportedFile] = []
    losses = _step_losses(source)
    if any(component.tty for component in source.components):
        losses.append(ExportLoss("", "tty", "foreman and honcho give components pipes; overmind gives them terminals"))
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


def _step_losses(source: Source) -> list[ExportLoss]:
    names = ", ".join(step.name for step in source.init)
    return [ExportLoss("", "init", f"run these first: {names}")] if names else []


def _line(
    source: Source, component: ComponentSpec, name: str, variables: dict[str, str], files: list[ExportedFile]
) -> str:
    words = [f"cd {shlex.quote(component.cwd)}"] if component.cwd != source.directory else []
    if variables:
        files.append(
            ExportedFile(f"{name}.env", common.env_file({k: plain(v) for k, v in variables.items()}), private=True)
        )
        words.insert(0, f"set -a && . ./{shlex.quote(name)}.env && set +a")
    command = _shell_text(component.argv)
    if "\n" in command:
        files.append(ExportedFile(f"{name}.sh", command.rstrip("\n") + "\n", executable=True))
        command = (
            f'exec /bin/sh "$OLDPWD/{name}.sh"' if component.cwd != source.directory else f"exec /bin/sh ./{name}.sh"
        )
    return " && ".join([*words, command]) if words else command


def _shell_text(argv: tuple[str, ...]) -> str:
    """Return a command for `sh -c` or a script; a script does not wait for a command without a shell."""
    if argv[:2] == SHELL and len(argv) == 3:
        return plain(argv[2])
    command = shlex.join(map(plain, argv))
    return f"exec {command}" if "\n" in command else command


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
    if component.on_exit is OnExit.IGNORE or component.success != frozenset({0}):
        yield ExportLoss(name, "on_exit, success_exit_codes", "any exit stops the other components")
    if component.stop != StopPlan():
        yield ExportLoss(name, "stop", "the stop signal is SIGTERM, the grace period the tool's own")
    if component.attributes.account is not None:
        yield ExportLoss(name, "user, group", "it runs as the user who starts it")
    if replace(component.attributes, account=None) != Attributes():
        yield ExportLoss(name, "nice, umask, limits", "set them in the command")
    if not component.autostart:
        yield ExportLoss(name, "autostart", "it starts with the others")


def supervisord(source: Source, directory: str) -> Export:
    """Return a part of supervisord.conf. `directory` is where variables' files will be."""
    files: list[ExportedFile] = []
    losses = _step_losses(source)
    sections = []
    names = []
    for priority, component in enumerate(source.components):
        name = re.sub(r"[^\w-]", "-", component.name, flags=re.ASCII)
        names.append(name)
        sections.append(_section(source, component, name, directory, priority, files))
        losses += _supervisord_losses(component)
    group = re.sub(r"[^\w-]", "-", source.name, flags=re.ASCII)
    sections.append(f"[group:{group}]\nprograms={','.join(names)}\n")
    notes = (
        f"Copy {group}.conf to /etc/supervisor/conf.d/; leave the .env and .sh files in {directory}",
        "supervisorctl reread, then supervisorctl update",
    )
    return Export((ExportedFile(f"{group}.conf", "\n".join(sections)), *files), tuple(losses), notes)


# Where supervisord begins a comment or replaces a word, whether it is quoted or not.
_MISREAD = re.compile(r"(?<=\s)(?=[;#])|(?<=%)(?=\(here\)s)")


def _is_readable(value: str) -> bool:
    """Whether supervisord reads a value as it is written."""
    return not re.search(r"[\r\n]", value) and not _MISREAD.search(value)


def _is_quotable(value: str) -> bool:
    """Whether a value of `environment` can be between double quotes; quotes are also removed from its ends."""
    return _is_readable(value) and '"' not in value and value == value.strip("'")


def _command(
    argv: tuple[str, ...], before: list[str], name: str, directory: str, files: list[ExportedFile]
) -> tuple[str, ...]:
    """Return the words that run a command after shell commands; several lines go to a script."""
    if not any(re.search(r"[\r\n]", word) for word in (*argv, *before)):
        return (*SHELL, "; ".join((*before, 'exec "$@"')), "sh", *argv) if before else argv
    text = "".join(f"{line}\n" for line in before) + _shell_text(argv).rstrip("\n") + "\n"
    files.append(ExportedFile(f"{name}.sh", text, executable=True))
    return ("/bin/sh", f"{directory}/{name}.sh")


def _section(
    source: Source, component: ComponentSpec, name: str, directory: str, priority: int, files: list[ExportedFile]
) -> str:
    public, secret = common.split_variables(source.variables.get(component.name, {}))
    variables = {"PATH": source.path, **public} if source.path else public
    in_file = secret | {key: value for key, value in variables.items() if not _is_quotable(value)}
    before: list[str] = []
    if in_file:
        files.append(ExportedFile(f"{name}.env", common.env_file(in_file), private=True))
        before.append(f"set -a; . {shlex.quote(f'{directory}/{name}.env')}; set +a")
    if not _is_readable(component.cwd):
        before.append(f"cd {shlex.quote(component.cwd)} || exit")
    argv = _command(tuple(map(plain, component.argv)), before, name, directory, files)
    pairs = ",".join(f"{key}={_quoted(value)}" for key, value in sorted(variables.items()) if key not in in_file)
    policy = {RestartPolicy.NEVER: "false", RestartPolicy.ON_FAILURE: "unexpected", RestartPolicy.ALWAYS: "true"}
    whole = "false" if component.stop.scope is Scope.LEADER else "true"
    keys = {
        "command": _written(argv),
        "directory": component.cwd.replace("%", "%%") if _is_readable(component.cwd) else "",
        "environment": pairs,
        "priority": str(100 + priority),
        "autostart": "true" if component.autostart else "false",
        "autorestart": policy[component.restart.policy],
        **_starts(component.restart),
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
    keys = {key: value for key, value in keys.items() if value or key == "exitcodes"}  # no code may be a success
    return f"[program:{name}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())


def _starts(plan: RestartPlan) -> dict[str, str]:
    """Return how often a program is started that exits within `startsecs` seconds, whatever `autorestart` is."""
    if plan.policy is RestartPolicy.NEVER:
        return {"startsecs": "0", "startretries": "0"}
    return {"startretries": str((plan.max or plan.same_exits or 1001) - 1)}  # starts after the first


def _written(argv: tuple[str, ...]) -> str:
    """Return the value of `command`. Quotes that end and begin again keep a `;` from the blank before it."""
    return _MISREAD.sub("''", shlex.join(argv).replace("%", "%%"))


def _quoted(value: str) -> str:
    """Return a value of `environment`, in which supervisord expands `%`."""
    return f'"{value}"'.replace("%", "%%")


def _supervisord_losses(component: ComponentSpec) -> Iterator[ExportLoss]:
    name = component.name
    yield from common.common_losses(component)
    yield from common.stop_signal_loss(component, "its exit does not stop the other programs")
    in_order = "programs start in the order of priority, and do not wait"
    yield from common.losses_if(
        name,
        (component.depends_on, "depends_on", in_order),
        (component.ready, "ready", "it counts as running after one second"),
        (component.alive, "alive", "it is restarted only if it exits"),
        (component.stop_before, "stop_before", "programs stop in the reverse order of priority, and do not wait"),
        (component.tty, "tty", "it has pipes instead of a terminal"),
    )
    text = "max is for exits within the first second; after later exits it is restarted at once, without a limit"
    yield from common.restart_losses(component, text)
    if component.stop.scope is Scope.TREE:
        yield ExportLoss(name, "stop.scope", "the stop signal goes to the process group")
    if component.attributes.account is not None:
        yield ExportLoss(name, "group", "it is that of the user")
    if component.attributes.nice is not None or component.attributes.limits != Limits():
        yield ExportLoss(name, "nice, limits", "set them in the command")
