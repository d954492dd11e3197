"""The instances of a system: which may start or stop, which are still there, and how the system ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from orchestrator.model import errors, scheduling
from orchestrator.model.errors import FAILED_STATUS
from orchestrator.model.lifecycle import AT_REST, Desired, Event, State
from orchestrator.model.names import is_meant
from orchestrator.model.outcome import InstanceEnd, Outcome, of_all, of_culprit
from orchestrator.model.scheduling import InstanceView, Schedule
from orchestrator.model.spec import ComponentSpec, OnExit
from orchestrator.supervisor.initial_steps import InitialSteps
from orchestrator.supervisor.instance import Instance


class Registry:
    """Initial steps, and components once they are known. It answers questions; the supervisor acts on the answers."""

    def __init__(self, steps: Iterable[ComponentSpec], last_line: Callable[[Instance], str]) -> None:
        self._last_line = last_line
        self._told: set[str] = set()
        self.steps = InitialSteps(steps, last_line)
        self.instances: list[Instance] = []
        self._by_key: dict[str, Instance] = {}
        self.is_filled = False
        self.membership = 0  # changes whenever an instance is added or removed
        self.is_silent: Callable[[Instance], bool] = lambda _: False  # whether it still has to print its first line
        self._schedule = Schedule()
        self._is_stale = False
        self._firsts: frozenset[str] = frozenset()  # those that others start after
        self._unready_at = 0
        self._culprit: Instance | None = None
        self._others: list[Instance] = []

    def fill(self, components: tuple[ComponentSpec, ...]) -> None:
        """Make an instance of every component."""
        self.instances = [Instance(component, self._last_line) for component in components]
        for instance in self.instances:
            if instance.spec.autostart:
                instance.want(Desired.UP)
        self._by_key = {instance.key: instance for instance in self.instances}
        self.is_filled, self._is_stale = True, True
        self._recount()

    def add(self, component: ComponentSpec) -> Instance:
        """Add one more instance, after the others of its component."""
        instance = Instance(component, self._last_line)
        siblings = [i for i, m in enumerate(self.instances) if m.spec.component == component.component]
        self.instances.insert(siblings[-1] + 1 if siblings else len(self.instances), instance)
        self._by_key[instance.key] = instance
        self._is_stale = True
        self._recount()
        return instance

    def remove(self, instance: Instance) -> None:
        """Forget an instance that is down and not part of the system any more."""
        self.instances.remove(instance)
        instance.want(Desired.DOWN)
        del self._by_key[instance.key]
        self._told.discard(instance.key)
        self._others = [m for m in self._others if m is not instance]
        if not self._is_stale:
            self._schedule.remove(instance.key)
        self._recount()

    def _recount(self) -> None:
        self.membership += 1
        self._firsts = frozenset(name for m in self.instances for name in m.spec.start_after)

    @property
    def everyone(self) -> tuple[Instance, ...]:
        """Steps and instances."""
        return (*self.steps, *self.instances)

    # What the schedule decides (model.scheduling)

    @property
    def schedule(self) -> Schedule:
        """The decisions on the instances that there are now."""
        if self._is_stale:
            self._is_stale = False
            self._schedule = Schedule(instance.spec for instance in self.instances)
            for instance in self.instances:
                self.note(instance)
        return self._schedule

    def note(self, instance: Instance) -> None:
        """Tell the schedule what an instance has come to."""
        if instance.key not in self._by_key or self._is_stale:
            return
        asked = instance.asked
        view = InstanceView(
            instance.state,
            instance.desired,
            is_due=instance.due,
            is_told=asked or self.is_ending_by_itself(instance),
            is_asked=asked,
            has_exited=instance.exit is not None,
            succeeded=instance.succeeded,
            is_silent=instance.state is State.UP and instance.key in self._firsts and self.is_silent(instance),
        )
        self._schedule.update(instance.key, view)

    def note_silence(self) -> None:
        """Tell the schedule which instances have printed the lines that others wait for (`start_after`)."""
        for key in self._firsts:
            if key in self._by_key:
                self.note(self._by_key[key])

    def goes_first(self, instance: Instance) -> bool:
        """Return whether others start after it (`start_after`)."""
        return instance.key in self._firsts

    def want(self, instance: Instance, desired: Desired) -> None:
        """Note what an instance is to come to, and tell the schedule."""
        instance.want(desired)
        self.note(instance)

    def next_action(self) -> tuple[Instance, Event] | None:
        """Return an instance that starts or stops now; None if none does."""
        action = self.schedule.next_action()
        return None if action is None else (self._by_key[action[0]], action[1])

    def newly_unstartable(self) -> dict[str, str]:
        """Of the instances that wait to be started, those that never can be, and why; each is returned once, after
        what it depends on."""
        fresh = self.schedule.never - self._told
        self._told.update(fresh)
        instances = self.in_start_order(self._by_key[key] for key in fresh) if fresh else []
        return {instance.name: self.unstartable_reason(instance) for instance in instances}

    def unstartable_reason(self, instance: Instance) -> str:
        """Why it waits to be started and never can be; empty if it can, or does not wait."""
        dependency = self.schedule.obstacle(instance.key) if instance.key in self.schedule.never else None
        if dependency is None:
            return ""
        other = self._by_key[dependency.name]
        if other.key in self.schedule.never:
            return f"{other.name} cannot start"
        return f"it needs {other.name} {dependency.condition.value}, which {other.end_as_clause}"

    def waits_for(self, instance: Instance) -> list[str]:
        """Those of its dependencies that have not reached what it needs before it starts: `db ready`."""
        waiting = self.schedule.waits_for(instance.key) if instance.key in self._by_key else ()
        return [f"{self._by_key[d.name].name} {d.condition.value}" for d in waiting]

    def does_without(self, instance: Instance) -> list[str]:
        """Those of its dependencies that are not required and that it does not wait for, and why."""
        spared = [self._by_key[dependency.name] for dependency in self.schedule.does_without(instance.key)]
        ends = [(m.name, m.end_as_clause if m.status is not None else "does not run") for m in spared]
        return [f"{name}, which {end}" for name, end in ends]

    def startable(self) -> list[Instance]:
        """Instances that are to be started, and whose dependencies allow it now."""
        return [self._by_key[key] for key in self.schedule.startable]

    def needed_by(self, instances: Iterable[Instance]) -> list[Instance]:
        """Return these instances, and what they need that has to run again; dependencies first."""
        keys = [m.key for m in instances if m.key in self._by_key]
        return [self._by_key[key] for key in self.schedule.needed_by(keys)]

    def restarting_with(self, instances: Iterable[Instance]) -> list[Instance]:
        """Return those that are there and restart with any of these (`restart = true`), at any distance."""
        keys = [m.key for m in instances if m.key in self._by_key]
        return [self._by_key[key] for key in self.schedule.restarting_with(keys)]

    def is_awaited(self, instance: Instance) -> bool:
        """Return whether another instance waits for the exit that this one has come to."""
        return instance.key in self._by_key and self.schedule.is_awaited(instance.key)

    def has_dependents(self, instance: Instance) -> bool:
        """Return whether another instance has to stop before this one."""
        return instance.key in self._by_key and self.schedule.has_dependents(instance.key)

    # Names

    def named(self, name: str) -> list[Instance]:
        """The instances of this name, or of the component of this name; it may be a pattern like `web*`."""
        return [m for m in self.instances if self.is_called(m, (name,))]

    def all_named(self, names: Collection[str]) -> list[Instance]:
        """The instances of any of these names, in their order; without a name all of them."""
        return [m for m in self.instances if not names or self.is_called(m, names)]

    @staticmethod
    def is_called(instance: Instance, names: Collection[str]) -> bool:
        """Whether one of these names, patterns or `+tags` is this instance's or its component's."""
        return is_meant(names, (*instance.names, instance.spec.component), instance.spec.tags)

    def instance(self, name: str) -> list[Instance]:
        """The instance or initial step of exactly this name, or else all instances of the component of this name, or
        with this `+tag`."""
        exact = [m for m in self.everyone if name in m.names]
        return exact or [m for m in self.everyone if is_meant((name,), (), m.spec.tags) or m.spec.component == name]

    def in_start_order(self, instances: Iterable[Instance]) -> list[Instance]:
        """Return these instances, each after what it depends on."""
        rank = {key: number for number, key in enumerate(scheduling.start_order(m.spec for m in self.everyone))}
        return sorted(instances, key=lambda instance: rank.get(instance.key, -1))

    def forget_failures(self, instances: Iterable[Instance]) -> None:
        """A start of these is requested: report again if they never can be started."""
        self._told -= {m.key for m in instances}

    @property
    def any_stuck(self) -> bool:
        """Whether something of an instance cannot be killed."""
        return any(m.state is State.STUCK for m in self.everyone)

    @property
    def any_running(self) -> bool:
        """Whether some process of the system has to be waited for."""
        return any(m.runs for m in self.everyone)

    @property
    def stopping(self) -> list[Instance]:
        """Those that were sent a stop signal, or have exited while a stop signal was sent to what they left."""
        return [m for m in self.everyone if m.state in (State.EXITED, State.STOPPING)]

    @property
    def any_active(self) -> bool:
        """Whether some instance runs, or will come back by itself."""
        return self.schedule.active > 0

    @property
    def all_begun(self) -> bool:
        """Whether the components are known, and each has been started, or never will be."""
        begun = (m.run.number and m.state is not State.STARTING for m in self.instances)
        told = (m.key in self._told or is_stopped_on_request(m) for m in self.instances)
        return bool(self.instances) and all(map(any, zip(begun, told, strict=True)))

    @property
    def any_stopped_on_request(self) -> bool:
        """Whether some instance is at rest on request, and may be started again."""
        return any(map(is_stopped_on_request, self.instances))

    @property
    def all_ready(self) -> bool:
        """Whether every instance is ready."""
        start = min(self._unready_at, len(self.instances))
        for at in (*range(start, len(self.instances)), *range(start)):  # first the one that was not at the last look
            instance = self.instances[at]
            if not (instance.state is State.READY or self.is_done(instance)):
                self._unready_at = at
                return False
        return True

    def is_done(self, instance: Instance) -> bool:
        """Whether it has exited well and was to do so, or is at rest on request."""
        if is_stopped_on_request(instance):
            return True
        ended = instance.state is State.DOWN and instance.succeeded and not instance.due
        return ended and (instance.spec.on_exit is OnExit.IGNORE or self.is_awaited(instance))

    def others_there(self, instance: Instance) -> list[Instance]:
        """Of all but `instance`, those that run or would come back."""
        return [m for m in self.instances if m is not instance and (m.runs or m.state is State.BACKOFF)]

    def blame(self, culprit: Instance) -> None:
        """The system ends because of `culprit`. Instances that are at rest on request by now are not stopped for
        that."""
        self._culprit = culprit
        self._others = [m for m in self.instances if m is not culprit and not is_stopped_on_request(m)]

    def is_ending_by_itself(self, instance: Instance) -> bool:
        """Return whether the system ends because of this instance, and no stop has to be sent to it."""
        return instance is self._culprit and instance.exited_by_itself

    def is_blamed(self, instance: Instance) -> bool:
        """Return whether the system ends because of this instance."""
        return instance is self._culprit

    def follows_a_restart(self, instance: Instance) -> bool:
        """Return whether it is restarted with something that it depends on, at any distance, and that comes back."""
        pairs = ((d, self._by_key[d.name]) for d in instance.spec.depends_on if d.name in self._by_key)
        return any(
            dependency.restart
            and (other.state is State.BACKOFF or other.is_coming_back or self.follows_a_restart(other))
            for dependency, other in pairs
        )

    def _end_of_one(self, name: str) -> InstanceEnd | None:
        """Return how an instance ended; if the name means several, the one that ended the system, or the first."""
        if (end := _end_of(self._by_key.get(name))) is not None:
            return end
        instances = [m for m in self.instances if self.is_called(m, (name,))]
        instances.sort(key=lambda m: m is not self._culprit)
        return next((end for end in map(_end_of, instances) if end is not None), None)

    def judge(self, exit_code_from: str = "") -> Outcome:
        """Return how the system ended, without a signal: because of one instance, or because all have ended. If the
        component `exit_code_from` ran, its code is the system's."""
        if self.any_stuck:
            return Outcome(FAILED_STATUS)
        if exit_code_from and (end := self._end_of_one(exit_code_from)) is not None:
            return Outcome(errors.as_code(end.status))
        if self._culprit is None:
            outcome = of_all(_end_of(m) for m in self.everyone if not self.steps.is_check(m))
            return outcome if outcome.status or not self._told else Outcome(FAILED_STATUS)
        end = _end_of(self._culprit)
        assert end is not None
        return of_culprit(end, map(_end_of, self._others))


def is_stopped_on_request(instance: Instance) -> bool:
    """Return whether it is at rest on request."""
    return instance.state in AT_REST and not instance.due and (instance.asked or not instance.run.number)


def _end_of(instance: Instance | None) -> InstanceEnd | None:
    if instance is None or instance.status is None:
        return None
    return InstanceEnd(instance.status, instance.exited_by_itself, instance.succeeded)
