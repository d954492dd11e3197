"""Who is measured: orchestrate, honcho, `airflow standalone`'s algorithm, and a C program as the limit.

Each is a command line over the same components, and the pattern of what it puts before their lines (`?`: any byte).
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.workspace import Workspace

CHECKOUT = Path(__file__).parent.parent.parent
OWN_WIDTH = len("orchestrate")
AGAINST = "against"
against: list[str] = []  # the command of another orchestrate that is measured too; empty for none
# Settings of the caller that would change what is measured.
_DROPPED = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PYTHONUNBUFFERED", "NOTIFY_SOCKET")


@dataclass(frozen=True)
class Component:
    """A name, and a command for `sh -c`."""

    name: str
    command: str


@dataclass(frozen=True)
class Contender:
    """`argv` makes the command line, writing what it needs into the run's directory. `prefix` is the pattern before
    the lines of a component, whose names are all of one length; `own` that of the runner's own lines."""

    name: str
    argv: Callable[[Path, list[Component]], list[str]]
    prefix: Callable[[str], str]
    own: str = ""
    strips_colors: bool = False  # where its output is no terminal


def environment() -> dict[str, str]:
    """Return the environment of all runs: the caller's, less what would change a result.

    The checkout is made importable only where orchestrate is not installed: a longer path makes imports slower.
    """
    kept = {k: v for k, v in os.environ.items() if k not in _DROPPED and not k.startswith("ORCHESTRATE_")}
    if _installed() is None:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), kept.get("PYTHONPATH"))))
    return kept | {"TERM": "xterm-256color"}


def _installed() -> str | None:
    return shutil.which("orchestrate", path=os.path.dirname(sys.executable))


def orchestrate_command() -> list[str]:
    """Return the installed `orchestrate` beside this Python, or else the checkout's package."""
    installed = _installed()
    return [installed] if installed else [sys.executable, "-m", "orchestrator"]


def orchestrates(*options: str, strips_colors: bool = True) -> list[Contender]:
    """Return orchestrate; where it writes log files, once with them and once with `--no-log`."""
    help_text = subprocess.run(
        [*orchestrate_command(), "up", "--help"], env=environment(), capture_output=True, text=True, check=False
    ).stdout
    variants = [("orchestrate", options)]
    if "--no-log" in help_text:
        variants.append(("orchestrate --no-log", (*options, "--no-log")))
    return [_orchestrate(name, orchestrate_command(), given, strips_colors) for name, given in variants]


def rivals(*options: str, strips_colors: bool = True) -> list[Contender]:
    """Return the other orchestrate that bench was given, with these options, and honcho where it is installed."""
    others = [_orchestrate(AGAINST, against, options, strips_colors)] if against else []
    return [*others, *honchos()]


def _orchestrate(name: str, command: list[str], options: tuple[str, ...], strips_colors: bool) -> Contender:
    return Contender(
        name,
        lambda directory, components: [*command, "up", "-f", _procfile(directory, components), *options],
        lambda component: f"{component:{OWN_WIDTH}} | ",
        f"{'orchestrate':{OWN_WIDTH}} | ",
        strips_colors,
    )


def honchos() -> list[Contender]:
    """Return honcho, or nothing where it is not installed."""
    if importlib.util.find_spec("honcho") is None:
        return []
    return [
        Contender(
            "honcho",
            lambda directory, components: [
                *(sys.executable, "-c", "from honcho.command import main; main()"),
                *("start", "-f", _procfile(directory, components)),
            ],
            lambda component: f"??:??:?? {component + '.1':6} | ",
            "??:??:?? system",
        )
    ]


def standalone_alike() -> Contender:
    """Return the algorithm of `airflow standalone`."""
    program = str(Path(__file__).parent / "standalone_alike.py")
    return Contender(
        "standalone's way",
        lambda _, components: [sys.executable, program, *_flat(components)],
        lambda component: f"{component:10} | ",
    )


def limit(space: Workspace, *, pipes: bool = False) -> Contender:
    """Return the C program, over ptys or pipes."""
    return Contender(
        "C, pipes" if pipes else "C",
        lambda _, components: [str(space.program("drain")), *(["-p"] if pipes else []), *_flat(components)],
        lambda component: f"{component:{OWN_WIDTH}} | ",
    )


def versions() -> dict[str, str]:
    """Return the versions of what was measured; git's description of the checkout where there is one."""
    found = {"python": sys.version.split()[0]}
    for package in ("orchestrate", "honcho", "pexpect", "blessed", "filelock"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found | _commit()


def _commit() -> dict[str, str]:
    command = ["git", "-C", CHECKOUT, "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return {}
    return {"checkout": said} if said else {}


def _procfile(directory: Path, components: list[Component]) -> str:
    path = directory / "Procfile"
    path.write_text("".join(f"{c.name}: {c.command}\n" for c in components), encoding="utf-8")
    return str(path)


def _flat(components: list[Component]) -> list[str]:
    return [word for c in components for word in (c.name, c.command)]
