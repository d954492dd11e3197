"""The arguments of the commands that show a system: ps, logs, attach, ui, why, history, screen, replay and bundles."""

from __future__ import annotations

import argparse
from typing import Any

from orchestrator.cli import argument_groups, argument_types
from orchestrator.cli.arguments import COLORS, Add, Group, Parser


def add_ps(add: Add) -> None:
    """Add `ps`."""
    ps = add(
        "ps",
        "list the components of the running system",
        group=Group.LOOK,
        description="List the components of the running system. The memory is that of the whole process tree.",
    )
    argument_groups.names(ps)
    argument_groups.report(ps)
    ps.add_argument(
        "-a",
        "--all",
        action="store_true",
        help="also list what was removed, and the last start if no system is running",
    )
    ps.add_argument("-w", "--watch", action="store_true", help="print again every 2 s, until Ctrl-C")


def add_logs(add: Add) -> Parser:
    """Add `logs`, and return its parser."""
    logs = add(
        "logs",
        "print the log files of components",
        group=Group.LOOK,
        description="Print the log files of all or the named components, merged by time.",
    )
    logs.add_argument("names", nargs="*", metavar="NAME", help="a component's name, or a pattern like 'web*'")
    lines = logs.add_argument_group("lines")
    lines.add_argument("-f", "--follow", action="store_true", help="follow the logs until Ctrl-C")
    lines.add_argument(
        "-n", "--lines", "--tail", metavar="N", type=argument_types.count, help="print only the last N lines"
    )
    lines.add_argument("--previous", action="store_true", help="print the run before the current one")
    lines.add_argument("--since", metavar="TIME", help="print only lines since TIME: 5m, 14:05, 2026-01-31T14:05")
    lines.add_argument("--until", metavar="TIME", help="print only lines until TIME")
    lines.add_argument("--grep", metavar="RE", help="print only lines that match a regular expression")
    add_stream_form(logs)
    system = argument_groups.which_system(logs)
    system.add_argument("--log-dir", metavar="DIR", help="read log files from DIR (default: HOME/.orchestrate/logs)")
    return logs


def add_stream_form(parser: Parser, condition: str = "") -> None:
    """Add the options that say how the lines of the log files are printed."""

    output = parser.add_argument_group("output")

    def add(*flags: str, text: str, **more: Any) -> None:
        output.add_argument(*flags, help=text + condition, **more)

    add("-t", "-T", "--timestamps", action="store_true", text="print the local time before each line")
    add("--utc", action="store_true", text="print the time in UTC before each line")
    add("--no-prefix", action="store_true", text="print lines without the component's name")
    add("--color", choices=COLORS, text="use colors (default: auto, on a terminal only)")
    add("--no-color", action="store_const", const="never", dest="color", text="use no colors")
    add("--json", action="store_true", text="print one JSON object per line")


def add_attach(add: Add) -> None:
    """Add `attach`."""
    attach = add(
        "attach",
        "attach this terminal to a component, or follow all output",
        group=Group.LOOK,
        description="Attach this terminal to a component. All keys go to it, Ctrl-C too; Ctrl-\\ d detaches.",
    )
    attach.add_argument("name", nargs="?", metavar="NAME", help="a component or instance (default: the merged stream)")
    attach.add_argument("-r", "--read-only", action="store_true", help="only watch; send no keys")
    attach.add_argument("--take-over", action="store_true", help="take over from the terminal that is typing now")
    _add_detach_keys(attach)
    add_stream_form(attach, " (without NAME)")
    argument_groups.which_system(attach)


def add_ui(add: Add) -> None:
    """Add `ui`."""
    ui = add(
        "ui",
        "show components and their terminals in a full-screen view",
        group=Group.LOOK,
        description="Show all components and the selected one's terminal, log or output in a full-screen view. Leaving"
        " it does not affect the system. ? shows all keys.",
    )
    _add_detach_keys(ui)
    ui.add_argument("--color", choices=COLORS, help="use colors (default: auto, on a terminal only)")
    argument_groups.which_system(ui)


def _add_detach_keys(command: Parser) -> None:
    command.add_argument(
        "--detach-keys",
        metavar="KEYS",
        help="set the keys that detach, e.g. ctrl-p,ctrl-q (default: ctrl-\\,d; the first twice sends it once)",
    )


def add_records(add: Add) -> None:
    """Add `why` and `history`."""
    why = add(
        "why",
        "print why components failed, restarted or do not start",
        group=Group.EXPLAIN,
        description="Print why components failed, restarted or do not start. Without NAME: those that are not in the"
        " desired state, and why the system exited. After the end it answers from the record.",
    )
    argument_groups.names(why)
    argument_groups.report(why)
    why.add_argument(
        "--start",
        metavar="N",
        type=argument_types.start,
        help="explain start N; -1 is the last, -2 the one before",
    )
    history = add(
        "history",
        "list the recorded starts and how they ended",
        group=Group.EXPLAIN,
        description="List the recorded starts and how they ended. With --diff: what changed since the last earlier"
        " start that became ready. No value of a variable is recorded.",
    )
    argument_groups.report(history)
    history.add_argument(
        "--diff",
        nargs="?",
        const=-1,
        metavar="START",
        type=argument_types.start,
        help="print what changed in this start (default: the last)",
    )


def add_screens(add: Add) -> None:
    """Add `screen` and `replay`."""
    screen = add(
        "screen",
        "print a component's terminal, now or at a past time",
        group=Group.EXPLAIN,
        description="Print what a component's terminal shows, or showed at a past time, from its log.",
    )
    _add_recording(screen)
    screen.add_argument(
        "--at",
        metavar="TIME",
        help="print the screen at TIME: 14:02:11, 5m (ago), -30s (before the last output), or crash (the last exit)",
    )
    screen.add_argument("--plain", action="store_true", help="print no colors")
    screen.add_argument(
        "--json", action="store_true", help="print time (UTC, ISO 8601), rows, styles, cursor and title as JSON"
    )
    replay = add(
        "replay",
        "replay a component's terminal",
        group=Group.EXPLAIN,
        description="Replay what a component's terminal showed, from its log. Ctrl-C quits.",
    )
    _add_recording(replay)
    replay.add_argument(
        "--from", dest="begin", metavar="TIME", help="begin at TIME (default: the last run's beginning)"
    )
    replay.add_argument("--to", dest="end", metavar="TIME", help="end at TIME (default: the last output)")
    replay.add_argument(
        "--speed", metavar="N", type=argument_types.speed, help="play N times as fast, e.g. 4 or 0.5 (default: 1)"
    )
    replay.add_argument("--asciicast", metavar="FILE", help="write asciinema's format to FILE instead (-: stdout)")
    replay.add_argument(
        "--asciicast-version", metavar="N", choices=("2", "3"), help="write this version of the format (default: 2)"
    )


def _add_recording(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a component or instance")
    argument_groups.which_system(parser)
    parser.add_argument("--log-dir", metavar="DIR", help="read log files from DIR (default: HOME/.orchestrate/logs)")


def add_bundles(add_remote: Add, add: Add) -> None:
    """Add `bundle` and `open`."""
    bundle = add_remote(
        "bundle",
        "write logs, history and definition into one file",
        group=Group.EXPLAIN,
        description="Write what is needed to discuss an incident elsewhere into one archive: history, logs, screens at"
        " exits, definition, versions and limits. Secrets are masked, also their known values in output.",
    )
    bundle.add_argument("path", metavar="FILE", help="a new file: FILE.zip, FILE.tar.gz or FILE.tar.zst")
    bundle.add_argument(
        "--since", metavar="TIME", help="include logs since TIME: 10m, 14:05, 2026-01-31T14:05 (default: all)"
    )
    argument_groups.which_system(bundle)
    bundle.add_argument("--log-dir", metavar="DIR", help="read log files from DIR (default: HOME/.orchestrate/logs)")
    opened = add(
        "open",
        "run why, logs, screen and others on a bundle",
        group=Group.EXPLAIN,
        module="open_bundle",
        usage="orchestrate open FILE [why|logs|screen|replay|history|ps|graph] [ARGUMENT...]",
        description="Run a command on a bundle, without a running system. Without a command: what it is, and why.",
    )
    opened.add_argument("path", metavar="FILE", help="what `orchestrate bundle` wrote")
    opened.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="like: logs web --since 5m")
