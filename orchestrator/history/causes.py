"""Derives a chain of causes from the events of a record, in plain sentences. Pure: clock and users are passed in.

A chain begins with what the user sees and ends with the root cause. Each sentence names its subject. A chain is as
deep as the record goes: it ends early if an event is missing, and it always ends (`DEPTH`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestrator.history.record import (
    Link,
    RecordedEvent,
    RecordKind,
    StartFacts,
    StartRecord,
    list_or_empty,
    map_or_empty,
    text_or_empty,
)
from orchestrator.history.wording import Words, as_verb, duration, probe_clause
from orchestrator.model.names import is_meant

DEPTH = 20  # sentences of one chain
RUNNING = ("starting", "up", "ready")
STOPPING = ("exited", "stopping", "killing", "stuck")
AT_REST = ("down", "failed")


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence of a chain, and lines of output that belong to it."""

    text: str
    lines: tuple[str, ...] = ()
    time: float | None = None


Chain = tuple[Step, ...]


class Causes:
    """Answers questions about one record. `is_cut` says that it has no end because the supervisor was killed."""

    def __init__(self, record: StartRecord, words: Words, *, is_cut: bool = False) -> None:
        self._record = record
        self._is_cut = is_cut
        self._words = words
        self._by_number = {event.number: event for event in record.events}
        self._changes = record.changes()

    @property
    def instances(self) -> tuple[str, ...]:
        """The instances that appear in the record: first those of the definition, in its order."""
        known = [name for name, _ in self._components()]
        return tuple(dict.fromkeys([*known, *self._changes]))

    @property
    def culprit(self) -> str:
        """The instance whose exit stopped the system; empty if there is none."""
        stop = self._record.first(RecordKind.STOP)
        cause = self._by_number.get(stop.cause) if stop is not None else None
        return cause.instance if cause is not None else ""

    def last(self, instance: str) -> RecordedEvent | None:
        """Return the last change of an instance."""
        return self._changes[instance][-1] if instance in self._changes else None

    def last_exit(self, instance: str) -> RecordedEvent | None:
        """Return the change that holds its last exit."""
        return next((event for event in reversed(self._changes.get(instance, [])) if event.exit), None)

    def runs(self, instance: str) -> int:
        """Return how often it was started."""
        return max((event.run for event in self._changes.get(instance, [])), default=0)

    def was_ready(self, instance: str) -> bool:
        """Whether it was ready, or running without a readiness probe, at any time."""
        return any(event.phase == "ready" for event in self._changes.get(instance, []))

    def became_ready(self) -> bool:
        """Whether every component was ready at once."""
        return self._record.first(RecordKind.READY) is not None

    def component_of(self, instance: str) -> str:
        """Return the component that it is an instance of."""
        last = self.last(instance)
        return (last.component if last else "") or instance

    def is_meant(self, names: Collection[str], instance: str) -> bool:
        """Return whether one of these names, patterns or `+tags` means an instance."""
        entries = map(map_or_empty, list_or_empty(self._record.facts.get("components")))
        tags = next((list_or_empty(one.get("tags")) for one in entries if one.get("name") == instance), [])
        return is_meant(names, (instance, self.component_of(instance)), list(map(str, tags)))

    def fatal_step(self) -> str:
        """Return the initial step whose failure kept all components from starting, which the record then does not
        name; empty if there is none."""
        steps = list_or_empty(self._record.facts.get("steps"))
        only_steps = all(name in steps for name in self.instances)
        return self.culprit if only_steps and self.culprit in steps else ""

    def is_restart_requested(self, instance: str) -> bool:
        """Whether the last run began because of a request, here or for an instance that it follows."""
        last = self.last(instance)
        begun = self._begin_of(instance, last) if last is not None else None
        cause = self._by_number.get(begun.cause) if begun is not None else None
        return cause is not None and cause.kind is RecordKind.REQUEST

    # Questions

    def why(self, instance: str) -> Chain:
        """Return why an instance is in its last state, or why its last run began."""
        last = self.last(instance)
        if last is None:
            return self._waits(instance)
        if last.phase in RUNNING:
            return self._why_started(instance, last)
        if last.phase in STOPPING:
            return self._stop(instance, last, frozenset())
        return self._rest(instance, last)

    def why_stopped(self) -> Chain:
        """Return why the system stopped, and how it exited; empty if it did neither."""
        stop, end = self._record.first(RecordKind.STOP), self._record.first(RecordKind.END)
        chain: list[Step] = []
        if end is not None:
            how = f" {end.reason}" if end.reason else ""
            took = f" after {duration(end.uptime)}"
            chain.append(Step(f"the system exited{how} at {self._words.at(end)}{took}", time=end.time))
        if stop is not None:
            chain += self._system_stop(stop, frozenset())
        return tuple(chain[:DEPTH])

    # One instance

    def _why_started(self, name: str, last: RecordedEvent) -> Chain:
        begun = self._begin_of(name, last)
        if begun is None:
            return (Step(f"{name} was {last.state or last.phase} at {self._words.at(last)}", time=last.time),)
        if begun.run <= 1 and begun.link in (Link.NONE, Link.SYSTEM):
            return (Step(f"{name} started at {self._words.at(begun)}", time=begun.time),)
        return self._start(name, begun, frozenset())[:DEPTH]

    def _begin_of(self, name: str, event: RecordedEvent) -> RecordedEvent | None:
        """Return the change that began the run of `event`."""
        return next(
            (
                one
                for one in reversed(self._changes.get(name, []))
                if one.phase == "starting" and one.run == event.run and one.before != "starting"
            ),
            None,
        )

    def _start(self, name: str, begun: RecordedEvent, seen: frozenset[int]) -> Chain:
        """Return why a run began that was not the first."""
        verb = "restarted" if begun.run > 1 else "started"
        head = f"{name} {verb} at {self._words.at(begun)}"
        cause = self._by_number.get(begun.cause)
        if begun.number in seen or len(seen) >= DEPTH:
            return ()
        seen |= {begun.number}
        if begun.link is Link.FOLLOW:
            step = Step(f"{head} because {begun.by} restarted (depends_on, restart = true)", time=begun.time)
            return (step, *self._leader(begun, cause, seen))
        if cause is not None and cause.kind is RecordKind.REQUEST:
            return (Step(f"{head} because {self._words.request(cause)}", time=begun.time),)
        exited = cause if cause is not None and cause.exit else self._exit_before(name, begun)
        if exited is None:
            return (Step(f"{head}; the record does not contain the cause", time=begun.time),)
        clause, more = self._exit_clause(name, exited, seen)
        return (Step(f"{head} because {clause}", time=begun.time), *self._output(name, exited), *more)

    def _leader(self, begun: RecordedEvent, cause: RecordedEvent | None, seen: frozenset[int]) -> Chain:
        """Return why the instance restarted that `begun` followed."""
        own = [one for one in self._changes.get(begun.by, []) if one.phase == "starting" and one.before != "starting"]
        after = [one for one in own if cause is not None and one.number > cause.number]
        if after and after[0].run > 1:
            return self._start(begun.by, after[0], seen)
        if cause is None:
            return ()
        if cause.kind is RecordKind.REQUEST:
            return (Step(f"{begun.by} restarts because {self._words.request(cause)}", time=cause.time),)
        if cause.exit:
            clause, more = self._exit_clause(begun.by, cause, seen)
            return (
                Step(f"{begun.by} restarts because {clause}", time=cause.time),
                *self._output(begun.by, cause),
                *more,
            )
        return ()

    def _exit_before(self, name: str, event: RecordedEvent) -> RecordedEvent | None:
        return next(
            (one for one in reversed(self._changes.get(name, [])) if one.number < event.number and one.exit), None
        )

    def _stop(self, name: str, stopping: RecordedEvent, seen: frozenset[int]) -> Chain:
        """Return why an instance is stopping."""
        head = f"{name} has been stopping since {self._words.at(stopping)}"
        clause, more = self._reason(name, stopping, seen)
        return (Step(f"{head} because {clause}" if clause else head, time=stopping.time), *more)[:DEPTH]

    def _rest(self, name: str, last: RecordedEvent) -> Chain:
        """Return why an instance does not run."""
        exited = last if last.exit else self._exit_before(name, last)
        state = last.state or last.phase
        head = f"{name} {as_verb(state)} at {self._words.at(last)}"
        if exited is None:
            return (Step(head, time=last.time),)
        if state == "waiting":
            return (*self._waits(name), *self._stopped(name, exited))[:DEPTH]
        if last is not exited and last.before == "backoff" and last.link in (Link.REQUEST, Link.SYSTEM):
            clause, more = self._reason(name, last, frozenset())
            step = Step(f"{head} because {clause}" if clause else head, time=last.time)
            return (step, *more, *self._stopped(name, exited), *self._output(name, exited))[:DEPTH]
        clause, more = self._exit_clause(name, exited, frozenset(), with_time=exited is not last)
        if _has_cause(exited):
            return (Step(f"{head} because {clause}", time=last.time), *more)[:DEPTH]
        again = f" (run {exited.run})" if exited.run > 1 else ""
        soon = f"; it starts again in {exited.pause:.1f} s" if last.phase == "backoff" else ""
        step = Step(f"{head}: {clause}{again}{soon}", time=last.time)
        return (step, *self._given_up(name, last), *self._output(name, exited), *more)[:DEPTH]

    def _stopped(self, name: str, exited: RecordedEvent) -> Chain:
        """Return how the last run ended of an instance that is to start again."""
        clause, more = self._exit_clause(name, exited, frozenset(), with_time=False)
        how = f"stopped at {self._words.at(exited)} because {clause}"
        if not _has_cause(exited):
            how = f"{exited.exit} at {self._words.at(exited)}"
        return (Step(f"{name} {how}", time=exited.time), *more)

    def _given_up(self, name: str, last: RecordedEvent) -> Chain:
        """Return that an instance is not restarted anymore, and while the system runs how to start it."""
        if not last.gave_up:
            return ()
        is_over = self._is_cut or any(
            self._record.first(kind) for kind in (RecordKind.STOP, RecordKind.END, RecordKind.COPY)
        )
        again = "" if is_over else f"; `orchestrate start {name}` tries again"
        return (Step(f"orchestrate gave up on {name} because {last.gave_up}{again}"),)

    def _exit_clause(
        self, name: str, exited: RecordedEvent, seen: frozenset[int], *, with_time: bool = True
    ) -> tuple[str, Chain]:
        """Return how a run ended as a clause, and why that happened."""
        clause, more = self._reason(name, exited, seen)
        if clause and (exited.is_requested or exited.link in (Link.PROBE, Link.REQUEST)):
            return clause, more
        after = f" after {duration(exited.lasted)}" if exited.lasted else ""
        at = f" at {self._words.at(exited)}" if with_time else ""
        killed = " (orchestrate did not send that signal)" if _is_unexplained(exited) else ""
        return f"it {exited.exit}{at}{after}{killed}", more

    def _reason(self, name: str, event: RecordedEvent, seen: frozenset[int]) -> tuple[str, Chain]:
        """Return why an instance stopped or stops as a clause, empty if it exited without a request."""
        cause = self._by_number.get(event.cause)
        if event.number in seen or len(seen) >= DEPTH:
            return "", ()
        seen |= {event.number}
        match event.link:
            case Link.PROBE:
                return probe_clause(event.reason or event.exit), ()
            case Link.REQUEST if cause is not None:
                return self._words.request(cause), ()
            case Link.FOLLOW:
                return f"{event.by} restarted (depends_on, restart = true)", self._leader(event, cause, seen)
            case Link.SYSTEM:
                stop = cause if cause is not None and cause.kind is RecordKind.STOP else None
                return "the system stopped", self._system_stop(stop, seen) if stop else ()
        if event.cause and cause is not None and cause.kind is RecordKind.REQUEST:
            return self._words.request(cause), ()
        return "", ()

    def _output(self, name: str, exited: RecordedEvent) -> Chain:
        return (Step(f"{name}'s last output before that:", exited.lines),) if exited.lines else ()

    @property
    def _is_over(self) -> bool:
        return self._is_cut or self._record.first(RecordKind.END) is not None

    def _waits(self, name: str, seen: tuple[str, ...] = ()) -> Chain:
        """Return what an instance waits for that was never started, or is to start again."""
        began = self.last(name) is not None
        found = self._wait_clause(name, dict(self._components()).get(name) or [], seen)
        if not found:
            return () if began else (Step(f"{name} was never started"),)
        verb = "waits for"
        if self._is_over:
            verb = "waited for" if began else "was never started: it waited for"
        return (Step(f"{name} {verb} {found}"),)

    def _wait_clause(self, name: str, needs: list[StartFacts], seen: tuple[str, ...]) -> str:
        clauses = []
        for need in needs:
            other, condition = text_or_empty(need.get("name")), text_or_empty(need.get("condition")) or "started"
            last = self.last(other)
            if not other or other in seen or (last is not None and _has_reached(last, condition)):
                continue
            further = ""
            if last is None and len(seen) < DEPTH:
                deeper = self._wait_clause(other, dict(self._components()).get(other) or [], (*seen, name))
                further = (
                    f", which {'waited' if self._is_over else 'waits'} for {deeper}"
                    if deeper
                    else ", which was never started"
                )
            elif last is not None and last.phase in (*AT_REST, "backoff"):
                exited = self.last_exit(other)
                how = f": {exited.exit}" if exited is not None else ""
                further = f", which {as_verb(last.state or last.phase)} at {self._words.at(last)}{how}"
            elif last is not None and last.phase in STOPPING:
                further = f", which has been stopping since {self._words.at(last)}"
            clauses.append(f"{other} ({condition}){further}")
        return " and for ".join(clauses)

    def _components(self) -> Iterator[tuple[str, list[StartFacts]]]:
        for one in map(map_or_empty, list_or_empty(self._record.facts.get("components"))):
            if isinstance(name := one.get("name"), str):
                yield name, [need for need in map(map_or_empty, list_or_empty(one.get("depends_on"))) if need]

    # The system

    def _system_stop(self, stop: RecordedEvent, seen: frozenset[int]) -> Chain:
        if stop.number in seen:
            return ()
        seen |= {stop.number}
        head, cause = f"the system stopped at {self._words.at(stop)}", self._by_number.get(stop.cause)
        match stop.link:
            case Link.SIGNAL if cause is not None:
                return (Step(f"{head} because {self._words.request(cause)}", time=stop.time),)
            case Link.REQUEST if cause is not None:
                return (Step(f"{head} because {self._words.request(cause)}", time=stop.time),)
            case Link.EXIT if cause is not None:
                clause, more = self._exit_clause(cause.instance, cause, seen)
                text = f"{head} because {cause.instance} {clause.removeprefix('it ')}"
                if not clause.startswith("it "):
                    text = f"{head} because {cause.instance} stopped: {clause}"
                return (Step(text, time=stop.time), *self._output(cause.instance, cause), *more)
            case Link.ALL:
                return (Step(f"{head} because every component had exited", time=stop.time),)
            case _:
                return (Step(f"{head} because {stop.reason}" if stop.reason else head, time=stop.time),)


def _has_cause(exited: RecordedEvent) -> bool:
    """Return whether a request or another instance caused an exit."""
    return (exited.is_requested and exited.link is not Link.NONE) or exited.link is Link.REQUEST


def _is_unexplained(exited: RecordedEvent) -> bool:
    return re.fullmatch(r"was killed by SIG\w+", exited.exit) is not None and exited.link in (Link.NONE, Link.EXIT)


def _has_reached(last: RecordedEvent, condition: str) -> bool:
    match condition:
        case "started":
            if last.phase in AT_REST:
                return bool(last.run) and last.state != "waiting"
            return last.phase in ("up", "ready") or (last.phase == "starting" and last.pid > 0)
        case "ready":
            return last.phase == "ready"
        case "succeeded":
            return last.state == "completed"
        case _:
            return last.phase in AT_REST and bool(last.run)
