"""The scripts of a package.json as a draft of orchestrate.toml. Pure.

Only scripts that keep running become components. `concurrently`, `npm-run-all --parallel` and `run-p` start several
scripts: a script that consists of one of them becomes a component for each.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from fnmatch import fnmatchcase

from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby, usable_name
from orchestrator.model.errors import ConfigError

MAIN = ("dev", "start", "serve", "develop")  # scripts that start everything, the first of them wins
_RUNNING = re.compile(r"(?:dev|start|serve|develop|watch|worker|storybook)(?:[:.-].*)?|.*[:.-](?:dev|watch|serve)")
_LOCKS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun", "bun.lock": "bun"}
_PACKAGE = re.compile(r"(?:npx\s+)?(?:npm|pnpm|yarn|bun)(?:\s+run)?\s+(?P<script>[\w:.@/-]+)")


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the scripts that keep running as components. Raises ConfigError if the file is not a package.json."""
    draft = Draft(comments=[f"Converted from the scripts of {name}."])
    scripts = _scripts(text, name)
    runner = _runner(text, nearby)
    main = next((script for script in MAIN if script in scripts), "")
    parts = _parts(scripts[main], scripts) if main else []
    if parts:
        for label, command in parts:
            call = _PACKAGE.fullmatch(command)
            if call and call["script"] in scripts:
                command = f"{runner} run {call['script']}"
            draft.entries.append(DraftEntry(usable_name(label, _names(draft)), {"command": command}))
        draft.entries[0].comments.append(f"Script {main}: {scripts[main]}")
    started = {command for _, command in parts}
    for script in scripts:
        keeps_running = _RUNNING.fullmatch(script) is not None
        if not keeps_running and _watches(scripts[script]):
            keeps_running = True
        if script == main and parts:
            continue
        if f"npm run {script}" in started:
            continue
        if not keeps_running:
            draft.lose(_line(text, script), f"scripts.{script}", "exits by itself; run it when you need it")
            continue
        keys: dict[str, object] = {"command": f"{runner} run {script}"}
        if script != main and main:
            keys["autostart"] = False
        entry = DraftEntry(usable_name(script, _names(draft)), keys, [f"Script {script}: {scripts[script]}"])
        if "autostart" in keys:
            entry.key_comments["autostart"] = f"start it with `orchestrate start {entry.name}`"
        draft.entries.append(entry)
    return draft


def _names(draft: Draft) -> list[str]:
    return [entry.name for entry in draft.entries]


def _scripts(text: str, name: str) -> dict[str, str]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError([f"cannot read {name}{line}: not JSON: {error}"]) from None
    scripts = tree.get("scripts") if isinstance(tree, dict) else None
    if not isinstance(scripts, dict):
        raise ConfigError([f"cannot import {name}: it has no scripts"])
    return {str(script): command for script, command in scripts.items() if isinstance(command, str) and command}


def _runner(text: str, nearby: Nearby) -> str:
    """Return the package manager: that of the key packageManager, of the lock file, or npm."""
    named = json.loads(text).get("packageManager")
    manager = named.partition("@")[0] if isinstance(named, str) else ""
    if manager in ("npm", "pnpm", "yarn", "bun"):
        return manager
    return next((manager for lock, manager in _LOCKS.items() if lock in nearby.names), "npm")


def _line(text: str, script: str) -> int:
    start = text.find('"scripts"')
    match = re.compile(re.escape(json.dumps(script)) + r"\s*:").search(text, max(start, 0))
    return text.count("\n", 0, match.start()) + 1 if match else 0


def _watches(command: str) -> bool:
    return (
        re.search(
            r"(?<!\S)(?:--watch|-w|nodemon|tsx watch|vite(?: dev| serve)?(?=\s*$)|next dev|webpack serve)(?!\S)",
            command,
        )
        is not None
    )


def _parts(command: str, scripts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the name and command of each part of a script that starts several; nothing for any other script."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if any(word in ("&&", "||", ";", "|", "&") for word in words) or not words:
        return []
    if words[0] == "npx":
        words = words[1:]
    if not words:
        return []
    if words[0] == "concurrently":
        return _concurrently(words[1:], scripts)
    is_parallel = words[0] == "run-p" or (words[0] == "npm-run-all" and {"-p", "--parallel"} & set(words[1:]))
    patterns = [word for word in words[1:] if not word.startswith("-")]
    if not is_parallel or not patterns:
        return []
    found = [script for pattern in patterns for script in _matching(pattern, scripts)]
    return [(script, f"npm run {script}") for script in dict.fromkeys(found)]


def _concurrently(words: list[str], scripts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Read the words of concurrently: options, then commands, or npm:SCRIPT with a pattern."""
    labels: list[str] = []
    commands: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("-n", "--names"):
            labels = next(rest, "").split(",")
        elif word.startswith("--names="):
            labels = word.partition("=")[2].split(",")
        elif word in _WITH_VALUE:
            next(rest, "")
        elif not word.startswith("-"):
            commands.append(word)
    found: list[tuple[str, str]] = []
    for command in commands:
        package, sign, pattern = command.partition(":")
        if sign and package in ("npm", "yarn", "pnpm", "bun") and " " not in command:
            found += [(script, f"npm run {script}") for script in _matching(pattern, scripts)]
            continue
        call = _PACKAGE.fullmatch(command)
        name = call["script"] if call else re.split(r"[\s/]+", command.strip())[0]
        if call and call["script"] in scripts:
            command = f"npm run {call['script']}"
        found.append((name or f"part-{len(found) + 1}", command))
    labels += [""] * (len(found) - len(labels))
    return [(labels[index].strip() or name, command) for index, (name, command) in enumerate(found)]


# Options of concurrently that take a value.
_WITH_VALUE = frozenset(
    "-c --prefix-colors -p --prefix -l --prefix-length -t --timestamp-format -m --max-processes -s --success "
    "--restart-tries --restart-after --default-input-target --name-separator --kill-signal --hide".split()
)


def _matching(pattern: str, scripts: Mapping[str, str]) -> list[str]:
    if "*" in pattern:
        return [script for script in scripts if fnmatchcase(script, pattern)]
    return [pattern] if pattern in scripts else []
