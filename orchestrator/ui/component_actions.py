"""What the keys of the view do with the selected component: attach, restart, stop, start, kill, scale, explain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.model.control import (
    KillRequest,
    Reply,
    RestartRequest,
    ScaleRequest,
    StartRequest,
    StopRequest,
    had_ended,
)
from orchestrator.model.errors import OrchestrateError
from orchestrator.ui.content import RUNNING, Content, Shown

if TYPE_CHECKING:
    from orchestrator.model.control import RunRow, ShownRow
    from orchestrator.ui.own_command import OwnCommand
    from orchestrator.ui.view import View

_CONTROLS = dict.fromkeys((*range(10), *range(11, 32), 127))  # removed from the output of a command


class ComponentActions:
    """Performs the actions of one view."""

    def __init__(self, view: View, content: Content) -> None:
        self._view = view
        self._content = content
        self._explaining: OwnCommand | None = None

    def _selected(self) -> ShownRow | None:
        row = self._view.list.current
        if row is None:
            self._view.status.say("no component is selected")
        elif row["instance"] not in self._view.list.names:
            self._view.status.say(f"{row['instance']} is hidden by the filter; Esc shows all", is_error=True)
            return None
        return row

    def attach(self) -> None:
        """Attach this terminal to the selected instance until the user detaches or the instance exits."""
        row = self._selected()
        if row is None:
            return
        name = row["instance"]
        if not row["tty"]:
            self._view.status.say(f"cannot attach to {name}: it has no terminal (tty = false)", is_error=True)
            return
        if self._view.link.is_suspended_now():
            return
        self._content.detach()
        try:
            session = self._view.options.attach(name)
        except OrchestrateError as error:
            self._view.status.say(str(error), is_error=True)
        else:
            self._view.status.say(self._view.with_terminal(session))
        self._content.show_terminal()

    def restart(self) -> None:
        """Restart the selected instance."""
        if row := self._selected():
            name = row["instance"]
            self._view.link.ask(RestartRequest((name,)), f"restarting {name}", lambda reply: _done(reply, "restarted"))

    def stop_or_start(self) -> None:
        """Stop the selected instance if it runs, or waits to be started; otherwise start it."""
        if row := self._selected():
            name = row["instance"]
            if row["state"] in RUNNING or row["state"] == "waiting":
                self._view.link.ask(StopRequest((name,)), f"stopping {name}", lambda _: f"{name} stopped")
            else:
                self._view.link.ask(StartRequest((name,)), f"starting {name}", lambda reply: _done(reply, "started"))

    def kill(self) -> None:
        """Kill the selected instance, after a question."""
        row = self._selected()
        if row is None:
            return
        name = row["instance"]

        def answered(key: str) -> None:
            if key == "y":
                asked_at = time.time()
                self._view.link.ask(
                    KillRequest((name,)), f"killing {name}", lambda reply: _killed(name, reply, asked_at)
                )
            else:
                self._view.status.say(f"{name} was not killed")

        self._view.status.ask(f"kill {name} without a grace period? y kills, any other key cancels", answered)

    def scale(self, by: int) -> None:
        """Add `by` instances to the selected component; remove them if `by` is negative."""
        row = self._selected()
        if row is None:
            return
        component = row["component"]
        count = sum(each["component"] == component for each in self._view.list.instances.values()) + by
        if count < 1:
            text = f"{component} has one instance; `orchestrate scale {component}=0` removes it"
            self._view.status.say(text, is_error=True)
            return
        request = ScaleRequest((component,), count)
        self._view.link.ask(
            request, f"scaling {component} to {count}", lambda _: f"{component} has {_instances(count)}"
        )

    def why(self) -> None:
        """Show the output of `orchestrate why`."""
        from orchestrator.ui.own_command import OwnCommand  # after the first frame

        row = self._selected()
        if row is None:
            return
        name = row["instance"]

        def explained(output: bytes) -> None:
            self._explaining = None
            if self._view.list.selected == name:
                self._view.status.say("")
                text = output.decode("utf-8", "replace").translate(_CONTROLS)
                self._content.show_text(Shown.WHY, [line.encode() for line in text.splitlines()], from_top=True)
                self._view.drawing.changed(urgent=True)

        self.close()
        try:
            options = self._view.options
            self._explaining = OwnCommand(self._view.loop, options.why(name), options.environment, explained)
        except OSError as error:
            self._view.status.say(f"cannot run orchestrate why: {error.strerror}", is_error=True)
        else:
            self._view.status.say(f"asking why {name} is {row['state']} …")

    def close(self) -> None:
        """Stop reading the output of `orchestrate why`."""
        if self._explaining is not None:
            self._explaining.close()
            self._explaining = None


def _killed(name: str, reply: Reply[RunRow], asked_at: float) -> str:
    """Return what became of the instance; there is no row of it if the system has ended."""
    is_late = any(had_ended(row, asked_at) for row in reply.rows)
    return f"{name} was not running" if is_late else f"{name} killed"


def _done(reply: Reply[RunRow], what: str) -> str:
    return ", ".join(
        f"{row['instance']} {what}" + (f" (pid {row['pid']})" if row.get("pid") else "") for row in reply.rows
    )


def _instances(count: int) -> str:
    return f"{count} instances" if count != 1 else "1 instance"
