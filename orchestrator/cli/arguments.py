"""The parser of a command line, which raises UsageError instead of printing a page of usage."""

from __future__ import annotations

import argparse
import enum
import functools
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from orchestrator.config.diagnostics import did_you_mean
from orchestrator.model.errors import UsageError

MANY = 5  # options that a usage line has at most
COLORS = ("auto", "always", "never")
_OF_SCRIPTS = ("candidates",)  # choices that only scripts use
# How argparse reports values that our types or its checks reject.
_INVALID = re.compile(
    r"argument (?P<names>\S+): invalid [\w ]+ (?P<value>(['\"]).*\3): (?P<reason>expected .*)", re.DOTALL
)
_NO_VALUE = re.compile(r"argument (?P<names>-\S+): expected one argument")
_REQUIRED = re.compile(r"the following arguments are required: (?P<names>.*)")
_NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # what argparse accepts as a value
# The texts above are English, so argparse must not translate its own. To look for translations, for each text again,
# takes 40 % of the time that the parser of all commands takes.
vars(argparse)["_"] = str
# The commands and options of foreman, honcho, overmind, concurrently, docker compose and supervisor that have another
# name here.
_COMMANDS_ELSEWHERE = {
    "connect": "orchestrate attach NAME",
    "echo": "orchestrate attach",
    "exec": "orchestrate run NAME -- COMMAND",
    "fg": "orchestrate attach NAME",
    "log": "orchestrate logs",
    "quit": "orchestrate down",
    "shutdown": "orchestrate down",
    "tail": "orchestrate logs -f NAME",
    "top": "orchestrate ps -w",
}
_OPTIONS_ELSEWHERE = {
    "--abort-on-container-exit": "--on-exit stop",
    "--any-can-die": "--on-exit ignore",
    "--app-root": "-C DIR",
    "--can-die": "--can-end NAMES",
    "--concurrency": "-m NAME=N",
    "--daemonize": "-d",
    "--env-file": "-e FILE",
    "--ignored-processes": "-x NAMES",
    "--kill-others": "--on-exit stop",
    "--no-color": "--color never",
    "--no-colour": "--color never",
    "--processes": "-l NAMES",
    "--procfile": "-f FILE",
    "--project-directory": "-C DIR",
    "--scale": "-m NAME=N",
    "--wait-timeout": "--wait SECONDS",
    "-D": "-d",
    "-V": "--version",
    "-c": "-m NAME=N` or `--can-end NAMES",  # of honcho and forego, of overmind
    "-v": "--version",
}
_NO_TIME = "leave it out: lines have no time without `--timestamps`"
# Options of `up` there that are keys here, or the default.
_HINTS_ELSEWHERE = {
    "--auto-restart": """write `restart = "always"` in orchestrate.toml""",
    "--no-prefix-time": _NO_TIME,
    "--no-timestamp": _NO_TIME,
    "--port-step": "write `port = 5010` in orchestrate.toml",
    "--shell": """write `shell = "bash"` in orchestrate.toml""",
    "--stop-signals": """write `stop = { signal = "INT" }` in orchestrate.toml""",
}


class Group(enum.Enum):
    """The groups of commands in `orchestrate --help`, in this order. Each lists its commands in the order of the
    parser."""

    RUN = "Run"
    LOOK = "Look"
    EXPLAIN = "Explain"
    CHANGE = "Change"
    DEFINE = "Define"
    MORE = "More"


class NoCommandError(UsageError):
    """The first word, `word`, is an unknown command; `within` says whether it follows another command, like
    `airflow`."""

    def __init__(self, message: str, hint: str, *, word: str, within: bool) -> None:
        super().__init__(message, hint)
        self.word = word
        self.within = within


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return the help formatter; argparse makes one for each added argument, and each would query the width."""
    return argparse.HelpFormatter(prog, width=_width())


@functools.cache
def _width() -> int:
    return shutil.get_terminal_size().columns - 2


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing a page of usage. `group` is the group of a command."""

    def __init__(self, group: Group | None = None, **more: Any) -> None:
        super().__init__(**{"formatter_class": _formatter, **more})
        self.group = group

    def format_usage(self) -> str:
        """Return the usage. If there are more than MANY options, it has [OPTION...] instead of them."""
        self._shorten_usage()
        return super().format_usage()

    def format_help(self) -> str:
        """Return the help, which begins with this usage."""
        self._shorten_usage()
        return super().format_help()

    def _shorten_usage(self) -> None:
        if self.usage is None and len(self._get_optional_actions()) > MANY:
            usage = " ".join(super().format_usage().removeprefix("usage: ").split())
            self.usage = re.sub(r"(?: \[-[^\[\]]*\])+", " [OPTION...]", usage, count=1).replace("%", "%%")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with our wording."""
        if found := _INVALID.fullmatch(message):
            name = next((one for one in found["names"].split("/") if one.startswith("--")), found["names"])
            message = f"invalid {name} {found['value']}: {found['reason']}"
        elif found := _NO_VALUE.fullmatch(message):
            message = f"missing value of {found['names'].rpartition('/')[2]}"
        elif found := _REQUIRED.fullmatch(message):
            rest = [action.metavar for action in self._actions if action.nargs == argparse.REMAINDER]
            missing = [name for name in found["names"].split(", ") if name not in rest]
            message = f"missing {', '.join(missing) or found['names']}"
        raise UsageError(message, f"see `{self.prog} --help`")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse `args`. Raises UsageError for an unknown option: argparse would report it only after later faults."""
        for word, action in self.options_in(args or ()):
            if action is None:
                name = word.partition("=")[0]
                near = self._near_option(name)
                raise UsageError(f"unrecognized option {name!r}", near or f"see `{self.prog} --help`")
        return super().parse_known_args(args if args is None else self._arguments_first(args), namespace)

    def _near_option(self, name: str) -> str:
        ours = _OPTIONS_ELSEWHERE.get(name, "")
        if ours.partition(" ")[0] in self._option_string_actions:
            return f"did you mean `{ours}`?"
        if name in _HINTS_ELSEWHERE and "--can-end" in self._option_string_actions:
            return _HINTS_ELSEWHERE[name]
        return did_you_mean(name, self._option_string_actions).removeprefix("; ")

    def _arguments_first(self, words: Sequence[str]) -> list[str]:
        """Return the words with all options, and their values, after the arguments.

        argparse ends optional arguments at the first option, and so rejects `export compose --image x DIR`.
        """
        kinds = [action.nargs for action in self._get_positional_actions()]
        if "--" in words or argparse.PARSER in kinds or argparse.REMAINDER in kinds:
            return list(words)
        arguments: list[str] = []
        found: list[str] = []
        rest = list(reversed(words))
        while rest:
            word = rest.pop()
            if not word.startswith("-") or word == "-" or " " in word or _NUMBER.fullmatch(word):
                arguments.append(word)
                continue
            found.append(word)
            nargs = self._nargs_after(word)
            is_value = bool(rest) and (not rest[-1].startswith("-") or bool(_NUMBER.fullmatch(rest[-1])))
            if rest and (nargs is None or (nargs == "?" and is_value)):
                found.append(rest.pop())
        return [*arguments, *found]

    def _nargs_after(self, word: str) -> int | str | None:
        """Return the number of words that an option takes, as `nargs` of argparse: None is one value, 0 is none."""
        known = self._option_string_actions
        if action := known.get(word):
            return action.nargs
        letters = "" if word.startswith("--") else word[1:]
        for index, letter in enumerate(letters):
            if (action := known.get(f"-{letter}")) is None or action.nargs != 0:
                return action.nargs if action and index == len(letters) - 1 else 0
        return 0

    def options_in(self, words: Sequence[str]) -> Iterator[tuple[str, argparse.Action | None]]:
        """Yield the words that look like options, each with the action of this command, or None.

        The search ends at a command, or at a command line to run: the rest is its arguments.
        """
        ends = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._get_positional_actions())
        rest = iter(words)
        for word in rest:
            if word == "--" or (ends and not word.startswith("-")):
                return
            if not word.startswith("-") or word == "-" or " " in word or _NUMBER.fullmatch(word):
                continue
            action = self._option_string_actions.get(word.partition("=")[0])
            short = None if action or word.startswith("--") else self._option_string_actions.get(word[:2])
            yield word, action or short  # -wd, or -n5, a value without a blank before it
            if action is not None and action.nargs is None and "=" not in word:
                next(rest, None)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in (action.choices or ()):
            known = list(action.choices or ())
            is_ours = " " not in self.prog
            near = did_you_mean(value, known)
            if is_ours and value in _COMMANDS_ELSEWHERE:
                near = f"did you mean `{_COMMANDS_ELSEWHERE[value]}`?"
            if not near and len(value) == 2:  # one letter of two: `uo` for `up`
                near = did_you_mean(value, [name for name in known if len(name) == 2], 0.5)
            raise NoCommandError(
                f"unknown command {value!r}",
                near.removeprefix("; ") or f"see `{self.prog} --help`",
                word=value,
                within=not is_ours,
            )
        if action.choices is not None and value not in action.choices:
            known = [str(one) for one in action.choices if one not in _OF_SCRIPTS]
            listed = f"{', '.join(known[:-1])} or {known[-1]}" if known[1:] else known[0]
            raise argparse.ArgumentError(
                action, f"invalid value {str(value)!r}: expected {listed}{did_you_mean(str(value), known)}"
            )
        super()._check_value(action, value)


class Gather(argparse.Action):
    """The action `append`, also if the option is before and after the command: `-f a up -f b` are two files.

    All parsers share one instance."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._values: list[Any] = []

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Take one more value."""
        self._values.append(values)
        setattr(namespace, self.dest, list(self._values))


Add = Callable[..., Parser]  # adds a command, and returns its parser


def add_command(
    commands: Any,
    name: str,
    text: str,
    *parents: Parser,
    module: str = "",
    arguments: Callable[[Parser], None] | None = None,
    **more: Any,
) -> Parser:
    """Add a command to subparsers. `module` is the module of its function (default: the name of the command);
    `arguments` adds the arguments of the command."""
    command: Parser = commands.add_parser(name, help=text, **of_command(text, *parents, **more))
    command.set_defaults(module=module or name)
    if arguments is not None:
        arguments(command)
    return command


def of_command(text: str, *parents: Parser, **more: Any) -> dict[str, Any]:
    """Return the arguments for making the parser of a command; `text` is its help."""
    return {
        "parents": list(parents),
        "allow_abbrev": False,
        "argument_default": argparse.SUPPRESS,
        "description": text[:1].upper() + text[1:] + ".",
        **more,
    }
