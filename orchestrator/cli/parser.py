"""The command line: what `--help` shows is what there is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from orchestrator import __version__
from orchestrator.cli import help_overview, options, remote_parser
from orchestrator.cli.options import NoCommandError, Parser
from orchestrator.config.durations import parse_duration
from orchestrator.model.errors import UsageError
from orchestrator.model.spec import composed

Add = Callable[..., Parser]


class _TopParser(Parser):
    """The parser of the whole command line. Its help lists commands in groups; the options are those of `up`."""

    def format_help(self) -> str:
        """Return the overview."""
        actions = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        return help_overview.page({choice.dest: choice.help or "" for a in actions for choice in a._choices_actions})


def build() -> Parser:
    """Return the parser. Options of the system stand before or after the command."""
    formation, files = options.formation(), options.definition_files()
    definition, selection, place, stream, life, ends = (
        options.definition(files),
        options.selection(formation),
        options.place(),
        options.stream(),
        options.life(),
        options.ends(),
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

    def add(name: str, text: str, *parents: Parser, module: str = "", **more: Any) -> Parser:
        command = add_command(commands, name, text, *parents, **more)
        command.set_defaults(module=module or name)
        return command

    for name, text, description in (
        ("up", "run the system in the foreground", "Run the system."),
        (
            "start",
            "start components of the running system, or the system itself",
            "Start components of the running system and what they depend on. Without a running system, run it.",
        ),
    ):
        up = add(name, text, definition, selection, place, stream, life, ends, description=description)
        options.names(up)
        _add_dry_run(up)
    _add_readers(add, definition, selection, place, formation)
    preset = options.airflow()
    airflow = add("airflow", "run Apache Airflow: database, admin user, all components", place, stream, life, preset)
    _add_airflow(airflow, preset, place)

    def add_remote(name: str, text: str, *parents: Parser, **more: Any) -> Parser:
        return add(name, text, files, *parents, **more)

    _add_logs(add).add_argument(
        "--file", metavar="FILE", action=options.Gather, help="the files that define the system, if it is not this one"
    )
    remote_parser.add_commands(add_remote)
    _add_attach(add_remote)
    _add_ui(add_remote)
    _add_screens(add_remote)
    _add_bundles(add_remote, add)
    _add_shell(add_remote)
    _add_writers(add)
    add("man", "print the manual page, for `man -l -`")
    ls = add("ls", "list your running systems in all directories")
    ls.add_argument("--json", action="store_true", help="print one JSON object per line")
    add("version", "print the version")
    help_ = add(
        "help",
        "print a page of the manual, or the help of a command",
        description="Print a page of the manual, the help of a command, or the lines that contain a word."
        " Without TOPIC, list the topics. On a terminal, show it with $PAGER (default: less).",
    )
    help_.add_argument("words", nargs="*", metavar="TOPIC", help="a topic, a command, or a word to search for")
    help_.add_argument("--color", choices=options.COLOURS, help="when to print colors (default: auto)")
    return parser


def add_command(commands: Any, name: str, text: str, *parents: Parser, **more: Any) -> Parser:
    """Add a command to subparsers."""
    command: Parser = commands.add_parser(
        name,
        help=text,
        parents=list(parents),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        **{"description": text[:1].upper() + text[1:] + ".", **more},
    )
    return command


def _add_dry_run(parser: Parser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print what would be started without starting it",
    )


def _add_readers(add: Add, definition: Parser, selection: Parser, place: Parser, formation: Parser) -> None:
    """Add the commands that read the definition and start nothing of it."""
    check = add("check", "check the definition and report all mistakes", definition, selection, place)
    options.names(check)

    config = add("config", "print the resolved definition, with secrets masked", definition, selection, place)
    options.names(config)
    config.add_argument("--json", action="store_true", help="print JSON")
    config.add_argument("--schema", action="store_true", help="print the JSON Schema of orchestrate.toml instead")

    doctor = add(
        "doctor",
        "check this machine and this directory, and say what to do",
        definition,
        selection,
        place,
        description="Check the definition, ports, leftovers of an earlier start, limits, terminals, /proc, disk, clock"
        " and packages. Each line is ok, a warning or an error with what to do. Exit with 1 after an error.",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object per line")

    env = add("env", "print the variables of a component and their origin", definition, formation)
    env.add_argument(
        "name", nargs="?", metavar="NAME", help="a component or instance (default: the variables that all share)"
    )
    env.add_argument("--reveal", action="store_true", help="print secrets too")
    env.add_argument("--json", action="store_true", help="print JSON")

    graph = add("graph", "print the dependencies between components", definition, selection)
    options.names(graph)
    _add_shapes(graph)

    _add_export(add("export", EXPORT, definition, selection, place, usage=EXPORT_USAGE, description=EXPORT_TEXT))

    run = add(
        "run",
        "run a command in a component's environment, in this terminal",
        definition,
        formation,
        usage="orchestrate run [options] [NAME] [-- COMMAND...]",
        description="Run a component's command, or COMMAND in its environment, in this terminal. Without NAME, run"
        " COMMAND in the environment that all components share. Exit with its status.",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME", help="a component or instance")


EXPORT = "convert the definition for systemd, Kubernetes and others"
EXPORT_USAGE = "orchestrate export [options] TARGET [DIR]"
EXPORT_TEXT = (
    "Convert the definition for another tool and write the files to DIR. EXPORT-NOTES.txt lists each feature without a"
    " counterpart. Secrets are in separate files that only you can read."
)


def _add_export(export: Parser) -> None:
    export.add_argument(
        "target",
        metavar="TARGET",
        choices=("systemd", "compose", "kubernetes", "helm-values", "procfile", "supervisord"),
        help="systemd, compose, kubernetes, helm-values, procfile or supervisord",
    )
    export.add_argument("output", nargs="?", metavar="DIR", help="write the files to DIR (default: the target's name)")
    export.add_argument("--force", action="store_true", help="replace files that exist")
    export.add_argument("--image", metavar="NAME", help="use this container image, which has the project in /app")
    export.add_argument("--whole", action="store_true", help="systemd: write one unit that runs orchestrate itself")
    scope = export.add_mutually_exclusive_group()
    scope.add_argument("--user", dest="scope", action="store_const", const="user", help="systemd: units of the user")
    scope.add_argument(
        "--system",
        dest="scope",
        action="store_const",
        const="system",
        help="systemd: units of the system (default: if you are root)",
    )


def _add_writers(add: Add) -> None:
    """Add the commands that write a definition."""
    init = add(
        "init",
        "write orchestrate.toml for what this directory contains",
        description="Write a commented orchestrate.toml for what this directory contains: a Procfile, Django, FastAPI"
        " or Flask, scripts of package.json, services of compose.yaml, an installed Airflow. Never overwrite a file.",
    )
    init.add_argument("--print", action="store_true", help="print the definition instead of writing the file")
    init.add_argument("-C", "--directory", metavar="DIR", help="change to DIR first")
    import_ = add(
        "import",
        "convert the definition of another tool to orchestrate.toml",
        module="import_",
        description="Convert a process-compose.yaml, mprocs.yaml, compose.yaml, supervisord.conf, package.json,"
        " Procfile, .foreman or .overmind.env to orchestrate.toml. Each key without a counterpart is listed on"
        " standard error.",
    )
    import_.add_argument("source", metavar="FILE", help="the file to convert")
    import_.add_argument(
        "-o", "--output", metavar="FILE", help="write this file (default: orchestrate.toml beside the source)"
    )
    import_.add_argument("--print", action="store_true", help="print the definition instead of writing a file")
    import_.add_argument("-C", "--directory", metavar="DIR", help="change to DIR first")


def _add_airflow(parser: Parser, preset: Parser, place: Parser) -> None:
    parser.description = (
        "Run all of Apache Airflow, as `airflow standalone` does. The commands are for the Airflow of --home,"
        " AIRFLOW_HOME or ~/airflow, or for the only one that runs."
    )
    actions = parser.add_subparsers(metavar="ACTION", title="commands", parser_class=Parser)

    def add(name: str, text: str, *parents: Parser, module: str = "", **more: Any) -> Parser:
        action = add_command(actions, name, text, *parents, **more)
        action.set_defaults(module=module or name, preset="airflow", action=name)
        return action

    for name, text in (
        ("info", "print version, home, URL, executor, database and workers"),
        ("password", "print the password of the admin"),
    ):
        add(name, text, preset, place, module="airflow").add_argument("--json", action="store_true", help="print JSON")
    run = add(
        "run",
        "run Airflow's own command in the environment of its components",
        preset,
        place,
        module="airflow",
        usage="orchestrate airflow run [options] -- ARGUMENT...",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="like: dags list")
    _add_preset_readers(add, preset, place)
    _add_logs(add)
    remote_parser.add_commands(add)
    _add_start(add)
    _add_attach(add)
    _add_ui(add)
    _add_screens(add)
    for action in actions.choices.values():
        if "-C" in action._option_string_actions:  # of `options.which_system`
            action._option_string_actions["--home"].help = "AIRFLOW_HOME (default: the variable, or ~/airflow)"


def _add_preset_readers(add: Add, preset: Parser, place: Parser) -> None:
    """Add the commands that show what the preset would start."""
    add("check", "check the configuration and report what prevents a start", preset, place)
    config = add("config", "print the components as a definition, for orchestrate.toml", preset, place)
    config.add_argument("--json", action="store_true", help="print JSON")
    env = add("env", "print the variables of a component and their origin", preset, place)
    env.add_argument("name", nargs="?", metavar="NAME", help="a component (default: the variables that all share)")
    env.add_argument("--reveal", action="store_true", help="print secrets too")
    env.add_argument("--json", action="store_true", help="print JSON")
    _add_export(
        add(
            "export",
            EXPORT,
            preset,
            place,
            usage="orchestrate airflow export [options] TARGET [DIR]",
            description=EXPORT_TEXT,
        )
    )
    graph = add("graph", "print the dependencies between components", preset, place)
    _add_shapes(graph)


def _add_shapes(graph: Parser) -> None:
    shape = graph.add_mutually_exclusive_group()
    shape.add_argument("--mermaid", dest="shape", action="store_const", const="mermaid", help="print a Mermaid diagram")
    shape.add_argument("--svg", dest="shape", action="store_const", const="svg", help="print a chart (with --times)")
    shape.add_argument("--dot", dest="shape", action="store_const", const="dot", help="print a Graphviz diagram")
    graph.add_argument(
        "--times",
        action="store_true",
        help="print when each was started, up and ready at the last start, and mark the critical path",
    )
    graph.add_argument(
        "--start", metavar="N", type=options.start, help="with --times: a start: -1 the last, -2 the one before, or N"
    )


def _add_start(add: Add) -> None:
    start = add("start", "start components of the running system, and what they need")
    options.names(start)
    start.add_argument("--json", action="store_true", help="print one JSON object per line")
    options.which_system(start)


def _add_logs(add: Add) -> Parser:
    logs = add(
        "logs",
        "print the log files of components",
        description="Print the log files of all or the named components, merged by time.",
    )
    logs.add_argument("names", nargs="*", metavar="NAME", help="a component's name, or a pattern like 'web*'")
    lines = logs.add_argument_group("lines")
    lines.add_argument("-f", "--follow", action="store_true", help="follow the logs until Ctrl-C")
    lines.add_argument("-n", "--lines", "--tail", metavar="N", type=options.count, help="print only the last N lines")
    lines.add_argument("--previous", action="store_true", help="print the run before the current one")
    lines.add_argument("--since", metavar="TIME", help="print only lines since TIME: 5m, 14:05, 2026-01-31T14:05")
    lines.add_argument("--until", metavar="TIME", help="print only lines until TIME")
    lines.add_argument("--grep", metavar="RE", help="print only lines that match a regular expression")
    _add_stream_form(logs)
    system = options.which_system(logs)
    system.add_argument("--log-dir", metavar="DIR", help="read log files from DIR (default: HOME/.orchestrate/logs)")
    return logs


def _add_stream_form(parser: Parser, condition: str = "") -> None:
    """Add the options that say how the lines of the log files are printed."""

    output = parser.add_argument_group("output")

    def add(*flags: str, text: str, **more: Any) -> None:
        output.add_argument(*flags, help=text + condition, **more)

    add("-t", "-T", "--timestamps", action="store_true", text="print the local time before each line")
    add("--utc", action="store_true", text="print the time in UTC before each line")
    add("--no-prefix", action="store_true", text="print lines without the component's name")
    add("--color", choices=options.COLOURS, text="use colors (default: auto, on a terminal only)")
    add("--no-color", action="store_const", const="never", dest="color", text="use no colors")
    add("--json", action="store_true", text="print one JSON object per line")


def _add_detach_keys(command: Parser) -> None:
    command.add_argument(
        "--detach-keys",
        metavar="KEYS",
        help="set the keys that detach, e.g. ctrl-p,ctrl-q (default: ctrl-\\,d; the first twice sends it once)",
    )


def _add_ui(add: Add) -> None:
    ui = add(
        "ui",
        "show components and their terminals in a full-screen view",
        description="Show all components and the selected one's terminal, log or output in a full-screen view. Leaving"
        " it does not affect the system. ? shows all keys.",
    )
    _add_detach_keys(ui)
    ui.add_argument("--color", choices=options.COLOURS, help="use colors (default: auto, on a terminal only)")
    options.which_system(ui)


def _add_bundles(add_remote: Add, add: Add) -> None:
    bundle = add_remote(
        "bundle",
        "write logs, history and definition into one file",
        description="Write what is needed to discuss an incident elsewhere into one archive: history, logs, screens at"
        " exits, definition, versions and limits. Secrets are masked, also their known values in output.",
    )
    bundle.add_argument("path", metavar="FILE", help="a new file: FILE.zip, FILE.tar.gz or FILE.tar.zst")
    bundle.add_argument("--since", metavar="TIME", help="logs since TIME: 10m, 14:05, 2026-01-31T14:05 (default: all)")
    options.which_system(bundle)
    bundle.add_argument("--log-dir", metavar="DIR", help="read log files from DIR (default: HOME/.orchestrate/logs)")
    opened = add(
        "open",
        "run why, logs, screen and others on a bundle",
        module="open_bundle",
        usage="orchestrate open FILE [why|logs|screen|replay|history|ps|graph] [ARGUMENT...]",
        description="Run a command on a bundle, without a running system. Without a command: what it is, and why.",
    )
    opened.add_argument("path", metavar="FILE", help="what `orchestrate bundle` wrote")
    opened.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="like: logs web --since 5m")


def _add_screens(add: Add) -> None:
    screen = add(
        "screen",
        "print a component's terminal, now or at a past time",
        description="Print what a component's terminal shows, or showed at a past time, from its log.",
    )
    _add_recording(screen)
    screen.add_argument(
        "--at", metavar="TIME", help="a time (14:02:11, 5m ago, -30s before the last output), or crash: the last exit"
    )
    screen.add_argument("--plain", action="store_true", help="print no colors")
    screen.add_argument("--json", action="store_true", help="print rows, styles, cursor and title as JSON")
    replay = add(
        "replay",
        "replay a component's terminal",
        description="Replay what a component's terminal showed, from its log. Ctrl-C quits.",
    )
    _add_recording(replay)
    replay.add_argument(
        "--from", dest="begin", metavar="TIME", help="begin at TIME (default: the last run's beginning)"
    )
    replay.add_argument("--to", dest="end", metavar="TIME", help="end at TIME (default: the last output)")
    replay.add_argument("--speed", metavar="N", type=options.speed, help="how many times faster, such as 4 or 0.5")
    replay.add_argument("--asciicast", metavar="FILE", help="write asciinema's format to FILE instead (-: stdout)")
    replay.add_argument(
        "--asciicast-version", metavar="N", choices=("2", "3"), help="version of that format: 2 (default) or 3"
    )


def _add_recording(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a component or instance")
    options.which_system(parser)
    parser.add_argument("--log-dir", metavar="DIR", help="read log files from DIR (default: HOME/.orchestrate/logs)")


def _add_attach(add: Add) -> None:
    attach = add(
        "attach",
        "attach this terminal to a component, or follow all output",
        description="Attach this terminal to a component. All keys go to it, Ctrl-C too; Ctrl-\\ d detaches.",
    )
    attach.add_argument("name", nargs="?", metavar="NAME", help="a component or instance (default: the merged stream)")
    attach.add_argument("-r", "--read-only", action="store_true", help="only watch; send no keys")
    attach.add_argument("--take-over", action="store_true", help="take over from the terminal that is typing now")
    _add_detach_keys(attach)
    _add_stream_form(attach, " (without NAME)")
    options.which_system(attach)


def _add_shell(add: Add) -> None:
    completion = add(
        "completion",
        "print or install the completion script of a shell",
        description='Print the completion script of a shell: eval "$(orchestrate completion bash)". With --install,'
        " write it to where the shell looks for it.",
    )
    completion.add_argument("--install", action="store_true", help="write the script for your user (default: print it)")
    completion.add_argument(
        "shell",
        nargs="?",
        default=None,
        choices=["bash", "zsh", "fish", "candidates"],
        help="the shell; candidates: what the scripts complete",
    )


# Set after parsing: an option stands before or after its command, and a default of the later would hide the earlier.
_DEFAULTS: dict[str, object] = {
    "file": None,
    "directory": None,
    "env": None,
    "env_override": False,
    "base_port": None,
    "only": None,
    "without": None,
    "formation": None,
    "profile": None,
    "no_deps": False,
    "no_tty": None,
    "home": None,
    "bundle": "",
    "preset": "",
    "timeout": None,
    "end_survivors": False,
    "color": None,
    "timestamps": False,
    "no_prefix": False,
    "no_status": False,
    "ui": False,
    "json": False,
    "quiet": (),
    "bell": False,
    "log_dir": None,
    "no_log": False,
    "log_size": None,
    "log_files": None,
    "history": None,
    "all": False,
    "start": None,
    "diff": None,
    "history_size": None,
    "dry_run": False,
    "names": (),
    "no_command": None,
    "name": None,
    "words": (),
    "command": (),
    "reveal": False,
    "schema": False,
    "shape": "text",
    "times": False,
    "at": None,
    "plain": False,
    "begin": None,
    "end": None,
    "speed": 1.0,
    "asciicast": None,
    "path": "",
    "asciicast_version": "2",
    "print": False,
    "install": False,
    "output": None,
    "follow": False,
    "lines": None,
    "since": None,
    "until": None,
    "utc": False,
    "previous": False,
    "grep": None,
    "airflow": None,
    "executor": None,
    "force": False,
    "image": None,
    "whole": False,
    "scope": None,
    "workers": 1,
    "concurrency": None,
    "queues": None,
    "worker_grace": None,
    "flower": False,
    "servers": None,
    "action": "",
    "port": None,
    "bind": None,
    "any_port": False,
    "no_port": False,
    "no_init": False,
    "wait_for_database": options.WAIT_FOR_DATABASE,
    "detach": False,
    "wait": None,
    "on_exit": None,
    "exit_code_from": None,
    "can_end": None,
    "shell": "",
    "on_hangup": None,
    "watch": False,
    "verb": "",
    "awaited": "ready",
    "limit": None,
    "signal": "",
    "text": "",
    "read_only": False,
    "take_over": False,
    "detach_keys": None,
    "location": None,
    "root": None,
}


_TIMES = ("--at", "--from", "--to")


def _joined(words: list[str]) -> list[str]:
    """Join an option with a time like `-30s`, which argparse would take for another option."""
    found: list[str] = []
    for word in words:
        if found and found[-1] in _TIMES and word[:1] == "-" and word[1:2].isdecimal():
            found[-1] = f"{found[-1]}={word}"
        else:
            found.append(word)
    return found


def _waits(words: list[str]) -> list[str]:
    """Give a bare `--wait` its value: with nargs="?" argparse would take the name of a component for one."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--wait":
            is_time = word.replace(".", "", 1).isdecimal() or parse_duration(word) is not None
            found[-1:] = [f"--wait={word}"] if is_time else ["--wait=0", word]
        else:
            found.append(word)
    return [*found[:-1], "--wait=0"] if found[-1:] == ["--wait"] else found


def _check_options_before(parser: Parser, words: list[str]) -> None:
    """Raise UsageError for an option before the command that only the commands for a definition have."""
    airflow = next(
        action.choices["airflow"] for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    for word, action in parser.options_in(words):
        if action is not None and action not in airflow._actions:
            raise UsageError(
                f"airflow does not take {word.partition('=')[0]} before it", "see `orchestrate airflow --help`"
            )


def _after_the_command(parser: Parser, words: list[str]) -> list[str]:
    """Return the words with options that only the command has, and that stand before it, after it: `-n 5 logs`."""
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    for index, word in enumerate(words):
        if word in commands and (split := _split(parser, commands[word], words[:index])):
            before, moved = split
            return [*before, word, *moved, *words[index + 1 :]]
    return words


def _split(parser: Parser, command: Parser, words: list[str]) -> tuple[list[str], list[str]] | None:
    """Return options before a command: those that stay there, and those that only the command has. None if there is
    none of the second kind, or if the words are not all options and their values."""
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
    """Parse `argv`; raises UsageError. After `--` stands a command for `run`, as it is."""
    end = argv.index("--") if "--" in argv else len(argv)
    words, command = _waits(_joined(argv[:end])), argv[end + 1 :]
    parser = build()
    words = _after_the_command(parser, words)
    try:
        found = parser.parse_args(words)
    except NoCommandError as error:
        if error.within:
            raise
        # `orchestrate web` is `orchestrate up web`.
        found = build().parse_args(["up", *words])
        found.no_command = error
    if "airflow" in (found.module, getattr(found, "preset", "")):
        _check_options_before(parser, words)
    if "words" not in found:
        found.names = [*getattr(found, "names", ()), *command]
    _compose_names(found)
    return argparse.Namespace(**{**_DEFAULTS, **vars(found), "command": tuple(command)})


def _compose_names(found: argparse.Namespace) -> None:
    """Write names of components as the definition has them: in composed Unicode."""
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
