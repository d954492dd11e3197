"""One service of compose.yaml as a component of a draft. Pure.

A key that has no counterpart is listed with its line and the reason.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

from orchestrator.config.importers.convert import (
    count,
    duration,
    exits_of,
    flag,
    for_shell,
    forms,
    positive,
    signal_name,
    size,
    text_of,
    variables,
    without_shell,
    words_of,
)
from orchestrator.config.importers.converted_table import ConvertedTable
from orchestrator.config.importers.draft import Draft, DraftEntry
from orchestrator.config.importers.yaml_document import YamlDocument

_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "succeeded",
}
_READ = frozenset(
    """command entrypoint environment env_file working_dir depends_on healthcheck restart stop_signal stop_grace_period
    ports scale deploy profiles image build volumes mem_limit pids_limit ulimits""".split()
)
_WHY = {
    "container_name": "components run without containers",
    "networks": "all components share the network of this machine",
    "links": "all components share the network of this machine",
    "expose": "all ports are open to this machine",
    "user": "a user of the image; runs as your user",
    "logging": "output is in .orchestrate/logs; see `orchestrate logs`",
    "tty": "each component has a terminal",
    "stdin_open": "each component has a terminal; see `orchestrate attach`",
    "init": "orchestrate reaps orphaned processes",
    "develop": "reload in the program itself",
    "platform": "runs on this machine",
    "pull_policy": "no image is used",
    "labels": "nothing reads labels",
    "cpus": "no counterpart; `nice` gives others more time",
    "secrets": "read the files, or variables of env_file",
    "configs": "read the files in place",
    "extra_hosts": "no counterpart; use /etc/hosts",
    "hostname": "no counterpart; this machine has its own name",
    "privileged": "no container",
    "extends": "not followed; copy the keys of that service",
}
_PORT = re.compile(r"(?:(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\]):|--port[= ])(?P<port>\d{2,5})(?!\d)")


def ports_of(value: Any) -> tuple[int, int]:
    """Return the published port and that of the container: 0 if there is none, or a range or a variable."""
    if isinstance(value, dict):
        numbers = [text_of(value.get("published", "")), text_of(value.get("target", ""))]
    else:
        numbers = text_of(value).partition("/")[0].rsplit(":", 2)[-2:]
        numbers = ["", *numbers][-2:]
    published, target = (int(n) if n.isascii() and n.isdecimal() and 0 < int(n) < 65536 else 0 for n in numbers)
    return published, target


class ComposeService(ConvertedTable):
    """A service `name`. `ours` are the names of components by those of services, `runnable` the services that become
    components."""

    def __init__(
        self, document: YamlDocument, draft: Draft, name: str, ours: dict[str, str], runnable: set[str]
    ) -> None:
        super().__init__(document, draft, "services", name)
        self._ours = ours
        self._runnable = runnable

    def name(self, table: Any) -> None:
        """Add a service that needs its image, as a comment."""
        if not isinstance(table, dict):
            self._lose(text="not a table")
            return
        image = text_of(table.get("image")) or "the image that it builds"
        why = "its program is not installed here" if table.get("command") else "it has no command"
        self._lose(text=f"runs only in its image ({image}): {why}; written as a comment")
        command = f"exec docker compose up --no-log-prefix --no-deps {self._name}"
        entry = DraftEntry(self._ours[self._name], {"command": command, "on_exit": "ignore"}, is_active=False)
        entry.comments = [f"Needs its image: {image}. Without the # it runs in a container:"]
        self._draft.entries.append(entry)

    def convert(self, table: dict[str, Any]) -> None:
        """Add a service as a component."""
        if self._ours[self._name] != self._name:
            self._lose(text=f"renamed to {self._ours[self._name]}")
        self._convert_command(table)
        self._convert_directory(table)
        self._convert_environment(table)
        self._convert_ports(table)
        self._convert_dependencies(table)
        self._convert_healthcheck(table)
        self._convert_restart(table)
        self._convert_stop(table)
        self._convert_limits(table)
        if isinstance(profiles := table.get("profiles"), list) and profiles:
            self.keys["profiles"] = [text_of(profile) for profile in profiles]
        self.keys["on_exit"] = "ignore"
        for key in table:
            if key not in _READ and not key.startswith("x-"):
                self._lose(key, text=_WHY.get(key, "no counterpart"))
        if "image" in table:
            self._lose("image", text="runs the program that is installed here")
        if "build" in table:
            self._lose("build", text="runs from this directory; install what the program needs")
        comments = self._own_comments()
        self._draft.entries.append(DraftEntry(self._ours[self._name], self.keys, comments, self.key_comments))

    def _convert_command(self, table: dict[str, Any]) -> None:
        entrypoint, command = table.get("entrypoint"), table.get("command")
        parts = [part for part in (entrypoint, command) if part]
        self._comment("command", "command")
        if len(parts) == 1 and isinstance(parts[0], str):
            self.keys["command"] = self._line(parts[0])
            return
        words: list[str] = []
        for part in parts:
            if isinstance(part, list):
                words += [forms(text_of(word)) for word in part]
            else:
                line = text_of(part)
                words += [forms(word) for word in words_of(line) or line.split()]
        if len(words) == 3 and words[0] in ("sh", "/bin/sh") and words[1] == "-c":
            self.keys["command"] = for_shell(words[2])
        else:
            self.keys["command"] = words

    def _line(self, line: str) -> str | list[str]:
        if words_of(line) is None:
            self._lose("command" if self._place("command") else "entrypoint", text="a quote has no end")
        found = without_shell(line)
        if isinstance(found, list):
            if len(found) == 3 and found[0] in ("sh", "/bin/sh") and found[1] in ("-c", "-ec"):
                return for_shell(found[2])
            return [forms(word) for word in found]
        return for_shell(line)

    def _convert_directory(self, table: dict[str, Any]) -> None:
        """Find the directory of this machine that is mounted where the service works."""
        mounts = _mounts(table.get("volumes"))
        inside = text_of(table.get("working_dir"))
        build = table.get("build")
        context = text_of(build.get("context")) if isinstance(build, dict) else text_of(build)
        known = max((target for target in mounts if _is_below(inside, target)), key=len, default=None)
        if inside and known is not None:
            self._set_directory(posixpath.join(mounts[known], posixpath.relpath(inside, known)))
        else:
            if context and not re.match(r"\w+://|git@", context):
                self._set_directory(context)
            if inside:
                where = self.keys.get("cwd", "the directory of this file")
                self._lose("working_dir", text=f"a directory of the image; runs in {where}")
        if volumes := table.get("volumes"):
            used = inside and known is not None and len(volumes) == 1
            if not used:
                self._lose("volumes", text="no counterpart: components use the files in place")

    def _set_directory(self, path: str) -> None:
        path = posixpath.normpath(path)
        if path != ".":
            self.keys["cwd"] = forms(path)

    def _convert_environment(self, table: dict[str, Any]) -> None:
        key = f"services.{self._name}.environment"

        def line(*place: str | int) -> int:
            return self._place("environment", *place)

        found, _ = variables(table.get("environment"), self._draft, line, key, expands=True)
        hosts = "|".join(map(re.escape, self._ours))
        place_of: dict[str, str | int] = {name: name for name in found}
        if isinstance(listed := table.get("environment"), list):
            place_of = {text_of(text).partition("=")[0]: index for index, text in enumerate(listed)}
        for name, text in found.items():
            if match := re.search(rf"(?<![\w.-])({hosts})(?=:\d|/|$)", text):
                self._draft.lose(
                    line(place_of.get(name, name)),
                    f"{key}.{name}",
                    f"kept, but names the host {match[1]!r} of a container network: here it is 127.0.0.1",
                )
        if found:
            self.keys["environment"] = found
        files = table.get("env_file")
        if files:
            read = [_env_file(file) for file in (files if isinstance(files, list) else [files])]
            self.keys["env_file"] = [file for file in read if file]
            if isinstance(files, list) and any(isinstance(file, dict) and "format" in file for file in files):
                self._lose("env_file", text="`format` has no counterpart")

    def _convert_ports(self, table: dict[str, Any]) -> None:
        ports = table.get("ports")
        if not isinstance(ports, list) or not ports:
            return
        published, target = ports_of(ports[0])
        if not target:
            self._lose("ports", 0, text="a range or a variable; set `port`, which becomes the variable PORT")
        else:
            self.keys["port"] = target
            self._comment("ports", "port")
            if published and published != target:
                self._lose("ports", 0, text=f"listens on {target} here; nothing forwards {published} to it")
        for index in range(1, len(ports)):
            self._lose("ports", index, text="only the first port becomes PORT; the program opens the others itself")

    def _convert_dependencies(self, table: dict[str, Any]) -> None:
        wanted = table.get("depends_on")
        if isinstance(wanted, list):
            wanted = {text_of(name): {} for name in wanted}
        found: dict[str, Any] = {}
        for name, how in (wanted or {}).items() if isinstance(wanted, dict) else ():
            if name not in self._runnable:
                self._lose("depends_on", name, text="that service is not imported; start it first")
                continue
            how = how if isinstance(how, dict) else {}
            condition = _CONDITIONS.get(text_of(how.get("condition") or "service_started"), "started")
            more = {"restart": True} if flag(how.get("restart")) is True else {}
            if flag(how.get("required")) is False:
                more["required"] = False
            found[self._ours[name]] = {"condition": condition, **more} if more else condition
        if found:
            self.keys["depends_on"] = found
            self._comment("depends_on", "depends_on")

    def _convert_healthcheck(self, table: dict[str, Any]) -> None:
        check = table.get("healthcheck")
        if not isinstance(check, dict) or flag(check.get("disable")) is True:
            return
        test = check.get("test")
        probe: dict[str, Any] = {}
        if isinstance(test, str) and test.strip():
            probe["exec"] = for_shell(test)
        elif isinstance(test, list) and len(test) > 1 and test[0] == "CMD":
            probe["exec"] = [forms(text_of(word)) for word in test[1:]]
        elif isinstance(test, list) and len(test) > 1 and test[0] == "CMD-SHELL":
            probe["exec"] = for_shell(" ".join(map(text_of, test[1:])))
        if not probe:
            if test not in (["NONE"], None):
                self._lose("healthcheck", "test", text="not a command")
            elif test is None:
                self._lose("healthcheck", text="has no test; that of the image is not known here")
            return
        times: dict[str, Callable[[Any], Any]] = {
            "interval": positive,
            "timeout": positive,
            "start_period": duration,
            "retries": count,
        }
        for key, how in times.items():
            if key in check and (value := how(check[key])) is not None:
                probe[key] = value
            elif key in check:
                self._lose("healthcheck", key, text=f"{text_of(check[key])!r} has no counterpart")
        for key in check:
            if key not in ("test", "disable", *times):
                self._lose("healthcheck", key)
        self.keys["ready"] = probe
        self._comment("healthcheck", "ready")

    def _convert_restart(self, table: dict[str, Any]) -> None:
        deploy = table.get("deploy") if isinstance(table.get("deploy"), dict) else {}
        assert isinstance(deploy, dict)
        policy, _, most = text_of(table.get("restart", "no")).partition(":")
        if isinstance(table.get("restart"), bool):  # `restart: false`
            policy = "no" if not table["restart"] else "always"
        words = {"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}
        plan: dict[str, Any] = {}
        if isinstance(how := deploy.get("restart_policy"), dict):
            words |= {"any": "always", "none": ""}
            policy = text_of(how.get("condition", "any"))
            most = text_of(how.get("max_attempts", ""))
            if (window := duration(how.get("window"))) is not None:
                plan["within"] = window
            if (delay := duration(how.get("delay"))) is not None:
                plan["backoff"] = [delay, delay]
        if word := words.get(policy):
            retries = int(most) if most.isascii() and most.isdecimal() else 0
            self.keys["restart"] = {"policy": word, "max": exits_of(retries) if retries else "unlimited", **plan}
            self._comment("restart", "restart")
        elif policy not in ("no", "none", ""):
            self._lose("restart", text=f"{policy!r} has no counterpart")
        replicas = count(table.get("scale", deploy.get("replicas")))
        if replicas is not None and replicas != 1:
            self.keys["replicas"] = replicas
            if replicas > 1 and (port := self._fixed_port()):
                key = ("scale",) if "scale" in table else ("deploy", "replicas")
                self._lose(*key, text=f"all {replicas} instances use port {port}; write $PORT instead of it")
        for key in deploy:
            if key not in ("replicas", "restart_policy", "resources"):
                self._lose("deploy", key)

    def _fixed_port(self) -> str:
        """Return a port that the command or the health check contains as a number, if any."""
        test = self.keys.get("ready", {}).get("exec", "")
        for value in (self.keys["command"], test):
            text = value if isinstance(value, str) else " ".join(value)
            if match := _PORT.search(text):
                return match["port"]
            port = str(self.keys.get("port", ""))
            if port and re.search(rf"(?<![\w.]){port}(?![\w.])", text):
                return port
        return ""

    def _convert_limits(self, table: dict[str, Any]) -> None:
        limits: dict[str, Any] = {}
        deploy = table.get("deploy")
        resources = deploy.get("resources") if isinstance(deploy, dict) else None
        most = resources.get("limits") if isinstance(resources, dict) else None
        most = most if isinstance(most, dict) else {}
        if (memory := size(table.get("mem_limit", most.get("memory")))) is not None:
            limits["memory"] = memory
        if (processes := count(table.get("pids_limit", most.get("pids")), 1 << 22)) is not None and processes > 0:
            limits["processes"] = processes
        ulimits = table.get("ulimits")
        for key, value in ulimits.items() if isinstance(ulimits, dict) else ():
            files = count(value.get("soft") if isinstance(value, dict) else value, 1 << 30)
            if key == "nofile" and files is not None:
                limits["files"] = files
            else:
                self._lose("ulimits", key)
        for key in most:
            if key not in ("memory", "pids"):
                self._lose("deploy", "resources", "limits", key, text=_WHY["cpus"])
        if isinstance(resources, dict) and "reservations" in resources:
            self._lose("deploy", "resources", "reservations")
        if limits:
            self.keys["limits"] = limits

    def _convert_stop(self, table: dict[str, Any]) -> None:
        stop: dict[str, Any] = {}
        if "stop_signal" in table:
            if name := signal_name(table["stop_signal"]):
                stop["signal"] = name
            else:
                self._lose("stop_signal", text=f"unknown signal {text_of(table['stop_signal'])!r}")
        if "stop_grace_period" in table:
            if (grace := duration(table["stop_grace_period"])) is not None:
                stop["timeout"] = grace
            else:
                self._lose("stop_grace_period", text="not a duration")
        if stop:
            self.keys["stop"] = stop


def _env_file(value: Any) -> Any:
    if not isinstance(value, dict):
        return forms(text_of(value))
    path = forms(text_of(value.get("path")))
    return {"path": path, "required": False} if flag(value.get("required")) is False else path


def _mounts(value: Any) -> dict[str, str]:
    """Return the directories of this machine, by their mount points."""
    found: dict[str, str] = {}
    for volume in value if isinstance(value, list) else ():
        if isinstance(volume, dict):
            source, target = text_of(volume.get("source")), text_of(volume.get("target"))
        else:
            source, _, target = text_of(volume).partition(":")
            target = target.partition(":")[0]
        if target and source.startswith((".", "/", "~")):
            found[posixpath.normpath(target)] = source
    return found


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
