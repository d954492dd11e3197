"""Who is compared: orchestrate, and whatever of its field is installed here. Each gets a grace of GRACE seconds, and
the settings that leave least behind, where it has any."""

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from faultmatrix.scenes import Scene, Stage
from faultmatrix.trial import PYTHON

GRACE = 5
OURS = "orchestrate"
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


STEPS = """[init.{name}]
command = {command}
"""
COMPONENT = """[components.{name}]
command = {command}
"""
RESTART = """restart = {policy = "always", backoff = [60, 60]}
"""


@dataclass(frozen=True)
class Runner:
    """`argv` makes the command line from a directory of its own and a scene; `stages` are those that it has; `pauses`
    is what it says when a component is to be started again."""

    name: str
    version: str
    argv: Callable[[Path, Scene], list[str]]
    stages: tuple[Stage, ...] = (Stage.UP,)
    pauses: bytes = b""


def installed(custom: list[str]) -> list[Runner]:
    """Return orchestrate, then the others that were found, then those of the command line."""
    found = [_orchestrate(), *filter(None, (_honcho(), _foreman(), _supervisor(), _concurrently())), _standalone()]
    return found + [_custom(text) for text in custom]


def procfile(directory: Path, scene: Scene) -> str:
    """Write a Procfile and return its path."""
    return _write(directory / "Procfile", "".join(f"{name}: {c}\n" for name, c in scene.components.items()))


def _write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def _toml(directory: Path, scene: Scene) -> str:
    """Write an orchestrate.toml, whose first component is what the stage says; a JSON string is one of TOML's."""
    (first, command), *others = scene.components.items()
    form = STEPS if scene.stage is Stage.STEP else COMPONENT + RESTART
    text = form.replace("{name}", first).replace("{command}", json.dumps(command))
    text += "".join(COMPONENT.format(name=name, command=json.dumps(command)) for name, command in others)
    return _write(directory / "orchestrate.toml", text)


def _orchestrate() -> Runner:
    found = shutil.which("orchestrate", path=os.path.dirname(sys.executable))
    command = [found] if found else [sys.executable, "-m", "orchestrator"]
    version = _output([*command, "--version"]).split()[-1:]

    def argv(directory: Path, scene: Scene) -> list[str]:
        write = procfile if scene.stage is Stage.UP else _toml
        return [*command, "up", "-f", write(directory, scene), "-t", str(GRACE)]

    return Runner(OURS, version[0] if version else "?", argv, tuple(Stage), b" again in ")


def _honcho() -> Runner | None:
    """Its grace cannot be set: it is 5 seconds."""
    if importlib.util.find_spec("honcho"):
        command, version = [sys.executable, "-c", "from honcho.command import main; main()"], metadata.version("honcho")
    elif found := shutil.which("honcho"):
        command, version = [found], _output([found, "version"]).split()[-1]
    else:
        return None
    return Runner("honcho", version, lambda directory, scene: [*command, "start", "-f", procfile(directory, scene)])


def _foreman() -> Runner | None:
    if not (found := shutil.which("foreman")):
        return None
    return Runner(
        "foreman",
        _output([found, "version"]),
        lambda directory, scene: [found, "start", "-f", procfile(directory, scene), "-t", str(GRACE)],
    )


def _supervisor() -> Runner | None:
    if not (found := shutil.which("supervisord")):
        return None

    def argv(directory: Path, scene: Scene) -> list[str]:
        programs = [
            PROGRAM.format(name=name, command=shlex.quote(command), grace=GRACE)
            for name, command in scene.components.items()
        ]
        text = SUPERVISOR.format(directory=directory, user=os.getuid()) + "".join(programs)
        return [found, "-c", _write(directory / "supervisord.conf", text)]

    return Runner(
        "supervisor", _output([found, "--version"]), argv, (Stage.UP, Stage.BACKOFF), b"exit status 7; not expected"
    )


def _concurrently() -> Runner | None:
    if not (found := shutil.which("concurrently")):
        return None

    def argv(_: Path, scene: Scene) -> list[str]:
        again = ["--restart-tries", "9", "--restart-after", "60000"] if scene.stage is Stage.BACKOFF else []
        names, commands = ",".join(scene.components), scene.components.values()
        return [found, "--kill-others", "--kill-timeout", str(GRACE * 1000), *again, "-n", names, *commands]

    return Runner("concurrently", _output([found, "--version"]), argv, (Stage.UP, Stage.BACKOFF), b"leaves")


def _standalone() -> Runner:
    program = [*PYTHON, str(HERE / "standalones_way.py")]
    return Runner(
        "standalone's way",
        "2.6 to 3.3",
        lambda _, scene: [*program, *(word for pair in scene.components.items() for word in pair)],
    )


def _custom(text: str) -> Runner:
    words = shlex.split(text)
    words = words if "{}" in words else [*words, "{}"]
    return Runner(
        words[0],
        "",
        lambda directory, scene: [procfile(directory, scene) if word == "{}" else word for word in words],
    )


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
