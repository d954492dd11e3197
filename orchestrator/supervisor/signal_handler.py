"""Acts on signals to the supervisor.

INT, TERM and HUP stop. A second INT, half a second after the first and after the stop began, skips the grace period
(npm and ssh deliver one Ctrl-C twice); the first never does, even if the stop began by itself. QUIT has no grace period
from the start. The first signal determines the exit status. USR1 and USR2 go to the components, as foreman, tini and
dumb-init pass them on. WINCH resizes; CHLD says that a child ended. While the terminal's keys are ours, TSTP (Ctrl-Z)
gives the terminal back before it suspends us.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import Protocol

from orchestrator.model import errors
from orchestrator.model.outcome import Outcome
from orchestrator.runtime import signals
from orchestrator.runtime.loop import READ, Loop
from orchestrator.runtime.signal_fd import Received, SignalFd

SECOND_INTERRUPT = 0.5
QUIT_STATUS = 128 + signal.SIGQUIT
_OF_THE_KERNEL = (signal.SIGCHLD, signal.SIGALRM, signal.SIGWINCH)
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)


class StoppableSystem(Protocol):
    """The system that signals act on."""

    @property
    def is_over(self) -> bool:
        """Whether everything has ended; only output may still wait for its reader."""

    def stop(self, outcome: Outcome) -> None:
        """Stop the system; do nothing if a stop is in progress."""

    def kill(self) -> None:
        """Skip the rest of the grace periods."""

    def pass_on(self, received: Received) -> None:
        """Send a signal to the components."""

    def reap(self) -> None:
        """Reap the children that have ended."""

    def resize(self) -> None:
        """Take the new size of the terminal."""

    def suspend(self) -> None:
        """Suspend this process, as Ctrl-Z does."""

    def resume(self) -> None:
        """Take the terminal back after a suspension."""

    def tell(self, text: str, *, over_echo: bool = False) -> None:
        """Show an event line, over the `^C` that the terminal has echoed."""


class SignalHandler:
    """Reads signals from a signalfd and the wakeup fd, and acts on `system`.

    With `hang_up_stops` off, HUP keeps its disposition. `told` gets each signal that stops, with its sender if there is
    a signalfd.
    """

    def __init__(
        self,
        loop: Loop,
        system: StoppableSystem,
        hang_up_stops: bool,
        told: Callable[[Received], object] = lambda _: None,
    ) -> None:
        self._loop = loop
        self._system = system
        self._told = told
        self._since: float | None = None  # when the stop began
        self.was_interrupted = False  # by an INT, before the stop or during it
        self._ignores_hang_up = False
        stopping = [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, *([signal.SIGHUP] if hang_up_stops else ())]
        read = [*stopping, *(number for number in _PASSED_ON if not signals.inherited_ignored(number))]
        # Handlers too: for signals that arrive before they are blocked, or are raised for this thread alone.
        self._signals = signals.SignalPipe([*read, signal.SIGCHLD, signal.SIGWINCH])
        loop.add(self._signals.read_fd, READ, lambda _: self._on_signals())
        with contextlib.suppress(OSError, AttributeError):  # no signalfd: the sender remains unknown
            signal_fd = SignalFd(read)
            loop.add(signal_fd.read_fd, READ, lambda _: self._act_on(signal_fd.read()))

    def _on_signals(self) -> None:
        self._act_on([Received(number) for number in self._signals.read()])

    def _act_on(self, received: list[Received]) -> None:
        for one in received:
            number = one.number
            if number == signal.SIGHUP and self._ignores_hang_up:
                continue
            if number not in (*_OF_THE_KERNEL, *_PASSED_ON):
                self._told(one)
            match number:
                case signal.SIGCHLD | signal.SIGALRM:
                    pass
                case signal.SIGWINCH:
                    self._system.resize()
                case signal.SIGUSR1 | signal.SIGUSR2:
                    self._system.pass_on(one)
                case signal.SIGTSTP:
                    self._system.suspend()
                case signal.SIGCONT:
                    self._system.resume()
                case signal.SIGQUIT:
                    self._stop_by(number, Outcome(QUIT_STATUS))
                    self._system.kill()
                case _:
                    self._stop_by(number, Outcome(signal=number))
        self._system.reap()

    def take_job_control(self) -> None:
        """Let the system suspend itself on Ctrl-Z, which otherwise stops this process at once."""
        self._signals.hear(signal.SIGTSTP)
        self._signals.hear(signal.SIGCONT)

    def ignore_hang_up(self, ignored: bool) -> None:
        """Set whether HUP has no effect. SIG_IGN would not do: a blocked signal is queued for a signalfd anyway."""
        self._ignores_hang_up = ignored

    def stop_began(self) -> None:
        """A stop is in progress, whatever its cause."""
        self._since = self._loop.now()

    def _stop_by(self, number: int, outcome: Outcome) -> None:
        is_first = not self.was_interrupted
        self.was_interrupted |= number == signal.SIGINT
        if self._since is not None and self._system.is_over:
            if number != signal.SIGINT or self._loop.now() - self._since >= SECOND_INTERRUPT:
                self._system.kill()
        elif self._since is None:
            self._system.tell(
                f"{errors.signal_name(number)} received", over_echo=number in (signal.SIGINT, signal.SIGQUIT)
            )
            self._system.stop(outcome)
        elif number == signal.SIGINT and self._loop.now() - self._since >= SECOND_INTERRUPT:
            if is_first:
                self._since = self._loop.now()
                self._system.tell("SIGINT received: already stopping (Ctrl-C again to kill now)", over_echo=True)
            else:
                self._system.tell("second Ctrl-C: killing what is left", over_echo=True)
                self._system.kill()
