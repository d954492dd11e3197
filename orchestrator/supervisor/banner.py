"""The banner of a preset: shown when all is ready for the first time, and again if a flood of lines scrolls it away.

At a start the components often continue printing for a while, and what the user waits for (the URL, the login) scrolls
off the screen before it is read. An idle system is not woken for that: the checks get rarer and end after a minute.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.spec import StartPlan
from orchestrator.output.console import OutputKind
from orchestrator.output.presenter import Presenter
from orchestrator.runtime.loop import Loop, Timer

LOOKS = (2.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # seconds between checks whether it has been scrolled away
QUIET = 1.0  # seconds without a line after which a flood is over
QUIET_LOOKS_MAX = 30  # checks for a quiet moment; after that it is shown between other lines
LINE = 60  # bytes of a line of a log, as a rule


class Banner:
    """Shows the banner of a plan; the first time `on_report` gets it too, if set."""

    def __init__(
        self, loop: Loop, presenter: Presenter, plan: StartPlan, on_report: Callable[[str], None] | None
    ) -> None:
        self._loop = loop
        self._presenter = presenter
        self._plan = plan
        self._shown_at = 0
        self._timer: Timer | None = None
        self._show()
        for line in filter(None, plan.banner if on_report else ()):
            if on_report is not None:
                on_report(line)
        if plan.banner and presenter.screen.console.kind is OutputKind.TERMINAL:
            self._look(LOOKS)

    def end(self) -> None:
        """Do not show it again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _show(self) -> None:
        for line in self._plan.banner:
            self._presenter.tell(line, secret=self._plan.secret)
        self._shown_at = self._presenter.screen.written

    def _look(self, looks: tuple[float, ...]) -> None:
        written = self._presenter.screen.written
        if written - self._shown_at > self._rows * LINE:
            self._wait_for_quiet(written, QUIET_LOOKS_MAX)
        elif looks:
            self._timer = self._loop.call_in(looks[0], lambda: self._look(looks[1:]))

    def _wait_for_quiet(self, before: int, left: int) -> None:
        def look() -> None:
            written = self._presenter.screen.written
            if written == before or left == 0:
                self._timer = None
                self._show()
            else:
                self._wait_for_quiet(written, left - 1)

        self._timer = self._loop.call_in(QUIET, look)

    @property
    def _rows(self) -> int:
        return (self._presenter.screen.console.size() or (80, 24))[1]
