"""The merged stream again, in another terminal: read from the log files for as long as the system runs.

From the files, not from the supervisor: it has nothing to do for that, and they hold every byte, also of a detached
instance, whose own screen is nowhere.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from orchestrator.cli import logs
from orchestrator.output.logreader import Logs
from orchestrator.runtime.watch import DirectoryWatch

FEW = 10  # lines to begin with at least


def follow(directory: Path, connection: socket.socket, rows: int, options: argparse.Namespace) -> int:
    """Print the last screenful and then what comes, until the supervisor closes the connection, or Ctrl-C."""
    watch = DirectoryWatch(directory, connection.fileno())
    files = Logs(directory, lambda instance: True)
    show = logs.shower(options, list(files.readers))
    lines = list(files.last(max(FEW, rows - 2), whole=True))
    print("orchestrate: the merged stream; Ctrl-C leaves it, and the system runs on", file=sys.stderr, flush=True)
    logs.print_lines(map(show, lines[-max(FEW, rows - 2) :]))
    connection.setblocking(False)
    while not _has_ended(connection):
        watch.wait()
        logs.print_lines(map(show, files.news()))
    logs.print_lines(map(show, files.news()))
    return 0


def _has_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
