"""The merged stream again, in another terminal: read from the log files for as long as the system runs.

From the files, not from the supervisor: it has nothing to do for that, and they hold every byte, also of a detached
instance, whose own screen is nowhere.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from orchestrator.cli.log_view import Follower, Rows, Shower, print_lines
from orchestrator.output import labels
from orchestrator.output.log_reader import Logs
from orchestrator.runtime.inotify import DirectoryWatch

FEW = 10  # lines to begin with at least


def follow(directory: Path, connection: socket.socket, height: int, options: argparse.Namespace) -> int:
    """Print the last screenful and then what comes, until the supervisor closes the connection, or Ctrl-C."""
    watch = DirectoryWatch(directory, connection.fileno())
    files = Logs(directory, lambda instance: True)
    rows = Rows()
    show = Shower(options, directory, {*files.readers, *labels.read(directory)})
    wanted = max(FEW, height - 2)
    lines = list(rows.take(files.last(wanted, whole=True)))
    print("orchestrate: the merged stream; Ctrl-C leaves it, and the system runs on", file=sys.stderr, flush=True)
    print_lines(map(show, lines[-wanted:]))
    follower = Follower(files, rows, show)
    connection.setblocking(False)
    try:
        while not _has_ended(connection):
            follower.look()
            follower.wait(watch)
        follower.look()
    finally:
        follower.close()
    return 0


def _has_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
