"""The environment and terminal of this process, read once. After this os.environ is not read again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.argument_types import seconds
from orchestrator.cli.arguments import COLORS
from orchestrator.model.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.cli.options import StartOptions
    from orchestrator.runtime.system_list import SystemList

# Each pty has a size of its own; NOTIFY_SOCKET and ORCHESTRATE_* are for orchestrate, not for its components.
VIEW_FD, VIEW_CAN_BACKGROUND = "ORCHESTRATE_VIEW_FD", "ORCHESTRATE_VIEW_CAN_BACKGROUND"
_OURS = ("COLUMNS", "LINES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The user's settings for the stream: None means the home's `log_directory`, and the default size and count.
    `history` is the number of starts whose records are kept, 0 for none."""

    prefix: bool = True
    timestamps: bool = False
    utc: bool = False
    json: bool = False
    quiet: frozenset[str] = frozenset()
    bell: bool = False
    log: bool = True
    log_directory: Path | None = None
    log_size: int | None = None
    log_files: int | None = None
    history: int | None = None
    history_size: int | None = None
    status: bool = True
    full_screen: bool = False


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """`environment` has the variables for components; `colors` is whether to draw any, `forced` also without a
    terminal; `term` the terminal's type, `erases` whether it can erase a row, `reflows` whether it wraps rows that no
    longer fit; `end_survivors` whether to kill leftovers of an earlier start; `stays` whether the system outlives the
    terminal; `ready_within` in how many seconds it has to be ready, None for no limit; `exit_code_from` the component
    whose exit stops it and determines its status, empty for none. `notify_socket` and `watchdog` (seconds) are a
    service manager's (sd_notify(3)). `hyperlinks`: whether the terminal shows them (OSC 8)."""

    environment: dict[str, str]
    colors: bool
    forced: bool
    term: str
    erases: bool
    view: StreamSettings = StreamSettings()
    end_survivors: bool = False
    stays: bool = False
    ready_within: float | None = None
    exit_code_from: str = ""
    notify_socket: str = ""
    watchdog: float = 0.0
    reflows: bool = True
    hyperlinks: bool = False
    shows_password: bool = False


def read(color: str | None = None, *, json: bool = False) -> CommandSettings:
    """Read the environment, and the terminal on standard output. `color` is the value of --color."""
    environ = dict(os.environ)
    terminal = os.isatty(1)
    wanted = _wanted_colors(color, environ)
    term = environ.get("TERM", "")
    colors = wanted == "always" or (wanted == "auto" and terminal and term not in ("", "dumb"))
    environment = {k: v for k, v in environ.items() if k not in _OURS and not k.startswith("ORCHESTRATE_")}
    if not terminal or not term:
        environment["TERM"] = "xterm-256color"
    if colors:
        os.environ.pop("NO_COLOR", None)  # decided here; otherwise blessed would decide again, and differently
    return CommandSettings(
        environment,
        colors,
        colors and not terminal,
        term,
        erases=terminal and term not in ("", "dumb") and not json,
        reflows=_reflows(term, environ),
        hyperlinks=terminal and not json and _shows_hyperlinks(term, environ),
        shows_password=terminal and not json,
    )


def of_start(options: StartOptions, directory: str | None, quiet: tuple[str, ...]) -> CommandSettings:
    """Read the environment and the terminal for a start. `directory` is that of -C, the base of a relative --log-dir;
    `quiet` are the components whose output is not printed."""
    here = read(options.color, json=options.json)
    environ = os.environ
    view = StreamSettings(
        prefix=not options.no_prefix,
        timestamps=options.timestamps or options.utc,
        utc=options.utc,
        json=options.json,
        quiet=frozenset(name.strip() for text in quiet for name in text.split(",") if name.strip()),
        bell=options.bell,
        log=not options.no_log,
        log_directory=Path(directory or ".", options.log_dir) if options.log_dir else None,
        log_size=options.log_size,
        log_files=options.log_files,
        history=options.history,
        history_size=options.history_size,
        status=not options.no_status and environ.get("ORCHESTRATE_STATUS") != "never",
        full_screen=options.ui,
    )
    return replace(
        here,
        view=view,
        end_survivors=options.end_survivors,
        stays=options.on_hangup == "detach",
        ready_within=options.wait or None,
        exit_code_from=options.exit_code_from or "",
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
        watchdog=_watchdog(environ),
        shows_password=here.shows_password and not options.detach,
    )


def variable(name: str) -> str:
    """Return one variable of the environment; empty if it is not set."""
    return os.environ.get(name, "")


def shows_hyperlinks() -> bool:
    """Return whether this terminal is known to show hyperlinks."""
    return _shows_hyperlinks(variable("TERM"), os.environ)


def view_of() -> int:
    """Return the descriptor on which the view reports to `up` how it was left; -1 if `up` did not open the view."""
    text = os.environ.pop(VIEW_FD, "")
    return int(text) if text.isdecimal() else -1


def own_command() -> list[str]:
    """Return the words that run this program again."""
    script = sys.argv[0]
    if os.path.isfile(script) and os.path.basename(script) != "__main__.py":
        return [sys.executable, os.path.abspath(script)]
    return [sys.executable, "-m", "orchestrator"]


def environment_of_view(fd: int) -> dict[str, str]:
    """Return the environment of a view that reports on `fd` how it was left."""
    return {**os.environ, VIEW_FD: str(fd), VIEW_CAN_BACKGROUND: str(int(_has_job_control()))}


def environment_with_home(home: str) -> dict[str, str]:
    """Return the environment of an orchestrate command for another home; an empty one means no particular home."""
    return {**os.environ, **({"ORCHESTRATE_HOME": home} if home else {})}


def _has_job_control() -> bool:
    """Whether the shell that has started us has put us into a separate process group, and so can take the terminal
    back."""
    return os.getpgrp() == os.getpid() != os.getsid(0) and os.getsid(os.getppid()) == os.getsid(0)


def can_background() -> bool:
    """Whether the shell can put the process that has opened this view into the background: it has job control."""
    return os.environ.get(VIEW_CAN_BACKGROUND) == "1"


def system_list() -> SystemList:
    """Return the list of this user's running systems. ORCHESTRATE_RUNTIME_DIR names the one directory it is kept in."""
    from orchestrator.runtime.system_list import SystemList, candidates  # imports filelock, which `ps` does not need

    if named := os.environ.get("ORCHESTRATE_RUNTIME_DIR"):
        return SystemList((Path(named).absolute(),))
    return SystemList(candidates(os.environ.get("XDG_RUNTIME_DIR"), os.geteuid()))


def _reflows(term: str, environ: Mapping[str, str]) -> bool:
    if "TMUX" in environ:
        return True
    return "XTERM_VERSION" not in environ and not term.startswith(("linux", "rxvt", "screen", "vt"))


# Terminals that show OSC 8 hyperlinks, by the variables that they set. No single query is answered by all.
_LINKING = {
    "TERM_PROGRAM": ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "rio", "WarpTerminal"),
    "TERM": ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "alacritty", "contour", "wezterm"),
}
_VTE = 5000  # the first VTE_VERSION of VTE (GNOME Terminal and others) that shows them


def _shows_hyperlinks(term: str, environ: Mapping[str, str]) -> bool:
    """Return whether the terminal shows OSC 8 hyperlinks. FORCE_HYPERLINK, as other tools read it, overrides this.

    tmux from 3.4 on passes hyperlinks on only if its terminal-features have them, which we cannot see, so links are off
    there.
    """
    if forced := environ.get("FORCE_HYPERLINK"):
        return forced != "0"
    if term in ("", "dumb") or "TMUX" in environ or term.startswith(("screen", "tmux")):
        return False
    version = environ.get("VTE_VERSION", "")
    if version.isascii() and version.isdecimal() and int(version) >= _VTE:
        return True
    if "WT_SESSION" in environ or "KONSOLE_VERSION" in environ:
        return True
    return any(environ.get(name) in values for name, values in _LINKING.items())


def _watchdog(environ: Mapping[str, str]) -> float:
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    meant = not pid or pid == str(os.getpid())
    return int(text) / 1e6 if meant and text.isascii() and text.isdecimal() else 0.0


def _wanted_colors(option: str | None, environ: Mapping[str, str]) -> str:
    if option:
        return option
    if environ.get("NO_COLOR"):
        return "never"
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return "always"
    wanted = environ.get("ORCHESTRATE_COLOR") or "auto"
    if wanted not in COLORS:
        raise UsageError(f"ORCHESTRATE_COLOR in the environment is {wanted!r}", f"write {', '.join(COLORS)}")
    return wanted


def defaults(given: Container[str]) -> dict[str, object]:
    """Return options from ORCHESTRATE_HOME, _FILE, _TIMEOUT and _DETACH_KEYS, except those that were `given`.

    Several files in ORCHESTRATE_FILE are separated as in PATH. Raises UsageError.
    """
    found: dict[str, object] = {}
    for name in ("home", "file", "timeout", "detach_keys"):
        if name not in given and (value := os.environ.get(f"ORCHESTRATE_{name.upper()}")):
            found[name] = value
    if "file" in found:
        found["file"] = [name for name in str(found["file"]).split(os.pathsep) if name]
    if "timeout" in found:
        try:
            found["timeout"] = seconds(str(found["timeout"]))
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"ORCHESTRATE_TIMEOUT in the environment: {error}") from None
    return found
