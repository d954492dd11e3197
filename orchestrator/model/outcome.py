"""How a system ended, and its exit status. Pure."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.model import errors
from orchestrator.model.errors import FAILED_STATUS


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """The conditions that end the system beside the exits of its instances.

    The loss of the terminal ends it if `hang_up_stops`. The loss of the reader of its output ends it unless it `stays`.
    The exit of the component `exit_code_from` (empty for none) ends it with the code of that component.
    """

    hang_up_stops: bool = True
    stays: bool = False
    exit_code_from: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` is the exit code; if `signal` is set, the process ends by that signal instead."""

    status: int = 0
    signal: int = 0

    @property
    def code(self) -> int:
        """The exit code that a shell shows."""
        return errors.as_code(-self.signal) if self.signal else self.status


@dataclass(frozen=True, slots=True)
class InstanceEnd:
    """How one instance exited: `status` as os.waitstatus_to_exitcode, `own` whether the exit was not requested."""

    status: int
    own: bool
    succeeded: bool


def of_lost_sink(number: int, terminal: bool, exit_policy: ExitPolicy) -> Outcome | None:
    """Return how to end when our output fails with errno `number`: a closed pipe ends us with SIGPIPE, as it ends any
    program; a terminal that has gone is a hang-up; a full disk is a failure. None means to keep running."""
    if exit_policy.stays:
        return None
    if number == errno.EPIPE:
        return Outcome(signal=signal.SIGPIPE)
    if terminal:
        return Outcome(signal=signal.SIGHUP) if exit_policy.hang_up_stops else None
    return Outcome(FAILED_STATUS)


def of_culprit(culprit: InstanceEnd, others: Iterable[InstanceEnd | None]) -> Outcome:
    """Return the outcome of a system that ended because `culprit` exited: its code, or 1 if that is 0 but other
    instances had to be stopped.

    `others` holds None for an instance that never ran.
    """
    code = errors.as_code(culprit.status)
    if not culprit.succeeded:
        return Outcome(code or FAILED_STATUS)
    all_well = all(end is not None and end.own and end.succeeded for end in others)
    return Outcome(0 if all_well else code or FAILED_STATUS)


def of_all(ends: Iterable[InstanceEnd | None]) -> Outcome:
    """Return the outcome if every instance exited by itself: 0, or the code of the first that failed."""
    for end in ends:
        if end is not None and not end.succeeded:
            return Outcome(errors.as_code(end.status) or FAILED_STATUS)
    return Outcome(0)
