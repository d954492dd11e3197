"""Runs a system in the foreground, from the lock on its home to the end of this process.

The order is for speed and safety: refuse first, then fork; drawing code is imported while the components start.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import home_claim, settings
from orchestrator.cli.settings import CommandSettings
from orchestrator.model.errors import OrchestrateError
from orchestrator.model.spec import SystemSpec
from orchestrator.runtime import fd_limit, signals
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop
from orchestrator.runtime.system_list import SystemListEntry

if TYPE_CHECKING:
    from orchestrator.cli.detach import StartupReporter
    from orchestrator.cli.start_recording import StartRecording
    from orchestrator.cli.systemd import ServiceNotifier
    from orchestrator.control.handler import RequestHandler
    from orchestrator.control.server import ControlServer
    from orchestrator.history.inputs import InputSources
    from orchestrator.model.outcome import ExitPolicy, Outcome
    from orchestrator.model.spec import StartPlan
    from orchestrator.output.console import Console
    from orchestrator.output.palette import Palette
    from orchestrator.output.presenter import Presenter
    from orchestrator.supervisor.scaling import InstanceSource
    from orchestrator.supervisor.supervisor import Supervisor
    from orchestrator.supervisor.view_process import ViewCommand

KEYS_FD = 0
PIPE_DRAIN_TIMEOUT = 2.0  # seconds to wait at the very end for a pipe that accepts nothing
TERMINAL_PATIENCE = 1.0  # the same for a terminal, since it last accepted something: 4 KB a second are enough


def run(
    system: SystemSpec,
    directory: Path,
    here: CommandSettings,
    reporter: StartupReporter | None = None,
    supply: InstanceSource | None = None,
    plan: Callable[[], StartPlan] | None = None,
    sources: Callable[[], InputSources] | None = None,
) -> int:
    """Lock the home, run the system until it exits, unlock the home. Return the exit status, or end by a signal.
    `supply` makes specs later; `plan` is called after the initial steps, `sources` returns the sources of the
    definition for the record.

    Raises HeldError if another orchestrate holds the home.
    """
    return run_made(lambda home: (system, plan), directory, here, reporter=reporter, supply=supply, sources=sources)


def run_made(
    make: Callable[[Home], tuple[SystemSpec, Callable[[], StartPlan] | None]],
    directory: Path,
    here: CommandSettings,
    fd: int = 1,
    reporter: StartupReporter | None = None,
    supply: InstanceSource | None = None,
    airflow_home: str = "",
    sources: Callable[[], InputSources] | None = None,
    watch: Callable[[Supervisor, Home], None] | None = None,
) -> int:
    """Run the system of a preset. `make` is called once the home is locked and has no leftovers of an earlier start. It
    returns the system, and a function that makes the plan once the initial steps have succeeded. `fd` is the screen;
    `reporter` reports the start if `fd` is not visible. `airflow_home` is the AIRFLOW_HOME of the preset, for the
    system list. `watch` is called when the first guardians have been forked."""
    if sys.platform == "linux" and not os.path.exists("/proc/self/stat"):
        raise OrchestrateError("cannot start: /proc is not mounted", "mount it: mount -t proc proc /proc")
    home = Home(directory)
    lock = home_claim.take(home)
    with contextlib.ExitStack() as unlocked:
        try:
            home_claim.wait_for_old_trees(home)
            home_claim.settle(home, here)
            system, plan = make(home)
            outcome = _supervise(system, home, here, plan, fd, reporter, supply, airflow_home, sources, watch, unlocked)
            home.forget_holder()
        finally:
            lock.release()
    if outcome.signal and os.getpid() != 1:
        signals.die_of(outcome.signal)
    return outcome.code


def _supervise(
    system: SystemSpec,
    home: Home,
    here: CommandSettings,
    plan: Callable[[], StartPlan] | None,
    fd: int,
    reporter: StartupReporter | None,
    supply: InstanceSource | None,
    airflow_home: str,
    sources: Callable[[], InputSources] | None,
    watch: Callable[[Supervisor, Home], None] | None,
    unlocked: contextlib.ExitStack,
) -> Outcome:
    """Run the system; what has to follow once the home is free is left in `unlocked`."""
    from orchestrator.model.outcome import ExitPolicy
    from orchestrator.output.console import Console, OutputKind
    from orchestrator.supervisor.supervisor import Supervisor

    soft = fd_limit.set_some_apart()
    if here.stays:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    policy = ExitPolicy(not signals.inherited_ignored(signal.SIGHUP), here.stays, here.exit_code_from)
    loop = Loop()
    console = Console(loop, fd, lambda error: _lose_output(supervisor, console, policy, error))
    presenter = _presenter(console, system, home, here)
    supervisor = Supervisor(
        system,
        home,
        loop,
        presenter,
        soft,
        policy,
        plan,
        supply,
    )
    if reporter is None and here.ready_within is not None:
        supervisor.be_ready_within(here.ready_within)
    if reporter is not None:
        reporter.watch(supervisor)
    control = _ControlSocket(home, here, supervisor, airflow_home, sources)
    service = _service(here, supervisor)

    def begun() -> None:
        control.open()
        presenter.watch_logs(loop)
        if watch is not None:
            watch(supervisor, home)
        if here.view.full_screen:
            supervisor.terminal.open_view()

    try:
        if here.view.full_screen and reporter is not None:
            print("orchestrate: the view is not opened with -d; open it with: orchestrate ui", file=sys.stderr)
        elif here.view.full_screen and (why := _why_no_view(here, fd)):
            print(f"orchestrate: {why}; showing the merged stream", file=sys.stderr, flush=True)
        if reporter is None and console.kind is OutputKind.TERMINAL and _is_same_terminal(KEYS_FD, fd):
            supervisor.terminal.take(
                KEYS_FD, shows_status=here.view.status, colors=here.colors, view=_view_command(home, here)
            )
        outcome = supervisor.run(begun)
        control.finish(outcome)
        if service is not None:
            service.finish()
        return outcome
    finally:
        control.close()
        supervisor.terminal.end_view()
        console.drain(PIPE_DRAIN_TIMEOUT if console.kind is not OutputKind.TERMINAL else TERMINAL_PATIENCE)
        supervisor.terminal.give_back()
        if console.waiting or console.given_up:
            unlocked.callback(_wait_for_reader, supervisor, console, home, here)


def _wait_for_reader(supervisor: Supervisor, console: Console, home: Home, here: CommandSettings) -> None:
    """Write to a pipe what it has not accepted yet. If the system ended by itself, its reader (`less`) has all the time
    that it takes, as from any program, until a signal ends the wait; otherwise report what is lost."""
    from orchestrator.output.console import OutputKind

    if console.kind is OutputKind.TERMINAL:
        return
    if supervisor.is_over and not supervisor.was_asked_to_stop:
        console.drain(None)
    else:
        console.give_up()
    if console.given_up:
        where = f"; {_log_path(home, here)} has them" if here.view.log else ""
        _print_if_possible(
            f"orchestrate: standard output is not read: {console.given_up:,} bytes did not reach it{where}"
        )


def _print_if_possible(line: str) -> None:
    """Print a line to standard error, unless that is not read either."""
    from orchestrator.output.console import accepts

    if accepts(sys.stderr.fileno()):
        print(line, file=sys.stderr, flush=True)


def _why_no_view(here: CommandSettings, fd: int) -> str:
    """Return why the view cannot be shown here; empty if it can, as far as that is known before it starts."""
    if not _is_same_terminal(KEYS_FD, fd):
        return "the view needs a terminal"
    if here.view.json:
        return "the view does not print JSON"
    return "" if here.erases else f"the view cannot use a terminal of type {here.term or 'unknown'!r}"


def _lose_output(supervisor: Supervisor, console: Console, policy: ExitPolicy, error: OSError) -> None:
    """Stop the system because its output has no reader; SIGPIPE would end any other program."""
    from orchestrator.model.outcome import of_lost_sink
    from orchestrator.output.console import OutputKind

    outcome = of_lost_sink(error.errno or 0, console.kind is OutputKind.TERMINAL, policy)
    if outcome is None:
        return
    if not outcome.signal:
        why = f"cannot write to standard output: {error.strerror}; stopping"
        print(f"orchestrate: {why}", file=sys.stderr, flush=True)
    supervisor.stop(outcome, f"its output cannot be written: {(error.strerror or str(error)).lower()}")


def _view_command(home: Home, here: CommandSettings) -> ViewCommand | None:
    """Return the command of the view of this system; None if this terminal cannot show the view."""
    from orchestrator.supervisor.view_process import ViewCommand

    if not here.erases:
        return None
    color = [] if here.colors else ["--color", "never"]
    return ViewCommand(
        [*settings.own_command(), "ui", "--home", str(home.directory), *color], settings.environment_of_view
    )


def _is_same_terminal(fd: int, other_fd: int) -> bool:
    """Whether both are the same terminal. In `orchestrate | less` the keys are for less."""
    try:
        return os.isatty(fd) and os.fstat(fd).st_rdev == os.fstat(other_fd).st_rdev
    except OSError:  # closed
        return False


def _service(here: CommandSettings, supervisor: Supervisor) -> ServiceNotifier | None:
    """Return the notifier of the service manager that has started us; None without one."""
    if not here.notify_socket:
        return None
    from orchestrator.cli.systemd import ServiceNotifier
    from orchestrator.runtime.sd_notify import Notifier

    return ServiceNotifier(Notifier(here.notify_socket), here.watchdog, supervisor)


class _ControlSocket:
    """The socket for other terminals. Opened after the first guardians have been forked: so its imports (30 ms) delay
    no component and add to no guardian's memory. The record of this start is opened with it."""

    def __init__(
        self,
        home: Home,
        here: CommandSettings,
        supervisor: Supervisor,
        airflow_home: str,
        sources: Callable[[], InputSources] | None,
    ) -> None:
        self._home = home
        self._airflow_home = airflow_home
        self._list = settings.system_list()
        self._here = here
        self._supervisor = supervisor
        self._handler: RequestHandler | None = None
        self._server: ControlServer | None = None
        self._sources = sources
        self._recording: StartRecording | None = None

    def open(self) -> None:
        """Listen on the socket. If none can be made (some file systems have no sockets), the system runs without."""
        from orchestrator.control.handler import RequestHandler
        from orchestrator.control.server import ControlServer
        from orchestrator.output.presenter import Tone

        self._record()
        self._handler = RequestHandler(self._supervisor, log_directory(self._home, self._here))
        path = self._home.control_path
        try:
            self._server = ControlServer(path, self._supervisor.loop, self._handler.handle)
            self._list.add(
                SystemListEntry(
                    str(self._home.directory), self._supervisor.title, os.getpid(), _now(), self._airflow_home
                )
            )
        except OSError as error:
            why = f"cannot listen on {path}: {error.strerror}; ps, stop and so on will not work"
            self._supervisor.tell(why, tone=Tone.WARNING)

    def _record(self) -> None:
        view = self._here.view
        if view.history == 0:
            return
        from orchestrator.cli.start_recording import StartRecording
        from orchestrator.history.inputs import InputSources

        sources = self._sources() if self._sources is not None else InputSources()
        self._recording = StartRecording(self._supervisor, self._home, sources, view.history, view.history_size)
        self._recording.open()

    def finish(self, outcome: Outcome) -> None:
        """Answer all requests that still wait, because the system has ended."""
        if self._recording is not None:
            self._recording.close(outcome)
        if self._handler is not None:
            self._handler.finish(outcome)

    def close(self) -> None:
        """Stop listening."""
        self._list.remove()
        if self._server is not None:
            self._server.close()


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _presenter(console: Console, system: SystemSpec, home: Home, here: CommandSettings) -> Presenter:
    from orchestrator.output import log_file
    from orchestrator.output.console import OutputKind
    from orchestrator.output.presenter import Presentation, Presenter
    from orchestrator.output.screen import MergedScreen
    from orchestrator.terminal.line_painter import PrefixStyle

    @functools.cache
    def blessed() -> Palette:
        from orchestrator.output.palette import Palette

        return Palette(here.term, here.forced)

    def cut(shown: bytes, columns: int) -> bytes:
        return blessed().cut(shown, columns)

    if here.colors:
        style = PrefixStyle.COLORS
    else:
        style = PrefixStyle.NO_COLORS if console.kind is OutputKind.TERMINAL else PrefixStyle.BYTES
    presentation = Presentation(
        style,
        prefix=here.view.prefix,
        timestamps=here.view.timestamps,
        utc=here.view.utc,
        json=here.view.json,
        quiet=here.view.quiet,
        bell=here.view.bell and console.kind is OutputKind.TERMINAL,
        logs=log_directory(home, here),
        log_size=here.view.log_size or log_file.SIZE,
        log_files=here.view.log_files or log_file.KEPT,
        link_host=os.uname().nodename if here.hyperlinks else "",
    )
    screen = MergedScreen(console, cut if here.erases else None, reflows=here.reflows)
    return Presenter(screen, presentation, system.labels, lambda: blessed().wrap, system.colors)


def log_directory(home: Home, here: CommandSettings) -> Path | None:
    """Create the directory of the log files and return it; None if logs are off."""
    if not here.view.log:
        return None
    directory = _log_path(home, here)
    try:
        if directory == home.logs:
            home.make_private(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OrchestrateError(f"cannot make {directory}: {error.strerror}", "use --no-log to go without") from None
    return directory


def _log_path(home: Home, here: CommandSettings) -> Path:
    return (here.view.log_directory or home.logs).absolute()
