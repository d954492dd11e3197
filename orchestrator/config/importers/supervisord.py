"""supervisord.conf as a draft of orchestrate.toml. Pure.

supervisord runs commands without a shell and expands `%(NAME)s`, not dollars. The comments above a section or key are
kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.importers.convert import count, names, signal_name, words_of
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby
from orchestrator.config.importers.procfile import comments_above
from orchestrator.config.interpolation import escape
from orchestrator.model.errors import ConfigError
from orchestrator.model.names import name_fault

_SECTION = re.compile(r"\[([^\]]+)\]")
_KEY = re.compile(r"([^:=\s][^:=]*?)\s*[:=]\s*(.*)")
_COMMENT = re.compile(r"\s[;#].*$")
_EXPANSION = re.compile(r"%\((?P<name>\w+)\)(?P<format>0?\d*[sd])|%%")
_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
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
    "redirect_stderr": (*_TRUE, *_FALSE),
    "process_name": ("%(program_name)s", "%(program_name)s_%(process_num)02d", "%(program_name)s_%(process_num)d"),
    "numprocs_start": ("0",),
    "killasgroup": (*_TRUE, *_FALSE),
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
    """Return the sections of an INI file as supervisord reads it: those of the same name are one, and later values win.

    Raises ConfigError with the line of a fault.
    """
    found: dict[str, Section] = {}
    section: Section | None = None
    lines = text.removeprefix("\ufeff").splitlines()
    key = ""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped[0] in ";#":
            continue
        content = _COMMENT.sub("", line).rstrip()
        if line[0].isspace() and key and section:
            section.values[key] += "\n" + content.strip()
            continue
        key = ""
        if match := _SECTION.match(content):
            label = ":".join(part.strip() for part in match[1].split(":", 1))
            section = found.setdefault(label, Section(label, number, []))
            section.comments += comments_above(lines, number, ";#")
        elif (match := _KEY.fullmatch(content.strip())) and section:
            key = match[1].strip().lower()
            section.values[key] = match[2].strip()
            section.lines[key] = number
            if comments := comments_above(lines, number, ";#"):
                section.key_comments[key] = comments
        else:
            what = "a key before the first section" if match else "neither a [section] nor key=value"
            raise ConfigError([f"cannot read {name}:{number}: {what}"])
    return list(found.values())


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the draft. Raises ConfigError if the file has no programs."""
    draft = Draft(comments=[f"Converted from {name}."])
    programs: list[Section] = []
    systems: list[Section] = []
    groups: dict[str, list[str]] = {}
    for section in sections(text, name):
        kind, _, label = section.name.partition(":")
        if kind == "program" and label:
            programs.append(section)
        elif kind == "group":
            for program in section.values.get("programs", "").split(","):
                groups.setdefault(program.strip(), []).append(label.strip())
        elif kind == "supervisord":
            systems.append(section)
        elif kind == "include":
            files = section.values.get("files", "")
            draft.lose(section.line, "include", f"not followed; import {files} too" if files else "not followed")
        else:
            why = _OWN.get(kind, "no counterpart")
            draft.lose(section.line, section.name, why)
    for section in systems:
        _convert_system(draft, section, nearby, all(map(_is_beside, programs)))
    ours = names(program.name.partition(":")[2] for program in programs)
    for section in programs:
        label = section.name.partition(":")[2]
        one = _Program(draft, nearby, section, label, ours[label], is_beside=_is_beside(section))
        one.convert(groups.get(label, []))
    if not draft.components:
        faults = [loss for loss in draft.losses if loss.key.startswith("program:") and loss.key.endswith(".command")]
        raise ConfigError(
            [f"cannot import {name}:{loss.line}: {loss.key}: {loss.text}" for loss in faults]
            or [f"cannot import {name}: it has no [program:NAME] with a command"]
        )
    return draft


def _is_beside(program: Section) -> bool:
    """Return whether a program runs in the directory of the file, so that paths relative to that are right."""
    return program.values.get("directory", "%(here)s").rstrip("/") in ("%(here)s", ".", "")


def _convert_system(draft: Draft, section: Section, nearby: Nearby, is_beside: bool) -> None:
    for key, line in section.lines.items():
        if key == "environment":
            one = _Program(draft, nearby, section, "supervisord", "", is_beside=is_beside)
            if found := one.variables():
                draft.keys["defaults"] = {"environment": found}
        elif not (key == "nodaemon" and section.values[key].lower() in _TRUE):
            draft.lose(line, f"{section.name}.{key}", _WHY.get(key, "no counterpart"))


class _Program:
    def __init__(
        self, draft: Draft, nearby: Nearby, section: Section, label: str, ours: str, *, is_beside: bool
    ) -> None:
        self._draft = draft
        self._nearby = nearby
        self._section = section
        self._label = label
        self._ours = ours
        self._is_beside = is_beside
        self._group = label
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
            if name == "here":
                return self._here(key, in_shell=in_shell)
            known = {
                "program_name": self._label,
                "group_name": self._group,
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

    def _here(self, key: str, *, in_shell: bool) -> str:
        """Return the directory of the file: `.` if it is the working directory too, which `cwd` starts from."""
        if self._is_beside or key == "directory":
            return "."
        directory = self._nearby.directory
        self._lose(key, f"%(here)s is written as {directory}, because the working directory is another one")
        return directory if in_shell else escape(directory)

    def _first(self) -> str:
        start = self._section.values.get("numprocs_start", "0")
        return f" + {start}" if start.isdecimal() and int(start) else ""

    def convert(self, groups: list[str]) -> None:
        """Add the program as a component."""
        values = self._section.values
        self._group = groups[0] if groups else self._label
        if self._ours != self._label:
            self._lose("", f"renamed to {self._ours}")
        if not self._convert_command(values.get("command", "")):
            return
        if directory := values.get("directory"):
            self.keys["cwd"] = self._expand(directory, "directory", in_shell=False)
        if self._word("autostart", "true", (*_TRUE, *_FALSE)) in _FALSE:
            self.keys["autostart"] = False
        if umask := values.get("umask"):
            self.keys["umask"] = umask
        if tags := [group for group in groups if not name_fault(group)]:
            self.keys["tags"] = tags
        self._convert_restart()
        self._convert_stop()
        if (replicas := self._number("numprocs", 1)) != 1:
            self.keys["replicas"] = replicas
        self.keys["on_exit"] = "ignore"
        if found := self.variables():
            self.keys["environment"] = found
        self._lose_others()
        ours_of = {
            "command": "command",
            "directory": "cwd",
            "autorestart": "restart",
            "startsecs": "ready",
            "stopsignal": "stop",
        }
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
            self._lose("command" if command else "", "a quote has no end" if command else "has no command")
            return False
        plain = self._without_expansions(command)
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
        """Quote a word for the shell; write expansions in double quotes."""
        if _PLAIN.fullmatch(self._without_expansions(word)):
            return self._expand(word, "command", in_shell=True)
        literal = re.sub(r'([\\"$`])', r"\\\1", word)
        return f'"{self._expand(literal, "command", in_shell=True)}"'

    def _without_expansions(self, text: str) -> str:
        """Return a text with harmless letters for its expansions, except for a directory that needs quotes."""
        if not self._is_beside and not _PLAIN.fullmatch(self._nearby.directory):
            text = text.replace("%(here)s", "' '")
        return _EXPANSION.sub("x", text)

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
        word = self._word("autorestart", "unexpected", (*_TRUE, *_FALSE, "unexpected"))
        policy = "always" if word in _TRUE else "" if word in _FALSE else "on-failure"
        delay = self._number("startsecs", 1, 86399)
        retries = self._number("startretries", 3, 999999)
        if policy:
            # A run of `startsecs` and the pause before it end the backoff: supervisord has none after such a run.
            self.keys["restart"] = {"policy": policy, "max": "unlimited", "within": delay + 1}
            if delay:
                self.keys["restart"]["same_exits"] = retries + 1
            if delay and "startretries" in values:
                self._lose("startretries", "counts only equal exits before it was ready once; all others are restarted")
        elif delay and retries and "startretries" in values:
            self._lose("startretries", "not restarted, also if it exits within startsecs")
        if delay and (policy or delay != 1):
            self.keys["ready"] = {"delay": delay}
        codes = [code.strip() for code in values.get("exitcodes", "0").split(",")]
        if codes != ["0"] and all(code.isdecimal() and int(code) < 256 for code in codes):
            self.keys["success_exit_codes"] = [int(code) for code in codes]
        elif codes != ["0"]:
            self._lose("exitcodes", "not a list of numbers from 0 to 255")

    def _word(self, key: str, usual: str, known: tuple[str, ...]) -> str:
        """Return the word of a key, or `usual`; record a value that is not known."""
        text = self._section.values.get(key, usual)
        if text.lower() in known:
            return text.lower()
        self._lose(key, f"{text!r} is not {'true, false or unexpected' if usual in known[-1:] else 'true or false'}")
        return usual

    def _number(self, key: str, usual: int, most: int = 1000) -> int:
        """Return the number of a key from 0 to `most`, or `usual`; record a value that is not one."""
        text = self._section.values.get(key)
        found = count(text, most)
        if text is not None and found is None:
            self._lose(key, f"{text!r} is not a number from 0 to {most}")
        return usual if found is None else found

    def _convert_stop(self) -> None:
        values = self._section.values
        stop: dict[str, Any] = {}
        if "stopsignal" in values:
            if name := signal_name(values["stopsignal"]):
                stop["signal"] = name
            else:
                self._lose("stopsignal", f"unknown signal {values['stopsignal']!r}")
        if "stopwaitsecs" in values:
            stop["timeout"] = self._number("stopwaitsecs", 10, 86400)
        if "stopasgroup" in values and self._word("stopasgroup", "false", (*_TRUE, *_FALSE)) in _FALSE:
            stop["scope"] = "leader"
        if stop:
            self.keys["stop"] = stop

    def _lose_others(self) -> None:
        for key, value in self._section.values.items():
            if key in _READ or {value, value.lower()} & {*_SILENT.get(key, ())}:
                continue
            why = _LOGS if "logfile" in key or key.startswith(("stdout_", "stderr_")) else _WHY.get(key)
            self._lose(key, why or "no counterpart")
