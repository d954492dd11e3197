"""Groups of options that several commands share, and the parser they belong to."""

from __future__ import annotations

import argparse
import functools
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from orchestrator.config.diagnostics import did_you_mean
from orchestrator.config.durations import parse_duration
from orchestrator.model.errors import UsageError

DAY = 86400
MANY = 5  # options that a usage line has at most
COLOURS = ("auto", "always", "never")
_NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # what argparse takes for a value


class NoCommandError(UsageError):
    """The first word, `word`, is no command; `within` whether that of another command, like `airflow`."""

    def __init__(self, message: str, hint: str, *, word: str, within: bool) -> None:
        super().__init__(message, hint)
        self.word = word
        self.within = within


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return what formats help; argparse makes one for each argument that is added, and each asks for the width."""
    return argparse.HelpFormatter(prog, width=_width())


@functools.cache
def _width() -> int:
    return shutil.get_terminal_size().columns - 2


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing a page of usage."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"formatter_class": _formatter, **more})

    def format_usage(self) -> str:
        """Return the usage; more options than fit on a few lines are only listed below it."""
        self._shorten_usage()
        return super().format_usage()

    def format_help(self) -> str:
        """Return the help, with the same usage."""
        self._shorten_usage()
        return super().format_help()

    def _shorten_usage(self) -> None:
        if self.usage is None and len(self._get_optional_actions()) > MANY:
            usage = " ".join(super().format_usage().removeprefix("usage: ").split())
            self.usage = re.sub(r"(?: \[-[^\[\]]*\])+", " [OPTION...]", usage, count=1).replace("%", "%%")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(message, f"see `{self.prog} --help`")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; raises UsageError for an unknown option, which argparse reports only after what follows it."""
        for word, action in self.options_in(args or ()):
            if action is None:
                name = word.partition("=")[0]
                near = did_you_mean(name, self._option_string_actions).removeprefix("; ")
                raise UsageError(f"unrecognized option {name!r}", near or f"see `{self.prog} --help`")
        return super().parse_known_args(args if args is None else self._arguments_first(args), namespace)

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
            if rest and (nargs is None or (nargs == "?" and not rest[-1].startswith("-"))):
                found.append(rest.pop())
        return [*arguments, *found]

    def _nargs_after(self, word: str) -> int | str | None:
        """Return what an option takes from the words after it, as argparse has it: None is one value, 0 is nothing."""
        known = self._option_string_actions
        if action := known.get(word):
            return action.nargs
        letters = "" if word.startswith("--") else word[1:]
        for index, letter in enumerate(letters):
            if (action := known.get(f"-{letter}")) is None or action.nargs != 0:
                return action.nargs if action and index == len(letters) - 1 else 0
        return 0

    def options_in(self, words: Sequence[str]) -> Iterator[tuple[str, argparse.Action | None]]:
        """Yield the words that look like options, each with what this command knows of it.

        The search ends at a command, or at a command line to run: what follows belongs to that.
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
            near = did_you_mean(value, known)
            if not near and len(value) == 2:  # one letter of two: `uo` for `up`
                near = did_you_mean(value, [name for name in known if len(name) == 2], 0.5)
            raise NoCommandError(
                f"unknown command {value!r}",
                near.removeprefix("; ") or f"see `{self.prog} --help`",
                word=value,
                within=" " in self.prog,
            )
        super()._check_value(action, value)


class Gather(argparse.Action):
    """Like `append`, but also across the command: `-f a up -f b` are two files. The parsers share the action."""

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


WAIT_FOR_DATABASE = 30.0  # seconds


def seconds(text: str) -> float:
    """Read a duration: a number of seconds, or with units."""
    value = parse_duration(text)
    if value is None:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
    if not 0 <= value <= DAY:
        raise argparse.ArgumentTypeError(f"invalid duration {text!r}: expected seconds up to {DAY}, or 5s, 1m30s")
    return value


def count(text: str) -> int:
    """Read a number of lines."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"invalid number of lines {text!r}: expected a whole number")
    return int(text)


def size(text: str) -> int:
    """Read a number of bytes, with k, M or G for thousands, millions or billions of them."""
    match = re.fullmatch(r"([0-9]{1,15})([kmg]?)b?", text.lower())
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f"invalid size {text!r}: expected bytes, or a number with k, M or G")
    unit: int = 1000 ** " kmg".index(match[2] or " ")
    return int(match[1]) * unit


def files(text: str) -> int:
    """Read a number of files, one at least."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"invalid number of files {text!r}: expected 1 to 9999")
    return int(text)


def starts(text: str) -> int:
    """Read a number of starts."""
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise argparse.ArgumentTypeError(f"invalid number of starts {text!r}: expected 0 to 9999")
    return int(text)


def start(text: str) -> int:
    """Read the number of a start; negative numbers count from the last one."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"invalid start {text!r}: expected a number, or -1 for the last, -2, ...")
    return int(text)


def workers(text: str) -> int:
    """Read a number of workers."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"invalid number of workers {text!r}: expected 0 to 1000")
    return int(text)


def tasks(text: str) -> int:
    """Read a number of tasks, one at least."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"invalid number of tasks {text!r}: expected 1 to 10000")
    return int(text)


def port(text: str) -> int:
    """Read the number of a port."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"invalid port {text!r}: expected 1 to 65535")
    return int(text)


def _group(title: str, *parents: Parser) -> Parser:
    """Return a parser for options that others take as parents; their help lists them under `title`."""
    parser = Parser(add_help=False, argument_default=argparse.SUPPRESS, parents=parents)
    parser._optionals.title = title  # argparse joins the groups of parents that have the same title
    return parser


def definition_files() -> Parser:
    """Return the options that name the files of the system. Commands for a running one take them to find its home."""
    options = _group("definition")
    options.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        action=Gather,
        help="read a Procfile or a file *.toml; several are merged, - is standard input"
        " (default: ./orchestrate.toml, else ./Procfile)",
    )
    options.add_argument(
        "--root",
        metavar="DIR",
        help="run the components in DIR, with its .env and home (default: the directory of FILE)",
    )
    options.add_argument(
        "-e",
        "--env",
        metavar="FILES",
        action=Gather,
        help="read variables from these files, separated by commas; ?FILE may be missing (default: .env)",
    )
    options.add_argument("--env-override", action="store_true", help="let .env files override the shell's variables")
    return options


def definition(files: Parser) -> Parser:
    """Return the options that say where the system is defined."""
    options = _group("definition", files)
    options.add_argument("-C", "--directory", metavar="DIR", help="change to DIR before reading the definition")
    options.add_argument(
        "-p", "--port", dest="base_port", metavar="BASE", type=port, help="PORT of the first component (default: 5000)"
    )
    options.add_argument("--no-port", action="store_true", help="assign no PORT; a `port` in the definition counts")
    options.add_argument("--any-port", action="store_true", help="use free ports instead of those that are in use")
    return options


def formation() -> Parser:
    """Return the option that says how many instances there are."""
    options = _group("selection")
    options.add_argument(
        "-m", "--formation", metavar="NAME=N", action=Gather, help="set the number of instances: web=2,worker=1,all=1"
    )
    return options


def selection(formation: Parser) -> Parser:
    """Return the options that say which components of it run, and in how many instances."""
    options = _group("selection", formation)
    options.add_argument(
        "-l",
        "--only",
        metavar="NAMES",
        action=Gather,
        help="start only these, separated by commas, and what they depend on",
    )
    options.add_argument("-x", "--except", dest="without", metavar="NAMES", action=Gather, help="start all but these")
    options.add_argument("--profile", metavar="NAME", action=Gather, help="also start the components of this profile")
    options.add_argument("--no-deps", action="store_true", help="do not start what the named components depend on")
    options.add_argument(
        "--no-tty", metavar="NAMES", action=Gather, help="give these components pipes instead of a terminal"
    )
    options.add_argument("--no-init", action="store_true", help="skip the initial steps of the definition")
    return options


def airflow() -> Parser:
    """Return the options that say which Airflow is meant, and how it runs."""
    options = _group("Airflow")
    options.add_argument(
        "--airflow", metavar="PATH", help="use this airflow command or environment (default: airflow on PATH)"
    )
    options.add_argument(
        "--executor", metavar="NAME", help="use this executor: local, celery or a class (default: as configured)"
    )
    options.add_argument(
        "--workers", metavar="N", type=workers, help="run N Celery workers, with CeleryExecutor (default: 1)"
    )
    options.add_argument(
        "--concurrency", metavar="N", type=tasks, help="run N tasks at a time in each worker (default: as configured)"
    )
    options.add_argument("--queues", metavar="NAMES", help="let the workers serve these queues, separated by commas")
    options.add_argument(
        "--worker-grace",
        metavar="SECONDS",
        type=seconds,
        help="give running tasks SECONDS when a worker stops (default: 60)",
    )
    options.add_argument("--flower", action="store_true", help="also run Flower, the web interface of Celery")
    options.add_argument(
        "--with",
        dest="servers",
        metavar="NAMES",
        help="also run these servers, with data in the home: redis,postgresql",
    )
    options.add_argument("--only", metavar="NAMES", help="start only these components, separated by commas")
    options.add_argument("--except", dest="without", metavar="NAMES", help="start all but these components")
    options.add_argument("--port", metavar="PORT", type=port, help="set the port of the web interface")
    options.add_argument("--bind", metavar="ADDRESS", help="set the address that the web interface listens on")
    options.add_argument("--any-port", action="store_true", help="use free ports instead of those that are in use")
    options.add_argument(
        "--wait-for-database",
        metavar="SECONDS",
        type=seconds,
        help="retry for SECONDS if the database does not answer (default: 30)",
    )
    return options


def place() -> Parser:
    """Return the options that say where the state is kept."""
    options = _group("state and stop")
    options.add_argument("--home", metavar="DIR", help="keep the lock, state and logs in DIR/.orchestrate")
    options.add_argument(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="kill what has not exited SECONDS after the stop signal, e.g. 5 or 1m30s",
    )
    options.add_argument(
        "--end-survivors",
        action="store_true",
        help="kill leftovers of an earlier start (default: ask, if on a terminal)",
    )
    return options


def life() -> Parser:
    """Return the options that say how long it lives with its terminal."""
    options = _group("lifetime")
    options.add_argument(
        "-d", "--detach", action="store_true", help="run in the background; return when all components are started"
    )
    options.add_argument(
        "--on-hangup",
        choices=("stop", "detach"),
        help="what to do when the terminal closes (default: stop; detach under nohup)",
    )
    options.add_argument(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        help="stop and exit with 4 unless all are ready within SECONDS; with -d, return when all are ready",
    )
    return options


def ends() -> Parser:
    """Return the options that say what the end of a component does to the system."""
    options = _group("exits")
    options.add_argument("--on-exit", choices=("stop", "ignore"), help="override every component's on_exit")
    options.add_argument(
        "--can-end",
        metavar="NAMES",
        action=Gather,
        help="let these end without stopping the system, whatever their status",
    )
    options.add_argument(
        "--exit-code-from", metavar="NAME", help="stop the system when NAME exits, and exit with its status"
    )
    return options


def stream() -> Parser:
    """Return the options that say how the output looks."""
    options = _group("output")
    options.add_argument("--color", choices=COLOURS, help="use colors (default: auto, on a terminal only)")
    options.add_argument("-T", "--timestamps", action="store_true", help="print the local time before each line")
    options.add_argument("--utc", action="store_true", help="print the time in UTC before each line")
    options.add_argument("--no-prefix", action="store_true", help="print lines without the component's name")
    options.add_argument("--no-status", action="store_true", help="show no row of states and keys below the output")
    options.add_argument("--ui", action="store_true", help="open the full-screen view")
    options.add_argument("--json", action="store_true", help="print one JSON object per line")
    options.add_argument(
        "--quiet", metavar="NAMES", action=Gather, help="do not print the output of these; their logs have it"
    )
    options.add_argument("--bell", action="store_true", help="ring the terminal's bell when something fails")
    options.add_argument("--log-dir", metavar="DIR", help="write log files to DIR (default: HOME/.orchestrate/logs)")
    options.add_argument("--no-log", action="store_true", help="write no log files")
    options.add_argument(
        "--log-size", metavar="BYTES", type=size, help="rotate logs at this size, e.g. 500k (default: 50M)"
    )
    options.add_argument("--log-files", metavar="N", type=files, help="keep N files of each log (default: 5)")
    options.add_argument(
        "--history", metavar="N", type=starts, help="keep the records of the last N starts, 0 for none (default: 20)"
    )
    options.add_argument(
        "--history-size", metavar="BYTES", type=size, help="limit each record to this size, e.g. 500k (default: 5M)"
    )
    return options


def names(parser: argparse.ArgumentParser) -> None:
    """Add the names of components."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="a component, or a pattern like 'web*' (default: all)")


def speed(text: str) -> float:
    """Read the speed of a replay."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"invalid speed {text!r}: expected 0.01 to 1000")
    return value


def which_system(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that say which system is meant; return their group."""
    group = parser.add_argument_group("system")
    group.add_argument("-C", "--directory", metavar="DIR", help="change to DIR first")
    group.add_argument("--home", metavar="DIR", help="home of the system (default: the directory of its definition)")
    return group
