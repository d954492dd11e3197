"""supervisord.conf as a draft of orchestrate.toml. Pure.

supervisord runs commands without a shell and expands `%(NAME)s`, not dollars. The comments above a section or key are
kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.importers.convert import count, duration, names, signal_name, words_of
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby
from orchestrator.config.importers.procfile import comments_above
from orchestrator.config.interpolation import escape
from orchestrator.model.errors import ConfigError
from orchestrator.model.spec import name_fault

_SECTION = re.compile(r"\[([^\]]+)\]")
_KEY = re.compile(r"([^:=\s][^:=]*?)\s*[:=]\s*(.*)")
_COMMENT = re.compile(r"\s[;#].*$")
_EXPANSION = re.compile(r"%\((?P<name>\w+)\)(?P<format>0?\d*[sd])|%%")
_LOGS = "output is in .orchestrate/logs; see `orchestrate logs`"
_OWN = {
    "supervisorctl": "use the commands of orchestrate, such as `orchestrate ps`",
    "unix_http_server": "orchestrate has its own socket",
    "inet_http_server": "orchestrate has no network interface",
}
_SILENT = {
    "stdout_logfile": ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "NONE", "AUTO"),
    "stderr_logfile": ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2", "NONE", "AUTO"),
    "stdout_logfile_maxbytes": ("0",),
    "stderr_logfile_maxbytes": ("0",),
    "redirect_stderr": ("true", "false"),
    "process_name": ("%(program_name)s", "%(program_name)s_%(process_num)02d", "%(program_name)s_%(process_num)d"),
    "numprocs_start": ("0",),
    "killasgroup": ("true", "false"),
    "startsecs": ("0", "1"),
}
_WHY = {
    "priority": "gives an order only; use `depends_on`",
    "user": "runs as your user; add `user` if you run orchestrate as root",
    "serverurl": "no counterpart",
    "process_name": "instances are named NAME.1, NAME.2 and so on",
    "numprocs_start": "instances are numbered from 1",
    "nodaemon": "the foreground is the default; `orchestrate up -d` runs in the background",
    "childlogdir": _LOGS,
    "logfile": _LOGS,
    "pidfile": "see `orchestrate ls`",
}
_READ = frozenset(
    """command directory environment autostart autorestart exitcodes startretries startsecs stopsignal stopwaitsecs
    stopasgroup numprocs umask""".split()
)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(slots=True)
class Section:
    """One section: its keys with their values and lines, and the comments above it and them."""

    name: str
    line: int
    comments: list[str]
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    key_comments: dict[str, list[str]] = field(default_factory=dict)


def sections(text: str, name: str) -> list[Section]:
    """Return the sections of an INI file as supervisord reads it. Raises ConfigError with the line of a fault."""
    found: list[Section] = []
    lines = text.removeprefix("\ufeff").splitlines()
    key = ""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped[0] in ";#":
            continue
        content = _COMMENT.sub("", line).rstrip()
        if line[0].isspace() and key:
            found[-1].values[key] += "\n" + content.strip()
            continue
        key = ""
        if match := _SECTION.match(content):
            found.append(Section(match[1].strip(), number, comments_above(lines, number, ";#")))
        elif (match := _KEY.fullmatch(content.strip())) and found:
            key = match[1].strip().lower()
            found[-1].values[key] = match[2].strip()
            found[-1].lines[key] = number
            if comments := comments_above(lines, number, ";#"):
                found[-1].key_comments[key] = comments
        else:
            what = "a key before the first section" if match else "neither a [section] nor key=value"
            raise ConfigError([f"cannot read {name}:{number}: {what}"])
    return found


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the draft. Raises ConfigError if the file has no programs."""
    draft = Draft(comments=[f"Converted from {name}."])
    programs: list[Section] = []
    groups: dict[str, list[str]] = {}
    for section in sections(text, name):
        kind, _, label = section.name.partition(":")
        if kind == "program" and label:
            programs.append(section)
        elif kind == "group":
            for program in section.values.get("programs", "").split(","):
                groups.setdefault(program.strip(), []).append(label.strip())
        elif kind == "supervisord":
            _convert_system(draft, section, nearby)
        elif kind == "include":
            files = section.values.get("files", "")
            draft.lose(section.line, "include", f"not followed; import {files} too" if files else "not followed")
        else:
            why = _OWN.get(kind, "no counterpart")
            draft.lose(section.line, section.name, why)
    ours = names(program.name.partition(":")[2].strip() for program in programs)
    for section in programs:
        label = section.name.partition(":")[2].strip()
        _Program(draft, nearby, section, label, ours[label]).convert(groups.get(label, []))
    if not draft.components:
        raise ConfigError([f"cannot import {name}: it has no [program:NAME] with a command"])
    return draft


def _convert_system(draft: Draft, section: Section, nearby: Nearby) -> None:
    for key, line in section.lines.items():
        if key == "environment":
            one = _Program(draft, nearby, section, "supervisord", "")
            if found := one.variables():
                draft.keys["defaults"] = {"environment": found}
        elif not (key == "nodaemon" and section.values[key] == "true"):
            draft.lose(line, f"{section.name}.{key}", _WHY.get(key, "no counterpart"))


class _Program:
    def __init__(self, draft: Draft, nearby: Nearby, section: Section, label: str, ours: str) -> None:
        self._draft = draft
        self._nearby = nearby
        self._section = section
        self._label = label
        self._ours = ours
        self.keys: dict[str, Any] = {}

    def _lose(self, key: str, text: str = "no counterpart") -> None:
        line = self._section.lines.get(key, self._section.line)
        self._draft.lose(line, f"{self._section.name}.{key}" if key else self._section.name, text)

    def _expand(self, text: str, key: str, *, in_shell: bool) -> str:
        """Return a text with its `%(NAME)s` replaced; other dollars are escaped unless a shell reads it."""

        def replace(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None:
                return "%"
            if name.startswith("ENV_"):
                return f"${{{name[4:]}}}"
            if name == "process_num" and in_shell:
                number = f"$((${{PS##*.}} - 1{self._first()}))"
                width = match["format"].rstrip("sd")
                return f"$(printf %{width}d {number})" if width else number
            known = {
                "program_name": self._label,
                "group_name": self._label,
                "here": escape(self._nearby.directory) if "directory" in self._section.values else ".",
                "numprocs": self._section.values.get("numprocs", "1"),
            }
            if in_shell:
                known["host_node_name"] = "$(hostname)"
            if name in known:
                return known[name]
            self._lose(key, f"%({name})s has no counterpart here")
            return ""

        parts, at = [], 0
        for match in _EXPANSION.finditer(text):
            parts += [text[at : match.start()] if in_shell else escape(text[at : match.start()]), replace(match)]
            at = match.end()
        return "".join(parts) + (text[at:] if in_shell else escape(text[at:]))

    def _first(self) -> str:
        start = self._section.values.get("numprocs_start", "0")
        return f" + {start}" if start.isdecimal() and int(start) else ""

    def convert(self, groups: list[str]) -> None:
        """Add the program as a component."""
        values = self._section.values
        if self._ours != self._label:
            self._lose("", f"renamed to {self._ours}")
        if not self._convert_command(values.get("command", "")):
            return
        if directory := values.get("directory"):
            self.keys["cwd"] = self._expand(directory, "directory", in_shell=False)
        if values.get("autostart", "true").lower() in _FALSE:
            self.keys["autostart"] = False
        if umask := values.get("umask"):
            self.keys["umask"] = umask
        if tags := [group for group in groups if not name_fault(group)]:
            self.keys["tags"] = tags
        self._convert_restart()
        self._convert_stop()
        if (replicas := count(values.get("numprocs", "1"))) is not None and replicas != 1:
            self.keys["replicas"] = replicas
        seconds = values.get("startsecs", "1")
        if seconds.isdecimal() and int(seconds) > 1 and (delay := duration(int(seconds))) is not None:
            self.keys["ready"] = {"delay": delay}
        self.keys["on_exit"] = "ignore"
        if found := self.variables():
            self.keys["environment"] = found
        self._lose_others()
        ours_of = {"command": "command", "directory": "cwd", "autorestart": "restart", "stopsignal": "stop"}
        comments = {
            ours_of[key]: "\n".join(found)
            for key, found in self._section.key_comments.items()
            if ours_of.get(key) in self.keys
        }
        self._draft.entries.append(DraftEntry(self._ours, self.keys, self._section.comments, comments))

    def _convert_command(self, command: str) -> bool:
        """Keep a line that a shell reads as supervisord does; a list otherwise."""
        command = " ".join(command.split("\n"))
        words = words_of(command)
        if not words:
            self._lose("command" if command else "", "not a command line" if command else "has no command")
            return False
        plain = _EXPANSION.sub("x", command)
        if "process_num" in command or "host_node_name" in command:
            self.keys["command"] = "exec " + " ".join(self._quoted(word) for word in words)
        elif words[:2] in (["sh", "-c"], ["/bin/sh", "-c"]) and len(words) == 3:
            self.keys["command"] = self._expand(words[2], "command", in_shell=True)
        elif re.search(r"[|&;<>()`$\\\"'*?\[\]{}~!#]", plain):
            self.keys["command"] = [self._expand(word, "command", in_shell=False) for word in words]
        else:
            self.keys["command"] = self._expand(command, "command", in_shell=True)
        return True

    def _quoted(self, word: str) -> str:
        """Quote a word for the shell, with what stands for an expansion in double quotes."""
        if re.fullmatch(r"[\w@%+=:,./-]+", _EXPANSION.sub("x", word)):
            return self._expand(word, "command", in_shell=True)
        literal = re.sub(r'([\\"$`])', r"\\\1", word)
        return f'"{self._expand(literal, "command", in_shell=True)}"'

    def variables(self) -> dict[str, str]:
        """Return `environment`: NAME=value pairs, separated by commas, values in quotes or not."""
        text = self._section.values.get("environment", "")
        found = {}
        pair = re.compile(r"\s*([\w.]+)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^,\n]*)\s*(?:,|\n|$)")
        at = 0
        while at < len(text.rstrip()):
            match = pair.match(text, at)
            if not match or match.end() == at:
                self._lose("environment", f"cannot read {text[at : at + 30]!r}")
                break
            value = match[2]
            value = value[1:-1] if value[:1] in "\"'" and len(value) > 1 else value.strip()
            found[match[1]] = self._expand(value, "environment", in_shell=False)
            at = match.end()
        return found

    def _convert_restart(self) -> None:
        values = self._section.values
        word = values.get("autorestart", "unexpected").lower()
        plan: dict[str, Any] = {}
        if (retries := count(values.get("startretries"))) is not None:
            plan["max"] = retries or 1
        if word in _TRUE:
            policy = "always"
        elif word in _FALSE:
            policy = ""
        else:
            policy = "on-failure"
        if policy:
            self.keys["restart"] = {"policy": policy, **plan} if plan else policy
        codes = [code.strip() for code in values.get("exitcodes", "0").split(",")]
        if codes != ["0"] and all(code.isdecimal() and int(code) < 256 for code in codes):
            self.keys["success_exit_codes"] = [int(code) for code in codes]

    def _convert_stop(self) -> None:
        values = self._section.values
        stop: dict[str, Any] = {}
        if "stopsignal" in values:
            if name := signal_name(values["stopsignal"]):
                stop["signal"] = name
            else:
                self._lose("stopsignal", f"unknown signal {values['stopsignal']!r}")
        wait = values.get("stopwaitsecs", "")
        if wait.isdecimal() and (timeout := duration(int(wait))) is not None:
            stop["timeout"] = timeout
        if values.get("stopasgroup", "").lower() in _FALSE and "stopasgroup" in values:
            stop["scope"] = "leader"
        if stop:
            self.keys["stop"] = stop

    def _lose_others(self) -> None:
        for key, value in self._section.values.items():
            if key in _READ or value in _SILENT.get(key, ()):
                continue
            why = _LOGS if "logfile" in key or key.startswith(("stdout_", "stderr_")) else _WHY.get(key)
            self._lose(key, why or "no counterpart")
