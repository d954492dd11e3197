"""CPU, memory, ports and output of the instances, sampled only while they are active.

The kernel reports that a log file has grown (inotify(7)). Then a sample is taken every SAMPLE_EVERY seconds, until in
QUIET_SAMPLES of them no instance has written or computed. So a silent system causes no wake-up. A component that begins
to compute without output is not noticed until the next output, key or state change.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.runtime.loop import Loop, Timer
from orchestrator.ui.component_list import SPARKS, Sample

if TYPE_CHECKING:
    from orchestrator.model.control import ShownRow
    from orchestrator.process.usage import TreeReader, Usage

SAMPLE_EVERY = 1.0  # seconds
QUIET_SAMPLES = 3
IDLE = 0.005  # of a processor, below which an instance counts as idle
PORTS_EVERY = 5  # samples between two searches for the ports of an instance


class Sampler:
    """`rows` returns the rows of the instances that are visible, `names` the names of all, `logs` the directory of the
    logs, None if there are none. `on_sample` is called after each sample."""

    def __init__(
        self,
        loop: Loop,
        rows: Callable[[], Iterable[ShownRow]],
        names: Callable[[], Iterable[str]],
        on_sample: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._rows = rows
        self._names = names
        self._on_sample = on_sample
        self.logs: Path | None = None
        self.samples: dict[str, Sample] = {}
        self._sizes: dict[str, int] = {}
        self._activity: dict[str, deque[int]] = {}
        self._before: dict[int, tuple[float, Usage]] = {}
        self._ports: dict[int, tuple[int, tuple[int, ...]]] = {}  # by guardian: the number of the sample, the ports
        self._count = 0
        self._quiet = 0
        self._timer: Timer | None = None

    def wake(self) -> None:
        """Begin to sample, because something has happened."""
        self._quiet = 0
        if self._timer is None:
            self._timer = self._loop.call_in(0.0 if not self._count else SAMPLE_EVERY / 4, self._sample)

    def close(self) -> None:
        """Stop sampling."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sample(self) -> None:
        self._timer = None
        self._count += 1
        written = self._sample_logs()
        is_busy = self._sample_usage()
        self._quiet = 0 if written or is_busy else self._quiet + 1
        if self._quiet < QUIET_SAMPLES:
            self._timer = self._loop.call_in(SAMPLE_EVERY, self._sample)
        else:
            for name, sample in self.samples.items():
                self._activity.pop(name, None)
                self.samples[name] = Sample(sample.cpu, sample.memory, sample.ports)
        self._on_sample()

    def _sample_logs(self) -> bool:
        if self.logs is None:
            return False
        any_written = False
        for name in self._names():
            try:
                size = os.stat(self.logs / f"{name}.log").st_size
            except OSError:
                continue
            before = self._sizes.get(name, size)
            self._sizes[name] = size
            written = size - before if size >= before else size  # a new file was begun
            any_written |= written > 0
            self._activity.setdefault(name, deque(maxlen=SPARKS)).append(written)
        return any_written

    def _sample_usage(self) -> bool:
        from orchestrator.process.usage import TreeReader  # after the first frame

        is_busy, trees = False, TreeReader()
        for row in self._rows():
            name, guardian = row["instance"], row["guardian"]
            cpu, memory = self._usage(row, guardian, trees) if guardian else (None, None)
            is_busy |= (cpu or 0.0) >= IDLE
            ports = self._ports_of(guardian, trees) if guardian and row["pid"] else ()
            self.samples[name] = Sample(cpu, memory, ports, tuple(self._activity.get(name, ())))
        return is_busy

    def _usage(self, row: ShownRow, guardian: int, trees: TreeReader) -> tuple[float | None, int | None]:
        from orchestrator.process.usage import Usage

        usage = trees.usage_of(guardian)
        if usage is None:
            return None, None
        now = time.time()
        since, then = self._before.get(guardian, (row["started"] or now, Usage(0.0, 0)))
        self._before[guardian] = (now, usage)
        return max(0.0, usage.cpu - then.cpu) / max(0.05, now - since), usage.memory

    def _ports_of(self, guardian: int, trees: TreeReader) -> tuple[int, ...]:
        found_at, ports = self._ports.get(guardian, (-PORTS_EVERY, ()))
        if self._count - found_at >= PORTS_EVERY:
            ports = tuple(trees.ports_of(guardian))
            self._ports[guardian] = (self._count, ports)
        return ports
