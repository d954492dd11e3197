"""How a system ended, and the exit status that tells it. Pure."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.model import errors
from orchestrator.model.errors import FAILED_STATUS


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """What ends the system beside its members' ends. A terminal that goes does, unless `hang_up_stops` is off; whoever
    reads its output and goes, unless it `stays`; the end of the component `exit_code_from` (empty for none), whose code
    then is the system's."""

    hang_up_stops: bool = True
    stays: bool = False
    exit_code_from: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` is the exit code; where `signal` is set the process ends by that signal instead."""

    status: int = 0
    signal: int = 0

    @property
    def code(self) -> int:
        """The exit code that a shell shows for it."""
        return errors.as_code(-self.signal) if self.signal else self.status


@dataclass(frozen=True, slots=True)
class End:
    """How one member ended: `status` as os.waitstatus_to_exitcode, `own` whether nobody had asked it to end."""

    status: int
    own: bool
    succeeded: bool


def of_lost_sink(number: int, terminal: bool, terms: ExitPolicy) -> Outcome | None:
    """Nobody reads our output any more, says errno `number`: end as a program does that writes into a closed pipe; a
    terminal that has gone is a hang-up; a full disk is a failure. None where that is to be outlived."""
    if terms.stays:
        return None
    if number == errno.EPIPE:
        return Outcome(signal=signal.SIGPIPE)
    if terminal:
        return Outcome(signal=signal.SIGHUP) if terms.hang_up_stops else None
    return Outcome(FAILED_STATUS)


def of_culprit(culprit: End, others: Iterable[End | None]) -> Outcome:
    """The system ended because `culprit` did: its own code, and 1 where that is 0 but others had to be stopped.

    `others` holds None for a member that never ran.
    """
    code = errors.as_code(culprit.status)
    if not culprit.succeeded:
        return Outcome(code or FAILED_STATUS)
    all_well = all(end is not None and end.own and end.succeeded for end in others)
    return Outcome(0 if all_well else code or FAILED_STATUS)


def of_all(ends: Iterable[End | None]) -> Outcome:
    """Every member ended by itself, none of them ending the system: 0, or the code of the first that failed."""
    for end in ends:
        if end is not None and not end.succeeded:
            return Outcome(errors.as_code(end.status) or FAILED_STATUS)
    return Outcome(0)
