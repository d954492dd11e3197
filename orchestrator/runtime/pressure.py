"""Memory pressure (PSI, Documentation/accounting/psi.rst): the kernel reports when processes wait for memory.

A trigger is a threshold that is written to a pressure file and then polled for POLLPRI: it costs nothing while there is
enough memory. Since Linux 6.5 a process without CAP_SYS_RESOURCE may set one, for windows of whole multiples of 2 s.
The kernel reports at most once in each window.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.runtime import cgroup
from orchestrator.runtime.loop import Loop, PriorityWatch

MACHINE = Path("/proc/pressure/memory")
TRIGGER = b"some 1000000 10000000\0"  # microseconds: 1 s of waiting within 10 s


class MemoryPressure:
    """Calls `back` with the content of the pressure file when processes wait for memory, from its creation to `close`.

    The file is that of our control group, else of the machine. Without one, or if the kernel refuses, it never does.
    """

    def __init__(self, loop: Loop, back: Callable[[str], None], files: Iterable[Path] | None = None) -> None:
        self._back = back
        self._watch: PriorityWatch | None = None
        self._fd = -1
        for file in _files() if files is None else files:
            with contextlib.suppress(OSError):
                self._fd = _open(file)
                self._watch = PriorityWatch(loop, self._fd, self._report)
                return

    @property
    def is_watched(self) -> bool:
        """Whether the kernel will report pressure."""
        return self._watch is not None

    def _report(self) -> None:
        with contextlib.suppress(OSError):
            self._back(os.pread(self._fd, 4096, 0).decode("ascii", "replace"))

    def close(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
            os.close(self._fd)


def _open(file: Path) -> int:
    fd = os.open(file, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(fd, TRIGGER)
    except OSError:
        os.close(fd)
        raise
    return fd


def _files() -> list[Path]:
    with contextlib.suppress(cgroup.NoGroupError):
        return [cgroup.own_group() / "memory.pressure", MACHINE]
    return [MACHINE]
