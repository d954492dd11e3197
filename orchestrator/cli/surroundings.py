"""What the process was started in: environment and terminal, read once. After this nobody reads os.environ."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# The size belongs to each component's own pty; NOTIFY_SOCKET and ORCHESTRATE_* are between us and our caller.
_OURS = ("COLUMNS", "LINES", "NOTIFY_SOCKET")


@dataclass(frozen=True, slots=True)
class View:
    """How the user wants the stream: `log_directory` None means the home's own."""

    prefix: bool
    timestamps: bool
    json: bool
    quiet: frozenset[str]
    log: bool
    log_directory: Path | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`environment` is what components start from; `colours` whether to draw any, `forced` also without a terminal;
    `term` the terminal's type, `erases` whether it can erase a row."""

    environment: dict[str, str]
    colours: bool
    forced: bool
    term: str
    erases: bool
    view: View


def read(options: argparse.Namespace) -> Surroundings:
    """Read the environment, and the terminal on standard output."""
    environ = dict(os.environ)
    terminal = os.isatty(1)
    wanted = _wanted_colours(options.color, environ)
    term = environ.get("TERM", "")
    colours = wanted == "always" or (wanted == "auto" and terminal and term not in ("", "dumb"))
    environment = {k: v for k, v in environ.items() if k not in _OURS and not k.startswith("ORCHESTRATE_")}
    if not terminal or not term:
        environment["TERM"] = "xterm-256color"
    if colours:
        os.environ.pop("NO_COLOR", None)  # decided here; blessed would decide again, the other way
    view = View(
        prefix=not options.no_prefix,
        timestamps=options.timestamps,
        json=options.json,
        quiet=frozenset(options.quiet),
        log=not options.no_log,
        log_directory=Path(options.log_dir) if options.log_dir else None,
    )
    erases = terminal and term not in ("", "dumb") and not view.json
    return Surroundings(environment, colours, colours and not terminal, term, erases, view)


def _wanted_colours(option: str | None, environ: Mapping[str, str]) -> str:
    if option:
        return option
    if environ.get("NO_COLOR"):
        return "never"
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return "always"
    return environ.get("ORCHESTRATE_COLOR", "auto")
