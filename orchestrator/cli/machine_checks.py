"""The checks of `doctor` on the machine: kernel, limits, terminal, clock, disk, packages. Nothing is changed.

Each check reads its facts and returns findings; the judgments are functions of plain values.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from orchestrator.cli import settings
from orchestrator.runtime.inotify import can_watch

OK, WARNING, ERROR = "ok", "warning", "error"
FILES_BASE, FILES_EACH = 64, 8  # descriptors of the supervisor: its own, and those of each instance
PTYS_SPARE = 16
LOW_DISK = 1 << 30
LITTLE_DISK = 100 << 20
EXTRAS = {"pyte": "screen", "PyYAML": "yaml", "zstandard": "zstd"}
NEEDED = ("pexpect", "blessed", "filelock")
_UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2)
_TIMEX = 256  # bytes, more than struct timex has


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`: `level` is ok, warning or error; `advice` says what to do about it."""

    level: str
    subject: str
    text: str
    advice: str = ""


def find(directory: Path, instances: int) -> list[Finding]:
    """Return facts about this machine, for a system of this many instances whose logs are below `directory`."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _packages,
        lambda: [open_files(*resource.getrlimit(resource.RLIMIT_NOFILE), instances)],
        _processes,
        lambda: _ptys(instances),
        _kernel,
        _proc,
        lambda: _inotify(directory),
        lambda: _disk(directory),
        _terminal,
        _tmux,
        _clock,
    )
    return [finding for check in checks for finding in check()]


def _python() -> list[Finding]:
    return [Finding(OK, "python", f"{platform.python_version()} on {platform.system()} {platform.release()}")]


def _packages() -> list[Finding]:
    found = [version for name in NEEDED if (version := _version(name))]
    findings = [Finding(OK, "packages", ", ".join(found) or "included in the program")]
    for name, extra in EXTRAS.items():
        if version := _version(name):
            findings.append(Finding(OK, f"extra {extra}", version))
        else:
            advice = f"pip install 'orchestrate[{extra}]'"
            findings.append(Finding(OK, f"extra {extra}", f"{name} is not installed; optional", advice))
    return findings


def _version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return ""


def open_files(soft: int, hard: int, instances: int) -> Finding:
    """Judge the limit of open files (RLIMIT_NOFILE)."""
    subject, needed = "open files", FILES_BASE + FILES_EACH * instances
    if soft == resource.RLIM_INFINITY or soft >= needed:
        limit = "unlimited" if soft == resource.RLIM_INFINITY else f"limit {soft}"
        return Finding(OK, subject, f"{limit}, needed {needed} for {_count(instances)}")
    text = f"limit {soft}, needed {needed} for {_count(instances)}"
    may_raise = hard == resource.RLIM_INFINITY or hard >= needed
    advice = f"run `ulimit -n {needed}`" if may_raise else f"raise nofile to {needed} in /etc/security/limits.conf"
    return Finding(ERROR, subject, text, advice)


def _count(instances: int) -> str:
    return "1 instance" if instances == 1 else f"{instances} instances"


def _processes() -> list[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft == resource.RLIM_INFINITY or soft >= 512 or os.geteuid() == 0:
        return [Finding(OK, "processes", "unlimited" if soft == resource.RLIM_INFINITY else f"limit {soft}")]
    return [Finding(WARNING, "processes", f"limit {soft} for all processes of your user", "run `ulimit -u 4096`")]


def _ptys(instances: int) -> list[Finding]:
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as error:
        text = f"cannot open one: {(error.strerror or str(error)).lower()}"
        return [Finding(ERROR, "terminals", text, "mount devpts on /dev/pts, or raise kernel.pty.max")]
    most, used = _number("/proc/sys/kernel/pty/max"), _number("/proc/sys/kernel/pty/nr")
    if most is None or used is None:
        return [Finding(OK, "terminals", "pseudo-terminals work")]
    return [ptys(most, used, instances)]


def ptys(most: int, used: int, instances: int) -> Finding:
    """Judge how many pseudo-terminals are left."""
    text = f"{used} of {most} pseudo-terminals in use"
    if most - used >= instances + PTYS_SPARE:
        return Finding(OK, "terminals", text)
    wanted = used + instances + PTYS_SPARE
    return Finding(ERROR, "terminals", f"{text}, needed {instances}", f"run `sysctl kernel.pty.max={wanted}` as root")


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _kernel() -> list[Finding]:
    from orchestrator.process import tree

    if sys.platform != "linux":
        text = "not on this system: a component that leaves its session escapes"
        return [Finding(WARNING, "subreaper", text, "use Linux if components run in the background")]
    try:
        tree.become_subreaper()
    except OSError as error:
        return [Finding(ERROR, "subreaper", f"refused: {(error.strerror or '').lower()}", "allow prctl(2) here")]
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        advice = "Linux 5.3 or later is needed" if error.errno == errno.ENOSYS else "allow pidfd_open(2) here"
        return [Finding(ERROR, "pidfd", (error.strerror or "").lower(), advice)]
    return [Finding(OK, "subreaper", "orphaned processes are adopted, and pinned by pidfds")]


def _proc() -> list[Finding]:
    if sys.platform != "linux":
        return []
    if not os.path.exists("/proc/self/stat"):
        return [Finding(ERROR, "/proc", "not mounted", "run `mount -t proc proc /proc` as root")]
    if not os.path.exists("/proc/1/stat"):
        text = "shows only your own processes (hidepid): ports of other users are found, but not their programs"
        return [Finding(WARNING, "/proc", text, "mount /proc without hidepid, or add your user to its gid")]
    return [Finding(OK, "/proc", "readable")]


def _inotify(directory: Path) -> list[Finding]:
    if sys.platform != "linux":
        return []
    most = _number("/proc/sys/fs/inotify/max_user_watches")
    if can_watch(directory):
        return [Finding(OK, "inotify", f"limit {most} watches" if most else "works")]
    text = "no instance or watch is left: `logs -f` needs one"
    return [Finding(WARNING, "inotify", text, "raise fs.inotify.max_user_instances with sysctl, as root")]


def _disk(directory: Path) -> list[Finding]:
    return [disk(shutil.disk_usage(directory).free, os.access(directory, os.W_OK), str(directory))]


def disk(free: int, is_writable: bool, where: str) -> Finding:
    """Judge the disk of the logs by its free bytes."""
    if not is_writable:
        return Finding(ERROR, "disk", f"{where} is not writable", "name another directory with --home DIR")
    text = f"{free // (1 << 20)} MB free in {where}"
    if free < LITTLE_DISK:
        return Finding(ERROR, "disk", text, "make space: without it, logging stops")
    if free < LOW_DISK:
        return Finding(WARNING, "disk", text, "make space, or limit logs with --log-size and --log-files")
    return Finding(OK, "disk", text)


def _terminal() -> list[Finding]:
    term = settings.variable("TERM")
    if not os.isatty(1):
        return [Finding(OK, "terminal", "standard output is not a terminal; output is plain")]
    if term in ("", "dumb"):
        text = f"TERM is {term or 'not set'}: no colors, no redrawn rows"
        return [Finding(WARNING, "terminal", text, "run `export TERM=xterm-256color` if your terminal can")]
    size = shutil.get_terminal_size()
    try:
        import curses

        curses.setupterm(term)
        colors = max(curses.tigetnum("colors"), 0)
    except Exception as error:  # noqa: BLE001 - curses.error, which only exists with curses
        return [Finding(WARNING, "terminal", f"{term}: {error}", "install the package ncurses-term")]
    links = "shows links" if settings.shows_hyperlinks() else "links are not known to work"
    return [Finding(OK, "terminal", f"{term}, {size.columns}x{size.lines}, {colors} colors, {links}")]


def _tmux() -> list[Finding]:
    program = shutil.which("tmux")
    if "," not in settings.variable("TMUX"):
        text = f"this terminal is not in tmux{'' if program else ', and tmux is not installed'}"
        advice = "run orchestrate in tmux, or with -d, if it is to survive a closed terminal"
        return [Finding(OK, "tmux", text, advice if settings.variable("SSH_CONNECTION") else "")]
    if not program:
        return [Finding(OK, "tmux", "runs")]
    version = subprocess.run([program, "-V"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False).stdout
    return [Finding(OK, "tmux", version.decode("utf-8", "replace").strip() or "runs")]


def _clock() -> list[Finding]:
    now = time.time()
    if now < Path(__file__).stat().st_mtime - 86400 if os.path.exists(__file__) else now < 1.7e9:
        text = f"{time.strftime('%Y-%m-%d %H:%M')} is before the installation of orchestrate"
        return [Finding(ERROR, "clock", text, "set the clock: times in logs and history are wrong")]
    zone = time.strftime("%Z")
    if sys.platform == "linux" and _is_unsynchronized():
        text = f"{time.strftime('%Y-%m-%d %H:%M')} {zone}, not synchronized"
        return [Finding(WARNING, "clock", text, "enable systemd-timesyncd or chrony if times of several hosts matter")]
    return [Finding(OK, "clock", f"{time.strftime('%Y-%m-%d %H:%M')} {zone}")]


def _is_unsynchronized() -> bool:
    buffer = ctypes.create_string_buffer(_TIMEX)  # modes 0: only read
    try:
        state: int = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return False
    return state == _UNSYNCHRONIZED
