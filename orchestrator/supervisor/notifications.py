"""Receives the reports of components on themselves: READY=1 on NOTIFY_SOCKET, as for systemd (sd_notify(3)).

Each run gets a new socket, so that a late message of an earlier run does not count. It is abstract: nothing is left in
the file system, however we exit. Every user can see its name (/proc/net/unix), so the sender's uid is checked, which
the kernel adds to each message (SO_PASSCRED, unix(7)).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.model.spec import NotifyProbe
from orchestrator.runtime.loop import READ, Loop
from orchestrator.supervisor.instance import Instance

VARIABLE = "NOTIFY_SOCKET"
MESSAGE_MAX = 4096  # bytes, the limit of systemd
MESSAGES = 16  # that are read in one turn of the loop
STATUS_MAX = 200  # characters of its status text that are shown
_UCRED = struct.Struct("3i")  # pid, uid, gid


@dataclass(slots=True)
class _Listening:
    socket: socket.socket
    is_ready: bool = False
    status: str = ""


class Notifications:
    """The sockets of all runs that report. `ready` is called with an instance that has reported that it is ready."""

    def __init__(self, loop: Loop, ready: Callable[[Instance], None]) -> None:
        self._loop = loop
        self._ready = ready
        self._by_key: dict[str, _Listening] = {}

    def open(self, instance: Instance) -> dict[str, str]:
        """Return the variables that a new run gets: none unless its readiness is reported. Raises OSError."""
        self.close(instance)
        if not any(isinstance(probe, NotifyProbe) for probe in instance.spec.ready):
            return {}
        name = f"orchestrate-{os.urandom(16).hex()}"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            receiver.bind(f"\0{name}")
        except OSError:
            receiver.close()
            raise
        listening = self._by_key[instance.key] = _Listening(receiver)
        self._loop.add(receiver.fileno(), READ, lambda _: self._read(instance, listening))
        return {VARIABLE: f"@{name}"}

    def close(self, instance: Instance) -> None:
        """Close the socket of a run that has ended."""
        if listening := self._by_key.pop(instance.key, None):
            self._loop.remove(listening.socket.fileno())
            listening.socket.close()

    def is_ready(self, instance: Instance) -> bool:
        """Whether the present run has reported that it is ready."""
        return instance.key in self._by_key and self._by_key[instance.key].is_ready

    def status(self, instance: Instance) -> str:
        """The last STATUS that the present run reported."""
        return self._by_key[instance.key].status if instance.key in self._by_key else ""

    def _read(self, instance: Instance, listening: _Listening) -> None:
        for _ in range(MESSAGES):
            try:
                data, ancillary, _, _ = listening.socket.recvmsg(MESSAGE_MAX, socket.CMSG_SPACE(_UCRED.size))
            except OSError:  # EAGAIN
                return
            if _may_report(instance, ancillary):
                self._take(instance, listening, data.decode("utf-8", "replace").split("\n"))

    def _take(self, instance: Instance, listening: _Listening, assignments: list[str]) -> None:
        for assignment in assignments:
            if assignment.startswith("STATUS="):
                listening.status = assignment.removeprefix("STATUS=")[:STATUS_MAX]
        if "READY=1" in assignments and not listening.is_ready:
            listening.is_ready = True
            self._ready(instance)


def _may_report(instance: Instance, ancillary: list[tuple[int, int, bytes]]) -> bool:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _UCRED.size:
            account = instance.spec.attributes.account
            return _UCRED.unpack_from(data)[1] in (os.geteuid(), account.uid if account else 0, 0)
    return False
