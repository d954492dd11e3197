"""The members of a system: who may start, who may stop, who is still there, and what the end of all of them means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from orchestrator.model import errors, scheduling
from orchestrator.model.errors import FAILED_STATUS
from orchestrator.model.lifecycle import State
from orchestrator.model.names import is_meant
from orchestrator.model.outcome import End, Outcome, of_all, of_culprit
from orchestrator.model.spec import ComponentSpec, Condition, Dependency, OnExit
from orchestrator.supervisor.initial_steps import InitialSteps
from orchestrator.supervisor.instance import Instance, InstanceHost

AT_REST = frozenset({State.DOWN, State.FAILED})
STARTABLE = AT_REST | {State.BACKOFF}


class Registry:
    """Initial steps, and components once they are known. Looks at members; what it finds the supervisor does."""

    def __init__(self, steps: Iterable[ComponentSpec], host: InstanceHost) -> None:
        self._host = host
        self._told: set[str] = set()
        self.steps = InitialSteps(steps, host)
        self.members: list[Instance] = []
        self._by_key: dict[str, Instance] = {}
        self.is_filled = False
        self.dependents: Mapping[str, frozenset[str]] = {}
        self.membership = 0  # changes whenever a member is added or removed
        self.silent: set[Instance] = set()  # members whose guardian has closed its channel, and not ended yet
        self._due: set[Instance] = set()
        self._rank: dict[Instance, int] = {}
        self._by_guardian: dict[int, Instance] = {}
        self._unready_at = 0
        self._culprit: Instance | None = None
        self._others: list[Instance] = []

    def fill(self, components: tuple[ComponentSpec, ...]) -> None:
        """Make a member of every component."""
        self.members = [Instance(component, self._host) for component in components]
        for member in self.members:
            member.due_among, member.silent_among = self._due, self.silent
            member.due = member.spec.autostart
        self._by_key = {member.key: member for member in self.members}
        self.is_filled = True
        self._recount()

    def add(self, component: ComponentSpec) -> Instance:
        """Make a member of one more instance, after the others of its component."""
        member = Instance(component, self._host)
        member.due_among, member.silent_among = self._due, self.silent
        member.due = False
        siblings = [i for i, m in enumerate(self.members) if m.spec.component == component.component]
        self.members.insert(siblings[-1] + 1 if siblings else len(self.members), member)
        self._by_key[member.key] = member
        self._recount()
        return member

    def remove(self, member: Instance) -> None:
        """Forget an instance that is down and not part of the system any more."""
        self.members.remove(member)
        member.due = False
        member.due_among = None
        del self._by_key[member.key]
        self._told.discard(member.key)
        self._others = [m for m in self._others if m is not member]
        self._recount()

    def _recount(self) -> None:
        self.membership += 1
        self._rank = {member: number for number, member in enumerate(self.members)}
        self.dependents = scheduling.dependents(m.spec for m in self.members)

    @property
    def everyone(self) -> tuple[Instance, ...]:
        """Steps and members."""
        return (*self.steps, *self.members)

    def is_awaited(self, member: Instance) -> bool:
        """Whether the end that this member has come to is what another one waits for."""
        enough = {Condition.COMPLETED, Condition.SUCCEEDED} if member.succeeded else {Condition.COMPLETED}
        others = (self._by_key.get(key) for key in self.dependents.get(member.key, ()))
        wanted = (d for other in others if other is not None for d in other.spec.depends_on)
        return any(d.name == member.key and d.condition in enough for d in wanted)

    def newly_unstartable(self) -> dict[str, str]:
        """Of the members that wait to be started, those that never can be, and why; each is returned once."""
        fresh = {
            m.key: (m.name, why)
            for m in self.members
            if m.key not in self._told and (why := self.unstartable_reason(m))
        }
        self._told |= fresh.keys()
        return dict(fresh.values())

    def unstartable_reason(self, member: Instance) -> str:
        """Why it waits to be started and never can be; empty if it can, or does not wait."""
        if not member.due or member.state not in AT_REST:
            return ""
        for dependency, other in self._dependencies(member):
            if not dependency.required:
                continue
            if self.unstartable_reason(other):
                return f"{other.name} cannot start"
            at_rest = other.state in AT_REST and other.status is not None and not other.due and not other.asked
            if at_rest and not _reached(other, dependency.condition):
                return f"it needs {other.name} {dependency.condition.value}, which {other.end_as_clause}"
        return ""

    def _dependencies(self, member: Instance) -> list[tuple[Dependency, Instance]]:
        """Return what it depends on, without instances that were removed."""
        return [(d, self._by_key[d.name]) for d in member.spec.depends_on if d.name in self._by_key]

    def startable(self) -> list[Instance]:
        """Members that are to be started, and whose dependencies allow it now."""
        found = [member for member in self._due if self.is_startable(member)]
        return sorted(found, key=self._rank.__getitem__)

    def is_startable(self, member: Instance) -> bool:
        """Whether it is to be started, and its dependencies allow it now."""
        return member.due and member.state in STARTABLE and not self.waits_for(member)

    def waits_for(self, member: Instance) -> list[str]:
        """Those of its dependencies that have not reached what it needs before it starts: `db ready`."""
        waiting = [
            (d, other)
            for d, other in self._dependencies(member)
            if not _reached(other, d.condition) and not self._is_spared(d, other)
        ]
        return [f"{other.name} {dependency.condition.value}" for dependency, other in waiting]

    def does_without(self, member: Instance) -> list[str]:
        """Those of its dependencies that are not required and that it does not wait for, and why."""
        spared = [other for d, other in self._dependencies(member) if self._is_spared(d, other)]
        ends = [(m.name, m.end_as_clause if m.status is not None else "does not run") for m in spared]
        return [f"{name}, which {end}" for name, end in ends]

    def _is_spared(self, dependency: Dependency, other: Instance) -> bool:
        """Whether it is not required, and will not reach the condition by itself."""
        if dependency.required or _reached(other, dependency.condition):
            return False
        return bool(self.unstartable_reason(other)) or (other.state in AT_REST and not other.due)

    def needed_by(self, members: Iterable[Instance]) -> list[Instance]:
        """These members, and what they need that has not reached what they need of it; dependencies first.

        A dependency that has exited well counts as long as no stop was requested for it afterwards, and all that it
        needs itself is still there. Otherwise it runs again: a migration, for example, after its database was stopped.
        """
        found: dict[Instance, None] = {}
        lasting: dict[Instance, bool] = {}

        def add(member: Instance) -> None:
            for dependency, other in self._dependencies(member):
                if dependency.required and other not in found and not lasts(other, dependency.condition):
                    add(other)
            found[member] = None

        def lasts(member: Instance, condition: Condition) -> bool:
            if not _reached(member, condition):
                return False
            if member.state not in AT_REST:
                return True
            if member.stop_requested or not (member.succeeded or condition is Condition.COMPLETED):
                return False
            if member not in lasting:
                lasting[member] = all(
                    lasts(other, d.condition) for d, other in self._dependencies(member) if d.required
                )
            return lasting[member]

        for member in members:
            add(member)
        return list(found)

    def named(self, name: str) -> list[Instance]:
        """The instances of this name, or of the component of this name; it may be a pattern like `web*`."""
        return [m for m in self.members if self.is_called(m, (name,))]

    def all_named(self, names: Collection[str]) -> list[Instance]:
        """The members of any of these names, in their order; without a name all of them."""
        return [m for m in self.members if not names or self.is_called(m, names)]

    @staticmethod
    def is_called(member: Instance, names: Collection[str]) -> bool:
        """Whether one of these names, patterns or `+tags` is this member's or its component's."""
        return is_meant(names, (*member.names, member.spec.component), member.spec.tags)

    def instance(self, name: str) -> list[Instance]:
        """The instance or initial step of exactly this name, or else all instances of the component of this name, or
        with this `+tag`."""
        exact = [m for m in self.everyone if name in m.names]
        return exact or [m for m in self.everyone if is_meant((name,), (), m.spec.tags) or m.spec.component == name]

    def may_stop(self, members: Iterable[Instance]) -> list[Instance]:
        """Of these members, the ones that no other of them depends on."""
        there = {m.key: m for m in members}
        return [there[key] for key in scheduling.may_stop(there, self.dependents)]

    def needs_of(self, member: Instance) -> list[Instance]:
        """Those that may stop only after this one."""
        names = (*member.spec.stop_before, *(d.name for d in member.spec.depends_on))
        return [self._by_key[name] for name in names if name in self._by_key]

    def may_stop_of(self, members: Iterable[Instance], leaving: Collection[Instance]) -> list[Instance]:
        """Of these members, those that are `leaving` too, and that no other one that is leaving depends on."""
        found = []
        for member in members:
            others = (self._by_key.get(key) for key in self.dependents.get(member.key, ()))
            if member in leaving and not any(other in leaving for other in others):
                found.append(member)
        return found

    def in_start_order(self, members: Iterable[Instance]) -> list[Instance]:
        """Return these members, each after what it depends on."""
        rank = {key: number for number, key in enumerate(scheduling.start_order(m.spec for m in self.everyone))}
        return sorted(members, key=lambda member: rank.get(member.key, -1))

    def forget_failures(self, members: Iterable[Instance]) -> None:
        """Somebody wants these members started: what was said of their never starting is void."""
        self._told -= {m.key for m in members}

    def stoppable(self) -> list[Instance]:
        """Those that would come back, for which nobody has to wait, and those that run and on which no other that runs
        depends."""
        there = {m.key: m for m in self.everyone if m.runs}
        coming_back = [m for m in self.everyone if m.state is State.BACKOFF]
        return [*coming_back, *(there[key] for key in scheduling.may_stop(there, self.dependents))]

    def stop_order(self) -> scheduling.StopOrder:
        """The order in which those that run now may stop."""
        return scheduling.StopOrder([m.key for m in self.everyone if m.runs], self.dependents)

    def stoppable_after(self, member: Instance, order: scheduling.StopOrder) -> list[Instance]:
        """Those that may stop now because `member` does not run any more, or would come back; see `stoppable`."""
        coming_back = [member] if member.state is State.BACKOFF else []
        freed = [] if member.runs else order.exited(member.key)
        return [*coming_back, *(self._by_key[key] for key in freed if key in self._by_key)]

    @property
    def any_stuck(self) -> bool:
        """Whether something of a member cannot be killed."""
        return any(m.is_stuck for m in self.everyone)

    @property
    def any_running(self) -> bool:
        """Whether some process of the system has to be waited for."""
        return any(m.runs for m in self.everyone)

    @property
    def stopping(self) -> list[Instance]:
        """Those that have been asked to exit, or have and left processes that have been asked to."""
        return [m for m in self.everyone if m.state is State.STOPPING and not m.is_stuck]

    @property
    def any_active(self) -> bool:
        """Whether some member runs, or will come back by itself."""
        return any(m.runs or m.state is State.BACKOFF for m in self.members)

    @property
    def all_begun(self) -> bool:
        """Whether the components are known, and each has been started, or never will be."""
        begun = (m.run_count and m.state is not State.STARTING for m in self.members)
        told = (m.key in self._told or is_stopped_on_request(m) for m in self.members)
        return bool(self.members) and all(map(any, zip(begun, told, strict=True)))

    @property
    def any_stopped_on_request(self) -> bool:
        """Whether some member is at rest because somebody asked for that, and may be asked for again."""
        return any(map(is_stopped_on_request, self.members))

    @property
    def all_ready(self) -> bool:
        """Whether every member is ready."""
        start = min(self._unready_at, len(self.members))
        for at in (*range(start, len(self.members)), *range(start)):  # first the one that was not at the last look
            member = self.members[at]
            if not (member.state is State.READY or self.is_done(member)):
                self._unready_at = at
                return False
        return True

    def is_done(self, member: Instance) -> bool:
        """Whether it has ended well, and was meant to; or nobody wants it to run."""
        if is_stopped_on_request(member):
            return True
        ended = member.state is State.DOWN and member.succeeded and not member.due
        return ended and (member.spec.on_exit is OnExit.IGNORE or self.is_awaited(member))

    def guarded_by(self, pid: int) -> Instance | None:
        """The member whose guardian is `pid`."""
        member = self._by_guardian.get(pid)
        if member is None or member.guardian_pid != pid:  # forked since the last look
            self._by_guardian = {m.guardian_pid: m for m in self.everyone if m.guardian_pid}
            member = self._by_guardian.get(pid)
        return member

    def others_there(self, member: Instance) -> list[Instance]:
        """Of all but `member`, those that run or would come back."""
        return [m for m in self.members if m is not member and (m.runs or m.state is State.BACKOFF)]

    def blame(self, culprit: Instance) -> None:
        """The system ends because of `culprit`. Who is at rest by now because somebody asked for that is none of those
        who have to be stopped for it."""
        self._culprit = culprit
        self._others = [m for m in self.members if m is not culprit and not is_stopped_on_request(m)]

    def is_blamed(self, member: Instance) -> bool:
        """Return whether the system ends because of this member."""
        return member is self._culprit

    def follows_a_restart(self, member: Instance) -> bool:
        """Return whether it is restarted with something that it depends on, at any distance, and that comes back."""
        return any(
            dependency.restart
            and (other.state is State.BACKOFF or other.is_coming_back or self.follows_a_restart(other))
            for dependency, other in self._dependencies(member)
        )

    def _end_of_one(self, name: str) -> End | None:
        """Return how an instance ended; if the name means several, the one that ended the system, or the first."""
        if (end := _end_of(self._by_key.get(name))) is not None:
            return end
        instances = [m for m in self.members if self.is_called(m, (name,))]
        instances.sort(key=lambda m: m is not self._culprit)
        return next((end for end in map(_end_of, instances) if end is not None), None)

    def judge(self, exit_code_from: str = "") -> Outcome:
        """How the system ended, without a signal: because of who is blamed, or because everybody ended. Where it ran,
        the code of the component named in `exit_code_from` is the system's."""
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


def is_stopped_on_request(member: Instance) -> bool:
    """Whether it is at rest because somebody asked for that."""
    return member.state in AT_REST and not member.due and (member.asked or not member.run_count)


def _reached(member: Instance, condition: Condition) -> bool:
    """Whether it has reached the condition; what will be started again has reached nothing yet."""
    if member.due:
        return False
    match condition:
        case Condition.STARTED:
            coming = member.state in (State.STARTING, State.BACKOFF)
            return member.state in (State.UP, State.READY) or (member.status is not None and not coming)
        case Condition.READY:
            return member.state is State.READY
        case Condition.COMPLETED:
            return member.state in (State.DOWN, State.FAILED) and member.status is not None
        case Condition.SUCCEEDED:
            return member.state is State.DOWN and member.succeeded


def _end_of(member: Instance | None) -> End | None:
    if member is None or member.status is None:
        return None
    return End(member.status, member.exited_by_itself, member.succeeded)
