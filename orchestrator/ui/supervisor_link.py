"""The view's link to the supervisor: the rows that it reports, the directory of the logs, requests, attachments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.control import AttachRequest, Reply, Request, RowT, WatchRequest
from orchestrator.model.frames import Frame
from orchestrator.process import procfs
from orchestrator.runtime.inotify import ChangeWatch
from orchestrator.ui.connection import Attachment, NotRunning, ViewConnection
from orchestrator.ui.view_options import Leave

if TYPE_CHECKING:
    from orchestrator.model.control import AttachRow, StatusRow, WatchRow
    from orchestrator.ui.view import View

RECONNECTS = 3  # attempts without a reply
ANSWER_AFTER = 1.0  # seconds without an answer after which the supervisor may be suspended


class SupervisorLink:
    """The connections of one view. `system` is the row of the system, None until there is one."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.system: StatusRow | None = None
        self.begun = 0.0  # Unix time of this start
        self._rows: ViewConnection[WatchRow] | None = None
        self._failed_connects = 0
        self._suspension = ""  # the message about it, while it is suspended
        self._logs_connection: ViewConnection[AttachRow] | None = None
        self._watch: ChangeWatch | None = None

    def connect(self) -> None:
        """Request the rows, and the directory of the logs. The second connection stays open while the system runs."""
        try:
            if self._rows is not None:
                self._rows.close()
            self._rows = ViewConnection(
                self._view.options.control, WatchRequest(), self._view.loop, self._on_rows, self._on_rows_lost
            )
            self._expect_answer(self._rows)
            if self._logs_connection is None:
                self._logs_connection = ViewConnection(
                    self._view.options.control, AttachRequest(), self._view.loop, self._on_logs, self._on_system_lost
                )
        except (NotRunning, OSError):
            self._view.leave(Leave.ENDED)

    def close(self) -> None:
        """Close the connections."""
        for connection in (self._rows, self._logs_connection):
            if connection is not None:
                connection.close()

    def _on_rows(self, reply: Reply[WatchRow]) -> None:
        self._failed_connects = 0
        self._clear_suspension()
        if not reply.ok:
            self._view.status.say(reply.error, is_error=True)
        for row in reply.rows:
            if "system" in row:
                self.system = row["system"]
            elif "order" in row:
                self._view.list.set_order(row["order"])
            elif "instance" in row:
                self._view.list.update(row["instance"])
        self._view.content.note_events()
        if self._view.drawing.shows_content:
            self._view.content.rows_changed()
            self._view.sampler.wake()
        self._view.drawing.changed(urgent=not self._view.drawing.shows_content)

    def _expect_answer(self, asked: ViewConnection[RowT]) -> None:
        """Report a suspended supervisor if no answer comes. The kernel accepts connections and requests for it."""

        def check() -> None:
            if not asked.is_answered and asked.pid is not None and procfs.is_stopped(asked.pid):
                self._report_suspension(asked.pid)

        self._view.loop.call_in(ANSWER_AFTER, check)

    def is_suspended_now(self) -> bool:
        """Whether the supervisor is suspended; if so, report it. Called after a key and with each sample, because the
        kernel reports a suspension only to the parent. New rows are requested, which come when it is resumed."""
        pid = self._rows.pid if self._rows is not None else None
        if pid is None or not procfs.is_stopped(pid):
            return False
        if not self.is_suspended:
            self.connect()
        self._report_suspension(pid)
        return True

    @property
    def is_suspended(self) -> bool:
        """Whether the supervisor does not answer because it was suspended, as reported last."""
        return bool(self._suspension)

    def _report_suspension(self, pid: int) -> None:
        self._suspension = f"the system is suspended (pid {pid}), as after Ctrl-Z; type fg there, or kill -CONT {pid}"
        self._view.status.say(self._suspension, is_error=True)
        self._view.drawing.changed(urgent=True)

    def _clear_suspension(self) -> None:
        if self._suspension and self._view.status.message == self._suspension:
            self._view.status.say("")
        self._suspension = ""

    def _on_rows_lost(self) -> None:
        """Request the rows again: the supervisor disconnects a client that does not read, as during an attach."""
        self._failed_connects += 1
        if self._view.is_open and self._failed_connects <= RECONNECTS:
            self.connect()

    def _on_logs(self, reply: Reply[AttachRow]) -> None:
        if not reply.ok or not reply.rows:
            return
        self._view.sampler.logs = Path(reply.rows[0]["logs"])
        self.begun = reply.rows[0].get("begun", 0.0)
        self._watch = ChangeWatch(self._view.loop, self._view.sampler.logs, self._on_written)
        if self._view.drawing.shows_content:
            self._view.content.logs_found()

    def _on_system_lost(self) -> None:
        self._view.leave(Leave.ENDED)

    def _on_written(self) -> None:
        self._view.sampler.wake()
        self._view.content.written()

    def watch_logs(self) -> None:
        """Report the next change of the logs."""
        if self._watch is not None:
            self._watch.again()

    def ask(self, request: Request[RowT], doing: str, done: Callable[[Reply[RowT]], str]) -> None:
        """Send a request. The status line shows `doing`, then the result: `done` makes its text."""
        self._view.status.say(f"{doing} …")

        def answered(reply: Reply[RowT]) -> None:
            if reply.progress:
                self._view.status.say(reply.progress)
            elif not reply.ok:
                self._view.status.say(reply.error, is_error=True)
            else:
                self._view.status.say(done(reply))
            self._view.drawing.changed(urgent=True)

        try:
            self._expect_answer(
                ViewConnection(self._view.options.control, request, self._view.loop, answered, lambda: None)
            )
        except (NotRunning, OSError) as error:
            self._view.status.say(f"cannot ask the system: {error}", is_error=True)

    def attach_to(
        self, name: str, size: tuple[int, int], frames: Callable[[list[Frame]], None], ended: Callable[[str], None]
    ) -> Attachment | None:
        """Attach to a component's terminal as a viewer; return None without a supervisor."""
        try:
            return Attachment(self._view.options.control, name, size, self._view.loop, frames, ended)
        except (NotRunning, OSError):
            return None
