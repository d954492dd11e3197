"""Exit statuses in words, and as a shell counts them. Pure."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """SIGTERM for 15; real-time and unknown signals by number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def in_words(status: int) -> str:
    """Say how a process ended; `status` is an exit code or a negative signal number."""
    return f"killed by {signal_name(-status)}" if status < 0 else f"exited with status {status}"


def as_code(status: int) -> int:
    """Return the exit code a shell would show: 128 + n for signal n."""
    return 128 - status if status < 0 else status


def signal_number(name: str) -> int | None:
    """15 for TERM, SIGTERM, term or 15; None where there is no such signal."""
    if name.isascii() and name.isdecimal():
        return int(name) if len(name) < 4 and int(name) in set(signal.valid_signals()) else None
    upper = name.upper()
    found = getattr(signal.Signals, upper if upper.startswith("SIG") else f"SIG{upper}", None)
    return int(found) if isinstance(found, signal.Signals) else None
