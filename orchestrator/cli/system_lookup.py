"""Finds the system that a command in another terminal is for.

It is the system of this directory, or of the home that the options name. If there is neither a running system nor a
definition, it is that of AIRFLOW_HOME, or the only one that this user runs. `orchestrate airflow COMMAND` tries
AIRFLOW_HOME first.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import links, location, settings
from orchestrator.cli.options import LocationOptions
from orchestrator.control.client import NotRunning, connect
from orchestrator.model.errors import NotRunningError
from orchestrator.runtime.home import Home

if TYPE_CHECKING:
    from orchestrator.runtime.system_list import SystemListEntry

AIRFLOW_HOME = "~/airflow"


@dataclass(frozen=True, slots=True)
class FoundSystem:
    """The home of the system that a command is for, and options that name it without another search."""

    home: Home
    options: LocationOptions


def home_of(options: LocationOptions) -> Home:
    """Return the home that `up` with the same options has."""
    return Home(location.home_of(options), options.bundle)


def find(options: LocationOptions) -> FoundSystem:
    """Return the system that a command with these options is for.

    A system that is found elsewhere is reported. Raises NotRunningError if several systems could be meant.
    """
    if options.preset:
        return _airflow(options)
    return _of_directory(options, home_of(options))


def is_guessed(options: LocationOptions) -> bool:
    """Return whether the options name no system, and neither a definition nor a running system is here: `find` returns
    the only one that runs."""
    home = home_of(options)
    return not (
        options.preset
        or options.home
        or settings.variable("AIRFLOW_HOME")
        or location.locate(options).files
        or is_running(home)
        or unreachable_pid(home)
    )


def _of_directory(options: LocationOptions, home: Home) -> FoundSystem:
    own = FoundSystem(home, options)
    if options.home:
        return own
    where = location.locate(options)
    if where.is_inherited and is_running(here := Home(where.base)):
        return FoundSystem(here, options)  # started with -f -, or with --home
    if options.directory or (where.files and not where.is_inherited):
        return own
    if is_running(home):
        if where.is_inherited:
            _say(f"using the system in {home.directory}")
        return own
    if unreachable_pid(home):
        return own
    why = f"no system is running in {home.directory}"
    if (named := settings.variable("AIRFLOW_HOME")) and (found := _running_airflow(airflow_home(named))):
        return _use(options, found, why)
    entry = _only(home, settings.system_list().running())
    return own if entry is None else _use(options, Home(Path(entry.home)), why)


def _airflow(options: LocationOptions) -> FoundSystem:
    directory = airflow_home(options.home, options.directory)
    if found := _running_airflow(directory):
        return _use(options, found)
    home = Home(directory)
    own = FoundSystem(home, options)
    if options.home:
        return own
    entry = _only(home, [entry for entry in settings.system_list().running() if entry.airflow_home], "Airflow")
    return own if entry is None else _use(options, Home(Path(entry.home)), f"no Airflow is running in {directory}")


def _running_airflow(directory: Path) -> Home | None:
    """Return the home of the system that runs this AIRFLOW_HOME, alone or as a part of a definition."""
    if is_running(home := Home(directory)):
        return home
    entries = settings.system_list().running()
    return next((Home(Path(e.home)) for e in entries if e.airflow_home and _is_same(e.airflow_home, directory)), None)


def airflow_of(options: LocationOptions) -> Home:
    """Return the AIRFLOW_HOME for `info` and similar commands: the named one, the default if it runs, or the only one
    that runs. Raises NotRunningError if several run."""
    home = Home(airflow_home(options.home, options.directory))
    if options.home or settings.variable("AIRFLOW_HOME") or _running_airflow(home.directory):
        return home
    running = [entry for entry in settings.system_list().running() if entry.airflow_home]
    if entry := _only(home, running, "Airflow"):
        _say(f"no Airflow is running in {home.directory}; using {entry.airflow_home}")
        return Home(Path(entry.airflow_home))
    return home


def airflow_home(named: str | None, base: str | None = None) -> Path:
    """Return AIRFLOW_HOME, as Airflow would find it; `named` is the value of --home, `base` that of -C."""
    text = named or settings.variable("AIRFLOW_HOME") or AIRFLOW_HOME
    return Path(base or ".", os.path.expanduser(os.path.expandvars(text))).absolute()


def is_running(home: Home) -> bool:
    """Return whether a supervisor listens in this home."""
    try:
        connect(home.control_path).close()
    except NotRunning:
        return False
    except OSError:  # it listens, and refuses this user
        return True
    return True


def unreachable_pid(home: Home) -> int:
    """Return the pid of a supervisor that runs in this home though commands do not reach it, because its socket was
    removed, perhaps with everything beside it; else 0."""
    from orchestrator.runtime.lock import has_open  # imports filelock

    def listed() -> int:
        entries = settings.system_list().running()
        return next((entry.pid for entry in entries if _is_same(entry.home, home.directory)), 0)

    # A system is listed while it listens: not during a start before that, and not while it exits after that.
    pid = listed()
    return pid if pid and not is_running(home) and listed() == pid and has_open(home.lock_path, pid) else 0


def others() -> str:
    """Return a hint that names the systems of this user that run; empty if there are none."""
    homes = [entry.home for entry in settings.system_list().running()]
    return f"running elsewhere: {', '.join(homes)}; name one with --home DIR" if homes else ""


def _only(home: Home, running: list[SystemListEntry], what: str = "system") -> SystemListEntry | None:
    if len(running) > 1:
        homes = ", ".join(entry.home for entry in running)
        raise NotRunningError(home.directory, f"{len(running)} run elsewhere: {homes}; name one with --home DIR", what)
    return running[0] if running else None


def _use(options: LocationOptions, home: Home, why: str = "") -> FoundSystem:
    if why:
        _say(f"{why}; using the one in {home.directory}")
    return FoundSystem(home, replace(options, home=str(home.directory), directory=None, preset=""))


def _say(text: str) -> None:
    print(links.linked(f"orchestrate: {text}", sys.stderr), file=sys.stderr, flush=True)


def _is_same(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
