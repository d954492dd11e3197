"""Groups of options that several commands share."""

from __future__ import annotations

import argparse

from orchestrator.cli.argument_types import files, port, seconds, size, starts, tasks, workers
from orchestrator.cli.arguments import COLORS, Gather, Parser


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
        "-p",
        "--port",
        dest="base_port",
        metavar="BASE",
        type=port,
        help="set PORT of the first component (default: 5000)",
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


def celery_workers() -> Parser:
    """Return the options that say which Airflow is meant, and how its Celery workers run."""
    options = _group("Airflow")
    options.add_argument(
        "--airflow", metavar="PATH", help="use this airflow command or environment (default: airflow on PATH)"
    )
    options.add_argument("--workers", metavar="N", type=workers, help="run N Celery workers (default: 1)")
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
    return options


def airflow() -> Parser:
    """Return the options that say which Airflow is meant, and how it runs."""
    options = _group("Airflow", celery_workers())
    options.add_argument(
        "--executor", metavar="NAME", help="use this executor: local, celery or a class (default: as configured)"
    )
    options.add_argument("--flower", action="store_true", help="also run Flower, the web interface of Celery")
    options.add_argument(
        "--with",
        dest="servers",
        metavar="NAMES",
        help="also run these servers, with data in the home: redis,postgresql",
    )
    options.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="let Celery workers on other hosts connect, to this address of this host (default: this host only)",
    )
    options.add_argument(
        "--only", dest="components", metavar="NAMES", help="start only these components, separated by commas"
    )
    options.add_argument("--except", dest="left_out", metavar="NAMES", help="start all but these components")
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


def place(*, starts: bool = True) -> Parser:
    """Return the options that say where the state is kept, and how leftovers and components are stopped.

    The help of a command that `starts` nothing does not show the latter: it takes them, as it takes those of `up`.
    """
    options = _group("state and stop" if starts else "state")
    options.add_argument("--home", metavar="DIR", help="keep the lock, state and logs in DIR/.orchestrate")
    options.add_argument(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="kill what has not exited SECONDS after the stop signal, e.g. 5 or 1m30s" if starts else argparse.SUPPRESS,
    )
    options.add_argument(
        "--end-survivors",
        action="store_true",
        help="kill leftovers of an earlier start (default: ask, if on a terminal)" if starts else argparse.SUPPRESS,
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
        help="stop and exit with 4 unless all are ready within SECONDS (default: no limit); with -d, return when all"
        " are ready, and leave the system running if they are not",
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
    options.add_argument("--color", choices=COLORS, help="use colors (default: auto, on a terminal only)")
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


def which_system(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that say which system is meant; return their group."""
    group = parser.add_argument_group("system")
    group.add_argument("-C", "--directory", metavar="DIR", help="change to DIR first")
    group.add_argument(
        "--home", metavar="DIR", help="use the system with this home (default: the directory of its definition)"
    )
    return group


def report(parser: argparse.ArgumentParser) -> None:
    """Add the options of most commands for a running system: the output format, and which system is meant."""
    parser.add_argument("--json", action="store_true", help="print one JSON object per line; times are UTC in ISO 8601")
    which_system(parser)
