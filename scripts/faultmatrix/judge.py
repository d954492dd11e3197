"""One fault done to one runner, and what came of it. Of orchestrate more is asked: that all is as promised."""

import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from faultmatrix import scenes
from faultmatrix.deaths import UnreachedError
from faultmatrix.matrix import Fault, Place
from faultmatrix.runners import GRACE, OURS, Runner
from faultmatrix.scenes import Stage
from faultmatrix.trial import Trial, directory
from faultmatrix.window import Window

SLACK = 2.0  # seconds beside the grace, by which everything has to be gone
HEED = 0.3  # seconds until a runner has heeded the end of a component, where it says nothing of that
START = 60.0  # seconds until all components run
SINGULAR = {"trees": "tree", "processes": "process"}


@dataclass(frozen=True)
class Result:
    """What one fault left of one runner: processes by component's kind; seconds until nothing was left, None where it
    never was; exit status, minus the signal, None where the runner still ran. `wrong` is what else went wrong, `note`
    what excuses that something is left."""

    runner: str
    death: str
    left: dict[str, int]
    seconds: float | None
    status: int | None
    wrong: str = ""
    note: str = ""
    unit: str = "trees"

    @property
    def broken(self) -> bool:
        """A promise of orchestrate is broken."""
        return self.runner == OURS and bool(self.wrong or (self.left and not self.note))

    @property
    def cell(self) -> str:
        """The result in some words."""
        counts = [count for name, count in self.left.items() if name != "runner"]
        count = len(counts) if self.unit == "trees" else sum(counts)
        words = [
            f"nothing ({self.seconds:.1f} s)" if self.seconds is not None else "",
            f"{count} {self.unit if count != 1 else SINGULAR[self.unit]}" if counts else "",
            "runs on" if self.left and self.status is None else "",
            self.note,
            self.wrong,
        ]
        return ", ".join(filter(None, words))


def run(runner: Runner, fault: Fault, patience: float = GRACE + SLACK) -> Result:
    """Do one fault to one runner; by `patience` seconds after it everything has to be gone."""
    scene = fault.scene
    if scene.stage not in runner.stages:
        return Result(runner.name, fault.name, {}, None, None, note=f"has no {scene.stage.value}")
    with directory() as home:
        argv = [*scene.before, *runner.argv(home, scene)]
        terminal = fault.place is Place.TERMINAL
        with Window(argv, home) if fault.place is Place.TMUX else Trial(argv, home, terminal) as trial:
            try:
                _bring(trial, runner, fault)
                began = time.monotonic()
                fault.act(trial)
            except UnreachedError as error:
                return Result(runner.name, fault.name, {}, None, trial.status, str(error))
            is_gone = trial.pump(lambda: trial.vacant, began + patience - time.monotonic())
            seconds = time.monotonic() - began if is_gone else None
            left = {} if is_gone else trial.left() or {"runner": 0}  # 0: gone since
            trial.pump(lambda: False, 0)  # the status may have come at the same time
            wrong, note = _promises(runner, fault, trial, home) if runner.name == OURS else ("", "")
            return Result(runner.name, fault.name, left, seconds, trial.status, wrong, note, scene.unit)


def _bring(trial: Trial, runner: Runner, fault: Fault) -> None:
    """Wait until it is at the fault's stage. Raises UnreachedError."""

    def there() -> bool:
        pauses = fault.scene.stage is not Stage.BACKOFF or runner.pauses in trial.output
        return pauses and trial.output.count(b"ready") >= fault.scene.ready

    if not trial.pump(lambda: there() or trial.status is not None, START):
        raise UnreachedError("does not start")
    if trial.status is not None:
        raise UnreachedError("ended by itself")
    if fault.scene.stage is Stage.BACKOFF:
        trial.pump(lambda: False, HEED)
    fault.prepare(trial)


def _promises(runner: Runner, fault: Fault, trial: Trial, home: Path) -> tuple[str, str]:
    """Return what is not as it was promised, and what the next start has put right."""
    wrong, note = [], ""
    if trial.status != fault.status:
        wrong.append(f"exit status {trial.status} instead of {fault.status}")
    if not trial.modes_kept:
        wrong.append("the terminal's modes have changed")
    if fault.spares:
        trouble = _again(runner, home, trial.left().keys() - {"runner"}, "--end-survivors")
        if not trouble and not trial.pump(lambda: trial.vacant, SLACK):
            trouble = "the next start did not end it"
        note = "" if trouble else "named and ended by the next start"
    else:
        trouble = _again(runner, home, set())
    return ", ".join(filter(None, [*wrong, trouble])), note


def _again(runner: Runner, home: Path, survivors: set[str], *options: str) -> str:
    """Start another one on the same home: at once, with the components named of which something has survived, and with
    a good end. What is wrong."""
    with Trial([*runner.argv(home, scenes.AGAIN), *options], home) as trial:
        if not trial.pump(lambda: b"| ready" in trial.output or trial.status is not None, START):
            return "the next start does not come up"
        if trial.status is not None:
            return f"the next start ends with {trial.status}"
        if b"waiting for" in trial.output:
            return "the next start had to wait"
        if unnamed := survivors - set(re.findall(r"orchestrate:   (\S+): \d+ ", trial.output.decode())):
            return f"the next start does not name {', '.join(sorted(unnamed))}"
        trial.send(signal.SIGTERM)
        if not trial.pump(lambda: trial.vacant, SLACK) or trial.status != -signal.SIGTERM:
            return "the next start does not end well"
    return ""
