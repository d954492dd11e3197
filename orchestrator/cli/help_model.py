"""The command line as data, read from the parser that also prints `--help`: for the manual page."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from orchestrator.cli import parser as cli_parser
from orchestrator.cli.arguments import Group, Parser


@dataclass(frozen=True, slots=True)
class Option:
    """`strings` like -d and --detach, `value` the name of its argument (empty for none), `choices` the allowed ones."""

    strings: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command; the empty name is the program itself, which has no group. `commands` are its subcommands."""

    name: str
    help: str
    description: str
    usage: str
    options: tuple[Option, ...]
    commands: tuple[str, ...] = ()
    group: Group | None = None


def read() -> tuple[Command, ...]:
    """Return all commands, the program itself first."""
    parser = cli_parser.build()
    found = [_command("", "", parser)]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            found += [_command(name, helps[name], sub) for name, sub in action.choices.items()]
    return tuple(found)


def _command(name: str, text: str, parser: Parser) -> Command:
    actions = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    nested = [a for a in actions if isinstance(a, argparse._SubParsersAction)] if name else []
    return Command(
        name,
        _plain(text),
        _plain(parser.description or ""),
        " ".join(parser.format_usage().removeprefix("usage: ").split()),
        tuple(_option(action) for action in actions if action.option_strings),
        tuple(str(choice) for action in nested for choice in action.choices or ()),
        parser.group,
    )


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    value = "" if action.nargs == 0 else str(action.metavar or "|".join(choices) or action.dest.upper())
    return Option(tuple(action.option_strings), value, choices, _plain(action.help or ""))


def _plain(text: str) -> str:
    return text.replace("%%", "%")
