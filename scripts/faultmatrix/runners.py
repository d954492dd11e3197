"""Who is compared: orchestrate, and whatever of its field is installed here. Each gets a grace of GRACE seconds, and
the settings that leave least behind, where it has any."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

GRACE = 5
HERE = Path(__file__).parent

SUPERVISOR = """[supervisord]
nodaemon=true
user={user}
logfile=/dev/null
logfile_maxbytes=0
pidfile={directory}/supervisord.pid
"""
PROGRAM = """[program:{name}]
command=/bin/sh -c {command}
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
redirect_stderr=true
stopwaitsecs={grace}
stopasgroup=true
killasgroup=true
"""


@dataclass(frozen=True)
class Runner:
    """`argv` makes the command line from a directory of its own, and a command for `sh -c` by component name."""

    name: str
    version: str
    argv: Callable[[Path, dict[str, str]], list[str]]


def installed(custom: list[str]) -> list[Runner]:
    """Return orchestrate, then the others that were found, then those of the command line."""
    found = [_orchestrate(), *filter(None, (_honcho(), _foreman(), _supervisor(), _concurrently())), _standalone()]
    return found + [_custom(text) for text in custom]


def procfile(directory: Path, components: dict[str, str]) -> str:
    """Write a Procfile and return its path."""
    path = directory / "Procfile"
    path.write_text("".join(f"{name}: {command}\n" for name, command in components.items()), encoding="utf-8")
    return str(path)


def _orchestrate() -> Runner:
    found = shutil.which("orchestrate", path=os.path.dirname(sys.executable))
    command = [found] if found else [sys.executable, "-m", "orchestrator"]
    version = _output([*command, "--version"]).split()[-1:]
    return Runner(
        "orchestrate",
        version[0] if version else "?",
        lambda directory, components: [*command, "up", "-f", procfile(directory, components), "-t", str(GRACE)],
    )


def _honcho() -> Runner | None:
    """Its grace cannot be set: it is 5 seconds."""
    if importlib.util.find_spec("honcho"):
        command, version = [sys.executable, "-c", "from honcho.command import main; main()"], metadata.version("honcho")
    elif found := shutil.which("honcho"):
        command, version = [found], _output([found, "version"]).split()[-1]
    else:
        return None
    return Runner("honcho", version, lambda directory, c: [*command, "start", "-f", procfile(directory, c)])


def _foreman() -> Runner | None:
    if not (found := shutil.which("foreman")):
        return None
    return Runner(
        "foreman",
        _output([found, "version"]),
        lambda directory, c: [found, "start", "-f", procfile(directory, c), "-t", str(GRACE)],
    )


def _supervisor() -> Runner | None:
    if not (found := shutil.which("supervisord")):
        return None

    def argv(directory: Path, components: dict[str, str]) -> list[str]:
        path = directory / "supervisord.conf"
        programs = [
            PROGRAM.format(name=name, command=shlex.quote(command), grace=GRACE) for name, command in components.items()
        ]
        path.write_text(SUPERVISOR.format(directory=directory, user=os.getuid()) + "".join(programs), encoding="utf-8")
        return [found, "-c", str(path)]

    return Runner("supervisor", _output([found, "--version"]), argv)


def _concurrently() -> Runner | None:
    if not (found := shutil.which("concurrently")):
        return None
    return Runner(
        "concurrently",
        _output([found, "--version"]),
        lambda _, c: [found, "--kill-others", "--kill-timeout", str(GRACE * 1000), "-n", ",".join(c), *c.values()],
    )


def _standalone() -> Runner:
    program = str(HERE / "standalones_way.py")
    return Runner(
        "standalone's way",
        "2.6 to 3.3",
        lambda _, c: [sys.executable, "-S", "-E", program, *(word for pair in c.items() for word in pair)],
    )


def _custom(text: str) -> Runner:
    words = shlex.split(text)
    return Runner(
        words[0],
        "",
        lambda directory, c: [
            procfile(directory, c) if word == "{}" else word for word in (words if "{}" in words else [*words, "{}"])
        ],
    )


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
