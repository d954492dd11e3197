"""The recorded output and the requested time for `screen` and `replay`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import client, system_lookup
from orchestrator.cli.commands.logs import directory_of
from orchestrator.cli.options import LocationOptions
from orchestrator.config.times import parse_time
from orchestrator.history import replay
from orchestrator.history.replay import Recording
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.output import labels, log_reader
from orchestrator.runtime.home import Home

CRASH = "crash"


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """The instance whose recorded output is requested, and its location."""

    location: LocationOptions
    name: str
    log_dir: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedInstance:
    """The recorded output of an instance, and the home of its system."""

    recording: Recording
    home: Home


def of(options: RecordingOptions) -> RecordedInstance:
    """Return the recorded output. Raises OrchestrateError."""
    directory, home = directory_of(options.location, options.log_dir)
    name = _instance(directory, options.name)
    try:
        pieces = tuple(replay.pieces_of(directory, name))
    except OSError as error:
        raise OrchestrateError(f"cannot read the log of {name}: {(error.strerror or str(error)).lower()}") from None
    if not pieces:
        raise OrchestrateError(f"cannot show the screen of {name}: it has not printed anything")
    return RecordedInstance(Recording(pieces), home)


def _instance(directory: Path, name: str) -> str:
    known = list(dict.fromkeys([*log_reader.instances(directory), *labels.read(directory)]))  # some print nothing
    found = next((one for one in (name, name.removesuffix(".1"), f"{name}.1") if one in known), None)
    if found is None:
        raise OrchestrateError(f"cannot find a log of {name!r}", f"there are: {', '.join(known) or 'none'}")
    return found


def moment(found: RecordedInstance, text: str, option: str) -> int:
    """Return the number of pieces up to a time. Raises UsageError, OrchestrateError."""
    recording = found.recording
    if text == CRASH:
        runs = system_lookup.is_running(found.home) or bool(system_lookup.unreachable_pid(found.home))
        count = recording.until_exit(is_running=runs)
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
