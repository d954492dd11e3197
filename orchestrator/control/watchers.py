"""Clients that show all instances of a system: each gets all rows at first, and then each row that changes.

Simultaneous changes are sent together, and no timer runs while nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from orchestrator.model.control import Reply, Row
from orchestrator.runtime.loop import Loop, Timer

if TYPE_CHECKING:
    from orchestrator.model.control import ShownRow, StatusRow, WatchRow

TOGETHER = 0.05  # seconds for which changes are collected: while a system starts there are many


class Watching(Protocol):
    """A client that takes replies."""

    def send(self, reply: Reply[Row]) -> None:
        """Send a reply."""


class Watchers:
    """`rows` returns the row of the system and those of its instances, in order.

    A reply has rows of three kinds, by their only key: `system`, `instance`, and `order`, the names of all instances,
    if they have changed.
    """

    def __init__(self, loop: Loop, rows: Callable[[], tuple[StatusRow, list[ShownRow]]]) -> None:
        self._loop = loop
        self._rows = rows
        self._watching: dict[Watching, dict[str, WatchRow]] = {}  # and the rows sent to each, by key
        self._timer: Timer | None = None

    def add(self, client: Watching) -> None:
        """Send this client the rows, from now on."""
        self._watching[client] = {}
        self._send(client, self._shown())

    def remove(self, client: Watching) -> None:
        """Forget a client."""
        self._watching.pop(client, None)

    def changed(self) -> None:
        """Take note that some rows may have changed."""
        if self._watching and self._timer is None:
            self._timer = self._loop.call_in(TOGETHER, self._look)

    def _look(self) -> None:
        self._timer = None
        shown = self._shown()
        for client in list(self._watching):
            self._send(client, shown)

    def _shown(self) -> dict[str, WatchRow]:
        system, instances = self._rows()
        order = [row["instance"] for row in instances]
        rows: dict[str, WatchRow] = {f"instance {row['instance']}": {"instance": row} for row in instances}
        return {"system": {"system": system}, "order": {"order": order}, **rows}

    def _send(self, client: Watching, shown: dict[str, WatchRow]) -> None:
        before = self._watching[client]
        self._watching[client] = shown
        rows = tuple(row for key, row in shown.items() if before.get(key) != row)
        if rows:
            client.send(Reply(rows=rows, last=False))
