"""Idle: how often a runner's processes wake up while all components are silent.

strace is attached to all of them and counts the system calls that return within the window; the switches in
/proc/PID/task/*/status, which need no strace, are the cross-check. To attach interrupts every wait once, and so does
to let go; the window lies between.
"""

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import processes, report
from benchmarks.contenders import Contender, orchestrates, rivals
from benchmarks.report import Column, Row
from benchmarks.running import Settings, start_silent
from benchmarks.turns import interleaved
from benchmarks.workspace import BenchError, Workspace

COUNT = 50
WINDOW = 10.0  # seconds
SETTLING = 1.0  # seconds after the last line, and again after strace is attached
# A line of strace's that is no return: a call that goes on, in the tracer's two ways to say so.
_GOES_ON = re.compile(rb"<unfinished \.\.\.>$|<detached \.\.\.>$", re.MULTILINE)

COLUMNS = (
    Column("contender", "contender"),
    Column("components", "components", "d"),
    Column("processes", "processes", "d"),
    Column("seconds", "window s", ".1f"),
    Column("wakeups", "returning calls", ".0f"),
    Column("switches", "context switches", ".0f"),
)


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each contender."""
    count, window, settling = (3, 0.5, 0.3) if settings.quick else (COUNT, WINDOW, SETTLING)

    def wakeups(contender: Contender) -> tuple[int, int | None, int]:
        run, _ = start_silent(contender, count, space)
        with run:
            time.sleep(settling)
            own = run.own()
            with Trace(own, space.new_directory() / "trace", settling) as trace:
                calls, switches = trace.returns(), processes.switches(own)
                time.sleep(window)
                return len(own), _less(trace.returns(), calls), processes.switches(own) - switches

    samples = interleaved([orchestrates()[0], *rivals()], settings.repetitions(1), wakeups)
    return [
        {
            "contender": name,
            "components": count,
            "processes": runs[0][0],
            "seconds": window,
            "wakeups": report.median(calls for _, calls, _ in runs if calls is not None),
            "switches": report.median(switches for _, _, switches in runs),
            "samples": runs,
        }
        for name, runs in samples.items()
    ]


def _less(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


class Trace:
    """strace -f over `pids`; `returns` is None where there is no strace, or it may not trace."""

    def __init__(self, pids: Sequence[int], path: Path, settling: float) -> None:
        self._path = path
        self._settling = settling
        self._pids = pids

    def __enter__(self) -> "Trace":
        options = [word for pid in self._pids for word in ("-p", str(pid))]
        try:
            self._strace: subprocess.Popen[str] | None = subprocess.Popen(
                ["strace", "-f", "-o", self._path, *options], stderr=subprocess.PIPE, text=True
            )
        except FileNotFoundError:
            self._strace = None
            return self
        self._wait_attached(self._strace)
        return self

    def __exit__(self, *_: object) -> None:
        if self._strace is not None:
            self._strace.send_signal(signal.SIGINT)
            self._strace.communicate()

    def returns(self) -> int | None:
        """Return how many calls have returned, and signals come, since strace was attached."""
        if self._strace is None:
            return None
        text = self._path.read_bytes()
        return text.count(b"\n") - len(_GOES_ON.findall(text))

    def _wait_attached(self, strace: subprocess.Popen[str]) -> None:
        assert strace.stderr is not None
        waiting = set(self._pids)
        for line in strace.stderr:
            if match := re.search(r"Process (\d+) attached", line):
                waiting.discard(int(match[1]))
                if not waiting:
                    break
            elif "not permitted" in line:
                strace.wait()
                self._strace = None
                return
        if waiting:
            raise BenchError(f"strace ended before it was attached to {sorted(waiting)}")
        time.sleep(self._settling)
