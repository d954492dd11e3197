"""`orchestrate help [TOPIC]`: the topics of the manual, one page, the help of a command, or a search."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass

from orchestrator.cli import manual, settings
from orchestrator.cli import parser as cli_parser
from orchestrator.cli.arguments import Parser
from orchestrator.cli.markdown import Style
from orchestrator.config.diagnostics import did_you_mean
from orchestrator.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class HelpOptions:
    """The options of `help`; `words` are a topic, a command, or a word to search for."""

    words: tuple[str, ...] = ()
    color: str | None = None


def run(options: HelpOptions) -> int:
    """Print the list of topics, or what the words name. Raises UsageError if nothing matches."""
    pages, words = manual.pages(), options.words
    page = pages.get("-".join(words).lower())
    command = _command(words)
    if not words:
        source = manual.topics(pages)
    elif command is not None and page is None:
        print(command.format_help(), end="")
        return 0
    elif command is not None and page is not None:
        source = f"```\n{command.format_help()}```\n\n{page.source}"
    elif page is not None:
        source = page.source
    else:
        source = manual.search(pages, " ".join(words))
    if not source:
        known = [*_children(cli_parser.build()), *pages]
        near = did_you_mean(" ".join(words), known).removeprefix("; ")
        raise UsageError(f"unknown command or topic {' '.join(words)!r}", near or "`orchestrate help` lists the topics")
    manual.show(source, _style(options))
    return 0


def _style(options: HelpOptions) -> Style:
    found = settings.read(options.color)
    columns = min(shutil.get_terminal_size().columns, manual.WIDEST) if found.erases else 80
    return Style(columns, found.colors, found.colors and found.hyperlinks)


def _command(words: tuple[str, ...]) -> Parser | None:
    """Return the parser of a command such as `logs` or `airflow info`, None if there is none of this name."""
    parser: Parser | None = cli_parser.build()
    for word in words:
        parser = _children(parser).get(word) if parser else None
    return parser


def _children(parser: Parser) -> dict[str, Parser]:
    return {
        name: child
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, child in action.choices.items()
    }
