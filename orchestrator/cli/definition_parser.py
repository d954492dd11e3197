"""The arguments of the commands that read, convert or write a definition."""

from __future__ import annotations

import argparse

from orchestrator.cli import argument_groups, argument_types
from orchestrator.cli.arguments import Add, Group, Parser

EXPORT = "convert the definition for systemd, Kubernetes and others"
EXPORT_USAGE = "orchestrate export [options] TARGET [DIR]"
EXPORT_TEXT = (
    "Convert the definition for another tool and write the files to DIR. EXPORT-NOTES.txt lists each feature without a"
    " counterpart. Secrets are in separate files that only you can read."
)


def add_readers(add: Add, definition: Parser, selection: Parser, reads: Parser, formation: Parser) -> None:
    """Add the commands that read the definition without starting anything."""
    export = add(
        "export",
        EXPORT,
        definition,
        selection,
        reads,
        group=Group.DEFINE,
        usage=EXPORT_USAGE,
        description=EXPORT_TEXT,
    )
    add_export(export)

    check = add(
        "check", "check the definition and report all mistakes", definition, selection, reads, group=Group.DEFINE
    )
    argument_groups.names(check)

    config = add(
        "config",
        "print the resolved definition, with secrets masked",
        definition,
        selection,
        reads,
        group=Group.DEFINE,
    )
    argument_groups.names(config)
    config.add_argument("--json", action="store_true", help="print JSON")
    config.add_argument("--schema", action="store_true", help="print the JSON Schema of orchestrate.toml instead")

    doctor = add(
        "doctor",
        "check this machine and this directory, and say what to do",
        definition,
        selection,
        reads,
        group=Group.MORE,
        description="Check the definition, ports, leftovers of an earlier start, limits, terminals, /proc, disk, clock"
        " and packages. Each line is ok, a warning or an error with what to do. Exit with 1 after an error.",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object per line")

    env = add("env", "print the variables of a component and their origin", definition, formation, group=Group.DEFINE)
    env.add_argument(
        "name", nargs="?", metavar="NAME", help="a component or instance (default: the variables that all share)"
    )
    env.add_argument("--reveal", action="store_true", help="print secrets too")
    env.add_argument("--json", action="store_true", help="print JSON")

    graph = add("graph", "print the dependencies between components", definition, selection, group=Group.DEFINE)
    argument_groups.names(graph)
    add_shapes(graph)

    run = add(
        "run",
        "run a command in a component's environment, in this terminal",
        definition,
        formation,
        group=Group.RUN,
        usage="orchestrate run [options] [NAME] [-- COMMAND...]",
        description="Run a component's command, or COMMAND in its environment, in this terminal. Without NAME, run"
        " COMMAND in the environment that all components share. Exit with its status.",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME", help="a component or instance")


def add_export(export: Parser) -> None:
    """Add the arguments of `export`."""
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
    scope.add_argument(
        "--user", dest="scope", action="store_const", const="user", help="systemd: write units of the user"
    )
    scope.add_argument(
        "--system",
        dest="scope",
        action="store_const",
        const="system",
        help="systemd: write units of the system (default: if you are root)",
    )


def add_shapes(graph: Parser) -> None:
    """Add the options that say how a graph is printed."""
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
        "--start",
        metavar="N",
        type=argument_types.start,
        help="with --times: show start N; -1 is the last, -2 the one before",
    )


def add_writers(add: Add) -> None:
    """Add the commands that write a definition."""
    init = add(
        "init",
        "write orchestrate.toml for what this directory contains",
        group=Group.DEFINE,
        description="Write a commented orchestrate.toml for what this directory contains: a Procfile, Django, FastAPI"
        " or Flask, scripts of package.json, services of compose.yaml, an installed Airflow. Never overwrite a file.",
    )
    init.add_argument("--print", action="store_true", help="print the definition instead of writing the file")
    init.add_argument("-C", "--directory", metavar="DIR", help="change to DIR first")
    import_ = add(
        "import",
        "convert the definition of another tool to orchestrate.toml",
        group=Group.DEFINE,
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
