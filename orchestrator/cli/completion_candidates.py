"""The candidates for the last word of a command line: options, their values, components, signals.

The script of a shell runs this at each Tab. Everything is read from the parser that also prints `--help`, so a new
command or option is completed without a change here. `-f`, `-C`, `--home` and so on count as for the command itself.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from orchestrator.cli import client, invocation, settings, system_lookup
from orchestrator.cli import parser as cli_parser
from orchestrator.cli.arguments import Parser
from orchestrator.cli.options import LocationOptions
from orchestrator.config.definition import ComponentDefinition, Definition
from orchestrator.model.control import PsRequest
from orchestrator.model.errors import OrchestrateError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]
    from orchestrator.model.control import InstanceRow

Item = TypeVar("Item")
FILES, DIRECTORIES = ":files", ":directories"  # instead of candidates: the shell completes these itself
ANSWER_TIMEOUT = 1.0  # seconds to wait for the reply of a running system
_PLACES = ("file", "directory", "home", "env", "root", "env_override")  # options that say which system is meant
_LISTS = ("only", "without", "components", "left_out", "quiet", "no_tty")  # whose value is names separated by commas
_BY_METAVAR = {"FILE": FILES, "FILES": FILES, "PATH": FILES, "DIR": DIRECTORIES}


def lines(shell: str, words: list[str]) -> list[str]:
    """Return the candidates for the last of these words, which follow `orchestrate`, for the script of a shell.

    Fish and zsh get whole words, and their descriptions after a tab. Bash splits `--color=al` and `web=3` at the `=`
    and gets what follows it.
    """
    if shell == "bash":
        words = _joined(words)
    words = [_unquoted(word) for word in words] or [""]
    typed = _Typed(cli_parser.build())
    for word in words[:-1]:
        typed.take(word)
    current = words[-1]
    prefix = ""
    if current.startswith("--") and "=" in current and typed.awaited is None:
        option, _, current = current.partition("=")
        typed.take(option)
        prefix = f"{option}="
    found = list(_matching(typed.candidates(current), current))
    if shell == "bash":
        cut = current.rpartition("=")[2] if "=" in current and not prefix else current
        return [word.removeprefix(current.removesuffix(cut)) for word, _ in found]
    return [f"{prefix}{word}\t{text}" if text else prefix * (not word.startswith(":")) + word for word, text in found]


def _matching(found: Iterable[tuple[str, str]], current: str) -> Iterator[tuple[str, str]]:
    for word, text in found:
        if word.startswith((current, ":")):
            yield word, text


def _joined(words: list[str]) -> list[str]:
    joined: list[str] = []
    glue = False
    for word in words:
        if joined and (word == "=" or glue):
            joined[-1] += word
        else:
            joined.append(word)
        glue = word == "="
    return joined


def _unquoted(word: str) -> str:
    for closing in ("", "'", '"'):
        try:
            parts = shlex.split(word + closing)
        except ValueError:
            continue
        return parts[0] if parts else ""
    return word


@dataclass(slots=True)
class _Typed:
    """The words before the one that is completed. `awaited` is the option whose value comes next."""

    parser: argparse.ArgumentParser
    awaited: argparse.Action | None = None
    path: list[str] = field(default_factory=list)  # commands
    places: list[str] = field(default_factory=list)  # options that say which system is meant, with their values
    positionals: int = 0
    given: list[str] = field(default_factory=list)  # positional words
    is_over: bool = False  # after `--` only a command follows

    def take(self, word: str) -> None:
        """Take the next word."""
        if self.awaited is not None:
            if self.awaited.dest in _PLACES:
                self.places.append(f"{self.awaited.option_strings[-1]}={word}")
            self.awaited = None
        elif word == "--":
            self.is_over = True
        elif word.startswith("-") and word != "-":
            self._take_option(word)
        elif (commands := self._commands()) is not None and not self.positionals and word in commands.choices:
            self.path.append(word)
            self.parser = commands.choices[word]
        else:
            self.positionals += 1
            self.given.append(word)

    def _take_option(self, word: str) -> None:
        option, sign, value = word.partition("=")
        action = self.parser._option_string_actions.get(option)
        if action is None:
            return
        if not sign and action.nargs is None and not isinstance(action, argparse._HelpAction):
            self.awaited = action
        elif action.dest in _PLACES:
            self.places.append(f"{action.option_strings[-1]}={value}" if sign else action.option_strings[-1])

    def _commands(self) -> Commands | None:
        return _commands_of(self.parser)

    def candidates(self, current: str) -> list[tuple[str, str]]:
        """Return the candidates for the next word, each with a description, which may be empty."""
        if self.is_over:
            return [(FILES, "")]
        if self.awaited is not None:
            return _bare(self._values(self.awaited, current))
        if current.startswith("-"):
            return [
                (string, _plain(action.help))
                for action in self.parser._actions
                if action.help is not argparse.SUPPRESS
                for string in action.option_strings
            ]
        found: list[tuple[str, str]] = []
        if (commands := self._commands()) is not None and not self.positionals:
            found = [(choice.dest, _plain(choice.help)) for choice in commands._choices_actions]
        return found + _bare(self._positional(current))

    def _positional(self, current: str) -> list[str]:
        actions = [
            a for a in self.parser._actions if not a.option_strings and not isinstance(a, argparse._SubParsersAction)
        ]
        at = self.positionals
        for action in actions:
            if action.nargs not in (None, "?") or at == 0:
                return self._values(action, current)
            at -= 1
        return self._instances() if not self.path and not actions else []

    def _values(self, action: argparse.Action, current: str) -> list[str]:
        match action.dest:
            case _ if action.choices:
                return list(map(str, action.choices))
            case "signal":
                return [number.name.removeprefix("SIG") for number in signal.Signals]
            case "formation" | "formation_words":
                done, comma, _ = current.rpartition(",")
                return [f"{done}{comma}{name}=" for name in self._components()]
            case "profile":
                return list(dict.fromkeys(profile for instance in self._defined() for profile in instance.profiles))
            case dest if dest in _LISTS:
                done, comma, _ = current.rpartition(",")
                return [f"{done}{comma}{name}" for name in self._components() if name not in done.split(",")]
            case "words" if self.path == ["help"]:
                return self._pages()
            case "at":
                from orchestrator.cli.recorded_output import CRASH

                return [CRASH]
            case "words" if self.positionals:
                return [FILES]
            case "name" | "words":
                return [*self._instances(), *self._steps()]
            case "names" | "exit_code_from":
                return [name for name in self._instances() if name not in self.given]
        return (
            [_BY_METAVAR[action.metavar]] if isinstance(action.metavar, str) and action.metavar in _BY_METAVAR else []
        )

    def _pages(self) -> list[str]:
        """Return what may follow these words after `help`: commands and topics, then the commands of a command."""
        commands = _commands_of(cli_parser.build())
        for word in self.given:
            if commands is None or word not in commands.choices:
                return []
            commands = _commands_of(commands.choices[word])
        names = [choice.dest for choice in commands._choices_actions] if commands is not None else []
        if self.given:
            return names
        from orchestrator.cli import manual

        return list(dict.fromkeys([*names, *manual.pages()]))

    # Names

    def _location(self, command: str) -> LocationOptions:
        preset = ["airflow"] if self.path[:1] == ["airflow"] else []
        return invocation.read(LocationOptions, cli_parser.values([*preset, command, *self.places], settings.defaults))

    def _instances(self) -> list[str]:
        """Return the names of running components, and of components that could be started."""
        rows = _or_none(self._running)
        running = [name for row in rows for name in (row["component"], row["instance"])]
        if running and self.path[-1:] not in ([], ["up"], ["start"]):
            return list(dict.fromkeys(running))
        return list(dict.fromkeys([*running, *(instance.name for instance in self._defined())]))

    def _components(self) -> list[str]:
        running = [row["component"] for row in _or_none(self._running)]
        return list(dict.fromkeys([*running, *(instance.name for instance in self._defined())]))

    def _running(self) -> list[InstanceRow]:
        with client.converse(system_lookup.find(self._location("ps"))) as conversation:
            return [row for reply in client.replies(conversation, PsRequest(), ANSWER_TIMEOUT) for row in reply.rows]

    def _defined(self) -> list[ComponentDefinition]:
        return _or_none(lambda: list(self._definition().components))

    def _steps(self) -> list[str]:
        return _or_none(lambda: [step.name for step in self._definition().init])

    def _definition(self) -> Definition:
        from orchestrator.cli import sources

        options = self._location("check" if self.path[:1] != ["airflow"] else "ps")
        for name in (*options.file, *options.env):
            if not _is_file(os.path.join(options.directory or "", name.removeprefix("?"))):
                raise OrchestrateError("not a file")  # standard input or a pipe can be read only once
        return sources.read(options, settings.read(), needs_components=False).definition


def _commands_of(parser: argparse.ArgumentParser) -> Commands | None:
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _or_none(names: Callable[[], list[Item]]) -> list[Item]:
    """Return the names; none after an error, because completion prints no messages."""
    try:
        return names()
    except (OrchestrateError, OSError, ValueError, LookupError):
        return []


def _bare(words: Iterable[str]) -> list[tuple[str, str]]:
    return [(word, "") for word in words]


def _plain(text: str | None) -> str:
    return "" if text in (None, argparse.SUPPRESS) else " ".join(str(text).replace("%%", "%").split())
