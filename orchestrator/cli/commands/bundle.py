"""`orchestrate bundle FILE`: what is needed to discuss an incident elsewhere, in one archive, with secrets masked."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from orchestrator import __version__
from orchestrator.cli import archive, client, history_reports, planning, settings, sources, system_lookup
from orchestrator.cli.commands.logs import directory_of
from orchestrator.config.redaction import secrets_in
from orchestrator.config.times import parse_time
from orchestrator.history import record, replay
from orchestrator.history.masking import Masker
from orchestrator.history.record import RecordKind
from orchestrator.history.replay import Piece, Recording
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.masked import plain
from orchestrator.output import log_index, log_reader
from orchestrator.output.log_file import stamp
from orchestrator.runtime.home import Home

FORMAT = 1
HISTORY, LOGS = "home/.orchestrate/history", "home/.orchestrate/logs"
OUTPUT_MAX = 20_000_000  # bytes of each instance
STARTS_MAX = 5
_COMMANDS = {
    "ps": ("ps", "--all"),
    "why": ("why",),
    "history": ("history",),
    "changes": ("history", "--diff"),
    "config": ("config",),
    "times": ("graph", "--times"),
}


def run(options: argparse.Namespace) -> int:
    """Write it."""
    path = Path(options.path)
    archive.ending_of(path)
    home = client.system_of(options)
    notes: list[str] = []
    masker = Masker(_secrets(options, home, notes))
    since = _since(options.since)
    is_running = system_lookup.is_running(home)
    contents = {
        **_history(home, since, is_running=is_running),
        **_logs(directory_of(options), since, masker, notes, is_running=is_running),
        **_answers(home),
        "limits.txt": _limits(home),
    }
    manifest = {
        "format": FORMAT,
        "created": time.time(),
        "since": since or None,
        "home": str(home.directory),
        "host": platform.node(),
        "kernel": platform.platform(),
        "python": platform.python_version(),
        "orchestrate": __version__,
        "notes": notes,
    }
    contents["manifest.json"] = json.dumps(manifest, indent=2).encode()
    masked = {name: data if name.endswith(log_index.ENDING) else masker.bytes(data) for name, data in contents.items()}
    archive.write(path, masked)
    for note in notes:
        print(f"orchestrate: {note}", file=sys.stderr)
    size = path.stat().st_size
    print(f"wrote {path} ({size / 1000:,.0f} KB); `orchestrate open {path}` reads it")
    return 0


def _since(text: str | None) -> float:
    if text is None:
        return 0.0
    when = parse_time(text, datetime.now(timezone.utc))
    if when is None:
        raise UsageError(f"invalid --since {text!r}: expected a time such as 10m, 14:05 or 2026-01-31T14:05")
    return when.timestamp()


def _secrets(options: argparse.Namespace, home: Home, notes: list[str]) -> Iterable[str]:
    """Return the values of secret variables: of the definition, of our own environment and of the supervisor's."""
    found: set[str] = set()
    variables = [*settings.read(options).environment.items()]
    holder = home.read_holder()
    if holder is not None:
        try:
            words = Path(f"/proc/{holder.pid}/environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
            variables += [(word.partition("=")[0], word.partition("=")[2]) for word in words]
        except OSError:
            pass
    try:
        resolved, _ = planning.plan(options, sources.read(options, settings.read(options)))
        specs = (*resolved.system.init, *resolved.system.components)
        variables += [(name, plain(value)) for spec in specs for name, value in spec.environment.items()]
    except OrchestrateError as error:
        notes.append(f"the definition cannot be read, so its secrets are not masked in output: {error}")
    for name, value in variables:
        found.update(secrets_in(name, value))
    return found


def _history(home: Home, since: float, *, is_running: bool) -> dict[str, bytes]:
    """Return the records of the last starts. The key of their hashes stays at home. The record of a running system
    ends with a mark that says so."""
    found: dict[str, bytes] = {}
    for number in record.numbers(home.history)[-STARTS_MAX:]:
        for path in (record.path_of(home.history, number), record.older_half_of(home.history, number)):
            if path.is_file() and (path.stat().st_mtime >= since or number == record.numbers(home.history)[-1]):
                found[f"{HISTORY}/{path.name}"] = path.read_bytes()
    current = history_reports.current(home) if is_running else None
    if current is not None and current.first(RecordKind.END) is None:
        name = f"{HISTORY}/{record.path_of(home.history, current.number).name}"
        found[name] = found[name].removesuffix(b"\n") + b"\n" + record.mark_of_copy(current, time.time())
    return found


def _logs(directory: Path, since: float, masker: Masker, notes: list[str], *, is_running: bool) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in log_reader.instances(directory):
        pieces = masker.pieces(_last(list(replay.pieces_of(directory, name)), since))
        log, index = replay.encoded(pieces, stamp)
        found[f"{LOGS}/{name}.log"] = log
        found[f"{LOGS}/{name}{log_index.ENDING}"] = index
        try:
            found.update(_screens(name, Recording(tuple(pieces)), is_running=is_running))
        except OrchestrateError as error:  # no pyte
            notes[:] = dict.fromkeys([*notes, f"no screens: {error}"])
    return found


def _screens(name: str, recording: Recording, *, is_running: bool) -> dict[str, bytes]:
    """Return the screen at the last exit, without and with colors."""
    count = recording.until_exit(is_running=is_running)
    if not count:
        return {}
    screen = recording.screen_after(count).screen()
    return {f"screens/{name}.txt": screen.text().encode(), f"screens/{name}.ansi": screen.ansi().encode()}


def _last(pieces: list[Piece], since: float) -> list[Piece]:
    """Return the pieces since a time, at most OUTPUT_MAX bytes of them."""
    size, start = 0, len(pieces)
    while start and size < OUTPUT_MAX and pieces[start - 1].time >= since:
        start -= 1
        size += len(pieces[start].data)
    return pieces[start:]


def _answers(home: Home) -> dict[str, bytes]:
    """Return what our own commands print: they mask secrets."""
    found: dict[str, bytes] = {}
    for name, words in _COMMANDS.items():
        argv = [sys.executable, "-m", "orchestrator", *words]
        env = settings.environment_with_home("" if name == "config" else str(home.directory))  # `graph` has no --home
        try:
            done = subprocess.run(argv, capture_output=True, timeout=60, check=False, env=env)
        except (OSError, subprocess.TimeoutExpired):
            continue
        found[f"answers/{name}.txt"] = done.stdout + done.stderr
    return found


def _limits(home: Home) -> bytes:
    """Return the limits of the supervisor, or of this process if none runs."""
    holder = home.read_holder()
    for pid in (holder.pid if holder else 0, os.getpid()):
        try:
            return Path(f"/proc/{pid}/limits").read_bytes()
        except OSError:
            continue
    return b""
