"""Whether an incarnation that ended is followed by another, and after how long. Pure: clock and dice are passed in."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from orchestrator.model.lifecycle import Event
from orchestrator.model.spec import RestartPlan, RestartPolicy

JITTER = 0.1  # of the backoff, so that components that died together do not come back in step


QUICK = 60.0  # seconds: an exit after a longer run does not count as one of the same
_VARIES = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")  # times, pids, addresses


REMEMBERED = 64  # exits, if nothing limits their number: the backoff has reached its cap long before


class Wish(enum.Enum):
    """Who wanted an end: nobody, somebody who wants it to stay down, or we, because it does not answer any more."""

    NONE = "nobody"
    DOWN = "somebody"
    REPLACE = "its liveness probe"


@dataclass(frozen=True, slots=True)
class Exit:
    """What is compared of two exits: the status, and the last line, in which numbers do not count."""

    status: int
    last_line: str

    @classmethod
    def of(cls, status: int, last_line: str) -> Exit:
        """Make one of a line as it was printed."""
        return cls(status, _VARIES.sub("#", last_line).strip())


@dataclass(frozen=True, slots=True)
class Repeats:
    """The quick exits, the same each time, that a component has had in a row before it was ready."""

    latest: Exit | None = None
    count: int = 0

    def after(self, latest: Exit | None, lasted: float) -> Repeats:
        """Return them after one more exit; None is one that says nothing about the next run."""
        if latest is None or lasted > QUICK:
            return Repeats()
        return Repeats(latest, self.count + 1 if latest == self.latest else 1)


NO_REPEATS = Repeats()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`event` is ENDED, RETRY or GIVEN_UP; `delay` the backoff in seconds, `failures` the new history."""

    event: Event
    delay: float = 0.0
    failures: tuple[float, ...] = ()


def decide(
    plan: RestartPlan,
    *,
    failed: bool,
    wish: Wish,
    failures: tuple[float, ...],
    now: float,
    dice: float,
    repeats: Repeats = NO_REPEATS,
) -> Verdict:
    """Decide what follows the end of an incarnation.

    `failed` is whether its status was no success. What does not live is replaced whatever the policy, within the
    limits that the plan sets. `failures` are the times of earlier ends that led to a restart; `dice` is a random number
    in [0, 1). A healthy stretch of `within` seconds empties the history, and so the backoff starts small again.
    """
    if wish is Wish.DOWN:
        return Verdict(Event.ENDED)
    by_policy = plan.policy is RestartPolicy.ALWAYS or (plan.policy is RestartPolicy.ON_FAILURE and failed)
    wanted = by_policy or wish is Wish.REPLACE
    if not wanted:
        return Verdict(Event.GIVEN_UP if failed else Event.ENDED)
    recent = (*(at for at in failures if now - at < plan.within), now)[-(plan.max or REMEMBERED) :]
    if 0 < plan.max <= len(recent) or is_repetitive(plan, repeats):
        return Verdict(Event.GIVEN_UP, failures=recent)
    pause = min(plan.cap, plan.first * 2.0 ** min(len(recent) - 1, 64))
    return Verdict(Event.RETRY, pause * (1 + JITTER * dice), recent)


def is_repetitive(plan: RestartPlan, repeats: Repeats) -> bool:
    """Return whether the same exit has come so often that the next run would end like that too."""
    return 0 < plan.same_exits <= repeats.count
