"""`orchestrate open FILE`: answers `why`, `logs`, `screen` and others from a bundle, without a running system."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import archive, client, invocation, parser, settings
from orchestrator.cli.commands.bundle import FORMAT
from orchestrator.model.errors import OrchestrateError, UsageError

# Commands that answer from a home whose system has exited, and the options that make them do so.
_COMMANDS = {
    "why": (),
    "logs": (),
    "screen": (),
    "replay": (),
    "history": (),
    "ps": ("--all",),
    "graph": ("--times",),
}


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """The options of `open`: the bundle, and the words of a command on it."""

    path: str
    words: tuple[str, ...] = ()


def run(options: OpenOptions) -> int:
    """Run the command on the bundle; without one, describe the bundle and why the system exited."""
    words = list(options.words)
    if words and words[0] not in _COMMANDS:
        raise UsageError(f"invalid command '{words[0]}' for a bundle", f"use one of: {', '.join(_COMMANDS)}")
    contents = archive.read(Path(options.path))
    manifest = _manifest(options.path, contents)
    directory = Path(tempfile.mkdtemp(prefix="orchestrate-bundle-"))
    home = directory / "home"
    try:
        for name, data in contents.items():
            if name.startswith("home/"):
                path = directory / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.write_bytes(data)
        home.mkdir(exist_ok=True)
        if not words:
            _print_summary(manifest, contents)
            words = ["why"]
        values = parser.values([words[0], *_COMMANDS[words[0]], *words[1:]], settings.defaults)
        status = invocation.run({**values, "home": str(home), "directory": None, "bundle": options.path})
        sys.stdout.flush()
        return status
    except OrchestrateError as error:  # the user knows the bundle, not the place of its contents
        message = error.message.replace(str(home), f"the bundle {options.path}")
        raise OrchestrateError(message, "" if str(home) in error.message else error.hint, error.status) from None
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _manifest(path: str, contents: dict[str, bytes]) -> dict[str, object]:
    try:
        found = json.loads(contents["manifest.json"])
    except (KeyError, ValueError):
        raise OrchestrateError(f"cannot read {path}: it is not a bundle of orchestrate") from None
    version = found.get("format") if isinstance(found, dict) else None
    if version != FORMAT or not isinstance(found, dict):
        age = "a newer" if isinstance(version, int) and version > FORMAT else "an older"
        raise OrchestrateError(f"cannot read {path}: {age} orchestrate wrote it")
    return found


def _print_summary(manifest: dict[str, object], contents: dict[str, bytes]) -> None:
    created = manifest.get("created")
    at = client.clock(created) if isinstance(created, float) else "an unknown time"
    print(client.printable(f"bundle of {manifest.get('home')} on {manifest.get('host')}, made at {at}"))
    print(client.printable(f"orchestrate {manifest.get('orchestrate')}, Python {manifest.get('python')},"
                           f" {manifest.get('kernel')}"))  # fmt: skip
    names = [os.path.basename(name).removesuffix(".log") for name in contents if name.endswith(".log")]
    print(client.printable(f"logs: {', '.join(names) or 'none'}"))
    notes = manifest.get("notes")
    for note in notes if isinstance(notes, list) else ():
        print(client.printable(f"note: {note}"))
    print(flush=True)
