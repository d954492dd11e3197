"""View: what the full-screen view takes until its first frame, what it costs a flood, and how soon it answers a key.

- `first frame` runs from the exec of `orchestrate ui` to the row of keys on its terminal, `components` to the last
  component of its list. `cpu` is what the view has used by then.
- `flood` is the speed of a flood with the view open on it, of that without a view, in the same turn, and the same for
  the CPU of the supervisor. Both go into a pipe that checks every line.
- `row of states` is the same on a terminal with the row below the stream, and with `--no-status`.
- `key beside a flood` and `key, 200 components` run from a key's write to its answer on the terminal, one at a time.
- `wake-ups` counts system calls of the view that return while all is silent; strace is attached to it.

A terminal is a pty that is read at once. A flood goes as fast as it is taken; the table has its MB/s.
"""

import importlib.util
import itertools
import json
import math
import os
import random
import re
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

from benchmarks import processes, report
from benchmarks.contenders import Component, Contender, environment, orchestrate_command, orchestrates
from benchmarks.flow import ROWS_COLUMNS, Gate, Sink
from benchmarks.idle import Trace
from benchmarks.report import Column, Row
from benchmarks.running import PATIENCE, Run, Settings, silent_components
from benchmarks.turns import interleaved
from benchmarks.workspace import BenchError, Workspace

FLOOD_LINES = 1_500_000  # of 100 bytes: about two seconds
KEYS = 200
PAUSE = 0.06  # seconds between an answer and the next key, at most
MANY = 200
WINDOW = 10.0  # seconds
KEYS_ROW = rb"quit"
LINE = 100  # bytes
SGR = re.compile(rb"\x1b\[[0-9;]*m")

COLUMNS = (
    Column("case", "case"),
    Column("p50", "median", ".2f"),
    Column("p99", "p99", ".2f"),
    Column("unit", "unit"),
    Column("promise", "promise"),
    Column("cpu", "CPU ms", ".0f"),
    Column("speed", "MB/s", ".0f"),
)


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each case."""
    if importlib.util.find_spec("pyte") is None:
        raise BenchError("the view needs pyte")
    cases: dict[str, Callable[[Settings, Workspace], list[Row]]] = {
        "first frame": _first_frames,
        "flood with the view open": _floods,
        "flood above the row of states": _rows_of_states,
        "key beside a flood": _keys_beside_a_flood,
        f"key, {MANY} components": _keys_of_many,
        "wake-ups": _wakeups,
    }
    rows: list[Row] = []
    for case, figures in cases.items():
        if not settings.leaves_out(case):
            rows += [{"contender": "orchestrate", **row} for row in figures(settings, space)]
    return rows


class View:
    """`orchestrate ui` on a terminal of its own. What it draws is read by `wait_for`, or by a thread after `drain`."""

    def __init__(self, run: Run) -> None:
        command = [*orchestrate_command(), "ui", "-C", str(run.directory)]
        variables = environment()
        self.began = time.monotonic()
        self.pid, self._fd = os.forkpty()
        if self.pid == 0:
            ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *ROWS_COLUMNS, 0, 0))
            os.execve(command[0], command, variables)
        self._drawn = b""
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)

    def press(self, key: str) -> float:
        """Type a key; return the monotonic time of that. What was drawn before does not answer it."""
        self._drawn = b""
        os.write(self._fd, key.encode())
        return time.monotonic()

    def wait_for(self, pattern: bytes) -> float:
        """Read until this was drawn since the last key, whatever its colors; return the monotonic time at which it
        came."""
        while not re.search(pattern, SGR.sub(b"", self._drawn)):
            if not select.select([self._fd], [], [], PATIENCE)[0]:
                raise BenchError(f"the view does not show {pattern!r}:\n{self._drawn[-2000:]!r}")
            try:
                self._drawn += os.read(self._fd, 1 << 16)
            except OSError:
                raise BenchError(f"the view has ended:\n{self._drawn[-2000:]!r}") from None
        return time.monotonic()

    def drain(self) -> None:
        """Read and forget everything from now on."""

        def read() -> None:
            try:
                while os.read(self._fd, 1 << 16):
                    pass
            except OSError:  # EIO: the view has ended
                pass

        self._thread = threading.Thread(target=read)
        self._thread.start()


@dataclass(frozen=True)
class Flood:
    """One flood: MB/s, and CPU seconds of the supervisor."""

    speed: float
    cpu: float


def _first_frames(settings: Settings, space: Workspace) -> list[Row]:
    count = 3 if settings.quick else 10
    names = silent_components(count, space)
    frames: list[float] = []
    lists: list[float] = []
    cpu: list[float] = []
    with Run(orchestrates()[0], names, space) as run:
        run.wait_for_lines(rb"component \d+ is up", count)
        for _ in range(settings.repetitions(10)):
            processes.wait_quiet(run.own())
            with View(run) as view:
                frames.append(1000 * (view.wait_for(KEYS_ROW) - view.began))
                cpu.append(1000 * processes.exact_cpu_time(view.pid))
                lists.append(1000 * (view.wait_for(names[-1].name.encode()) - view.began))
    cpu_median = report.median(cpu)
    return [
        _row("first frame", frames, "ms", "150") | {"cpu": cpu_median},
        _row("components", lists, "ms", ""),
    ]


def _floods(settings: Settings, space: Workspace) -> list[Row]:
    def flood(is_open: bool) -> Flood:
        return _flood(settings, space, orchestrates()[0], "pipe", is_open)

    return _ratios("flood with the view open", settings, flood, 0.05)


def _rows_of_states(settings: Settings, space: Workspace) -> list[Row]:
    def flood(has_row: bool) -> Flood:
        options = () if has_row else ("--no-status",)
        return _flood(settings, space, orchestrates("--color", "always", *options)[0], "pty", False)

    return _ratios("flood above the row of states", settings, flood, 0.02)


def _ratios(case: str, settings: Settings, flood: Callable[[bool], Flood], promise: float) -> list[Row]:
    """Return the rows of floods with something and without it, in turns: speed, and CPU of the supervisor, which other
    work on the machine changes least."""
    both = [Contender(name, lambda *_: [], lambda _: "") for name in ("without", "with")]
    samples = interleaved(both, settings.repetitions(9), lambda one: flood(one.name == "with"))
    pairs = list(zip(samples["with"], samples["without"], strict=True))
    speed = _row(case, [a.speed / b.speed for a, b in pairs], "of the speed without", f"{1 - promise:.2f}")
    cpu = _row(f"{case}: CPU", [a.cpu / b.cpu for a, b in pairs if b.cpu], "of that without", f"{1 + promise:.2f}")
    return [
        speed | {"p99": None, "speed": report.median(a.speed for a, _ in pairs)},
        cpu | {"p99": None, "cpu": report.median(1000 * a.cpu for a, _ in pairs)},
    ]


def _flood(settings: Settings, space: Workspace, contender: Contender, kind: str, is_open: bool) -> Flood:
    """Measure one flood."""
    lines = 2000 if settings.quick else FLOOD_LINES
    directory = space.new_directory()
    own, prefix = contender.own, contender.prefix("flood")
    command = [space.program("sink"), "plain", str(LINE), str(lines), own, prefix]
    with Gate(directory) as gate, Sink(command, kind, directory) as sink:
        components = [Component("flood", f"exec {space.program('flood')} {gate.arguments} a plain {LINE} {lines}")]
        if kind == "pty":
            contender = _with_keys(contender, os.ttyname(sink.stdout_fd))
        with Run(contender, components, space, sink.stdout_fd) as run:
            sink.let_go()
            gate.wait_ready(1, run)
            with _view(run, is_open=is_open):
                processes.wait_quiet(run.own())
                before = processes.exact_cpu_time(run.pid)
                began = gate.open()
                if not sink.wait_complete(PATIENCE):
                    raise run.failure("not all lines of the flood have come")
                cpu = processes.exact_cpu_time(run.pid) - before
        said = sink.finish()
    last = next(float(word.split()[1]) for word in said if word.startswith("complete"))
    return Flood(lines * LINE / (last - began) / 1e6, cpu)


@contextmanager
def _view(run: Run, *, is_open: bool) -> Iterator[None]:
    if not is_open:
        yield
        return
    with View(run) as view:
        view.wait_for(b"flood")
        view.drain()
        yield


def _with_keys(contender: Contender, terminal: str) -> Contender:
    """Return a contender that has its keys from this terminal too, as its own: a session leader that opens one gets
    it."""

    def argv(directory: Path, components: list[Component]) -> list[str]:
        return ["sh", "-c", 'exec "$@" < "$0"', terminal, *contender.argv(directory, components)]

    return Contender(contender.name, argv, contender.prefix, contender.own)


def _keys_beside_a_flood(settings: Settings, space: Workspace) -> list[Row]:
    directory = space.new_directory()
    runner = orchestrates()[0]
    counting = [space.program("sink"), "plain", str(LINE), "4000000000", runner.own, runner.prefix("flood")]
    with Gate(directory) as gate, Sink(counting, "pipe", directory) as sink:
        flood = f"exec {space.program('flood')} {gate.arguments} a plain {LINE} 0"
        components = [Component("flood", flood), Component("quiet", "echo quiet; exec sleep 1000")]
        with Run(runner, components, space, sink.stdout_fd) as run:
            sink.let_go()
            gate.wait_ready(1, run)
            with View(run) as view:
                view.wait_for(b"quiet")
                began = gate.open()
                view.wait_for(rb"a\d{10} ")
                steps = [("f", "failed components first"), ("f", "order of the definition"), ("j", "▌● quiet"),
                         ("k", "▌● flood")]  # fmt: skip
                delays = list(_answers(view, itertools.cycle(steps), settings))
                took = time.monotonic() - began
        size = json.loads(sink.finish()[-1])["bytes"]
    return [_row("key beside a flood", delays, "ms", "50") | {"speed": size / took / 1e6}]


def _keys_of_many(settings: Settings, space: Workspace) -> list[Row]:
    count = 12 if settings.quick else MANY
    names = silent_components(count, space)
    with Run(orchestrates()[0], names, space) as run:
        run.wait_for_lines(rb"component \d+ is up", count)
        with View(run) as view:
            view.wait_for(names[0].name.encode())
            down = [("j", name.name) for name in names[1:]]
            up = [("k", name.name) for name in reversed(names[:-1])]
            steps = ((key, f"▌● {name}\\b") for key, name in itertools.cycle([*down, *up]))
            delays = list(_answers(view, steps, settings))
    return [_row(f"key, {count} components", delays, "ms", "50")]


def _answers(view: View, steps: Iterator[tuple[str, str]], settings: Settings) -> Iterator[float]:
    """Yield the ms until the answer to each key."""
    chosen = random.Random(22)
    for key, answer in itertools.islice(steps, 20 if settings.quick else KEYS * (settings.runs or 1)):
        yield 1000 * (-view.press(key) + view.wait_for(answer.encode()))
        time.sleep(chosen.uniform(0, PAUSE))


def _wakeups(settings: Settings, space: Workspace) -> list[Row]:
    window, settling = (0.5, 0.3) if settings.quick else (WINDOW, 6.0)
    names = silent_components(3, space)
    with Run(orchestrates()[0], names, space) as run:
        run.wait_for_lines(rb"component \d+ is up", 3)
        with View(run) as view:
            view.wait_for(names[-1].name.encode())
            view.drain()
            time.sleep(settling)  # the last samples of a system that has become silent
            with Trace([view.pid], space.new_directory() / "trace", settling / 6) as trace:
                before = trace.returns()
                time.sleep(window)
                after = trace.returns()
    calls = None if before is None or after is None else after - before
    row = _row("wake-ups", [] if calls is None else [calls], f"in {window:.0f} s", "0")
    return [row | {"p99": None, "samples": [calls]}]


def _row(case: str, samples: list[float], unit: str, promise: str) -> Row:
    ordered = sorted(samples)
    return {
        "case": case,
        "p50": report.median(ordered),
        "p99": ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else None,
        "unit": unit,
        "promise": promise,
        "cpu": None,
        "speed": None,
        "samples": samples,
    }
