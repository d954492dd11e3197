"""A Procfile as a draft of orchestrate.toml: of foreman, honcho, overmind, hivemind or goreman. Pure.

Also `.foreman` and `.overmind.env`, with the Procfile that they belong to.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config import dotenv, procfile
from orchestrator.config.importers.convert import count, duration, signal_name
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby
from orchestrator.model.errors import ConfigError
from orchestrator.model.names import name_fault

_PROCFILE = "Procfile"
_FOREMAN = {
    "procfile": "procfile",
    "f": "procfile",
    "formation": "formation",
    "m": "formation",
    "concurrency": "formation",
    "c": "formation",
    "port": "port",
    "p": "port",
    "env": "env",
    "e": "env",
    "timeout": "timeout",
    "t": "timeout",
    "root": "root",
    "d": "root",
}
_OVERMIND = {
    "PROCFILE": "procfile",
    "FORMATION": "formation",
    "PORT": "port",
    "PORT_STEP": "step",
    "ENV": "env",
    "TIMEOUT": "timeout",
    "ROOT": "root",
    "CAN_DIE": "can_die",
    "ANY_CAN_DIE": "any_can_die",
    "AUTO_RESTART": "auto_restart",
    "STOP_SIGNALS": "stop_signals",
    "IGNORED_PROCESSES": "ignored",
    "PROCESSES": "only",
    "SHELL": "shell",
    "NO_PORT": "no_port",
}
_WHY = {
    "OVERMIND_SOCKET": "orchestrate has its own socket",
    "OVERMIND_TITLE": "no counterpart",
    "OVERMIND_COLORS": "use `color` of each component",
    "OVERMIND_DAEMONIZE": "use `orchestrate up -d`",
    "OVERMIND_TMUX_CONFIG": "orchestrate does not use tmux",
    "OVERMIND_SHOW_TIMESTAMPS": "use `orchestrate up --timestamps`",
    "OVERMIND_NO_PORT": "use `orchestrate up --no-port`",
    "OVERMIND_SKIP_ENV": "use `orchestrate up -e ''`",
}
_TRUE = ("1", "true", "yes", "on", "t")


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return a component for each line, with the comments above it. A malformed line is a loss."""
    draft = Draft(comments=[f"Converted from {name}."])
    entries, problems = procfile.parse(text, name)
    for problem in problems:
        place, _, reason = problem.removeprefix(f"{name}:").partition(": ")
        draft.lose(int(place) if place.isdecimal() else 0, "line", reason)
    lines = text.removeprefix("\ufeff").splitlines()
    for entry in entries:
        draft.entries.append(DraftEntry(entry.name, {"command": entry.command}, comments_above(lines, entry.line)))
    return draft


def comments_above(lines: list[str], number: int, mark: str = "#") -> list[str]:
    """Return the texts of the comment lines directly above line `number`, which counts from 1."""
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        text = line.strip()
        if not text or text[0] not in mark:
            break
        found.insert(0, text.lstrip(mark).strip())
    return found


@dataclass(frozen=True, slots=True)
class _Option:
    value: str
    line: int
    key: str


def read_foreman(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the draft for `.foreman`: lines of `option: value`. Raises ConfigError without a Procfile."""
    options: dict[str, _Option] = {}
    unknown: list[_Option] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"([\w-]+)\s*:\s*(.*?)\s*(?:#.*)?", line.strip())
        if not match or line.strip().startswith("#"):
            continue
        option = _Option(match[2].strip("\"'"), number, match[1])
        if match[1] in _FOREMAN:
            options[_FOREMAN[match[1]]] = option
        else:
            unknown.append(option)
    return _draft(options, unknown, name, nearby, starts_others=False)


def read_overmind(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the draft for `.overmind.env`: variables OVERMIND_*. Raises ConfigError without a Procfile."""
    assignments, _ = dotenv.parse(text, name)
    options: dict[str, _Option] = {}
    unknown: list[_Option] = []
    others = False
    for one in assignments:
        option = _Option(one.template.replace("$$", "$"), one.line, one.name)
        key = _OVERMIND.get(one.name.removeprefix("OVERMIND_")) if one.name.startswith("OVERMIND_") else None
        if key == "no_port" or (key is None and one.name.startswith("OVERMIND_")):
            unknown.append(option)
        elif key is not None:
            options[key] = option
        else:
            others = True
    draft = _draft(options, unknown, name, nearby, starts_others=True)
    if others:  # overmind reads variables for the components from this file too
        files = [{"path": ".env", "required": False}]
        draft.keys["env_file"] = [*draft.keys.get("env_file", files), name]
    return draft


def _draft(
    options: Mapping[str, _Option], unknown: list[_Option], name: str, nearby: Nearby, *, starts_others: bool
) -> Draft:
    path = options["procfile"].value if "procfile" in options else _PROCFILE
    text = nearby.read(path)
    if text is None:
        raise ConfigError([f"cannot import {name}: {path} is missing beside it"])
    draft = read(text, path, nearby)
    draft.comments = [f"Converted from {path} and {name}."]
    draft.losses = [loss for loss in draft.losses if loss.line]
    for option in unknown:
        draft.lose(option.line, option.key, _WHY.get(option.key, "no counterpart"))
    entries = {entry.name: entry for entry in draft.entries}
    _apply_formation(draft, options.get("formation"), entries, starts_others=starts_others)
    _apply_ports(draft, options, entries)
    _apply_ends(draft, options, entries)
    if files := options.get("env"):
        draft.keys["env_file"] = [file.strip() for file in files.value.split(",") if file.strip()]
    defaults: dict[str, Any] = {}
    root = options["root"].value if "root" in options else posixpath.dirname(path)
    if root not in ("", "."):
        defaults["cwd"] = root
    if shell := options.get("shell"):
        defaults["shell"] = shell.value
    if starts_others:  # overmind
        defaults["stop"] = {"signal": "INT"}
    if timeout := options.get("timeout"):
        if (seconds := duration(timeout.value)) is not None:
            defaults["stop"] = {**defaults.get("stop", {}), "timeout": seconds}
            for entry in draft.entries:
                if "stop" in entry.keys:  # replaces that of [defaults]
                    entry.keys["stop"]["timeout"] = seconds
        else:
            draft.lose(timeout.line, timeout.key, f"{timeout.value!r} is not a duration")
    if defaults:
        draft.keys["defaults"] = defaults
    return draft


def _apply_formation(
    draft: Draft, option: _Option | None, entries: dict[str, DraftEntry], *, starts_others: bool
) -> None:
    """Set the numbers of instances. foreman starts only what a formation names; overmind starts one of each other."""
    if option is None:
        return
    if not starts_others:
        for entry in entries.values():
            entry.keys["replicas"] = 0
    for part in option.value.split(","):
        word, _, number = part.strip().partition("=")
        replicas = count(number.strip())
        wanted = list(entries) if word == "all" else [word]
        if replicas is None or any(one not in entries for one in wanted):
            draft.lose(option.line, option.key, f"cannot read {part.strip()!r}")
            continue
        for one in wanted:
            entries[one].keys["replicas"] = replicas
    for entry in entries.values():
        if entry.keys.get("replicas") == 1:
            del entry.keys["replicas"]


def _apply_ports(draft: Draft, options: Mapping[str, _Option], entries: dict[str, DraftEntry]) -> None:
    base, step = options.get("port"), options.get("step")
    if base is None and step is None:
        return
    first = count_port(base.value) if base else 5000
    between = count_port(step.value) if step else 100
    if first is None or between is None:
        bad = base if base and first is None else step
        assert bad is not None
        draft.lose(bad.line, bad.key, f"{bad.value!r} is not a number")
        return
    for index, entry in enumerate(entries.values()):
        if first + index * between < 65536:
            entry.keys["port"] = first + index * between


def count_port(text: str) -> int | None:
    """Return a port, or a distance between ports; None if it is invalid."""
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) < 65536 else None


def _apply_ends(draft: Draft, options: Mapping[str, _Option], entries: dict[str, DraftEntry]) -> None:
    """Apply the options on which components start, exit and restart."""

    def names(key: str) -> list[str]:
        option = options.get(key)
        return [name.strip() for name in option.value.split(",") if name.strip()] if option else []

    is_any = options["any_can_die"].value.lower() in _TRUE if "any_can_die" in options else False
    for name in entries if is_any else names("can_die"):
        if name in entries:
            entries[name].keys["on_exit"] = "ignore"
    restarted = names("auto_restart")
    for name in entries if "all" in restarted else restarted:
        if name in entries:
            entries[name].keys["restart"] = {"policy": "always", "max": "unlimited"}
    only = names("only")
    for name, entry in entries.items():
        if name in names("ignored") or (only and name not in only):
            entry.keys["autostart"] = False
    if option := options.get("stop_signals"):
        for part in option.value.split(","):
            name, _, word = part.strip().partition("=")
            if name in entries and (signal := signal_name(word.strip())):
                entries[name].keys["stop"] = {"signal": signal}
            else:
                draft.lose(option.line, option.key, f"cannot read {part.strip()!r}")
    for key in ("can_die", "auto_restart", "ignored", "only"):
        for name in names(key):
            if name not in entries and name != "all" and not name_fault(name):
                draft.lose(options[key].line, options[key].key, f"unknown process {name!r}")
