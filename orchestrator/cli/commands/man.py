"""`orchestrate man`: the manual page as man(7) source, made from the parser, as `--help` is."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import __version__
from orchestrator.cli import help_model, manual
from orchestrator.cli.help_model import Command, Option
from orchestrator.cli.manual import Page

STATUSES = (
    ("0", "ended by down, or all components exited successfully"),
    ("1", "failed"),
    ("2", "the command line or the definition is wrong"),
    ("3", "no system is running in this home"),
    ("4", "not ready in time"),
    ("75", "another instance holds the home"),
    ("other", "of the component that ended the system; of a signal as the shell shows it, 128 + n"),
)


@dataclass(frozen=True, slots=True)
class ManOptions:
    """`man` has no options."""


def run(options: ManOptions) -> int:
    """Print the manual page."""
    print(page(help_model.read(), tuple(manual.pages().values())))
    return 0


def page(found: tuple[Command, ...], topics: tuple[Page, ...] = ()) -> str:
    """Return the source of the page."""
    bare, *others = found
    lines = [
        f'.TH ORCHESTRATE 1 "" "orchestrate {__version__}" "User Commands"',
        ".SH NAME",
        r"orchestrate \- run all components of a system under one parent",
        ".SH SYNOPSIS",
        ".B orchestrate",
        "[options] [command] [NAME...]",
        ".SH DESCRIPTION",
        _text(bare.description),
        "Without a command: up.",
        ".SH OPTIONS",
        *(line for option in bare.options for line in _option(option)),
        ".SH COMMANDS",
    ]
    for command in others:
        lines += [f".SS {_text(command.name)}", _text(command.description), ".PP", f".I {_text(command.usage)}"]
        if command.commands:
            lines += [".PP", _text(f"ACTION is one of {', '.join(command.commands)}.")]
        lines += [line for option in command.options if "-h" not in option.strings for line in _option(option)]
    lines.append(".SH EXIT STATUS")
    for status, text in STATUSES:
        lines += [".TP", f".B {status}", _text(text)]
    lines += [".SH MANUAL", "A page of the manual is printed by", '.BR "orchestrate help" " \\fITOPIC\\fR."']
    for topic in topics:
        lines += [".TP", f".B {_text(topic.topic)}", _text(topic.summary)]
    return "\n".join(lines)


def _option(option: Option) -> list[str]:
    words = ", ".join(f"\\fB{_text(string)}\\fR" for string in option.strings)
    value = f" \\fI{_text(option.value)}\\fR" if option.value else ""
    return [".TP", words + value, _text(option.help)]


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
