"""The scripts of a package.json as a draft of orchestrate.toml. Pure.

Only scripts that keep running become components. `concurrently`, `npm-run-all --parallel` and `run-p` start several
scripts: a script that consists of one of them becomes a component for each. `concurrently` without `-k` lets the others
run on if one exits; `run-p` stops them if one fails.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.importers import script_patterns
from orchestrator.config.importers.convert import exits_of, signal_name
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby, usable_name
from orchestrator.model.errors import ConfigError

MAIN = ("dev", "start", "serve", "develop")  # scripts that start everything, the first of them wins
_RUNNING = re.compile(r"(?:dev|start|serve|develop|watch|worker|storybook)(?:[:.-].*)?|.*[:.-](?:dev|watch|serve)")
_LOCKS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun", "bun.lock": "bun"}
_PACKAGE = re.compile(r"(?:npx\s+)?(?P<manager>npm|pnpm|yarn|bun)(?:\s+run)?\s+(?P<script>[\w:.@/-]+)")
_CALL = re.compile(r"(?:(?:npm|pnpm|yarn|bun) run|node --run) (?P<script>\S+)")


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the scripts that keep running as components. Raises ConfigError if the file is not a package.json."""
    draft = Draft(comments=[f"Converted from the scripts of {name}."])
    scripts = _scripts(text, name)
    runner = _runner(text, nearby)
    main = next((script for script in MAIN if script in scripts), "")
    started_at_once = _parts(scripts[main], scripts) if main else _Parts()
    parts = started_at_once.parts
    if parts:
        for label, command in parts:
            call = _PACKAGE.fullmatch(command)
            if call and call["script"] in scripts and call["manager"] == "npm":
                command = f"{runner} run {call['script']}"
            keys: dict[str, Any] = {"command": command, **started_at_once.keys}
            draft.entries.append(DraftEntry(usable_name(label, _names(draft)), keys))
        for why in started_at_once.lost:
            draft.lose(_line(text, main), f"scripts.{main}", why)
        draft.entries[0].comments.append(f"Script {main}: {scripts[main]}")
    started = {call["script"] for _, command in parts if (call := _CALL.search(command))}
    for script in scripts:
        keeps_running = _RUNNING.fullmatch(script) is not None
        if not keeps_running and _watches(scripts[script]):
            keeps_running = True
        if script == main and parts:
            continue
        if script in started:
            continue
        if not keeps_running:
            draft.lose(_line(text, script), f"scripts.{script}", "exits by itself; run it when you need it")
            continue
        keys = {"command": f"{runner} run {script}"}
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


@dataclass(slots=True)
class _Parts:
    """What a script starts at once: names with commands, the keys that all of them get, and what is lost."""

    parts: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def set_exit(self, rule: str) -> None:
        """Set what the exit of one does to the others: `stop`, `ignore`, or `failure`, which stops them if it fails."""
        if rule == "failure":
            self.lost.append("stops the others only if one fails; here they stop also if one exits with 0")
        if rule == "ignore":
            self.keys["on_exit"] = "ignore"
        elif "restart" in self.keys:  # else one that is given up would not stop the others
            self.keys["on_exit"] = "stop"


def _parts(command: str, scripts: Mapping[str, str]) -> _Parts:
    """Return the parts of a script that starts several; none for any other script."""
    try:
        words = shlex.split(command)
    except ValueError:
        return _Parts()
    if any(word in ("&&", "||", ";", "|", "&") for word in words) or not words:
        return _Parts()
    if words[0] == "npx":
        words = words[1:]
    if not words:
        return _Parts()
    if words[0] == "concurrently":
        return _concurrently(words[1:], scripts)
    return _run_all(words[1:], scripts, words[0] == "run-p") if words[0] in ("run-p", "npm-run-all") else _Parts()


_LONG = re.compile(r"--(?P<no>no-)?(?P<name>[a-z][\w-]*)(?:=(?P<value>.*))?", re.DOTALL | re.IGNORECASE)


def _options(words: list[str], short: Mapping[str, str], with_value: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the options with their values, `true` for one without, and each other word as ("", word).

    `short` has the long names of letters. The words after `--` are one option "--".
    """
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield "--", " ".join(rest)
        elif match := _LONG.fullmatch(word):
            name = re.sub(r"[A-Z]", lambda letter: f"-{letter[0].lower()}", match["name"])
            value = match["value"]
            if match["no"]:
                yield (name, "false") if name != "color" else ("no-color", "true")
            elif value is None and name in with_value:
                yield name, next(rest, "")
            else:
                yield name, value or "true"
        elif len(word) > 1 and word[0] == "-":
            for index, letter in enumerate(word[1:], 2):
                name = short.get(letter, letter)
                if name in with_value:
                    yield name, word[index:].removeprefix("=") or next(rest, "")
                    break
                yield name, "true"
        else:
            yield "", word


_SHORT = {
    "c": "prefix-colors",
    "g": "group",
    "h": "help",
    "i": "handle-input",
    "k": "kill-others",
    "l": "prefix-length",
    "m": "max-processes",
    "n": "names",
    "p": "prefix",
    "P": "passthrough-arguments",
    "r": "raw",
    "s": "success",
    "t": "timestamp-format",
}
_WITH_VALUE = frozenset(
    """prefix-colors prefix prefix-length timestamp-format max-processes success restart-tries restart-after
    default-input-target name-separator kill-signal ks kill-timeout hide names teardown""".split()
)
_CONVERTED = frozenset(
    """names name-separator kill-others kill-others-on-fail restart-tries restart-after kill-signal ks
    kill-timeout""".split()
)
_WHY = {
    "success": "the exit status is that of the component that stops the system; see `orchestrate up --exit-code-from`",
    "max-processes": "all components start at once; use `depends_on`",
    "prefix-colors": "use `color` of each component",
    "handle-input": "use `orchestrate attach NAME`",
    "default-input-target": "use `orchestrate attach NAME`",
    "hide": "use `orchestrate up --quiet NAME`",
    "raw": "use `orchestrate up --no-prefix`",
    "timestamp-format": "use `orchestrate up --timestamps`",
    "timings": "see `orchestrate ps` and `orchestrate history`",
    "no-color": "use `orchestrate up --color never`",
    "teardown": "use `after_exit` of a component",
    "print-label": "each line has a prefix",
}


def _lose(found: _Parts, option: str) -> None:
    found.lost.append(f"--{option}: {_WHY.get(option, 'no counterpart')}")


def _concurrently(words: list[str], scripts: Mapping[str, str]) -> _Parts:
    """Read the words of concurrently: options, then commands, or npm:SCRIPT with a pattern."""
    found = _Parts()
    commands: list[str] = []
    options: dict[str, str] = {}
    for option, value in _options(words, _SHORT, _WITH_VALUE):
        if not option:
            commands.append(value)
            continue
        options[option] = value
        if option not in _CONVERTED and value != "false":
            found.lost.append("the words after --: no counterpart") if option == "--" else _lose(found, option)
    names = options["names"].split(options.get("name-separator", ",")) if "names" in options else []
    names += [""] * (len(commands) - len(names))
    for command, name in zip(commands, names, strict=False):
        found.parts += _named_parts(found, command, name.strip(), scripts)
    _convert_restart(found, options)
    _convert_kill(found, options)
    on_failure = options.get("kill-others-on-fail", "false") != "false"
    kills = options.get("kill-others", "false") != "false"
    found.set_exit("stop" if kills else "failure" if on_failure else "ignore")
    return found


_SHORTCUT = re.compile(r"(?P<manager>npm|yarn|pnpm|bun|node):(?P<script>\S+)(?P<more>.*)", re.DOTALL)
_PATTERN = re.compile(
    r"(?P<before>.*?\b(?:(?:npm|yarn|pnpm|bun) run|node --run)) (?P<script>\S*\*\S*)(?P<more>.*)", re.DOTALL
)


def _named_parts(found: _Parts, command: str, name: str, scripts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the parts of one command of concurrently: several for a pattern such as `npm:watch:*`."""
    if match := _SHORTCUT.fullmatch(command):
        run = "node --run" if match["manager"] == "node" else f"{match['manager']} run"
        name, command = name or match["script"], f"{run} {match['script']}{match['more']}"
    if match := _PATTERN.fullmatch(command):
        before, pattern, more = match.groups()
        prefix = "" if name == pattern else name
        matching = script_patterns.of_concurrently(pattern, scripts)
        if not matching:
            found.lost.append(f"no script matches {pattern!r}")
        return [(prefix + rest if prefix else script, f"{before} {script}{more}") for script, rest in matching]
    call = _PACKAGE.fullmatch(command)
    label = name or (call["script"] if call else re.split(r"[\s/]+", command.strip())[0])
    if call and call["script"] in scripts:
        command = f"{call['manager']} run {call['script']}"
    return [(label or f"part-{len(found.parts) + 1}", command)]


def _convert_restart(found: _Parts, options: Mapping[str, str]) -> None:
    """Convert the number of restarts after failures, without a limit if it is negative, and the pause before them."""
    tries = options.get("restart-tries", "0")
    if not re.fullmatch(r"-?\d{1,9}", tries, re.ASCII):
        found.lost.append(f"--restart-tries: {tries!r} is not a number")
        return
    if int(tries) == 0:
        return
    plan: dict[str, Any] = {
        "policy": "on-failure",
        "max": exits_of(int(tries)) if int(tries) > 0 else "unlimited",
    }
    pause = options.get("restart-after", "exponential")
    if (seconds := _seconds(pause)) is not None:
        plan["backoff"] = [seconds, seconds]
    elif pause != "exponential":  # which doubles it, as ours does
        found.lost.append(f"--restart-after: {pause!r} is not a number")
    found.keys["restart"] = plan


def _convert_kill(found: _Parts, options: Mapping[str, str]) -> None:
    stop: dict[str, Any] = {}
    if word := options.get("kill-signal", options.get("ks")):
        if name := signal_name(word):
            stop["signal"] = name
        else:
            found.lost.append(f"--kill-signal: unknown signal {word!r}")
    if wait := options.get("kill-timeout"):
        if (seconds := _seconds(wait)) is not None:
            stop["timeout"] = seconds
        else:
            found.lost.append(f"--kill-timeout: {wait!r} is not a number")
    if stop:
        found.keys["stop"] = stop


def _seconds(milliseconds: str) -> float | int | None:
    """Return milliseconds as seconds; None if the text is not a number of them."""
    if not re.fullmatch(r"\d{1,8}", milliseconds, re.ASCII):
        return None
    number = int(milliseconds) / 1000
    return int(number) if number.is_integer() else number


_SHORT_RUN_ALL = {
    "c": "continue-on-error",
    "l": "print-label",
    "n": "print-name",
    "p": "parallel",
    "r": "race",
    "s": "sequential",
}


def _run_all(words: list[str], scripts: Mapping[str, str], is_parallel: bool) -> _Parts:
    """Read the words of run-p, or of npm-run-all if it runs all its scripts in parallel."""
    found = _Parts()
    options: dict[str, str] = {}
    for option, value in _options(words, _SHORT_RUN_ALL, frozenset({"max-parallel", "npm-path"})):
        if not option:
            if not is_parallel:
                return _Parts()  # a sequence
            found.parts += _run_all_parts(value, scripts, found)
        elif option in ("parallel", "sequential", "serial"):
            is_parallel = option == "parallel"
        else:
            options[option] = value
            if option == "--":
                found.lost.append("the words after --: no counterpart")
            elif option not in ("continue-on-error", "race", "silent"):
                _lose(found, option)
    found.parts = list(dict.fromkeys(found.parts))
    found.set_exit("ignore" if "continue-on-error" in options else "stop" if "race" in options else "failure")
    return found


def _run_all_parts(value: str, scripts: Mapping[str, str], found: _Parts) -> list[tuple[str, str]]:
    """Return the scripts that a pattern of npm-run-all matches, each with the arguments after the pattern."""
    pattern, space, more = value.partition(" ")
    matching = script_patterns.of_npm_run_all(pattern, scripts)
    if not matching:
        found.lost.append(f"no script matches {pattern!r}")
    return [(script, f"npm run {script}{space}{more}") for script in matching]
