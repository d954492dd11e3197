"""What is known of one run of an instance: a record of the run, and one of how its leader exited. Pure.

Both are frozen. `supervisor.instance.Instance` stores them (`run`, `exit`, and the last exits in `exits`), and only it
replaces them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from orchestrator.model import errors

GUARDIAN_FAILED = 1  # the status of a run that ended without one of its own
NOT_FOUND = 127  # of a command that cannot be started, as in sh(1)
EXITS_KEPT = 10  # of one instance


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of an instance. `number` counts from 1; `started` is monotonic seconds, `started_wall` seconds
    since the epoch. `pid` and `guardian` are 0 until the leader runs. `session` is the pid of the process that leads
    the session of the run's terminal, 0 if the leader does."""

    number: int
    started: float
    started_wall: float
    pid: int = 0
    session: int = 0
    guardian: int = 0


NO_RUN = Run(0, 0.0, 0.0)  # of an instance that was never started


class ExitCause(enum.Enum):
    """Why a run ended."""

    OWN = "it exited by itself"
    STOPPED = "a stop was requested"
    OOM = "the OOM killer"
    NOT_STARTED = "its command cannot be started"
    NO_GUARDIAN = "no guardian could be forked"
    GUARDIAN_LOST = "its guardian was killed"
    UNHEALTHY = "it failed a probe, did not finish in time, or asked what it must not ask"


NEVER_RAN = frozenset({ExitCause.NOT_STARTED, ExitCause.NO_GUARDIAN})


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason to end a run that has not exited yet, or the way in which it failed. `reason` follows the instance's
    name."""

    cause: ExitCause
    reason: str


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended. `run` is its number, `status` as os.waitstatus_to_exitcode returns it, `lasted` is in seconds.

    `reason` follows the instance's name; it is empty if the status is the whole reason. `was_asked` says whether the
    leader had been sent a stop signal before it exited. `left` counts the processes that the leader left when it
    exited by itself, and `daemons` says whether one of them is in another session.
    """

    run: int
    status: int
    cause: ExitCause
    reason: str
    lasted: float
    was_asked: bool
    left: int = 0
    daemons: bool = False

    @property
    def in_words(self) -> str:
        """The exit in words: `exited with status 3`, `killed by SIGKILL`."""
        if self.cause is ExitCause.OOM:
            return "killed by the OOM killer"
        return self.reason or errors.in_words(self.status)

    @property
    def as_clause(self) -> str:
        """The exit in words, as they follow a subject: `was killed by SIGKILL`."""
        if self.cause is ExitCause.NOT_STARTED:
            return f"did not start: {self.reason}"
        return f"was {self.in_words}" if self.in_words.startswith("killed") else self.in_words

    @property
    def after(self) -> str:
        """The time that the run took, as it follows `in_words`; empty if the exit has a reason of ours."""
        return "" if self.reason else f" after {self.lasted:.1f} s"
