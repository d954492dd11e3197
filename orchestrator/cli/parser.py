"""The parser of the command line, from which `--help` is made."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Collection, Container, Mapping
from typing import Any

from orchestrator import __version__
from orchestrator.cli import argument_groups, output_parser
from orchestrator.cli.arguments import COLORS, Add, Gather, Group, NoCommandError, Parser, add_command, of_command
from orchestrator.config.units import parse_duration
from orchestrator.model.errors import UsageError
from orchestrator.model.names import composed

_HEAD = """\
usage: orchestrate [OPTION...] [COMMAND] [ARGUMENT...]

Run all components of a system under one parent, each in its own terminal.
Without a command: up.
"""

_FOOT = """\
Options:
  -f FILE        read this Procfile or orchestrate.toml
  -C DIR         change to DIR first
  -d             run in the background
  -h, --help     print this page
  -V, --version  print the version

Options of `up` work without a command too; `orchestrate up --help` lists them.
`orchestrate help COMMAND` describes a command, `orchestrate help` the manual.
"""


class _TopParser(Parser):
    """The parser of the whole command line. Its help lists commands in groups; the options are those of `up`."""

    def format_help(self) -> str:
        """Return the overview: each command in its group, and the options that are used most."""
        lines: dict[Group | None, list[str]] = {group: [] for group in Group}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:
                    lines[action.choices[choice.dest].group].append(f"  {choice.dest:<13}  {choice.help}")
        groups = ["\n".join([f"{group.value}:", *lines[group], ""]) for group in Group]
        return "\n".join([_HEAD, *groups, _FOOT])


def build(words: Collection[str] | None = None) -> Parser:
    """Return the parser. Options of the system may come before or after the command.

    With the words of a command line, only the commands among them get their arguments: those of all take 10 ms.
    """
    from orchestrator.cli import airflow_parser, definition_parser  # imported here, because `ui` needs none of them
    from orchestrator.cli.commands import remote

    formation, files = argument_groups.formation(), argument_groups.definition_files()
    definition, selection, place, stream, life, ends = (
        argument_groups.definition(files),
        argument_groups.selection(formation),
        argument_groups.place(),
        argument_groups.stream(),
        argument_groups.life(),
        argument_groups.ends(),
    )
    parser = _TopParser(
        prog="orchestrate",
        description="Run all components of a system under one parent, each in its own terminal.",
        epilog="Without a command: up.",
        parents=[definition, selection, place, stream, life, ends],
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"orchestrate {__version__}")
    _add_dry_run(parser)
    parser.set_defaults(module="up")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)

    def add(name: str, text: str, *parents: Parser, group: Group, **more: Any) -> Parser:
        if words is not None and name not in words:
            parents, more["arguments"] = (), None
        return add_command(commands, name, text, *parents, group=group, **more)

    def add_remote(name: str, text: str, *parents: Parser, **more: Any) -> Parser:
        return add(name, text, files, *parents, **more)

    for name, module, text, description in (
        ("up", "up", "run the system in the foreground", "Run the system."),
        (
            "start",
            "up.start",
            "start components of the running system, or the system itself",
            "Start components of the running system and what they depend on. Without a running system, run it.",
        ),
    ):
        parents = definition, selection, place, stream, life, ends
        up = add(name, text, *parents, group=Group.RUN, module=module, description=description)
        argument_groups.names(up)
        _add_dry_run(up)

    output_parser.add_ps(add_remote)
    output_parser.add_logs(add).add_argument(
        "--file",
        metavar="FILE",
        action=Gather,
        help="use the system that these files define (default: that of this directory)",
    )
    output_parser.add_ui(add_remote)
    output_parser.add_attach(add_remote)
    output_parser.add_records(add_remote)
    output_parser.add_screens(add_remote)
    output_parser.add_bundles(add_remote, add)
    remote.add_commands(add_remote)
    ls = add("ls", "list your running systems in all directories", group=Group.LOOK)
    ls.add_argument("--json", action="store_true", help="print one JSON object per line; times are UTC in ISO 8601")

    definition_parser.add_writers(add)
    reads = argument_groups.place(starts=False)
    _add_help(add)
    definition_parser.add_readers(add, definition, selection, reads, formation)
    preset = argument_groups.airflow()
    airflow = add(
        "airflow",
        "run Apache Airflow: database, admin user, all components",
        *(place, stream, life, preset),
        group=Group.RUN,
    )
    if words is None or "airflow" in words:
        airflow_parser.add_airflow(airflow, preset, reads, place, stream, life)
    _add_completion(add_remote)
    add("man", "print the manual page, for `man -l -`", group=Group.MORE)
    add("version", "print the version", group=Group.MORE)
    return parser


def _add_dry_run(parser: Parser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print what would be started without starting it",
    )


def _build_ui() -> Parser:
    """Return the parser of `orchestrate ui` alone, so that the view appears sooner."""

    def add(name: str, text: str, **more: Any) -> Parser:
        built.append(Parser(prog=f"orchestrate {name}", **of_command(text, argument_groups.definition_files(), **more)))
        built[0].set_defaults(module=name)
        return built[0]

    built: list[Parser] = []
    output_parser.add_ui(add)
    return built[0]


def _add_help(add: Add) -> None:
    help_ = add(
        "help",
        "print a page of the manual, or the help of a command",
        group=Group.MORE,
        description="Print a page of the manual, the help of a command, or the lines that contain a word."
        " Without TOPIC, list the topics. On a terminal, show it with $PAGER (default: less).",
    )
    help_.add_argument("words", nargs="*", metavar="TOPIC", help="a topic, a command, or a word to search for")
    help_.add_argument("--color", choices=COLORS, help="use colors (default: auto, on a terminal only)")


def _add_completion(add: Add) -> None:
    completion = add(
        "completion",
        "print or install the completion script of a shell",
        group=Group.MORE,
        description='Print the completion script of a shell: eval "$(orchestrate completion bash)". With --install,'
        " write it to where the shell looks for it.",
    )
    completion.add_argument("--install", action="store_true", help="write the script for your user (default: print it)")
    completion.add_argument(
        "shell",
        metavar="SHELL",
        nargs="?",
        default=None,
        choices=["bash", "zsh", "fish", "candidates"],
        help="bash, zsh or fish; candidates: what the scripts complete",
    )


_TIMES = ("--at", "--from", "--to")


def _joined(words: list[str]) -> list[str]:
    """Join an option with a time like `-30s`, which argparse would mistake for another option."""
    found: list[str] = []
    for word in words:
        if found and found[-1] in _TIMES and word[:1] == "-" and word[1:2].isdecimal():
            found[-1] = f"{found[-1]}={word}"
        else:
            found.append(word)
    return found


def _waits(words: list[str]) -> list[str]:
    """Give `--wait` without a number the value 0: with nargs="?" argparse would take the name of a component."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--wait":
            is_time = word.removeprefix("-").replace(".", "", 1).isdecimal() or parse_duration(word) is not None
            found[-1:] = [f"--wait={word}"] if is_time else ["--wait=0", word]
        else:
            found.append(word)
    return [*found[:-1], "--wait=0"] if found[-1:] == ["--wait"] else found


def _check_options_before(parser: Parser, words: list[str]) -> None:
    """Raise UsageError for an option before `airflow` that only the commands for a definition have."""
    airflow = next(
        action.choices["airflow"] for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    for word, action in parser.options_in(words):
        if action is not None and action not in airflow._actions:
            raise UsageError(
                f"airflow does not take {word.partition('=')[0]} before it", "see `orchestrate airflow --help`"
            )


def _after_the_command(parser: Parser, words: list[str]) -> list[str]:
    """Move options that only the command has from before it to after it: `-n 5 logs`. Return the words."""
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    for index, word in enumerate(words):
        if word in commands and (split := _split(parser, commands[word], words[:index])):
            before, moved = split
            return [*before, word, *moved, *words[index + 1 :]]
    return words


def _split(parser: Parser, command: Parser, words: list[str]) -> tuple[list[str], list[str]] | None:
    """Split the options before a command into those that stay there and those that only the command has. Return None
    if there are none of the latter, or if the words are not all options and their values."""
    before: list[str] = []
    moved: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.partition("=")[0]
        option = parser._option_string_actions.get(name)
        own = command._option_string_actions.get(name) if option is None else None
        action = option or own
        if action is None:
            return None
        part = [word, *([next(rest, "")] if action.nargs != 0 and "=" not in word else [])]
        (moved if own else before).extend(part)
    return (before, moved) if moved else None


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse `argv`; raises UsageError. The words after `--` are a command for `run` and remain unchanged."""
    end = argv.index("--") if "--" in argv else len(argv)
    words, command = _waits(_joined(argv[:end])), argv[end + 1 :]
    found = _parse_ui(words[1:]) if words[:1] == ["ui"] else None
    found = found or _parse_command(words)
    if "words" not in found:
        found.names = [*getattr(found, "names", ()), *command]
    _compose_names(found)
    found.command = tuple(command)
    return found


def _parse_ui(words: list[str]) -> argparse.Namespace | None:
    """Parse the words after `ui`; None after a mistake, which the whole parser reports."""
    with contextlib.suppress(UsageError):
        return _build_ui().parse_args(words)
    return None


def _parse_command(words: list[str]) -> argparse.Namespace:
    parser = build(words)
    words = _after_the_command(parser, words)
    try:
        found = parser.parse_args(words)
    except NoCommandError as error:
        if error.within:
            raise
        # `orchestrate web` is `orchestrate up web`.
        found = build(["up", *words]).parse_args(["up", *words])
        found.no_command = error
    if "airflow" in (found.module, getattr(found, "preset", "")):
        _check_options_before(parser, words)
    return found


def values(argv: list[str], defaults: Callable[[Container[str]], Mapping[str, object]]) -> dict[str, object]:
    """Parse `argv`; return the options that were given, by name, and the `module` of the command. Raises UsageError.

    `defaults` returns values for options that were not given. A path may begin with `~`: the shell expands it only at
    the beginning of a word, and so not in `--home=~/app`.
    """
    found = vars(parse(argv))
    found = {**defaults(found), **found}
    for name in ("home", "directory", "root", "log_dir"):
        if path := found.get(name):
            found[name] = os.path.expanduser(path)
    return found


def _compose_names(found: argparse.Namespace) -> None:
    """Write names of components as in the definition: in composed Unicode."""
    for key in (
        "names",
        "name",
        "only",
        "without",
        "formation",
        "formation_words",
        "no_tty",
        "quiet",
        "exit_code_from",
        "can_end",
    ):
        value = getattr(found, key, None)
        if isinstance(value, str):
            setattr(found, key, composed(value))
        elif value:
            setattr(found, key, [composed(word) for word in value])
