"""What the process was started in: environment and terminal, read once. After this nobody reads os.environ."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.options import COLOURS, seconds
from orchestrator.model.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.runtime.system_list import SystemList

# The size belongs to each component's own pty; NOTIFY_SOCKET and ORCHESTRATE_* are between us and our caller.
VIEW_FD, VIEW_CAN_BACKGROUND = "ORCHESTRATE_VIEW_FD", "ORCHESTRATE_VIEW_CAN_BACKGROUND"
_OURS = ("COLUMNS", "LINES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the user wants the stream: None means the home's own `log_directory`, and the usual size and count.
    `history` is how many starts to keep a record of, 0 for none."""

    prefix: bool
    timestamps: bool
    utc: bool
    json: bool
    quiet: frozenset[str]
    bell: bool
    log: bool
    log_directory: Path | None
    log_size: int | None
    log_files: int | None
    history: int | None = None
    history_size: int | None = None
    status: bool = True
    full_screen: bool = False


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """`environment` is what components start from; `colours` whether to draw any, `forced` also without a terminal;
    `term` the terminal's type, `erases` whether it can erase a row, `reflows` whether it wraps rows that no longer fit;
    `end_survivors` whether to end what a run left that was killed together with its guardians; `stays` whether the
    system outlives the terminal; `ready_within` in how many seconds it has to be ready, None for no limit;
    `exit_code_from` the component whose end ends it and whose code is its own, empty for none. `notify_socket` and
    `watchdog` (seconds) are a service manager's (sd_notify(3)). `hyperlinks`: whether
    the terminal shows them (OSC 8)."""

    environment: dict[str, str]
    colours: bool
    forced: bool
    term: str
    erases: bool
    view: StreamSettings
    end_survivors: bool = False
    stays: bool = False
    ready_within: float | None = None
    exit_code_from: str = ""
    notify_socket: str = ""
    watchdog: float = 0.0
    reflows: bool = True
    hyperlinks: bool = False


def read(options: argparse.Namespace) -> CommandSettings:
    """Read the environment, and the terminal on standard output."""
    environ = dict(os.environ)
    terminal = os.isatty(1)
    wanted = _wanted_colours(options.color, environ)
    term = environ.get("TERM", "")
    colours = wanted == "always" or (wanted == "auto" and terminal and term not in ("", "dumb"))
    environment = {k: v for k, v in environ.items() if k not in _OURS and not k.startswith("ORCHESTRATE_")}
    if not terminal or not term:
        environment["TERM"] = "xterm-256color"
    if colours:
        os.environ.pop("NO_COLOR", None)  # decided here; blessed would decide again, the other way
    view = StreamSettings(
        prefix=not options.no_prefix,
        timestamps=options.timestamps or options.utc,
        utc=options.utc,
        json=options.json,
        quiet=frozenset(name.strip() for text in options.quiet for name in text.split(",") if name.strip()),
        bell=options.bell,
        log=not options.no_log,
        log_directory=Path(options.directory or ".", options.log_dir) if options.log_dir else None,
        log_size=options.log_size,
        log_files=options.log_files,
        history=options.history,
        history_size=options.history_size,
        status=not options.no_status and environ.get("ORCHESTRATE_STATUS") != "never",
        full_screen=options.ui,
    )
    erases = terminal and term not in ("", "dumb") and not view.json
    return CommandSettings(
        environment,
        colours,
        colours and not terminal,
        term,
        erases,
        view,
        end_survivors=options.end_survivors,
        stays=options.on_hangup == "detach",
        ready_within=options.wait or None,
        exit_code_from=options.exit_code_from or "",
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
        watchdog=_watchdog(environ),
        reflows=_reflows(term, environ),
        hyperlinks=terminal and not view.json and _shows_hyperlinks(term, environ),
    )


def variable(name: str) -> str:
    """Return one variable of the environment; empty if it is not set."""
    return os.environ.get(name, "")


def shows_hyperlinks() -> bool:
    """Return whether this terminal is known to show hyperlinks."""
    return _shows_hyperlinks(variable("TERM"), os.environ)


def view_of() -> int:
    """Return the descriptor that `up` gives to the view it opens, to report how it was left; -1 if it did not."""
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
    """Return the environment of a command of ours for another home; empty for none in particular."""
    return {**os.environ, **({"ORCHESTRATE_HOME": home} if home else {})}


def _has_job_control() -> bool:
    """Whether the shell that has started us has put us into a process group of our own, and so can take the terminal
    back."""
    return os.getpgrp() == os.getpid() != os.getsid(0) and os.getsid(os.getppid()) == os.getsid(0)


def can_background() -> bool:
    """Whether the shell can put the process that has opened this view into the background: it has job control."""
    return os.environ.get(VIEW_CAN_BACKGROUND) == "1"


def system_list() -> SystemList:
    """Return the list of this user's running systems. ORCHESTRATE_RUNTIME_DIR names the one directory it is kept in."""
    from orchestrator.runtime.system_list import SystemList, candidates  # with filelock, which `ps` does without

    if named := os.environ.get("ORCHESTRATE_RUNTIME_DIR"):
        return SystemList((Path(named).absolute(),))
    return SystemList(candidates(os.environ.get("XDG_RUNTIME_DIR"), os.geteuid()))


def _reflows(term: str, environ: Mapping[str, str]) -> bool:
    if "TMUX" in environ:
        return True
    return "XTERM_VERSION" not in environ and not term.startswith(("linux", "rxvt", "screen", "vt"))


# Terminals that show OSC 8 hyperlinks, by the variables that they set. No query is answered by all of them.
_LINKING = {
    "TERM_PROGRAM": ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "rio", "WarpTerminal"),
    "TERM": ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "alacritty", "contour", "wezterm"),
}
_VTE = 5000  # VTE_VERSION since which VTE (GNOME Terminal and others) shows them


def _shows_hyperlinks(term: str, environ: Mapping[str, str]) -> bool:
    """Return whether the terminal shows OSC 8 hyperlinks. FORCE_HYPERLINK, as other tools read it, overrides this.

    tmux from 3.4 on passes hyperlinks on only if its terminal-features have them, which we cannot see: not there.
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


def _wanted_colours(option: str | None, environ: Mapping[str, str]) -> str:
    if option:
        return option
    if environ.get("NO_COLOR"):
        return "never"
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return "always"
    wanted = environ.get("ORCHESTRATE_COLOR") or "auto"
    if wanted not in COLOURS:
        raise UsageError(f"ORCHESTRATE_COLOR in the environment is {wanted!r}", f"write {', '.join(COLOURS)}")
    return wanted


def with_defaults(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options, with ORCHESTRATE_HOME, _FILE, _TIMEOUT and _DETACH_KEYS for those that were not given.

    Several files in ORCHESTRATE_FILE are separated as in PATH. Raises UsageError.
    """
    environ = os.environ
    if options.home is None and environ.get("ORCHESTRATE_HOME"):
        options.home = environ["ORCHESTRATE_HOME"]
    if options.file is None and environ.get("ORCHESTRATE_FILE"):
        options.file = [name for name in environ["ORCHESTRATE_FILE"].split(os.pathsep) if name]
    for name in (
        "home",
        "directory",
        "root",
        "log_dir",
    ):  # `--home=~/app`: the shell expands only a word that begins with ~
        if path := getattr(options, name):
            setattr(options, name, os.path.expanduser(path))
    if options.detach_keys is None and environ.get("ORCHESTRATE_DETACH_KEYS"):
        options.detach_keys = environ["ORCHESTRATE_DETACH_KEYS"]
    if options.timeout is None and environ.get("ORCHESTRATE_TIMEOUT"):
        try:
            options.timeout = seconds(environ["ORCHESTRATE_TIMEOUT"])
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"ORCHESTRATE_TIMEOUT in the environment: {error}") from None
    return options
