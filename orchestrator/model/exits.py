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
