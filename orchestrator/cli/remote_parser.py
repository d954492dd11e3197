"""The arguments of the commands for a running system."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.cli import options
from orchestrator.cli.options import Parser

Add = Callable[..., Parser]


def add_commands(add: Add) -> None:
    """Add them all. `add` adds a command, with the options that name the system's files if it has any."""
    ps = _add(add, "ps", "list the components of the running system", "The memory is that of the whole process tree.")
    ps.add_argument(
        "-a",
        "--all",
        action="store_true",
        help="also list what was removed, and the last start if no system is running",
    )
    ps.add_argument("-w", "--watch", action="store_true", help="print again every 2 s, until Ctrl-C")
    for name, text in (
        ("stop", "stop components; the system keeps running"),
        ("restart", "stop components and start them again"),
        ("kill", "kill components immediately; the system keeps running"),
    ):
        _add(add, name, text, module="change").set_defaults(verb=name)
    _add_scale(add)
    _add_signal(add)
    _add_send(add)
    why = _add(
        add,
        "why",
        "print why components failed, restarted or do not start",
        "Without NAME: those that are not in the desired state, and why the system exited. After the end it answers"
        " from the record.",
    )
    why.add_argument("--start", metavar="N", type=options.start, help="a start: -1 the last, -2 the one before, or N")
    history = _add(
        add,
        "history",
        "list the recorded starts and how they ended",
        "With --diff: what changed since the last earlier start that became ready. No value of a variable is recorded.",
        named=False,
    )
    history.add_argument(
        "--diff",
        nargs="?",
        const=-1,
        metavar="START",
        type=options.start,
        help="what changed (default: the last start)",
    )
    _add(add, "events", "print state changes of components until Ctrl-C")
    wait = _add(add, "wait", "wait until components are ready or have exited")
    until = wait.add_mutually_exclusive_group()
    until.add_argument(
        "--ready", dest="awaited", action="store_const", const="ready", help="wait until all are ready (default)"
    )
    until.add_argument(
        "--exit",
        dest="awaited",
        action="store_const",
        const="exit",
        help="wait until all have exited; exit with their status",
    )
    wait.add_argument(
        "--timeout", dest="limit", metavar="SECONDS", type=options.seconds, help="give up after SECONDS and exit with 4"
    )
    _add(add, "status", "print whether the system is running; exit with 3 if not", named=False)
    _add(add, "down", "stop the running system and wait until it has exited", named=False)


def _add(add: Add, name: str, text: str, more: str = "", module: str = "", *, named: bool = True) -> Parser:
    description = f"{text[:1].upper()}{text[1:]}. {more}".strip()
    command = add(name, text, module=module or name, description=description)
    if named:
        options.names(command)
    _add_means(command)
    return command


def _add_means(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object per line")
    options.which_system(command)


def _add_scale(add: Add) -> None:
    command = add("scale", "change the number of instances of components")
    command.add_argument(
        "formation_words", nargs="+", metavar="NAME=N", help="a component and its number of instances: web=3"
    )
    _add_means(command)


def _add_signal(add: Add) -> None:
    command = add("signal", "send a signal to components", module="send_signal")
    command.add_argument("signal", metavar="SIGNAL", help="a name or number, e.g. HUP")
    command.add_argument("names", nargs="+", metavar="NAME", help="a component, or a pattern like 'web*'")
    _add_means(command)


def _add_send(add: Add) -> None:
    command = add("send", "type text into a component's terminal")
    command.add_argument("name", metavar="NAME", help="a component or instance")
    command.add_argument("text", metavar="TEXT", help=r"the keys; \r is Enter, \x03 Ctrl-C; also \n \t \e \0 \\")
    options.which_system(command)
