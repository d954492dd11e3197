"""What a system is: components, how each is started, watched, stopped and restarted.

Everything is frozen and validated before the first process exists; after that neither `os.environ` nor any file is read
again. All times are float seconds.

This file also defines what a preset learned from its initial steps.
"""

from __future__ import annotations

import enum
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.model.prompt_rules import Rule


class Scope(enum.Enum):
    """The scope of a stop signal: the leader, its process group, or the whole tree."""

    LEADER = "leader"
    GROUP = "group"
    TREE = "tree"


class OnExit(enum.Enum):
    """The effect on the system of a component's exit, if it will not be restarted."""

    STOP = "stop"
    IGNORE = "ignore"


class Condition(enum.Enum):
    """What a dependency must have reached before its dependent starts."""

    STARTED = "started"
    READY = "ready"
    COMPLETED = "completed"
    SUCCEEDED = "succeeded"


class RestartPolicy(enum.Enum):
    """When an unrequested exit of a component leads to a new run."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Ownership(enum.Enum):
    """Which process may answer a network probe on an address of this machine: one of the component's tree, unless the
    kernel does not show the owner; or any process."""

    TREE = "tree"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class StopStep:
    """One signal of a stop sequence and the seconds to wait before the next step.

    If `signal` is 0, the step is another one: `keys` are typed into the component's terminal, or `command` is run
    beside it, for `wait` seconds at most.
    """

    signal: int
    wait: float
    keys: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopPlan:
    """How a component is asked to exit. After the last step, or at a KILL in it, its tree is killed."""

    steps: tuple[StopStep, ...] = (StopStep(signal.SIGTERM, 10.0),)
    scope: Scope = Scope.GROUP

    @property
    def grace(self) -> float:
        """Seconds from the first signal to the kill."""
        return sum(step.wait for step in self.steps)

    @property
    def stop_signal(self) -> int:
        """The first signal of the sequence, which asks a process to exit; SIGTERM if SIGKILL is the only one."""
        return next((step.signal for step in self.steps if step.signal not in (0, signal.SIGKILL)), signal.SIGTERM)

    def with_grace(self, seconds: float) -> StopPlan:
        """The same signals within `seconds` in all, each step's share kept."""
        if self.grace <= 0:
            return StopPlan((replace(self.steps[0], wait=seconds),), self.scope)
        factor = seconds / self.grace
        return StopPlan(tuple(replace(step, wait=step.wait * factor) for step in self.steps), self.scope)


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """Restart policy: `first` seconds of backoff doubling up to `cap`; given up after `max` in `within` seconds, or
    never if `max` is 0.

    Before the component has been ready once, it is also given up after `same_exits` quick exits in a row that look the
    same; 0 means never.
    """

    policy: RestartPolicy = RestartPolicy.NEVER
    max: int = 5
    within: float = 300.0
    first: float = 1.0
    cap: float = 60.0
    same_exits: int = 0


@dataclass(frozen=True, slots=True)
class Dependency:
    """`name` must have reached `condition` first. With `restart`, its dependents are restarted with it.

    If it is not `required` it is not started for this, and not waited for if it does not run or cannot reach it."""

    name: str
    condition: Condition = Condition.STARTED
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class LogProbe:
    """Ready once a line of the component's output, escapes removed, matches `pattern` (re.search).

    `about` describes such a line, if the pattern itself would mean little to a user.
    """

    pattern: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Succeeds if GET `url`, with the header fields of `request_headers`, answers with one of `status`, with header
    fields that match the regular expressions of `headers`, and a body that matches `body`. A component's network and
    exec probes run one after another, each once the previous one has succeeded, the first after all log probes.

    `healthy` holds JSON pointers (RFC 6901) to strings that must read "healthy"; `fresh` to ISO 8601 times
    that must be later than this start, so that a stale row of an earlier run does not count.

    `timeout` is for all of it, from the connection to the last byte. `unix` is the path of the socket for
    a URL of http+unix.
    """

    url: str
    status: tuple[range, ...] = (range(200, 300),)
    healthy: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    interval: float = 0.5
    timeout: float = 30.0
    start_period: float = 0.0
    retries: int = 0
    owner: Ownership = Ownership.TREE
    request_headers: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    unix: str = ""


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Succeeds if a connection to `host`:`port` is accepted."""

    host: str
    port: int
    interval: float = 0.5
    timeout: float = 5.0
    start_period: float = 0.0
    retries: int = 0
    owner: Ownership = Ownership.TREE


@dataclass(frozen=True, slots=True)
class UnixProbe:
    """Succeeds if a connection to the unix socket `path` is accepted."""

    path: str
    interval: float = 0.5
    timeout: float = 5.0
    start_period: float = 0.0
    retries: int = 0
    owner: Ownership = Ownership.TREE


@dataclass(frozen=True, slots=True)
class FileProbe:
    """Succeeds if the file `path` exists and was written after the run began: a file of an earlier run does not
    count."""

    path: str
    interval: float = 0.5
    timeout: float = 5.0
    start_period: float = 0.0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """Succeeds if `argv`, run in the component's tree, directory and environment, exits with 0 within `timeout`.

    `about` says what it checks, if the command itself would mean little to a user.
    """

    argv: tuple[str, ...]
    interval: float = 1.0
    timeout: float = 30.0
    start_period: float = 0.0
    retries: int = 0
    about: str = ""


@dataclass(frozen=True, slots=True)
class PromptProbe:
    """Ready once an unfinished line of its output, escapes removed, matches `pattern` and stays unchanged."""

    pattern: str


@dataclass(frozen=True, slots=True)
class NotifyProbe:
    """Ready once it reports READY=1 on NOTIFY_SOCKET, as for systemd."""


@dataclass(frozen=True, slots=True)
class DelayProbe:
    """Ready `seconds` after the previous probe succeeded, the first after the start."""

    seconds: float


# These probes are repeated `interval` seconds after a failure. `retries` failures in a row, later than `start_period`
# seconds after the start, mean that the component has failed; 0 means that it never does.
ProberProbe = HttpProbe | TcpProbe | UnixProbe | FileProbe  # run by the prober: each may block
AskedProbe = ProberProbe | ExecProbe
Probe = LogProbe | PromptProbe | NotifyProbe | DelayProbe | AskedProbe


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group that a component runs as. `name` is empty if only a group was named; `groups` are all its
    groups, or None to keep those of the supervisor."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] | None = None
    home: str = ""
    shell: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one instance; None for no limit. `memory` is in bytes, `files` counts open files of one process.

    `memory` and `processes` are for all processes together in a control group, else as setrlimit(2) counts them:
    memory for each process, processes for each user.
    """

    memory: int | None = None
    files: int | None = None
    processes: int | None = None

    @property
    def need_group(self) -> bool:
        """Whether a control group can enforce some of them."""
        return self.memory is not None or self.processes is not None


@dataclass(frozen=True, slots=True)
class Attributes:
    """Settings of a component's process before its program is executed; None keeps the supervisor's."""

    account: Account | None = None
    umask: int | None = None
    nice: int | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Hooks:
    """Commands that run when a run has ended and its process tree is empty; empty for none."""

    on_failure: tuple[str, ...] = ()
    after_exit: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.on_failure or self.after_exit)


# Variables of a hook that are known when it runs. Its argument list keeps them for the shell that it may start.
HOOK_VARIABLES = tuple(
    f"ORCHESTRATE_{name}" for name in ("EVENT", "EXIT_STATUS", "SIGNAL", "REASON", "RUN_NUMBER", "LOG")
)
HOOK_TIMEOUT = 10.0  # seconds that a hook may take; then it is killed


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSpec:
    """A configured instance of the system.

    `argv` is executed without a shell (a Procfile's line becomes ``sh -c LINE``); `environment` is complete and
    replaces the inherited one; `source` names the place it was read from (``Procfile:3``); `color` is a blessed color
    name. `stop_before` names the components that are not asked to stop before this one is down; it does not delay the
    start. `start_after` names those whose log probes should succeed first: this is not a dependency, but makes the
    start faster. Components that will not print their lines are not waited for.

    If it is given up after restarts, `on_exit` counts only if `on_exit_is_set`: by the definition or by an option.

    `name` is the instance's; `component` the configured name, if it has several instances. Without `tty` it gets pipes
    instead of a terminal. A line that matches one of `failed` before it is ready means that it never will be. Once it
    is ready its `alive` probes run; when one of them fails for good it is restarted, whatever `restart` says of other
    exits. Without `autostart` it waits for a request.

    An initial step is skipped if `unless` succeeds, and has failed after `timeout` seconds.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    color: str = ""
    depends_on: tuple[Dependency, ...] = ()
    stop_before: tuple[str, ...] = ()
    start_after: tuple[str, ...] = ()
    ready: tuple[Probe, ...] = ()
    failed: tuple[LogProbe, ...] = ()
    alive: tuple[AskedProbe, ...] = ()
    restart: RestartPlan = RestartPlan()
    stop: StopPlan = StopPlan()
    on_exit: OnExit = OnExit.STOP
    on_exit_is_set: bool = True
    success: frozenset[int] = frozenset({0})
    component: str = ""
    tags: frozenset[str] = frozenset()
    tty: bool = True
    unless: tuple[str, ...] = ()
    timeout: float | None = None
    expect: tuple[Rule, ...] = ()
    autostart: bool = True
    attributes: Attributes = Attributes()
    hooks: Hooks = Hooks()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSpec:
    """The system that one supervisor runs: initial steps, one after another, then components.

    `title` is its name in messages. `instances` may be empty while a preset has not learned them from its initial steps
    yet. `labels` are the names that the prefix leaves room for. `colors` has all defined names in order, also those
    that are not started, with the color of each (empty for the next one).
    """

    title: str
    init: tuple[ComponentSpec, ...] = ()
    components: tuple[ComponentSpec, ...] = ()
    labels: tuple[str, ...] = ()
    colors: Mapping[str, str] = field(default_factory=dict)


def split_unix_url(url: str) -> tuple[str, str]:
    """Return the path of the socket and the target of a URL of http+unix, as requests-unixsocket and curl write them.

    `http+unix://run%2Fapp.sock/health` has the socket, quoted, in place of the host, and
    `http+unix:///run/app.sock:/health` has a colon between the two. Raises ValueError.
    """
    from urllib.parse import unquote  # imported here, because only such URLs need it

    rest = url.partition("://")[2]
    if rest.startswith("/"):
        path, _, target = rest.partition(":")
    else:
        path, _, target = rest.partition("/")
        path, target = unquote(path), f"/{target}"
    if not path.strip("/"):
        raise ValueError("names no socket; write http+unix://run%2Fapp.sock/health")
    return path, target or "/"


@dataclass(frozen=True, slots=True)
class StartPlan:
    """The components, lines to show before they start (`notes`) and once all are ready (`banner`). In the banner
    `secret` is kept out of the log."""

    components: tuple[ComponentSpec, ...]
    notes: tuple[str, ...] = ()
    banner: tuple[str, ...] = ()
    secret: str = ""
