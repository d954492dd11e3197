"""The progress of a start until all instances are ready: reports from time to time, and the time limit.

A start is reported in two lines: how many components were started, and when all of them were ready.

Three silent components would otherwise show an empty screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.model.lifecycle import State
from orchestrator.model.names import listed
from orchestrator.model.spec import StartPlan
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.banner import Banner
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import Registry, is_stopped_on_request

EVERY = 5.0  # seconds between two reports


class Startup:
    """The start of the system, until all is ready at once for the first time. `waiting` returns in words, by name, what
    each instance that is not ready waits for; `tell` shows a line."""

    def __init__(
        self,
        loop: Loop,
        presenter: Presenter,
        registry: Registry,
        waiting: Callable[[], Mapping[str, str]],
        tell: Callable[..., None],
    ) -> None:
        self.plan = StartPlan(())
        self._loop = loop
        self._presenter = presenter
        self._registry = registry
        self._waiting = waiting
        self._progress = StartupProgress(loop, waiting, tell, lambda text: tell(text, tone=Tone.FAILURE))
        self._summary = StartupSummary(loop.now, tell)
        self._banner: Banner | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all has been ready at once since the start."""
        return self._progress.arrived

    def begin(self) -> None:
        """Report from now on what is waited for."""
        self._progress.begin()

    def limit(self, seconds: float, late: Callable[[str], None]) -> None:
        """If it takes longer, say so, and call `late` with the reason."""

        def be_late() -> None:
            waiting = self._waiting()
            names = f", {in_words(waiting)}" if waiting else ""
            late(f"it was not ready within {seconds:g} s{names}")

        self._progress.limit(seconds, be_late)

    def changed(self, instance: Instance, _: State) -> None:
        """Look at an instance that has changed, until all components were started, or the system stops."""
        if not self._summary.is_told and not instance.is_step:
            self._summary.see(instance, self._registry.instances)

    def arrives(self) -> bool:
        """Return whether all is ready now, for the first time."""
        if self.is_ready or not self._registry.all_ready:
            return False
        self._progress.arrive()
        return True

    def announce(self, on_report: Callable[[str], None] | None) -> None:
        """Report that all is ready, and show the banner of the plan; `on_report` gets that too."""
        self._summary.all_ready(self._registry.instances)
        self._banner = Banner(self._loop, self._presenter, self.plan, on_report)

    def end(self) -> None:
        """Report and show no more."""
        self._progress.end()
        self._summary.is_told = True
        if self._banner is not None:
            self._banner.end()


class StartupProgress:
    """`waiting` returns, by name, what each instance that is not ready waits for; an empty result ends the reports.
    `arrived` says whether all have been ready. `tell` shows a report, `fail` a failure."""

    def __init__(
        self,
        loop: Loop,
        waiting: Callable[[], Mapping[str, str]],
        tell: Callable[[str], None],
        fail: Callable[[str], None],
    ) -> None:
        self._fail = fail
        self.arrived = False
        self._loop = loop
        self._waiting = waiting
        self._tell = tell
        self._timer: Timer | None = None
        self._limit: Timer | None = None

    def begin(self) -> None:
        """Report from now on, until everything is ready."""
        if self._timer is None and not self.arrived:
            self._timer = self._loop.call_in(EVERY, self._report)

    def limit(self, seconds: float, late: Callable[[], None]) -> None:
        """If it takes longer, say so and call `late`."""
        self._limit = self._loop.call_in(seconds, lambda: self._be_late(seconds, late))

    def arrive(self) -> None:
        """Stop reporting and forget the limit, because all are ready."""
        self.arrived = True
        self.end()

    def end(self) -> None:
        """Stop reporting: no timer may wake up an idle system."""
        for timer in (self._timer, self._limit):
            if timer is not None:
                timer.cancel()
        self._timer = None

    def _report(self) -> None:
        self._timer = None
        if waiting := self._waiting():
            self._tell(in_words(waiting))
            self.begin()

    def _be_late(self, seconds: float, late: Callable[[], None]) -> None:
        if waiting := self._waiting():
            self._tell(in_words(waiting))
        self._fail(f"not ready within {seconds:g} s")
        late()


def in_words(waiting: Mapping[str, str]) -> str:
    """Return one line for all; those that wait for the same thing are listed together."""
    names: dict[str, list[str]] = {}
    for name, reason in waiting.items():
        names.setdefault(reason, []).append(name)
    return "waiting for " + "; ".join(f"{listed(those)}: {reason}" for reason, those in names.items())


class StartupSummary:
    """Reports each of the two once. `now` returns monotonic seconds. `is_told` says that the first report was made, or
    is not wanted any more."""

    def __init__(self, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        self._now = now
        self._tell = tell
        self._began_at = now()
        self._came_up: set[str] = set()
        self._missing_at = 0
        self.is_told = False

    def see(self, instance: Instance, instances: Sequence[Instance]) -> None:
        """Check an instance that has changed: it may be the last one to be started."""
        if instance.state in (State.UP, State.READY):
            self._came_up.add(instance.key)
        start = min(self._missing_at, len(instances))
        for at in (*range(start, len(instances)), *range(start)):  # begin with the last missing one
            if not _was_started(instances[at]):
                self._missing_at = at
                return
        if self._came_up:
            self.is_told = True
            self._tell(_started([each for each in instances if each.key in self._came_up]))

    def all_ready(self, instances: Sequence[Instance]) -> None:
        """Report that everything is ready, if that was probed: readiness without a probe is unknown."""
        if any(instance.spec.ready for instance in instances):
            self._tell(f"all ready after {self._now() - self._began_at:.1f} s")


def _was_started(instance: Instance) -> bool:
    return bool(instance.run.number and instance.state is not State.STARTING) or is_stopped_on_request(instance)


def _started(instances: list[Instance]) -> str:
    count = len({instance.spec.component or instance.spec.name for instance in instances})
    what = "1 component" if count == 1 else f"{count} components"
    return f"{what} started" + (f" ({len(instances)} instances)" if len(instances) > count else "")
