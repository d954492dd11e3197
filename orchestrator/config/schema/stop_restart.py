"""The keys that say how a component is stopped, and when it is restarted."""

from __future__ import annotations

from typing import Any

from orchestrator.config.schema.fields import (
    DAY,
    SECONDS,
    ByType,
    Choice,
    ListOf,
    Made,
    Number,
    SchemaKey,
    Table,
    Text,
    enum_words,
)
from orchestrator.config.schema.probes import ARGV
from orchestrator.config.units import parse_duration
from orchestrator.model import errors
from orchestrator.model.spec import (
    RestartPlan,
    RestartPolicy,
    Scope,
    StopPlan,
    StopStep,
)


def _signal(word: str | int) -> int:
    number = errors.signal_number(str(word))
    if number is None:
        raise ValueError(f"{word!r} is not a signal; write TERM, INT, QUIT, HUP, USR1 …")
    return number


_SIGNAL = Made(ByType({str: Text("the name of a signal"), int: Number(1, 64, whole=True)}), _signal)
_STEPS = Made(
    ListOf(ByType({str: Made(Text(), lambda text: _step(text)), int: SECONDS, float: SECONDS}), least=1),
    lambda values: _steps(values),
)


def _step(text: str) -> int | float:
    """Return the number of a signal, or the seconds of a duration with a unit."""
    seconds = parse_duration(text)
    if seconds is None:
        return _signal(text)
    if seconds > DAY:
        raise ValueError(f"must be at most {DAY:g} seconds, not {text!r}")
    return seconds


def _steps(values: tuple[int | float, ...]) -> tuple[StopStep, ...]:
    """Read TERM, 15.0, TERM, 3.0, KILL: signals are ints here, seconds floats."""
    steps: list[StopStep] = []
    for value in values:
        if isinstance(value, int):
            steps.append(StopStep(value, 0.0))
        elif not steps or steps[-1].wait:
            raise ValueError('must begin with a signal, and seconds follow a signal: ["TERM", 10, "KILL"]')
        else:
            steps[-1] = StopStep(steps[-1].signal, value)
    return tuple(steps)


AFTERWARDS = 2.0  # seconds from the signal to the kill, if keys or a command did not stop it


def _stop(read: dict[str, Any]) -> StopPlan:
    usual = StopPlan()
    scope = read.get("scope", usual.scope)
    ways = [key for key in ("sequence", "keys", "command") if key in read]
    if len(ways) > 1:
        raise ValueError(f"can have only one of {' and '.join(ways)}")
    if "sequence" in read:
        if "signal" in read or "timeout" in read:
            raise ValueError("cannot have signal or timeout beside sequence")
        return StopPlan(read["sequence"], scope)
    step = StopStep(read.get("signal", usual.steps[0].signal), read.get("timeout", usual.steps[0].wait))
    if not ways:
        return StopPlan((step,), scope)
    first = StopStep(0, step.wait, keys=read.get("keys", ""), command=read.get("command", ()))
    return StopPlan((first, StopStep(step.signal, AFTERWARDS)), scope)


STOP = Made(
    Table(
        {
            "signal": SchemaKey(_SIGNAL, "The first signal (TERM)."),
            "timeout": SchemaKey(SECONDS, "Seconds from the signal to the kill (10)."),
            "scope": SchemaKey(
                enum_words(Scope), "Which processes get the signal at once: leader, group (the default) or tree."
            ),
            "keys": SchemaKey(
                Text("what is typed"), "Keys to type into its terminal first; the signal follows after the timeout."
            ),
            "command": SchemaKey(
                ARGV, "A command that runs first, beside it, in its environment; the signal follows after the timeout."
            ),
            "sequence": SchemaKey(_STEPS, 'Signals and the seconds after each: ["TERM", 15, "TERM", 3, "KILL"].'),
        }
    ),
    _stop,
)
_BACKOFF = ListOf(SECONDS, least=2)


def _restart(read: dict[str, Any]) -> RestartPlan:
    plain = {key: value for key, value in read.items() if key != "backoff"}
    if "backoff" not in read:
        return RestartPlan(**plain)
    if len(read["backoff"]) != 2 or read["backoff"][0] > read["backoff"][1]:
        raise ValueError("backoff must be two numbers of seconds, the first pause and the longest")
    first, cap = read["backoff"]
    return RestartPlan(**plain, first=first, cap=cap)


_POLICY = enum_words(
    RestartPolicy,
    {
        "unless-stopped": "'always' (what is stopped on request stays stopped)",
        "on_failure": "'on-failure'",
        "onfailure": "'on-failure'",
        "exit_on_failure": 'on_exit = "stop"',
    },
    no=RestartPolicy.NEVER,
)
RESTART = ByType(
    {
        str: Made(_POLICY, RestartPlan),
        dict: Made(
            Table(
                {
                    "policy": SchemaKey(_POLICY, "When to restart: never (the default), on-failure, always."),
                    "max": SchemaKey(
                        ByType(
                            {
                                int: Number(0, 1000000, whole=True),
                                str: Choice({"unlimited": 0}, {}, or_else="a whole number"),
                            }
                        ),
                        'Give up after this number of exits within `within` seconds (5); 0 or "unlimited": never.',
                    ),
                    "within": SchemaKey(SECONDS, "Seconds in which exits are counted for `max` (300)."),
                    "same_exits": SchemaKey(
                        Number(0, 1000000, whole=True),
                        "Give up after this many equal exits in a row before `ready` has passed (0: never, the"
                        " default). Without `ready` it has no effect.",
                    ),
                    "backoff": SchemaKey(_BACKOFF, "The first and the longest pause, in seconds ([1, 60])."),
                },
                {
                    "max_restarts": "'max'",
                    "max_attempts": "'max'",
                    "retries": "'max'",
                    "condition": "'policy'",
                    "restart": "'policy'",
                    "window": "'within'",
                    "delay": "'backoff'",
                    "backoff_seconds": "'backoff'",
                },
            ),
            _restart,
        ),
    }
)
