"""The recorded output of the instance that `screen` and `replay` are about, and the time that is meant."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import client, system_lookup
from orchestrator.cli.commands.logs import directory_of
from orchestrator.config.times import parse_time
from orchestrator.history import replay
from orchestrator.history.replay import Recording
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.output import log_reader

CRASH = "crash"


def of(options: argparse.Namespace) -> Recording:
    """Return the recording. Raises OrchestrateError."""
    directory = directory_of(options)
    name = _instance(directory, options.name)
    try:
        pieces = tuple(replay.pieces_of(directory, name))
    except OSError as error:
        raise OrchestrateError(f"cannot read the log of {name}: {(error.strerror or str(error)).lower()}") from None
    if not pieces:
        raise OrchestrateError(f"cannot show the screen of {name}: it has not printed anything")
    return Recording(pieces)


def _instance(directory: Path, name: str) -> str:
    known = log_reader.instances(directory)
    found = next((one for one in (name, name.removesuffix(".1"), f"{name}.1") if one in known), None)
    if found is None:
        raise OrchestrateError(f"cannot find a log of {name!r}", f"there are: {', '.join(known) or 'none'}")
    return found


def moment(options: argparse.Namespace, recording: Recording, text: str, option: str) -> int:
    """Return how many pieces there are up to a time. Raises UsageError, OrchestrateError."""
    if text == CRASH:
        count = recording.until_exit(is_running=system_lookup.is_running(client.home_of(options)))
        if not count:
            raise OrchestrateError("cannot show the screen at the last exit: no exit is recorded")
        return count
    now = datetime.now(timezone.utc)
    if text[:1] == "-":  # before the last output
        now = datetime.fromtimestamp(recording.pieces[-1].time, timezone.utc)
    when = parse_time(text.removeprefix("-"), now)
    if when is None:
        more = ", or crash" if option == "--at" else ""
        raise UsageError(f"invalid {option} {text!r}: expected a time such as 14:02:11, 5m or -30s{more}")
    count = recording.until(when.timestamp())
    if not count and option == "--at":
        first = client.clock(recording.pieces[0].time)
        raise OrchestrateError(f"cannot show the screen at {text}: the log begins at {first}")
    return count
