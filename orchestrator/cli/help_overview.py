"""The page of `orchestrate --help`: all commands in groups, and the options that are used most."""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: dict[str, tuple[str, ...]] = {
    "Run": ("up", "start", "down", "run", "airflow"),
    "Look": ("ps", "logs", "ui", "attach", "status", "events", "ls"),
    "Explain": ("why", "history", "screen", "replay", "bundle", "open"),
    "Change": ("stop", "restart", "kill", "scale", "signal", "send", "wait"),
    "Define": ("init", "import", "export", "check", "config", "env", "graph"),
    "More": ("help", "doctor", "completion", "man", "version"),
}

_HEAD = """\
usage: orchestrate [OPTION...] [COMMAND] [ARGUMENT...]

Run all components of a system under one parent, each in its own terminal.
Without a command: up.
"""

_FOOT = """\
Options:
  -f FILE        read this Procfile or orchestrate.toml
  -C DIR         change to DIR first
  -d             run in the background
  -h, --help     print this page
  -V, --version  print the version

Options of `up` work without a command too; `orchestrate up --help` lists them.
`orchestrate help COMMAND` describes a command, `orchestrate help` the manual.
"""


def page(texts: Mapping[str, str]) -> str:
    """Return the page; `texts` has a short description of each command. One without a group is under "More"."""
    grouped = {name for names in GROUPS.values() for name in names}
    parts = [_HEAD]
    for title, names in GROUPS.items():
        others = tuple(name for name in texts if name not in grouped) if title == "More" else ()
        lines = [f"  {name:<13}  {texts[name]}" for name in (*names, *others) if name in texts]
        parts.append("\n".join([f"{title}:", *lines, ""]))
    return "\n".join([*parts, _FOOT])
