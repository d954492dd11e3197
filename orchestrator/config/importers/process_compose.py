"""process-compose.yaml as a draft of orchestrate.toml. Pure.

process-compose reads `$VAR` everywhere when it loads the file, `$$` as a dollar; a command then runs in bash. Here the
shell of the command reads its variables.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator.config.importers.convert import (
    count,
    duration,
    exits_of,
    flag,
    for_shell,
    forms,
    names,
    positive,
    signal_name,
    text_of,
    variables,
)
from orchestrator.config.importers.converted_table import ConvertedTable
from orchestrator.config.importers.draft import Draft, DraftEntry
from orchestrator.config.importers.yaml_document import YamlDocument, parse
from orchestrator.model.errors import ConfigError
from orchestrator.model.names import name_fault

_CONDITIONS = {
    "process_started": "started",
    "process_healthy": "ready",
    "process_log_ready": "ready",
    "process_completed": "completed",
    "process_completed_successfully": "succeeded",
}
_LOGS = "output is in .orchestrate/logs; see `orchestrate logs`"
_READ = frozenset(
    """command entrypoint description disabled is_foreground environment env_file working_dir availability depends_on
    readiness_probe liveness_probe ready_log_line shutdown namespace replicas vars is_daemon is_tty
    is_interactive""".split()
)
_WHY = {
    "log_location": _LOGS,
    "log_configuration": _LOGS,
    "disable_ansi_colors": "set NO_COLOR=1 in `environment` if the program reads it",
    "is_elevated": "put sudo before the command",
    "is_dotenv_disabled": ".env is read for all components; use `unset`",
    "schedule": "starts on request only; run `orchestrate start NAME` from cron or a systemd timer",
    "env_cmds": "no counterpart; put the commands into the shell line of a component",
    "extends": "not followed; import that file too and pass both with -f",
    "log_level": _LOGS,
    "log_length": _LOGS,
    "log_format": _LOGS,
    "is_tui_disabled": "the merged stream is the default",
    "is_strict": "unknown keys are always errors",
}
_FLAGS = frozenset({"disable_ansi_colors", "is_elevated", "is_dotenv_disabled"})  # false is the default
_SILENT = frozenset({"version"})
_TOP = frozenset({"processes", "environment", "shell", "vars", "disable_env_expansion", *_SILENT})


def read(text: str, name: str) -> Draft:
    """Return the draft. Raises ConfigError if the file has no processes."""
    document = parse(text, name)
    processes, tree = document.tables("processes", name), document.tree
    draft = Draft(comments=[f"Converted from {name}."])
    expands = not flag(tree.get("disable_env_expansion"))
    for key in tree:
        if key not in _TOP and not str(key).startswith("x-"):
            draft.lose(document.line(key), key, _WHY.get(key, "no counterpart"))
    _convert_defaults(draft, document, expands)
    ours = names(processes)
    common = tree.get("vars") if isinstance(tree.get("vars"), dict) else {}
    for process, table in processes.items():
        if not isinstance(table, dict):
            draft.lose(document.line("processes", process), f"processes.{process}", "not a table")
            continue
        own = table.get("vars") if isinstance(table.get("vars"), dict) else {}
        _ProcessSection(document, draft, process, ours, {**(common or {}), **(own or {})}, expands).convert(table)
    if not draft.components:
        raise ConfigError([f"cannot import {name}: none of its processes has a command"])
    draft.drop_missing_dependencies()
    return draft


def _convert_defaults(draft: Draft, document: YamlDocument, expands: bool) -> None:
    tree = document.tree
    shell = tree.get("shell") if isinstance(tree.get("shell"), dict) else {}
    assert isinstance(shell, dict)
    command = text_of(shell.get("shell_command")) or "bash"
    defaults: dict[str, Any] = {"shell": [command, text_of(shell.get("shell_argument")) or "-c"]}
    for key in shell:
        if key not in ("shell_command", "shell_argument"):
            draft.lose(document.line("shell", key), f"shell.{key}")
    found, _ = variables(
        tree.get("environment"),
        draft,
        lambda *place: document.line("environment", *place),
        "environment",
        expands=expands,
    )
    if found:
        defaults["environment"] = found
    draft.keys["defaults"] = defaults


class _ProcessSection(ConvertedTable):
    def __init__(
        self,
        document: YamlDocument,
        draft: Draft,
        name: str,
        ours: dict[str, str],
        values: dict[str, Any],
        expands: bool,
    ) -> None:
        super().__init__(document, draft, "processes", name)
        self._ours = ours
        self._values = values
        self._expands = expands

    def _filled(self, value: Any, *key: str) -> str:
        """Return a text with its `{{.VAR}}` replaced."""

        def replace(match: re.Match[str]) -> str:
            if match["name"] in self._values:
                return text_of(self._values[match["name"]])
            self._lose(*key, text=f"{match[0]}: not a variable of `vars`; kept as it is")
            return match[0]

        return re.sub(r"\{\{\s*-?\s*\.(?P<name>\w+)\s*-?\s*\}\}", replace, text_of(value))

    def _shell_line(self, value: Any, *key: str) -> str:
        text = self._filled(value, *key)
        if "PC_PROC_NAME" in text:
            self._lose(*key, text="PC_PROC_NAME: use ORCHESTRATE_COMPONENT")
        if "PC_REPLICA_NUM" in text:
            self._lose(*key, text="PC_REPLICA_NUM: use PS, which is NAME.1, NAME.2 and so on")
        return for_shell(text) if self._expands else text

    def _text(self, value: Any, *key: str) -> str:
        text = self._filled(value, *key)
        return forms(text) if self._expands else text.replace("$", "$$")

    def convert(self, table: dict[str, Any]) -> None:
        """Add the process as a component."""
        ours = self._ours[self._name]
        if ours != self._name:
            self._lose(text=f"renamed to {ours}")
        command = table.get("command")
        if isinstance(entrypoint := table.get("entrypoint"), list) and entrypoint and not command:
            self.keys["command"] = [self._text(word, "entrypoint") for word in entrypoint]
        elif text_of(command).strip():
            self.keys["command"] = self._shell_line(command, "command")
        else:
            self._lose(text="has no command")
            return
        self._comment("command", "command")
        if table.get("working_dir"):
            self.keys["cwd"] = self._text(table["working_dir"], "working_dir")
            self._comment("working_dir", "cwd")
        for key in ("disabled", "is_foreground"):
            if flag(table.get(key)):
                self.keys["autostart"] = False
                self._comment(key, "autostart")
        if table.get("schedule"):
            self.keys["autostart"] = False
        if flag(table.get("is_daemon")):
            self._lose("is_daemon", text="start it in the foreground: remove the option that makes it a daemon")
        namespace = text_of(table.get("namespace"))
        if namespace and namespace != "default":
            if name_fault(namespace):
                self._lose("namespace", text=f"{namespace!r} is not a valid tag")
            else:
                self.keys["tags"] = [namespace]
        self._convert_environment(table)
        self._convert_dependencies(table)
        self._convert_probes(table)
        self._convert_restart(table)
        self._convert_shutdown(table)
        if (replicas := count(table.get("replicas"))) is not None and replicas > 1:
            self.keys["replicas"] = replicas
        for key, value in table.items():
            is_off = key in _FLAGS and flag(value) is False
            if key not in _READ and not is_off and not str(key).startswith("x-"):
                self._lose(key, text=_WHY.get(key, "no counterpart"))
        comments = self._own_comments()
        if table.get("description"):
            comments += text_of(table["description"]).splitlines()
        self._draft.entries.append(DraftEntry(ours, self.keys, comments, self.key_comments))

    def _convert_environment(self, table: dict[str, Any]) -> None:
        found, _ = variables(
            table.get("environment"),
            self._draft,
            lambda *place: self._place("environment", *place),
            f"processes.{self._name}.environment",
            expands=self._expands,
        )
        if files := table.get("env_file"):
            self.keys["env_file"] = [
                self._text(file, "env_file") for file in (files if isinstance(files, list) else [files])
            ]
        if found:
            self.keys["environment"] = {name: self._filled(text, "environment") for name, text in found.items()}

    def _convert_dependencies(self, table: dict[str, Any]) -> None:
        wanted = table.get("depends_on")
        if isinstance(wanted, list):
            wanted = {text_of(name): {} for name in wanted}
        found: dict[str, str] = {}
        for name, how in (wanted or {}).items() if isinstance(wanted, dict) else ():
            if name not in self._ours:
                self._lose("depends_on", name, text="no such process")
                continue
            how = how if isinstance(how, dict) else {}
            self._lose_others(how, "condition", "depends_on", name)
            word = text_of(how.get("condition"))
            found[self._ours[name]] = _CONDITIONS.get(word or "process_started", "")
            if not found[self._ours[name]]:
                self._lose("depends_on", name, text=f"unknown condition {word!r}; waits until it has started")
                found[self._ours[name]] = "started"
        if found:
            self.keys["depends_on"] = found
            self._comment("depends_on", "depends_on")

    def _convert_probes(self, table: dict[str, Any]) -> None:
        ready: list[dict[str, Any]] = []
        if table.get("ready_log_line"):
            ready.append({"log": re.escape(text_of(table["ready_log_line"])).replace("\\ ", " ")})
        if probe := self._probe(table, "readiness_probe"):
            ready.append(probe)
        if ready:
            self.keys["ready"] = ready[0] if len(ready) == 1 else ready
            self._comment("readiness_probe", "ready")
        if probe := self._probe(table, "liveness_probe"):
            self.keys["alive"] = probe
            self._comment("liveness_probe", "alive")

    def _lose_others(self, table: dict[str, Any], read: str, *path: str) -> None:
        """Record the keys of a table that are not among those that are read."""
        for key in table:
            if key not in read.split() and not str(key).startswith("x-"):
                self._lose(*path, key)

    def _probe(self, table: dict[str, Any], name: str) -> dict[str, Any]:
        probe = table.get(name)
        if not isinstance(probe, dict):
            return {}
        found: dict[str, Any] = {}
        command, http = probe.get("exec"), probe.get("http_get")
        if isinstance(command, dict) and command.get("command"):
            found["exec"] = self._shell_line(command["command"], name, "exec", "command")
            if command.get("working_dir"):
                self._lose(name, "exec", "working_dir", text="put `cd DIR &&` before the command")
        elif isinstance(http, dict):
            self._convert_http(found, http, name)
            if not found:  # and the reason is reported
                return {}
        if not found:
            self._lose(name, text="has neither exec nor http_get")
            return {}
        delay = duration(probe.get("initial_delay_seconds"))
        if delay:
            found["start_period"] = delay
        for key, ours in (("period_seconds", "interval"), ("timeout_seconds", "timeout")):
            if (value := positive(probe.get(key))) is not None:
                found[ours] = value
        if (failures := count(probe.get("failure_threshold"))) is not None and failures > 0:
            found["retries"] = failures
        self._lose_others(
            probe,
            "exec http_get initial_delay_seconds period_seconds timeout_seconds success_threshold failure_threshold",
            name,
        )
        if (count(probe.get("success_threshold")) or 1) > 1:
            self._lose(name, "success_threshold", text="ready after one success")
        return found

    def _convert_http(self, found: dict[str, Any], http: dict[str, Any], name: str) -> None:
        port = self._text(http.get("port", http.get("num_port", "")), name, "http_get", "port")
        if "{{" in port:  # reported as not known
            return
        if port and not (port.isdecimal() and 0 < int(port) < 65536) and "$" not in port:
            self._lose(name, "http_get", "port", text=f"{port!r} is not a port")
            return
        host = self._text(http.get("host", ""), name, "http_get", "host").strip() or "127.0.0.1"
        path = self._text(http.get("path", ""), name, "http_get", "path").strip() or "/"
        scheme = text_of(http.get("scheme", "")).strip() or "http"
        if scheme not in ("http", "https"):
            self._lose(name, "http_get", "scheme", text=f"unknown scheme {scheme!r}")
            return
        found["http"] = f"{scheme}://{host}{port and ':' + port}{path if path.startswith('/') else '/' + path}"
        self._lose_others(http, "host path scheme port num_port status_code headers", name, "http_get")
        status = http.get("status_code")
        if isinstance(status, int) and 100 <= status <= 599:
            found["status"] = status
        if isinstance(headers := http.get("headers"), dict) and headers:
            found["request_headers"] = {
                str(key): self._text(value[0] if isinstance(value, list) and value else value)
                for key, value in headers.items()
            }

    def _convert_restart(self, table: dict[str, Any]) -> None:
        how = table.get("availability") if isinstance(table.get("availability"), dict) else {}
        assert isinstance(how, dict)
        word = text_of(how.get("restart", "no"))
        if how.get("restart") is False:
            word = "no"
        policy = {"always": "always", "on_failure": "on-failure"}.get(word, "")
        plan: dict[str, Any] = {}
        if policy:
            most = count(how.get("max_restarts"))
            plan["max"] = exits_of(most) if most else "unlimited"
            if (pause := duration(how.get("backoff_seconds"))) is not None:
                plan["backoff"] = [pause, pause]
            self.keys["restart"] = {"policy": policy, **plan}
            self._comment("availability", "restart")
        elif word not in ("no", "exit_on_failure", ""):
            self._lose("availability", "restart", text=f"unknown policy {word!r}")
        if word == "exit_on_failure" or flag(how.get("exit_on_end")):
            self.keys["on_exit"] = "stop"
            if word == "exit_on_failure" and not flag(how.get("exit_on_end")):
                self._lose("availability", "restart", text="the system stops whenever it exits, also with 0")
        else:
            self.keys["on_exit"] = "ignore"
        if flag(how.get("exit_on_skipped")):
            self._lose("availability", "exit_on_skipped", text="the system runs on if a dependency fails")
        self._lose_others(how, "restart max_restarts backoff_seconds exit_on_end exit_on_skipped", "availability")

    def _convert_shutdown(self, table: dict[str, Any]) -> None:
        how = table.get("shutdown")
        if not isinstance(how, dict):
            return
        stop: dict[str, Any] = {}
        if how.get("command"):
            stop["command"] = self._shell_line(how["command"], "shutdown", "command")
        if how.get("signal"):
            if name := signal_name(how["signal"]):
                stop["signal"] = name
            else:
                self._lose("shutdown", "signal", text=f"unknown signal {how['signal']!r}")
        if (timeout := duration(how.get("timeout_seconds"))) is not None:
            stop["timeout"] = timeout
        if flag(how.get("parent_only")):
            stop["scope"] = "leader"
        self._lose_others(how, "command signal timeout_seconds parent_only", "shutdown")
        if stop:
            self.keys["stop"] = stop
            self._comment("shutdown", "stop")
