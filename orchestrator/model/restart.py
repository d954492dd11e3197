"""Whether an incarnation that ended is followed by another, and after how long. Pure: clock and dice are passed in."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from orchestrator.model.lifecycle import Event
from orchestrator.model.spec import RestartPlan, RestartPolicy

JITTER = 0.1  # of the backoff, so that components that died together do not come back in step


class Wish(enum.Enum):
    """Who wanted an end: nobody, somebody who wants it to stay down, or we, because it does not answer any more."""

    NONE = "nobody"
    DOWN = "somebody"
    REPLACE = "its liveness probe"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`event` is ENDED, RETRY or GIVEN_UP; `delay` the backoff in seconds, `failures` the new history."""

    event: Event
    delay: float = 0.0
    failures: tuple[float, ...] = ()


def decide(
    plan: RestartPlan, *, failed: bool, wish: Wish, failures: tuple[float, ...], now: float, dice: float
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
    recent = (*(at for at in failures if now - at < plan.within), now)
    if len(recent) >= plan.max:
        return Verdict(Event.GIVEN_UP, failures=recent)
    pause = min(plan.cap, plan.first * 2.0 ** min(len(recent) - 1, 64))
    return Verdict(Event.RETRY, pause * (1 + JITTER * dice), recent)
