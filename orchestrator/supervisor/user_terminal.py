"""The user's terminal, to which the system belongs: its keys, the row below the merged stream, and the view on it.

While the view is open, nothing is written to the terminal and no key is read here. The output of that time is kept,
bounded, and shown with a mark after the view is closed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from orchestrator.model.control import Verb
from orchestrator.model.outcome import Outcome
from orchestrator.model.status import WORKING, Status
from orchestrator.output.presenter import Presenter
from orchestrator.output.status_row import Item
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.keyboard import Keyboard
from orchestrator.supervisor.left_terminal import LeftTerminal
from orchestrator.supervisor.observer import ListenerOrder
from orchestrator.supervisor.stream_keys import StreamKeys
from orchestrator.supervisor.view_process import BACKGROUND, NOT_SHOWN, RESTORE, STOP, ViewCommand, ViewProcess

if TYPE_CHECKING:
    from orchestrator.supervisor.supervisor import Supervisor

VIEW_PATIENCE = 2.0  # seconds that the view gets to exit after the system


class UserTerminal:
    """Owns the terminal `fd` from its creation to `close`. Without `shows_status` the status row is off; `view` starts
    the full-screen view, or is None if that is not available. `ignore_hang_up` says whether SIGHUP has no effect."""

    def __init__(
        self,
        loop: Loop,
        fd: int,
        supervisor: Supervisor,
        presenter: Presenter,
        *,
        shows_status: bool,
        colors: bool,
        view: ViewCommand | None,
        ignore_hang_up: Callable[[bool], None],
    ) -> None:
        """Raise OSError if the terminal cannot be read without waiting."""
        self._loop = loop
        self._fd = fd
        self._ignore_hang_up = ignore_hang_up
        self._left: LeftTerminal | None = None  # the terminal while the system runs in the background
        self._supervisor = supervisor
        self._presenter = presenter
        self._screen = presenter.screen
        self._shows_status = shows_status and self._screen.shows_unfinished
        self._command = view
        self._view: ViewProcess | None = None
        self._keys = StreamKeys(loop, self, self._draw, self._columns, colors=colors)
        self._keys.has_view = view is not None
        self._keyboard: Keyboard | None = Keyboard(loop, fd, self._keys.press)
        self.rescue = self._keyboard.rescue
        if self._shows_status:
            self._screen.is_in_front = lambda: self._keyboard is not None and self._keyboard.is_in_front
            supervisor.listen(lambda instance, before: self._keys.changed(), ListenerOrder.KEYS)
            supervisor.streams.on_waiting.append(self._keys.changed)

    @property
    def view_pid(self) -> int:
        """The pid of the view; 0 if it is not open."""
        return self._view.pid if self._view is not None else 0

    def changed(self) -> None:
        """Redraw, because the terminal's size or the instances have changed."""
        if self._shows_status:
            self._keys.changed()

    def stopping(self) -> None:
        """Turn off keys, because the system stops."""
        self._keys.close()

    def suspend(self) -> None:
        """Restore the terminal, because this process is about to be suspended."""
        if self._keyboard is not None and self._view is None:
            self._draw(b"")
            self._screen.end_turn()
            self._keyboard.suspend()

    def resume(self) -> None:
        """Take the terminal again, if we are in the foreground."""
        if self._left is not None:
            self.take_back()
        elif self._keyboard is not None and self._view is None:
            self._keyboard.resume()
            self._screen.begin_row()
            self.changed()

    def take_back(self) -> None:
        """Show the merged stream again, if the system was in the background and `fg` has given us the terminal."""
        if self._left is None or not self._left.take_back():
            return
        self._left = None
        try:
            self._keyboard = Keyboard(self._loop, self._fd, self._keys.press)
        except OSError:  # hung up meanwhile
            return
        self._ignore_hang_up(False)
        self._screen.console.resume()
        self._keys.open()
        self._screen.begin_row()
        self.note("in the foreground again; orchestrate logs shows what was printed meanwhile")
        self.changed()

    def end_view(self) -> None:
        """Wait a moment for the view to exit, because the system has stopped."""
        if self._view is None:
            return
        timer = self._loop.call_in(VIEW_PATIENCE, lambda: None)
        until = self._loop.now() + VIEW_PATIENCE
        while self._view is not None and self._loop.now() < until:
            self._loop.turn()
        timer.cancel()
        if self._view is not None:
            self._view_left(b"")

    def close(self) -> None:
        """Restore the terminal and stop reading."""
        if self._keyboard is not None:
            self._keyboard.close()
            self._keyboard = None

    # For keys

    def blank(self) -> None:
        """Show a blank line."""
        self._presenter.blank()

    def note(self, text: str) -> None:
        """Show a line on this screen only."""
        self._presenter.note(text)

    def typed_to(self) -> str:
        """Return the component that could be typed to: one that waits for input, or else the first."""
        names = [
            instance.name for instance in self._supervisor.registry.instances if instance.runs and instance.spec.tty
        ]
        waiting = [name for name in names if self._supervisor.streams.terminals.waiting(name)]
        return (*waiting, *names, "")[0]

    def names(self) -> list[str]:
        """Return the present instances."""
        return [instance.name for instance in self._supervisor.registry.instances]

    def items(self) -> Iterable[Item]:
        """Return the row's entries for them."""
        registry = self._supervisor.registry
        step = registry.steps.running
        instances = [step] if step is not None and not registry.is_filled else registry.instances
        return [Item(instance.name, instance.public_state, self._words(instance)) for instance in instances]

    def restart_by_key(self, name: str) -> None:
        """Restart an instance and report it."""
        instances = self._supervisor.registry.all_named([name])
        if instances and not self._supervisor.is_stopping:
            self._supervisor.tell(f"restarting {name}")
            self._supervisor.observer.pressed("r", Verb.RESTART, name)
            self._supervisor.change_requests.restart(instances)
            self._supervisor.observer.handled()

    def open_view(self) -> None:
        """Start the full-screen view, which has the terminal from now on."""
        if self._command is None or self._keyboard is None or self._view is not None or self._supervisor.is_stopping:
            return
        self._keyboard.hold()
        self._screen.hold()
        try:
            self._view = ViewProcess(self._loop, self._command, self._view_left)
        except OSError as error:
            self._take_terminal()
            self.note(f"cannot open the view: {error.strerror}")

    # The view

    def _view_left(self, said: bytes) -> None:
        self._view = None
        if BACKGROUND in said:
            self._go_to_background()
            return
        self._take_terminal(RESTORE if not said else b"", was_shown=NOT_SHOWN not in said)
        if STOP in said and not self._supervisor.is_stopping:
            self._supervisor.tell("stop requested in the view")
            self._supervisor.stop(Outcome())

    def _take_terminal(self, restore: bytes = b"", *, was_shown: bool = True) -> None:
        lines, dropped, held = self._screen.release()
        self._screen.console.write(restore, may_skip=False)
        if self._keyboard is not None:
            self._keyboard.release()
        if lines:
            what = f"{lines:,} lines" if lines != 1 else "1 line"
            rest = f"; {dropped:,} are left out here" if dropped else ""
            if was_shown or dropped:
                self.note(f"{what} while the view was open{rest}:")
            for text in held:
                self._screen.show(text)
        self.changed()

    def _go_to_background(self) -> None:
        """Leave the terminal to the shell, as Ctrl-Z and `bg` do, and survive its hang-up.

        A shell takes its terminal back once it sees that its job has stopped. So we stop; the view, which lives until
        then, continues us when the shell has it (`cli.commands.ui`).
        """
        self._ignore_hang_up(True)
        self._keys.close()
        self._screen.release()
        commands = "orchestrate ui, orchestrate down; fg and Enter show it here"
        self._supervisor.tell(f"keeps running in the background (pid {os.getpid()}); {commands}")
        self._screen.end_turn()
        self._screen.console.abandon()
        self.close()
        self._left = LeftTerminal(self._loop, self._fd, self.take_back)
        signal.raise_signal(signal.SIGSTOP)

    # The row

    def _draw(self, shown: bytes) -> bool:
        if self._shows_status:
            self._screen.set_status(shown)
        return self._shows_status

    def _columns(self) -> int:
        return (self._screen.console.size() or (80, 24))[0]

    def _words(self, instance: Instance) -> str:
        terminals = self._supervisor.streams.terminals
        if terminals.waiting(instance.key) and not terminals.is_full_screen(instance.key):
            return "waits for input"
        status = instance.public_state
        if status is Status.WAITING and (names := self._supervisor.registry.waits_for(instance)):
            return f"waiting for {', '.join(names)}"
        return "" if status in WORKING else status.value
