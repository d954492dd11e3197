"""The user's terminal, if the system has one: its keys, the row of states and the full-screen view."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from orchestrator.runtime import signals

if TYPE_CHECKING:
    from orchestrator.output.presenter import Presenter
    from orchestrator.supervisor.launcher import Launcher
    from orchestrator.supervisor.signal_handler import SignalHandler
    from orchestrator.supervisor.supervisor import Supervisor
    from orchestrator.supervisor.user_terminal import UserTerminal
    from orchestrator.supervisor.view_process import ViewCommand


class TerminalControl:
    """Does nothing until `take`, and without a terminal."""

    def __init__(
        self, supervisor: Supervisor, presenter: Presenter, launcher: Launcher, signal_handler: SignalHandler
    ) -> None:
        self._supervisor = supervisor
        self._presenter = presenter
        self._launcher = launcher
        self._signal_handler = signal_handler
        self._terminal: UserTerminal | None = None

    def take(
        self, fd: int, *, shows_status: bool = True, colors: bool = False, view: ViewCommand | None = None
    ) -> None:
        """Read the keys of the terminal `fd` until `give_back`, and show the row of states. If it cannot be read
        without waiting, it stays as it is."""
        from orchestrator.supervisor.user_terminal import UserTerminal  # what no first fork has to wait for

        try:
            self._terminal = UserTerminal(
                self._supervisor.loop,
                fd,
                self._supervisor,
                self._presenter,
                shows_status=shows_status,
                colors=colors,
                view=view,
                ignore_hang_up=self._signal_handler.ignore_hang_up,
            )
        except OSError:
            return
        self._launcher.rescue = self._terminal.rescue
        self._launcher.view_pid = lambda: self._terminal.view_pid if self._terminal is not None else 0
        self._signal_handler.take_job_control()

    def open_view(self) -> None:
        """Open the full-screen view on the terminal."""
        if self._terminal is not None:
            self._terminal.open_view()

    def end_view(self) -> None:
        """Wait a moment until the view has left the terminal."""
        if self._terminal is not None:
            self._terminal.end_view()

    def give_back(self) -> None:
        """Read no more keys."""
        if self._terminal is not None:
            self._terminal.close()

    def suspend(self) -> None:
        """Give the terminal back and stop this process, as Ctrl-Z does."""
        if self._terminal is not None:
            self._terminal.suspend()
        signals.stop_by(signal.SIGTSTP)
        self.resume()

    def resume(self) -> None:
        """Take the terminal again, if we are in front, and draw its last row again."""
        if self._terminal is not None:
            self._terminal.resume()

    def take_back(self) -> None:
        """Take the terminal that was left for the background, if we are in front."""
        if self._terminal is not None:
            self._terminal.take_back()

    def stopping(self) -> None:
        """The system begins to stop."""
        if self._terminal is not None:
            self._terminal.stopping()

    def resized(self) -> None:
        """The terminal has another size."""
        if self._terminal is not None:
            self._terminal.changed()
