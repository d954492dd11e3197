"""The messages between supervisor, guardians and prober, and the data that a guardian gets at its start.

Frozen dataclasses, pickled by multiprocessing. `Started` is followed on the same socket by a duplicate of the pty
master (`reduction.send_handle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.spec import Attributes, Hooks, ProberProbe, StopPlan

_ATTRIBUTES = Attributes()
_NO_HOOKS = Hooks()


@dataclass(frozen=True, slots=True)
class Launch:
    """The data that a guardian needs for one run. `rows` and `columns` size its pty; `descriptors` is the soft
    RLIMIT_NOFILE that the component gets back. Without `tty` it gets pipes. `cgroup` is the directory of the control
    group that enforces its limits; empty without one."""

    instance: str
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    stop: StopPlan
    lock_path: str
    rows: int
    columns: int
    descriptors: int
    tty: bool = True
    attributes: Attributes = _ATTRIBUTES
    hooks: Hooks = _NO_HOOKS
    cgroup: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The leader runs; the pty master follows. With `errors_apart` two pipes follow instead: its standard output and
    its standard error. `session` is the pid of the process that leads the session of its terminal, 0 if it does."""

    pid: int
    errors_apart: bool = False
    session: int = 0


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The leader could not be started; `reason` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeaderExited:
    """The leader exited; `status` is a negative signal number or an exit code (os.waitstatus_to_exitcode).

    If the leader was a shell that died of the stop signal, this is the status of the command it waited for, and the
    message comes when that has exited. `asked` says whether a stop was in progress: only the guardian knows what came
    first. `left` is how many processes a leader has left that exited by itself, and `daemons` says whether any of them
    is in another session, as after a program that puts itself into the background. `unexplained_kill` says that the
    leader, or the command whose status this is, was killed by a SIGKILL that was not ours. `oom_kills` counts the
    processes that the OOM killer has killed in the control group, and is None without one.
    """

    status: int
    asked: bool
    left: int = 0
    daemons: bool = False
    unexplained_kill: bool = False
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Vacated:
    """The tree is empty (waitpid returned ECHILD); the guardian exits."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """These processes survived SIGKILL; the guardian keeps running and watches them."""

    pids: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Run the stop sequence."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Skip the grace period."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Send one signal to the leader's process group."""

    number: int


@dataclass(frozen=True, slots=True)
class Execute:
    """To a guardian: run `argv` in the tree, once, for at most `timeout` seconds. An Answer with this key follows."""

    key: tuple[str, int]
    argv: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Conclude:
    """To a guardian with hooks: the run has ended; run the hooks that apply once the tree is empty. `environment` has
    the variables that describe the run."""

    failed: bool
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Remark:
    """From a guardian: a message for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """To the prober: run `probe` once. Its `fresh` times must be later than `since`, a wall-clock time in seconds.
    `root` is the pid of the guardian above the tree whose socket must answer, 0 for any process."""

    key: tuple[str, int]
    probe: ProberProbe
    since: float
    root: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """From the prober or a guardian: the result of the probe with this key; `text` describes it in a few words."""

    key: tuple[str, int]
    holds: bool
    text: str


Up = Started | StartFailed | LeaderExited | Vacated | Stuck | Answer | Remark
Down = Stop | Kill | Signal | Execute | Conclude
