"""`orchestrate bundle FILE`: collects everything about an incident in one archive, with secrets masked."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from orchestrator import __version__
from orchestrator.cli import archive, history_reports, links, planning, settings, sources, system_lookup
from orchestrator.cli.commands.logs import directory_of
from orchestrator.cli.env_files import EnvFiles
from orchestrator.cli.options import LocationOptions, PlanOptions
from orchestrator.config.diagnostics import Report
from orchestrator.config.environment import Layers
from orchestrator.config.redaction import secrets_in
from orchestrator.config.times import parse_time
from orchestrator.history import record, replay
from orchestrator.history.masking import Masker
from orchestrator.history.record import RecordKind
from orchestrator.history.replay import Piece, Recording
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.masked import plain
from orchestrator.output import labels, log_index, log_reader, run_starts
from orchestrator.output.log_file import stamp
from orchestrator.presets.airflow import generated_secrets
from orchestrator.process import tree
from orchestrator.runtime.home import Home

FORMAT = 1
HISTORY, LOGS = "home/.orchestrate/history", "home/.orchestrate/logs"
OUTPUT_MAX = 20_000_000  # bytes of each instance
STARTS_MAX = 5
_SETTING = re.compile(r"^(\w+)[ \t]*=[ \t]*(\S.*)$", re.MULTILINE)  # of airflow.cfg
_COMMANDS = {
    "ps": ("ps", "--all"),
    "why": ("why",),
    "history": ("history",),
    "changes": ("history", "--diff"),
    "times": ("graph", "--times"),
}


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """The options of `bundle`."""

    path: str
    location: LocationOptions
    plan: PlanOptions
    since: str | None = None
    log_dir: str | None = None


def run(options: BundleOptions) -> int:
    """Write the bundle."""
    path = Path(options.path)
    archive.ending_of(path)
    system = system_lookup.find(options.location)
    home = system.home
    notes: list[str] = []
    definition = _definition_of(options.location, home)
    masker = Masker(_secrets(definition, options.plan, home, notes))
    since = _since(options.since)
    is_running = system_lookup.is_running(home)
    logs, _ = directory_of(system.options, options.log_dir)
    contents = {
        **_history(home, since, is_running=is_running),
        **_logs(logs, since, masker, notes, is_running=is_running),
        **_answers(home, _config_command(definition, home)),
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
    archive.write(path, {name: _without_secrets(name, data, masker) for name, data in contents.items()})
    for note in notes:
        print(links.linked(f"orchestrate: {note}", sys.stderr), file=sys.stderr)
    size = path.stat().st_size
    print(links.linked(f"wrote {path} ({size / 1000:,.0f} KB); `orchestrate open {path}` reads it"))
    return 0


def _without_secrets(name: str, data: bytes, masker: Masker) -> bytes:
    """Return contents without secrets. The pieces of logs are masked already, as their indexes require."""
    if name.startswith(f"{LOGS}/"):
        return data
    if name.startswith(f"{HISTORY}/"):
        data = b"\n".join(_with_masked_output(line, masker) for line in data.split(b"\n"))
    return masker.masked(data)


def _with_masked_output(line: bytes, masker: Masker) -> bytes:
    """Return an event of a record; a value may be wrapped over several lines of its output."""
    if b'"lines":' not in line:
        return line
    try:
        event = json.loads(line)
        output = "\n".join(event["lines"]).encode("utf-8", "surrogateescape")
    except (ValueError, TypeError, KeyError):
        return line
    event["lines"] = masker.masked(output).decode("utf-8", "surrogateescape").split("\n")
    return json.dumps(event, separators=(",", ":")).encode()


def _since(text: str | None) -> float:
    if text is None:
        return 0.0
    when = parse_time(text, datetime.now(timezone.utc))
    if when is None:
        raise UsageError(f"invalid --since {text!r}: expected a time such as 10m, 14:05 or 2026-01-31T14:05")
    return when.timestamp()


def _secrets(definition: LocationOptions, plan: PlanOptions, home: Home, notes: list[str]) -> Iterable[str]:
    """Return the values of secret variables: of the definition, of our environment and of the processes of the running
    system."""
    found: set[str] = set()
    here = settings.read()
    variables = [*here.environment.items()]
    holder = home.read_holder()
    if holder is not None:
        for pid in (holder.pid, *(one.pid for one in tree.descendants(holder.pid))):
            variables += _environment_of(pid)
    variables += _defined(definition, plan, home, here, notes)
    variables += _of_airflow(home)
    for name, value in dict.fromkeys(variables):
        found.update(secrets_in(name, value))
    return found


def _defined(
    definition: LocationOptions, plan: PlanOptions, home: Home, here: settings.CommandSettings, notes: list[str]
) -> list[tuple[str, str]]:
    """Return the variables of the definition; if it has mistakes, those of its .env files."""
    found: list[tuple[str, str]] = []
    try:
        read = sources.read(definition, _with_airflow(here, definition, home))
        found += [(name, variable.value) for name, variable in read.layers.flat().items()]
        resolved, _ = planning.plan(plan, read)
    except OrchestrateError as error:
        notes.append(f"secrets that only the definition contains are not masked in output: {error.message}")
        layers, files = Layers({}, True), EnvFiles()
        recorded = _last_facts(home).get("files")
        for path in (*(recorded if isinstance(recorded, dict) else ()), home.directory / ".env"):
            if "env" in os.path.basename(path):
                layers = files.add(layers, str(path), "", Report(), required=False)
        return [*found, *((name, variable.value) for name, variable in layers.flat().items())]
    specs = (*resolved.system.init, *resolved.system.components)
    return [*found, *((name, plain(value)) for spec in specs for name, value in spec.environment.items())]


def _environment_of(pid: int) -> list[tuple[str, str]]:
    """Return the initial variables of a process; none if it may not be inspected."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return []
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _history(home: Home, since: float, *, is_running: bool) -> dict[str, bytes]:
    """Return the records of the last starts. The key of their hashes is not included. The record of a running system
    ends with an event that tells that it was running."""
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
    with contextlib.suppress(OSError):
        found[f"{LOGS}/{labels.FILE}"] = (directory / labels.FILE).read_bytes()
    for name in log_reader.instances(directory):
        pieces = masker.pieces(_last(list(replay.pieces_of(directory, name)), since))
        log, index = replay.encoded(pieces, stamp)
        found[f"{LOGS}/{name}.log"] = log
        found[f"{LOGS}/{name}{log_index.ENDING}"] = index
        if begun := run_starts.starts(directory, name):
            found[f"{LOGS}/{name}{run_starts.ENDING}"] = b"".join(line + b"\n" for line in begun)
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


def _definition_of(options: LocationOptions, home: Home) -> LocationOptions:
    """Return the options with the definition of this system: the one that they name, or that of the last start."""
    if options.file or options.directory:
        return options
    facts = _last_facts(home)
    paths = facts.get("definitions")
    if isinstance(paths, list) and paths and all(isinstance(path, str) and os.path.isfile(path) for path in paths):
        return replace(options, file=tuple(paths))
    if str(facts.get("title")).startswith("Airflow"):
        return replace(options, preset="airflow", home=str(home.directory))
    return replace(options, directory=str(home.directory))


def _of_airflow(home: Home) -> list[tuple[str, str]]:
    """Return what an AIRFLOW_HOME keeps in files: generated secrets, its configuration, and generated passwords."""
    found = [*generated_secrets.stored(home).items()]
    try:
        text = (home.directory / "airflow.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    found += [(match[1], match[2].strip()) for match in _SETTING.finditer(text)]
    for path in home.directory.glob("*passwords.json.generated"):
        try:
            passwords = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(passwords, dict):
            found += [("password", value) for value in passwords.values() if isinstance(value, str)]
    return found


def _airflow_of(home: Home) -> str:
    """Return the airflow command of the last start; empty if it is not known."""
    try:
        known = json.loads((home.state_dir / "airflow.json").read_bytes())
    except (OSError, ValueError):
        return ""
    command = known.get("command") if isinstance(known, dict) else None
    return command if isinstance(command, str) else ""


def _with_airflow(here: settings.CommandSettings, definition: LocationOptions, home: Home) -> settings.CommandSettings:
    """Return our settings with the Airflow of the last start on PATH, if the system is of the preset."""
    if not definition.preset or not (command := _airflow_of(home)):
        return here
    path = os.pathsep.join([os.path.dirname(command), here.environment.get("PATH", "")])
    return replace(here, environment={**here.environment, "PATH": path})


def _config_command(definition: LocationOptions, home: Home) -> tuple[str, ...]:
    """Return the command that prints the definition."""
    if definition.preset:
        command = _airflow_of(home)
        named = ("--airflow", command) if command else ()
        return (definition.preset, "config", "--home", definition.home or "", *named)
    words = ["config"]
    for option, values in (
        ("-C", (definition.directory,)),
        ("-f", definition.file),
        ("--root", (definition.root,)),
        ("-e", definition.env),
    ):
        words += [word for value in values if value for word in (option, value)]
    return (*words, *(("--env-override",) if definition.env_override else ()))


def _last_facts(home: Home) -> Mapping[str, object]:
    try:
        return history_reports.read(home).facts
    except OrchestrateError:
        return {}


def _answers(home: Home, config: tuple[str, ...]) -> dict[str, bytes]:
    """Return the output of our commands, which mask secrets."""
    found: dict[str, bytes] = {}
    for name, words in {**_COMMANDS, "config": config}.items():
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
