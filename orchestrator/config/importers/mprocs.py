"""mprocs.yaml and mprocs.json as a draft of orchestrate.toml. Pure."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.config.importers.convert import flag, names, signal_name, text_of, variables
from orchestrator.config.importers.draft import Draft, DraftEntry
from orchestrator.config.importers.yaml_document import YamlDocument, parse
from orchestrator.config.interpolation import escape
from orchestrator.model.errors import ConfigError

_READ = frozenset({"shell", "cmd", "cwd", "env", "add_path", "autostart", "autorestart", "stop", "deps"})
_KEYS = {"enter": "\r", "esc": "\x1b", "tab": "\t", "space": " ", "bs": "\x7f"}
_LOGS = "output is in .orchestrate/logs; see `orchestrate logs`"
_CONFIG_DIR = "<CONFIG_DIR>"


def read(text: str, name: str) -> Draft:
    """Return the draft. Raises ConfigError if the file has no procs."""
    document = parse(text, name)
    procs, tree = document.tables("procs", name), document.tree
    draft = Draft(comments=[f"Converted from {name}."])
    for key in tree:
        if key != "procs":
            why = _LOGS if key == "proc_log" else "a setting of the screen of mprocs"
            draft.lose(document.line(key), str(key), why)
    ours = names(procs)
    for proc, table in procs.items():
        _convert(document, draft, proc, table, ours)
    if not draft.components:
        raise ConfigError([f"cannot import {name}: none of its procs has a command"])
    draft.drop_missing_dependencies()
    return draft


def _convert(document: YamlDocument, draft: Draft, proc: str, table: Any, ours: dict[str, str]) -> None:
    def lose(*key: str | int, text: str = "no counterpart") -> None:
        path = ("procs", proc, *key)
        draft.lose(document.line(*path), ".".join(map(str, path)), text)

    def chosen(value: Any, *key: str) -> Any:
        """Return the value for Linux if there is one for each operating system."""
        if isinstance(value, dict) and "$select" in value:
            lose(*key, text="only the value for Linux is kept")
            return value.get("linux", value.get("$else"))
        return value

    if ours[proc] != proc:
        lose(text=f"renamed to {ours[proc]}")
    if table is None:
        lose(text="disabled (null)")
        return
    if not isinstance(table, dict):
        table = {"cmd" if isinstance(table, list) else "shell": table}
    keys: dict[str, Any] = {}
    shell, words = chosen(table.get("shell"), "shell"), chosen(table.get("cmd"), "cmd")
    if isinstance(words, list) and words:
        keys["command"] = [escape(text_of(word)) for word in words]
    elif text_of(shell).strip():
        keys["command"] = text_of(shell)
    else:
        lose(text="has neither shell nor cmd")
        return
    if directory := text_of(chosen(table.get("cwd"), "cwd")):
        cwd = escape(directory).removeprefix(_CONFIG_DIR).lstrip("/" if directory.startswith(_CONFIG_DIR) else "")
        keys["cwd"] = cwd or "."
    if flag(table.get("autostart")) is False:
        keys["autostart"] = False
    if flag(table.get("autorestart")) is True:
        keys["restart"] = {"policy": "always", "max": "unlimited"}
    if isinstance(deps := table.get("deps"), list) and deps:
        keys["depends_on"] = [ours[text_of(name)] for name in deps if text_of(name) in ours]
        for index, name in enumerate(deps):
            if text_of(name) not in ours:
                lose("deps", index, text=f"no such proc {text_of(name)!r}")
    keys["on_exit"] = "ignore"
    if stop := _stop(chosen(table.get("stop"), "stop"), lose):
        keys["stop"] = stop
    _convert_environment(document, draft, proc, table, keys, chosen)
    for key in table:
        if key not in _READ:
            lose(key, text=_LOGS if key == "log" else "no counterpart")
    comments = {
        mine: "\n".join(found)
        for key, mine in {"cwd": "cwd", "stop": "stop", "shell": "command", "cmd": "command"}.items()
        if mine in keys and (found := document.comment("procs", proc, key))
    }
    draft.entries.append(DraftEntry(ours[proc], keys, document.comment("procs", proc), comments))


def _convert_environment(
    document: YamlDocument, draft: Draft, proc: str, table: dict[str, Any], keys: dict[str, Any], chosen: Any
) -> None:
    env = table.get("env")
    if isinstance(env, dict):
        env = {name: chosen(value, "env", name) for name, value in env.items()}

    def line(*place: str | int) -> int:
        return document.line("procs", proc, "env", *place)

    found, unset = variables(env, draft, line, f"procs.{proc}.env", expands=False)
    paths = chosen(table.get("add_path"), "add_path")
    if paths:
        words = [escape(text_of(path)) for path in (paths if isinstance(paths, list) else [paths])]
        found["PATH"] = ":".join([*words, found.get("PATH", "${PATH}")])
    if found:
        keys["environment"] = found
    if unset:
        keys["unset"] = unset


def _stop(value: Any, lose: Any) -> dict[str, Any]:
    if isinstance(value, str):
        if value == "hard-kill":
            return {"signal": "KILL"}
        if name := signal_name(value):
            return {"signal": name}
    elif isinstance(value, dict) and isinstance(value.get("send-keys"), list):
        typed = [_key(text_of(key)) for key in value["send-keys"]]
        if all(typed) and typed:
            return {"keys": "".join(typed)}
    elif isinstance(value, dict) and value.get("cmd"):
        return {"command": text_of(value["cmd"])}
    if value is not None:
        lose("stop", text=f"{value!r} has no counterpart")
    return {}


def _key(text: str) -> str:
    """Return the bytes that a key such as `<C-c>` or `q` types; empty if it is unknown."""
    if len(text) == 1:
        return text
    match = re.fullmatch(r"<(?P<control>[Cc]-)?(?P<key>[^<>]+)>", text)
    if not match:
        return ""
    key = match["key"]
    if match["control"]:
        return chr(ord(key.upper()) & 0x1F) if len(key) == 1 and key.isascii() and key.isalpha() else ""
    return key if len(key) == 1 else _KEYS.get(key.lower(), "")
