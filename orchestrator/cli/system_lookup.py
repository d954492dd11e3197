"""Finds the system that a command in a second terminal is for.

It is the one of this directory, or the one that options name. If nothing runs there and no definition is there either,
it is AIRFLOW_HOME's, or the only one that this user runs. `orchestrate airflow COMMAND` looks for AIRFLOW_HOME's first.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import location, settings
from orchestrator.control.client import NotRunning, connect
from orchestrator.model.errors import NotRunningError
from orchestrator.runtime.home import Home

if TYPE_CHECKING:
    from orchestrator.runtime.system_list import SystemListEntry

AIRFLOW_HOME = "~/airflow"


def system_of(options: argparse.Namespace, home: Home) -> Home:
    """Return the home of the system that the command is for; `home` is the one of this directory and these options.

    What is found elsewhere is reported, and noted in the options, so that it is looked up only once. Raises
    NotRunningError if several systems could be meant.
    """
    if options.preset:
        return _airflow(options)
    if options.home:
        return home
    where = location.locate(options)
    if where.is_inherited and is_running(here := Home(where.base)):
        return here  # started with -f -, or with --home
    if options.directory or (where.files and not where.is_inherited):
        return home
    if is_running(home):
        if where.is_inherited:
            print(f"orchestrate: using the system in {home.directory}", file=sys.stderr, flush=True)
        return home
    why = f"no system is running in {home.directory}"
    if (named := settings.variable("AIRFLOW_HOME")) and (found := _running_airflow(airflow_home(named))):
        return _use(options, found, why)
    entry = _only(home, settings.system_list().running())
    return home if entry is None else _use(options, Home(Path(entry.home)), why)


def _airflow(options: argparse.Namespace) -> Home:
    directory = airflow_home(options.home, options.directory)
    if found := _running_airflow(directory):
        return _use(options, found)
    home = Home(directory)
    if options.home:
        return home
    entry = _only(home, [entry for entry in settings.system_list().running() if entry.airflow_home], "Airflow")
    return home if entry is None else _use(options, Home(Path(entry.home)), f"no Airflow is running in {directory}")


def _running_airflow(directory: Path) -> Home | None:
    """Return the home of the system that runs this AIRFLOW_HOME, alone or as a part of a definition."""
    if is_running(home := Home(directory)):
        return home
    entries = settings.system_list().running()
    return next((Home(Path(e.home)) for e in entries if e.airflow_home and _is_same(e.airflow_home, directory)), None)


def airflow_of(options: argparse.Namespace) -> Home:
    """Return the AIRFLOW_HOME that `info` and its like are about: the one that is named, the default if it runs, or
    the only one that does. Raises NotRunningError if several run."""
    home = Home(airflow_home(options.home, options.directory))
    if options.home or settings.variable("AIRFLOW_HOME") or _running_airflow(home.directory):
        return home
    running = [entry for entry in settings.system_list().running() if entry.airflow_home]
    if entry := _only(home, running, "Airflow"):
        print(
            f"orchestrate: no Airflow is running in {home.directory}; using {entry.airflow_home}",
            file=sys.stderr,
            flush=True,
        )
        return Home(Path(entry.airflow_home))
    return home


def airflow_home(named: str | None, base: str | None = None) -> Path:
    """Return AIRFLOW_HOME, as Airflow would find it; `named` is the value of --home, `base` that of -C."""
    text = named or settings.variable("AIRFLOW_HOME") or AIRFLOW_HOME
    return Path(base or ".", os.path.expanduser(os.path.expandvars(text))).absolute()


def is_running(home: Home) -> bool:
    """Whether a supervisor listens in this home."""
    try:
        connect(home.control_path).close()
    except NotRunning:
        return False
    except OSError:  # it listens, and refuses this user
        return True
    return True


def others() -> str:
    """Return a hint that names the systems of this user that run; empty if there are none."""
    homes = [entry.home for entry in settings.system_list().running()]
    return f"running elsewhere: {', '.join(homes)}; name one with --home DIR" if homes else ""


def _only(home: Home, running: list[SystemListEntry], what: str = "system") -> SystemListEntry | None:
    if len(running) > 1:
        homes = ", ".join(entry.home for entry in running)
        raise NotRunningError(home.directory, f"{len(running)} run elsewhere: {homes}; name one with --home DIR", what)
    return running[0] if running else None


def _use(options: argparse.Namespace, home: Home, why: str = "") -> Home:
    if why:
        print(f"orchestrate: {why}; using the one in {home.directory}", file=sys.stderr, flush=True)
    options.home, options.directory, options.preset = str(home.directory), None, ""
    return home


def _is_same(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
