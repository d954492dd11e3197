"""The command line: what `--help` shows is what there is."""

from __future__ import annotations

import argparse
from typing import NoReturn

from orchestrator import __version__
from orchestrator.model.errors import UsageError


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing a page of usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see `{self.prog} --help`")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


def _system_options() -> _Parser:
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    options.add_argument("-f", "--file", metavar="FILE", help="the Procfile (default: ./Procfile)")
    options.add_argument("-C", "--directory", metavar="DIR", help="go there first")
    return options


def _run_options() -> _Parser:
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    options.add_argument("--home", metavar="DIR", help="where the lock and the state are kept (in DIR/.orchestrate)")
    options.add_argument(
        "-t", "--timeout", metavar="SECONDS", type=_seconds, help="grace period between stop signal and kill"
    )
    options.add_argument(
        "--color", choices=["auto", "always", "never"], help="colours (default: auto, on a terminal only)"
    )
    options.add_argument("-T", "--timestamps", action="store_true", help="the time of day before each line")
    options.add_argument("--no-prefix", action="store_true", help="lines without the component's name")
    options.add_argument("--json", action="store_true", help="one JSON object a line: time, component, instance, text")
    options.add_argument(
        "--quiet", metavar="NAME", action="append", help="keep a component's lines off the screen (not out of its log)"
    )
    options.add_argument("--log-dir", metavar="DIR", help="where the log files go (default: HOME/.orchestrate/logs)")
    options.add_argument("--no-log", action="store_true", help="keep no log files")
    return options


def build() -> _Parser:
    """Return the parser. Options of the system stand before or after the command."""
    system, run = _system_options(), _run_options()
    parser = _Parser(
        prog="orchestrate",
        description="Runs all components of a system under one parent, each in a real terminal of its own.",
        epilog="Without a command: up.",
        parents=[system, run],
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"orchestrate {__version__}")
    parser.set_defaults(module="up")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser)

    for name, text in (("up", "run the system in the foreground"), ("start", "the same")):
        command = commands.add_parser(
            name, help=text, description="Runs the system.", parents=[system, run], allow_abbrev=False
        )
        command.set_defaults(module="up")

    airflow = commands.add_parser(
        "airflow",
        help="run Apache Airflow: database, admin user, all components",
        description="Runs all of Apache Airflow, as `airflow standalone` does.",
        parents=[run],
        allow_abbrev=False,
    )
    airflow.add_argument("--airflow", metavar="PATH", help="the airflow command to use (default: the one on PATH)")
    airflow.set_defaults(module="airflow")

    logs = commands.add_parser(
        "logs",
        help="print what components have written, from their log files",
        description="Prints the log files of all components, or of those named, merged by time.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    logs.add_argument("names", nargs="*", metavar="NAME", help="a component's name, or a pattern like 'web*'")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written, until Ctrl-C")
    logs.add_argument("-n", "--lines", metavar="N", type=_count, help="only the last N lines")
    logs.add_argument("--since", metavar="TIME", help="only lines since then: 5m, 1h30m, 14:05, 2026-01-31T14:05")
    logs.add_argument("--until", metavar="TIME", help="only lines until then")
    logs.add_argument("--grep", metavar="RE", help="only lines that match a regular expression")
    logs.add_argument("-T", "--timestamps", action="store_true", help="the UTC time before each line")
    logs.add_argument("--json", action="store_true", help="one JSON object a line: time, instance, text")
    logs.add_argument("--no-color", action="store_const", const="never", dest="color", help="without colours")
    logs.add_argument("-C", "--directory", metavar="DIR", help="go there first")
    logs.add_argument("--home", metavar="DIR", help="the home (default: this directory)")
    logs.add_argument("--log-dir", metavar="DIR", help="where the log files are (default: HOME/.orchestrate/logs)")
    logs.set_defaults(module="logs")

    version = commands.add_parser("version", help="print the version", allow_abbrev=False)
    version.set_defaults(module="version")
    return parser


_DEFAULTS: dict[str, object] = {
    "file": None,
    "directory": None,
    "home": None,
    "timeout": None,
    "color": None,
    "timestamps": False,
    "no_prefix": False,
    "json": False,
    "quiet": (),
    "log_dir": None,
    "no_log": False,
    "names": (),
    "follow": False,
    "lines": None,
    "since": None,
    "until": None,
    "grep": None,
    "airflow": None,
}


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse `argv`; raises UsageError. Options stand before or after the command, so their defaults are set here."""
    options = build().parse_args(argv)
    return argparse.Namespace(**{**_DEFAULTS, **vars(options)})
