"""Airflow: `orchestrate airflow` beside `airflow standalone`, to the instant when every component answers.

That is no banner's word, which standalone's is not to be trusted in: the health answer shows the database and every
component healthy, each with a heartbeat of this start, and on 3.x the execution API answers, without which no task
runs. Cold is a start on an empty AIRFLOW_HOME, warm the next one on the same. Then, after the warm start: what the
runner's own processes, not Airflow's components, have of memory (proportional set size) and use of CPU while idle.

Needs the ports 8080, 8793 and 8794, and installs Airflow where scripts/airflow-env has not done so yet.
"""

import json
import os
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes, report
from benchmarks.contenders import CHECKOUT, Component, Contender, orchestrate_command
from benchmarks.report import Column, Row
from benchmarks.running import Run, Settings
from benchmarks.turns import interleaved
from benchmarks.workspace import BenchError, Workspace

VERSIONS = ("3.3.2", "2.6.3")
REPETITIONS = 5
PATIENCE = 180.0  # seconds for a start
INTERVAL = 0.05  # seconds between two looks at the health
SETTLING = 2.0  # seconds after the banner
WINDOW = 10.0  # seconds of idleness
MB = 1e6
URL = "http://127.0.0.1:8080"
HEALTH = {2: "/health", 3: "/api/v2/monitor/health"}

COLUMNS = (
    Column("version", "Airflow"),
    Column("start", "start"),
    Column("orchestrate", "orchestrate s", ".1f"),
    Column("standalone", "standalone s", ".1f"),
    Column("ratio", "ratio", ".2f"),
    Column("memory", "orchestrate PSS MB", ".0f"),
    Column("their_memory", "standalone PSS MB", ".0f"),
    Column("cpu", "orchestrate idle ms/s", ".2f"),
    Column("their_cpu", "standalone idle ms/s", ".2f"),
)


@dataclass(frozen=True)
class Figures:
    """Of one contender in one turn: seconds until it answered, PSS in MB and milliseconds of CPU a second."""

    cold: float
    warm: float
    memory: float
    cpu: float


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each version and kind of start."""
    versions = VERSIONS[-1:] if settings.quick else VERSIONS
    return [row for version in versions for row in compare(version, settings, space)]


def compare(version: str, settings: Settings, space: Workspace) -> list[Row]:
    """Measure both with one version."""
    airflow = installed(version)

    def figures(contender: Contender) -> Figures:
        home = space.new_directory()
        cold, *_ = start(contender, home, version, space, idle=0.0)
        return Figures(cold, *start(contender, home, version, space, idle=1.0 if settings.quick else WINDOW))

    samples = interleaved([orchestrate(airflow), standalone(airflow)], settings.repetitions(REPETITIONS), figures)
    return rows(version, samples["orchestrate"], samples["airflow standalone"])


def rows(version: str, ours: list[Figures], theirs: list[Figures]) -> list[Row]:
    """Return the medians; the ratio is that of what was measured in the same turn."""

    def row(kind: str, key: Callable[[Figures], float]) -> Row:
        mine, other = list(map(key, ours)), list(map(key, theirs))
        return {
            "version": version,
            "start": kind,
            "orchestrate": report.median(mine),
            "standalone": report.median(other),
            "ratio": report.paired_ratio(mine, other),
            "samples": {"orchestrate": mine, "standalone": other},
        }

    idle = {
        "memory": statistics.median(f.memory for f in ours),
        "their_memory": statistics.median(f.memory for f in theirs),
        "cpu": statistics.median(f.cpu for f in ours),
        "their_cpu": statistics.median(f.cpu for f in theirs),
    }
    return [row("cold", lambda f: f.cold), {**row("warm", lambda f: f.warm), **idle}]


def start(
    contender: Contender, home: Path, version: str, space: Workspace, *, idle: float
) -> tuple[float, float, float]:
    """Start on `home`; the seconds until everything answered, and where `idle` is not 0 the PSS in MB and the CPU in
    ms/s over so many idle seconds. Then it is killed, as are its components."""
    output = home.with_suffix(".output")
    with Terminal(output) as terminal:
        launched = time.time()
        run = Run(contender, [Component("home", str(home))], space, terminal.slave_fd)
        with run:
            wait_until(lambda: answers(int(version[0]), launched), run, output)
            seconds = time.monotonic() - run.began
            return (seconds, *(idleness(run, output, idle) if idle else (0.0, 0.0)))


def idleness(run: Run, output: Path, window: float) -> tuple[float, float]:
    """Return the PSS in MB and the CPU in ms/s of the runner's own processes over so many seconds after its banner."""
    wait_until(lambda: b"Airflow is ready" in output.read_bytes(), run, output)
    time.sleep(SETTLING)
    own = own_processes(run.pid)
    before = sum(map(processes.exact_cpu_time, own))
    time.sleep(window)
    spent = sum(map(processes.exact_cpu_time, own)) - before
    return sum(map(processes.shared_memory, own)) / MB, spent / window * 1000


class Terminal:
    """A terminal that takes everything, into a file: into a pipe or a file standalone's words come late."""

    def __init__(self, output: Path) -> None:
        output.touch()
        self._master_fd, self.slave_fd = os.openpty()
        self._thread = threading.Thread(target=self._copy, args=(output,))

    def __enter__(self) -> "Terminal":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all that runs in it, so that nobody has the slave any more: with that the copying ends."""
        os.close(self.slave_fd)
        processes.end_strays()
        self._thread.join()
        os.close(self._master_fd)

    def _copy(self, output: Path) -> None:
        with output.open("wb", buffering=0) as file, suppress(OSError):  # EIO: the last slave is closed
            while data := os.read(self._master_fd, 1 << 16):
                file.write(data)


def own_processes(root: int) -> list[int]:
    """Return the runner and what it has forked: its helpers have its command line, components have their own."""
    return [root, *(p for p in processes.children(root) if processes.command(p) == processes.command(root))]


def wait_until(is_so: Callable[[], bool], run: Run, output: Path) -> None:
    """Wait for a fact. Raises BenchError."""
    while not is_so():
        if time.monotonic() > run.began + PATIENCE or os.waitid(
            os.P_PID, run.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            raise run.failure("not ready\n" + output.read_text(errors="replace")[-3000:])
        time.sleep(INTERVAL)


def answers(major: int, launched: float) -> bool:
    """Whether every component is healthy by a heartbeat later than `launched`, and on 3.x tasks can report."""
    health = get(HEALTH[major])
    names = ["scheduler", "triggerer", *(["dag_processor"] if major > 2 else [])]
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(launched))
    if health is None or health["metadatabase"]["status"] != "healthy":
        return False
    alive = all(
        health[name]["status"] == "healthy" and str(health[name][f"latest_{name}_heartbeat"]) > since for name in names
    )
    return alive and (major == 2 or get("/execution/health") is not None)


def get(path: str) -> Any:
    """Return the JSON of an answer; None where there is none."""
    with suppress(OSError, ValueError), urllib.request.urlopen(URL + path, timeout=60) as response:
        return json.load(response)
    return None


def orchestrate(airflow: Path) -> Contender:
    """Return `orchestrate airflow`; its one component is the home."""
    return contender("orchestrate", airflow, lambda: [*orchestrate_command(), "airflow"])


def standalone(airflow: Path) -> Contender:
    """Return `airflow standalone`."""
    return contender("airflow standalone", airflow, lambda: [str(airflow), "standalone"])


def contender(name: str, airflow: Path, command: Callable[[], list[str]]) -> Contender:
    """Return a contender that runs on the home that it is given as its component, with this airflow on PATH."""
    settings = ("AIRFLOW__CORE__LOAD_EXAMPLES=False", f"PATH={airflow.parent}{os.pathsep}{os.environ['PATH']}")
    return Contender(
        name,
        # env(1) becomes the command itself.
        lambda _, components: ["env", f"AIRFLOW_HOME={components[0].command}", *settings, *command()],
        lambda _: "",
    )


def installed(version: str) -> Path:
    """Return the airflow command of a version, installing it where it is missing."""
    made = subprocess.run(
        [CHECKOUT / "scripts" / "airflow-env", version], stdout=subprocess.PIPE, text=True, check=False
    )
    if made.returncode != 0:
        raise BenchError(f"scripts/airflow-env {version}: exit status {made.returncode}")
    return Path(made.stdout.strip()) / "bin" / "airflow"
