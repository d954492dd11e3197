"""The arguments of `orchestrate airflow` and its commands."""

from __future__ import annotations

import argparse
from typing import Any

from orchestrator.cli import argument_groups, definition_parser, output_parser
from orchestrator.cli.arguments import Add, Parser, add_command
from orchestrator.cli.commands import remote
from orchestrator.cli.definition_parser import EXPORT, EXPORT_TEXT


def add_airflow(parser: Parser, preset: Parser, reads: Parser, place: Parser, stream: Parser, life: Parser) -> None:
    """Add the commands of `airflow`."""
    parser.description = (
        "Run all of Apache Airflow, as `airflow standalone` does. The commands are for the Airflow of --home,"
        " AIRFLOW_HOME or ~/airflow, or for the only one that runs."
    )
    actions = parser.add_subparsers(metavar="ACTION", title="commands", parser_class=Parser)

    def add(name: str, text: str, *parents: Parser, **more: Any) -> Parser:
        action = add_command(actions, name, text, *parents, **more)
        action.set_defaults(preset="airflow")
        if action.get_default("module") == "airflow":
            action.set_defaults(action=name)
        return action

    for name, text in (
        ("info", "print version, home, URL, executor, database and workers"),
        ("password", "print the password of the admin"),
    ):
        add(name, text, preset, reads, module="airflow").add_argument("--json", action="store_true", help="print JSON")
    run = add(
        "run",
        "run Airflow's own command in the environment of its components",
        preset,
        reads,
        module="airflow",
        usage="orchestrate airflow run [options] -- ARGUMENT...",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="like: dags list")
    _add_hosts(add, preset, reads, place, stream, life)
    _add_preset_readers(add, preset, reads)
    output_parser.add_ps(add)
    output_parser.add_logs(add)
    output_parser.add_records(add)
    remote.add_commands(add)
    _add_start(add)
    output_parser.add_attach(add)
    output_parser.add_ui(add)
    output_parser.add_screens(add)
    for action in actions.choices.values():
        if "-C" in action._option_string_actions:  # of `argument_groups.which_system`
            action._option_string_actions["--home"].help = "use this AIRFLOW_HOME (default: the variable, or ~/airflow)"


def _add_hosts(add: Add, preset: Parser, reads: Parser, place: Parser, stream: Parser, life: Parser) -> None:
    """Add the commands for Celery workers on other hosts."""
    join = add(
        "join",
        "write the settings and secrets for a worker on another host",
        preset,
        reads,
        module="airflow_join",
        description="Write what a Celery worker on another host needs: broker, result backend, database (2.x) or"
        " execution API (3.x), secrets, versions and digests of the DAG files. Standard output becomes private (0600)"
        " if it is a file.",
    )
    join.add_argument("-o", "--output", metavar="FILE", help="write FILE, which only you can read")
    join.add_argument("--show", action="store_true", help="print the secrets even on a terminal")
    worker = add(
        "worker",
        "run Celery workers for an Airflow on another host",
        argument_groups.celery_workers(),
        place,
        stream,
        life,
        module="airflow_worker",
        description="Check this host, and run Celery workers for the Airflow that wrote FILE with `join`. The check"
        " compares versions, clocks and DAG files, and connects to all servers; each problem gets a line.",
    )
    worker.add_argument(
        "--env", dest="join_file", metavar="FILE", help="use the settings that `orchestrate airflow join` wrote"
    )
    worker.add_argument("--check", dest="check_only", action="store_true", help="check this host without starting")


def _add_preset_readers(add: Add, preset: Parser, reads: Parser) -> None:
    """Add the commands that show what the preset would start."""
    add("check", "check the configuration and report what prevents a start", preset, reads)
    config = add("config", "print the components as a definition, for orchestrate.toml", preset, reads)
    config.add_argument("--json", action="store_true", help="print JSON")
    env = add("env", "print the variables of a component and their origin", preset, reads)
    env.add_argument("name", nargs="?", metavar="NAME", help="a component (default: the variables that all share)")
    env.add_argument("--reveal", action="store_true", help="print secrets too")
    env.add_argument("--json", action="store_true", help="print JSON")
    export = add(
        "export",
        EXPORT,
        preset,
        reads,
        usage="orchestrate airflow export [options] TARGET [DIR]",
        description=EXPORT_TEXT,
    )
    definition_parser.add_export(export)
    export.add_argument(
        "--env",
        dest="join_file",
        metavar="FILE",
        help="systemd --whole: run Celery workers with the settings that `orchestrate airflow join` wrote",
    )
    graph = add("graph", "print the dependencies between components", preset, reads)
    definition_parser.add_shapes(graph)


def _add_start(add: Add) -> None:
    start = add("start", "start components of the running system, and what they need", module="up.start")
    argument_groups.names(start)
    start.add_argument("--json", action="store_true", help="print one JSON object per line")
    argument_groups.which_system(start)
