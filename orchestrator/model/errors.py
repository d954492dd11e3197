"""The errors that a user can cause, each with its exit status.

`cli` is the one place that turns them into a line on stderr and a status. A line reads
``orchestrate: cannot <verb> <object>: <reason>``; a second one, ``hint: …``, says what to do about it.

Exit statuses in words, and as a shell counts them. Pure.
"""

from __future__ import annotations

import signal

USAGE_STATUS = 2
FAILED_STATUS = 1
NOT_RUNNING_STATUS = 3
NOT_READY_STATUS = 4
HELD_STATUS = 75  # EX_TEMPFAIL of sysexits.h: trying again later may work


def with_hint(message: str, hint: str) -> str:
    """Return a message, with a hint for the user, if any, on a second line."""
    return f"{message}\nhint: {hint}" if hint else message


class OrchestrateError(Exception):
    """A failure that is reported in one line, without a traceback.

    `hint` says what the user can do about it, on a separate line after the message. `status` is the exit status, if it
    differs from that of the class.
    """

    status = FAILED_STATUS

    def __init__(self, message: str, hint: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if status is not None:
            self.status = status

    def __str__(self) -> str:
        return with_hint(self.message, self.hint)


class UsageError(OrchestrateError):
    """The command line is wrong."""

    status = USAGE_STATUS


class ConfigError(OrchestrateError):
    """A Procfile, a TOML file or a value in it is wrong; `problems` holds one line for each fault found."""

    status = USAGE_STATUS

    def __init__(self, problems: list[str], hint: str = "") -> None:
        super().__init__("\n".join(problems), hint)
        self.problems = problems


class NotRunningError(OrchestrateError):
    """No system is running in a home."""

    status = NOT_RUNNING_STATUS

    def __init__(self, directory: object, hint: str = "", what: str = "system") -> None:
        start = "orchestrate airflow" if what == "Airflow" else "orchestrate up"
        super().__init__(
            f"no {what} is running in {directory}", hint or f"start it with `{start}`, or name its home with --home"
        )


class UnreachableError(NotRunningError):
    """A system is running in a home, and no command reaches it. `pid` is that of its supervisor."""

    status = FAILED_STATUS

    def __init__(self, directory: object, pid: int) -> None:
        message = f"cannot reach the system in {directory} (pid {pid}): its control socket was removed"
        super(NotRunningError, self).__init__(message, f"run `orchestrate down` or `kill {pid}` to stop it")
        self.pid = pid


class HeldError(OrchestrateError):
    """Another orchestrate holds the home."""

    status = HELD_STATUS


def signal_name(number: int) -> str:
    """Return SIGTERM for 15; real-time and unknown signals by number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def in_words(status: int) -> str:
    """Return in words how a process ended; `status` is an exit code or a negative signal number."""
    return f"killed by {signal_name(-status)}" if status < 0 else f"exited with status {status}"


def as_code(status: int) -> int:
    """Return the exit code a shell would show: 128 + n for signal n."""
    return 128 - status if status < 0 else status


def signal_number(name: str) -> int | None:
    """Return 15 for TERM, SIGTERM, term or 15; None for an unknown signal."""
    if name.isascii() and name.isdecimal():
        return int(name) if len(name) < 4 and int(name) in set(signal.valid_signals()) else None
    upper = name.upper()
    found = getattr(signal.Signals, upper if upper.startswith("SIG") else f"SIG{upper}", None)
    return int(found) if isinstance(found, signal.Signals) else None
