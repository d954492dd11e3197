"""systemd units: one that runs orchestrate itself (`whole`), or a target with a service for each instance (`services`).

Facts: systemd.syntax(7) for quoting, systemd.service(5) for commands: `%` is doubled everywhere, `$` in commands, and
the first word has to be an absolute path. A service is "started" for the units after it once ExecStartPost= has ended.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Iterator

from orchestrator.export import source as common
from orchestrator.export.source import Export, ExportedFile, ExportLoss, Source
from orchestrator.model.errors import signal_name
from orchestrator.model.masked import plain
from orchestrator.model.spec import (
    AskedProbe,
    ComponentSpec,
    Condition,
    NotifyProbe,
    Probe,
    RestartPlan,
    RestartPolicy,
    Scope,
)

Resolve = Callable[[str], str]  # a program to its absolute path
_HARDENING = ("NoNewPrivileges=yes", "LockPersonality=yes", "RestrictRealtime=yes")
_SYSTEM_HARDENING = ("ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectClock=yes")


def quote(word: str, *, command: bool = False) -> str:
    """Return a word as systemd reads it back. In a command, variables are not expanded."""
    word = word.replace("%", "%%")
    if command:
        word = word.replace("$", "$$")
    if word and re.fullmatch(r"[\w@%+=:,./$^~-]+", word, re.ASCII):
        return word
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c if c >= " " else f"\\x{ord(c):02x}") for c in word) + '"'


def command_line(argv: tuple[str, ...], resolve: Resolve) -> str:
    """Return the value of ExecStart= for a command."""
    first, *others = map(plain, argv)
    return " ".join(quote(word, command=True) for word in (resolve(first), *others))


def _before_signal(command: tuple[str, ...], seconds: int) -> tuple[str, ...]:
    """Return a command that runs another one and waits until the main process has ended, for some seconds at most.

    systemd sends the signal as soon as ExecStop= ends, and also runs it if the main process has ended by itself.
    """
    wait = f'while [ $n -lt {seconds} ] && kill -0 "$MAINPID" 2>/dev/null; do sleep 1; n=$((n+1)); done'
    return (*common.SHELL, f'[ -n "$MAINPID" ] || exit 0; "$@" & n=0; {wait}', "sh", *command)


def unit_name(name: str) -> str:
    """Return a name that a unit may have."""
    return re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)


def whole(source: Source, resolve: Resolve, directory: str, *, user: str | None, persistent: bool = False) -> Export:
    """Return one unit that runs orchestrate. `user` is the account of a system unit; None for a user unit. A
    `persistent` one is tried again for ever: it needs another host, which may start later. `directory` is where the
    file with the variables of this shell will be."""
    name = unit_name(source.name)
    grace = sum(component.stop.grace for component in source.components)
    variables = {"PATH": source.path} if source.path else {}
    lines = [
        "[Unit]",
        f"Description={source.title.replace('%', '%%')} (orchestrate)",
        *(("StartLimitIntervalSec=0",) if persistent else ("StartLimitIntervalSec=300", "StartLimitBurst=5")),
        *(("Wants=network-online.target", "After=network-online.target") if user is not None else ()),
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"WorkingDirectory={source.directory.replace('%', '%%')}",
        *(f"Environment={quote(f'{key}={value}')}" for key, value in variables.items()),
        *((f"EnvironmentFile={f'{directory}/{name}.env'.replace('%', '%%')}",) if source.needed else ()),
        f"ExecStart={command_line(source.rerun, resolve)}",
        "WatchdogSec=60",
        "Restart=on-failure",
        f"RestartSec={30 if persistent else 5}",
        "RestartPreventExitStatus=2 75",
        "TimeoutStartSec=infinity",
        f"TimeoutStopSec={math.ceil(grace) + 30}",
        "KillMode=mixed",
        "Delegate=yes",
        *((f"User={quote(user)}",) if user else ()),
        *_HARDENING,
        *(_SYSTEM_HARDENING if user is not None else ()),
        "",
        "[Install]",
        f"WantedBy={'default' if user is None else 'multi-user'}.target",
    ]
    control = "systemctl --user" if user is None else "systemctl"
    place = "~/.config/systemd/user/" if user is None else "/etc/systemd/system/"
    leave = f"; leave {name}.env in {directory}" if source.needed else ""
    notes = [f"Copy {name}.service to {place}{leave}", f"{control} daemon-reload", f"{control} enable --now {name}"]
    if user is None:
        notes.append("loginctl enable-linger, or all stops when you log out")
    notes.append(f"The system keeps its logs and commands: `{source.ps}`")
    losses = (ExportLoss("", "terminal", "the merged stream is in the journal; attach and logs work as before"),)
    files = [ExportedFile(f"{name}.service", "\n".join(lines) + "\n")]
    if source.needed:
        files.append(ExportedFile(f"{name}.env", common.env_file(source.needed), private=True))
    return Export(tuple(files), losses, tuple(notes))


def services(source: Source, resolve: Resolve, directory: str, *, user: bool) -> Export:
    """Return a target with a service for each instance and step. `directory` is where variables' files will be."""
    writer = _Writer(source, resolve, directory, user)
    files, losses = (
        [writer.target()],
        [ExportLoss("", "attach", "components have no terminals: no attach, no merged stream")],
    )
    before: list[str] = []
    for step in source.init:
        files += writer.step(step, tuple(before))
        before.append(writer.unit(f"init-{step.name}"))
        losses += writer.step_losses(step)
    for component in source.components:
        files += writer.component(component, tuple(before))
        losses += writer.losses(component)
    control = "systemctl --user" if user else "systemctl"
    place = "~/.config/systemd/user/" if user else "/etc/systemd/system/"
    notes = [
        f"Copy *.service and {writer.name}.target to {place}; leave the .env files in {directory}",
        f"{control} daemon-reload",
        f"{control} enable --now {writer.name}.target",
    ]
    if user:
        notes.append("loginctl enable-linger, or all stops when you log out")
    notes.append(f"Output is in the journal: journalctl {'--user ' if user else ''}-u '{writer.name}-*' -f")
    return Export(tuple(files), tuple(losses), tuple(notes))


class _Writer:
    def __init__(self, source: Source, resolve: Resolve, directory: str, user: bool) -> None:
        self._source = source
        self._resolve = resolve
        self._directory = directory
        self._user = user
        self._jobs = common.jobs(source.components)
        self.name = unit_name(source.name)

    def unit(self, name: str) -> str:
        """Return the name of a service."""
        return f"{self.name}-{unit_name(name)}.service"

    def target(self) -> ExportedFile:
        """Return the target that starts and stops all services."""
        wanted = " ".join(self.unit(c.name) for c in self._source.components if c.autostart)
        return ExportedFile(
            f"{self.name}.target",
            f"[Unit]\nDescription={self._source.title.replace('%', '%%')}\nWants={wanted}\n\n"
            f"[Install]\nWantedBy={'default' if self._user else 'multi-user'}.target\n",
        )

    def step(self, step: ComponentSpec, before: tuple[str, ...]) -> list[ExportedFile]:
        """Return the one-shot service of an initial step, after the steps `before` it."""
        service = ["Type=oneshot", "RemainAfterExit=yes", *self._process(step)]
        if step.unless:
            skip = ("/bin/sh", "-c", 'if "$@"; then exit 1; fi', "sh", *step.unless)
            service.insert(2, f"ExecCondition={command_line(skip, self._resolve)}")
        timeout = "infinity" if step.timeout is None else f"{step.timeout:g}"
        service += [f"TimeoutStartSec={timeout}", *self._stop(step)]
        return self._files(f"init-{step.name}", step, self._order(before, before), service)

    def component(self, component: ComponentSpec, steps: tuple[str, ...]) -> list[ExportedFile]:
        """Return the service of an instance, after all steps and what it depends on."""
        instances = common.grouped(self._source.components)
        required = list(steps)
        wanted: list[str] = []
        for need in component.depends_on:
            units = [self.unit(one.name) for one in instances.get(need.name, [])] or [self.unit(need.name)]
            (required if need.required and need.condition is not Condition.COMPLETED else wanted).extend(units)
        job = self._is_job(component)
        notify = any(isinstance(probe, NotifyProbe) for probe in component.ready)
        kind = "oneshot" if job else "notify" if notify else "exec"
        service = [f"Type={kind}", *(["RemainAfterExit=yes"] if job else []), *(["NotifyAccess=all"] if notify else [])]
        service += self._process(component)
        for probe in component.ready:
            if command := common.probe_command(probe):
                service.append(f"ExecStartPost={self._wait(command, probe)}")
        service += ["TimeoutStartSec=infinity", *self._restart(component.restart, job), *self._stop(component)]
        command, seconds = common.stop_command(component)
        if command and not job:
            service.append(f"ExecStop={command_line(_before_signal(command, seconds), self._resolve)}")
        if extra := sorted(component.success - {0}):
            service.append(f"SuccessExitStatus={' '.join(map(str, extra))}")
        unit = [f"PartOf={self.name}.target", *self._order(tuple(required), (*required, *wanted))]
        unit += [f"Wants={' '.join(wanted)}"] if wanted else []
        limits = component.restart
        if limits.policy is not RestartPolicy.NEVER:
            unit += [f"StartLimitIntervalSec={limits.within if limits.max else 0:g}"]
            unit += [f"StartLimitBurst={limits.max}"] if limits.max else []
        return self._files(component.name, component, unit, service)

    def _is_job(self, component: ComponentSpec) -> bool:
        return common.configured_name(component) in self._jobs or component.name in self._jobs

    def _wait(self, command: tuple[str, ...], probe: Probe) -> str:
        """Return a command that repeats that of a probe until it succeeds; a delay runs once."""
        if not isinstance(probe, AskedProbe):
            return command_line(command, self._resolve)
        text = f'until timeout {probe.timeout:g} "$@"; do sleep {max(probe.interval, 0.1):g}; done'
        loop = (*common.SHELL, text, "sh", *command)
        return command_line(loop, self._resolve)

    def _order(self, required: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
        return [
            *([f"Requires={' '.join(required)}"] if required else []),
            *([f"After={' '.join(after)}"] if after else []),
        ]

    def _process(self, component: ComponentSpec) -> list[str]:
        public, secret = common.split_variables(self._source.variables.get(component.name, {}))
        if self._source.path:
            public = {"PATH": self._source.path, **public}
        lines = [f"ExecStart={command_line(component.argv, self._resolve)}"]
        lines.append(f"WorkingDirectory={plain(component.cwd).replace('%', '%%')}")
        lines += [f"Environment={quote(f'{name}={value}')}" for name, value in sorted(public.items())]
        if secret:
            path = f"{self._directory}/{unit_name(component.name)}.env"
            lines.append(f"EnvironmentFile={path.replace('%', '%%')}")
        attributes = component.attributes
        if attributes.account is not None and not self._user:
            lines += [f"User={attributes.account.name or attributes.account.uid}", f"Group={attributes.account.gid}"]
        if attributes.umask is not None:
            lines.append(f"UMask={attributes.umask:04o}")
        if attributes.nice is not None:
            lines.append(f"Nice={attributes.nice}")
        limits = attributes.limits
        for key, value in (("MemoryMax", limits.memory), ("LimitNOFILE", limits.files), ("TasksMax", limits.processes)):
            if value is not None:
                lines.append(f"{key}={value}")
        return lines

    def _restart(self, plan: RestartPlan, job: bool) -> list[str]:
        policy = {
            RestartPolicy.NEVER: "no",
            RestartPolicy.ON_FAILURE: "on-failure",
            RestartPolicy.ALWAYS: "on-failure" if job else "always",  # a one-shot service allows no other value
        }[plan.policy]
        return [f"Restart={policy}", *([f"RestartSec={plan.first:g}"] if policy != "no" else [])]

    def _stop(self, component: ComponentSpec) -> list[str]:
        stop = component.stop
        mode = "mixed" if stop.scope is Scope.LEADER else "control-group"
        number = stop.stop_signal
        lines = [f"KillMode={mode}", f"TimeoutStopSec={stop.grace:g}"]
        return lines if number == signal.SIGTERM else [f"KillSignal={signal_name(number)}", *lines]

    def _files(self, name: str, component: ComponentSpec, unit: list[str], service: list[str]) -> list[ExportedFile]:
        head = [f"Description={self._source.title.replace('%', '%%')}: {name.replace('%', '%%')}"]
        text = "\n".join(["[Unit]", *head, *unit, "", "[Service]", *service]) + "\n"
        files = [ExportedFile(self.unit(name), text)]
        _, secret = common.split_variables(self._source.variables.get(component.name, {}))
        if secret:
            files.append(ExportedFile(f"{unit_name(component.name)}.env", common.env_file(secret), private=True))
        return files

    def step_losses(self, step: ComponentSpec) -> Iterator[ExportLoss]:
        """Yield the features that a step loses."""
        yield ExportLoss(step.name, "init", "it runs again at each boot, not at each start of the system")
        yield from common.common_losses(step)
        yield from self._account_losses(step)

    def _account_losses(self, component: ComponentSpec) -> Iterator[ExportLoss]:
        if component.attributes.account is not None and self._user:
            yield ExportLoss(component.name, "user, group", "a user's own units cannot run as another user or group")

    def losses(self, component: ComponentSpec) -> Iterator[ExportLoss]:
        """Yield the features that a component loses."""
        name = component.name
        # systemd does not run ExecStop= while the command of a one-shot service runs.
        yield from common.common_losses(component, *(() if self._is_job(component) else ("stop.command",)))
        yield from common.stop_signal_loss(component, "its exit does not stop the other services")
        for probe in component.ready:
            if common.probe_command(probe) is None and not isinstance(probe, NotifyProbe):
                yield ExportLoss(name, f"ready.{common.probe_in_words(probe)}", "it counts as ready once it is started")
        if any(isinstance(probe, AskedProbe) and probe.retries for probe in component.ready):
            yield ExportLoss(name, "ready.retries, ready.start_period", "it waits until the check succeeds")
        if component.alive:
            yield ExportLoss(name, "alive", "it is restarted only if it exits")
        if component.stop_before:
            yield ExportLoss(name, "stop_before", f"it stops at the same time as {', '.join(component.stop_before)}")
        if component.restart.policy is not RestartPolicy.NEVER and component.restart.cap != component.restart.first:
            yield ExportLoss(name, "restart.backoff", f"the pause stays at {component.restart.first:g} s")
        yield from self._account_losses(component)
        if not component.autostart:
            yield ExportLoss(name, "autostart", f"start it with systemctl start {self.unit(name)}")
