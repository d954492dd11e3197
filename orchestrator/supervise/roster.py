"""The members of a system: who may start, who may stop, who is still there, and what the end of all of them means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from orchestrator.model import exits, order
from orchestrator.model.errors import FAILED_STATUS
from orchestrator.model.lifecycle import State
from orchestrator.model.spec import Component, Condition, Dependency, OnExit
from orchestrator.supervise.component import Host, Member
from orchestrator.supervise.outcome import End, Outcome, of_all, of_culprit
from orchestrator.supervise.steps import Steps

AT_REST = frozenset({State.DOWN, State.FAILED})
STARTABLE = AT_REST | {State.BACKOFF}


class Roster:
    """Initial steps, and components once they are known. Looks at members; what it finds the supervisor does."""

    def __init__(self, steps: Iterable[Component], host: Host) -> None:
        self._host = host
        self._told: set[str] = set()
        self.steps = Steps(steps, host)
        self.members: list[Member] = []
        self._by_name: dict[str, Member] = {}
        self.dependents: Mapping[str, frozenset[str]] = {}
        self._culprit: Member | None = None
        self._others: list[Member] = []

    def fill(self, components: tuple[Component, ...]) -> None:
        """Make a member of every component."""
        self.members = [Member(component, self._host) for component in components]
        self._by_name = {member.name: member for member in self.members}
        self.dependents = order.dependents(components)

    def add(self, component: Component) -> Member:
        """Make a member of one more instance, after the others of its component."""
        member = Member(component, self._host)
        member.due = False
        at = max(i for i, m in enumerate(self.members) if m.spec.component == component.component) + 1
        self.members.insert(at, member)
        self._by_name[member.name] = member
        self.dependents = order.dependents(m.spec for m in self.members)
        return member

    @property
    def everyone(self) -> tuple[Member, ...]:
        """Steps and members."""
        return (*self.steps, *self.members)

    def is_awaited(self, member: Member) -> bool:
        """Whether the end that this member has come to is what another one waits for."""
        enough = {Condition.COMPLETED, Condition.SUCCEEDED} if member.succeeded else {Condition.COMPLETED}
        wanted = (d for m in self.members for d in m.spec.depends_on)
        return any(d.name == member.name and d.condition in enough for d in wanted)

    def hopeless(self) -> dict[str, str]:
        """Of the members that wait to be started, those that never can, and in words why; each is told once."""
        fresh: dict[str, str] = {}
        while found := next(filter(None, map(self._why_never, self.members)), None):
            self._told.add(found[0])
            fresh[found[0]] = found[1]
        return fresh

    def _why_never(self, member: Member) -> tuple[str, str] | None:
        if not member.due or member.state not in AT_REST or member.name in self._told:
            return None
        for dependency in member.spec.depends_on:
            other = self._by_name[dependency.name]
            if other.name in self._told:
                return member.name, f"{other.name} cannot start"
            at_rest = other.state in AT_REST and other.status is not None and not other.due and not other.asked
            if at_rest and not _reached(other, dependency.condition):
                return member.name, f"it needs {other.name} {dependency.condition.value}, which {other.end_as_clause}"
        return None

    def startable(self) -> list[Member]:
        """Members that are to be started, and whose dependencies allow it now."""
        return [m for m in self.members if m.due and m.state in STARTABLE and not self.waits_for(m)]

    def waits_for(self, member: Member) -> tuple[Dependency, ...]:
        """Those of its dependencies that have not reached what it needs before it starts."""
        return tuple(d for d in member.spec.depends_on if not _reached(self._by_name[d.name], d.condition))

    def needed_by(self, members: Iterable[Member]) -> list[Member]:
        """These members, and what they need that has not come to what they need of it; dependencies first."""
        found: dict[Member, None] = {}

        def add(member: Member) -> None:
            for dependency in self.waits_for(member):
                if (other := self._by_name[dependency.name]) not in found:
                    add(other)
            found[member] = None

        for member in members:
            add(member)
        return list(found)

    def named(self, name: str) -> list[Member]:
        """The instances of this name, or of the component of this name; it may be a pattern like `web*`."""
        return [m for m in self.members if fnmatchcase(m.name, name) or fnmatchcase(m.spec.component, name)]

    def may_stop(self, members: Iterable[Member]) -> list[Member]:
        """Of these members, the ones that no other of them depends on."""
        there = {m.name: m for m in members}
        return [there[name] for name in order.may_stop(there, self.dependents)]

    def hope_again(self, members: Iterable[Member]) -> None:
        """Somebody wants these members started: what was said of their never starting is void."""
        self._told -= {m.name for m in members}

    def stoppable(self) -> list[Member]:
        """Those that would come back, for which nobody has to wait, and those that run and on which no other that runs
        depends."""
        there = {m.name: m for m in self.everyone if m.runs}
        coming_back = [m for m in self.everyone if m.state is State.BACKOFF]
        return [*coming_back, *(there[name] for name in order.may_stop(there, self.dependents))]

    @property
    def anyone_stuck(self) -> bool:
        """Whether something of a member cannot be killed."""
        return any(m.is_stuck for m in self.everyone)

    @property
    def anyone_runs(self) -> bool:
        """Whether some process of the system has to be waited for."""
        return any(m.runs for m in self.everyone)

    @property
    def stopping(self) -> list[Member]:
        """Those that have been asked to exit, or have and left processes that have been asked to."""
        return [m for m in self.everyone if m.state is State.STOPPING and not m.is_stuck]

    @property
    def anyone_active(self) -> bool:
        """Whether some member runs, or will come back by itself."""
        return any(m.runs or m.state is State.BACKOFF for m in self.members)

    @property
    def all_begun(self) -> bool:
        """Whether the components are known, and each has been started, or never will be."""
        begun = (m.incarnations and m.state is not State.STARTING for m in self.members)
        told = (m.name in self._told or is_put_away(m) for m in self.members)
        return bool(self.members) and all(map(any, zip(begun, told, strict=True)))

    @property
    def anyone_put_away(self) -> bool:
        """Whether some member is at rest because somebody asked for that, and may be asked for again."""
        return any(map(is_put_away, self.members))

    @property
    def all_ready(self) -> bool:
        """Whether every member is ready."""
        return all(m.state is State.READY or self.is_done(m) for m in self.members)

    def is_done(self, member: Member) -> bool:
        """Whether it has ended well, and was meant to; or nobody wants it to run."""
        if is_put_away(member):
            return True
        ended = member.state is State.DOWN and member.succeeded
        return ended and (member.spec.on_exit is OnExit.IGNORE or self.is_awaited(member))

    def guarded_by(self, pid: int) -> Member | None:
        """The member whose guardian is `pid`."""
        return next((m for m in self.everyone if m.guardian_pid == pid), None)

    def others_there(self, member: Member) -> list[Member]:
        """Of all but `member`, those that run or would come back."""
        return [m for m in self.members if m is not member and (m.runs or m.state is State.BACKOFF)]

    def blame(self, culprit: Member) -> None:
        """The system ends because of `culprit`. Who is at rest by now because somebody asked for that is none of those
        who have to be stopped for it."""
        self._culprit = culprit
        self._others = [m for m in self.members if m is not culprit and not (m.incarnations and is_put_away(m))]

    def judge(self, exit_code_from: str = "") -> Outcome:
        """How the system ended, without a signal: because of who is blamed, or because everybody ended. Where it ran,
        the code of the component named in `exit_code_from` is the system's."""
        if self.anyone_stuck:
            return Outcome(FAILED_STATUS)
        if (end := _end_of(self._by_name.get(exit_code_from))) is not None:
            return Outcome(exits.as_code(end.status))
        if self._culprit is None:
            outcome = of_all(_end_of(m) for m in self.everyone if not self.steps.is_check(m))
            return outcome if outcome.status or not self._told else Outcome(FAILED_STATUS)
        end = _end_of(self._culprit)
        assert end is not None
        return of_culprit(end, map(_end_of, self._others))


def is_put_away(member: Member) -> bool:
    """Whether it is at rest because somebody asked for that."""
    return member.state in AT_REST and not member.due and (member.asked or not member.incarnations)


def _reached(member: Member, condition: Condition) -> bool:
    match condition:
        case Condition.STARTED:
            coming = member.due or member.state in (State.STARTING, State.BACKOFF)
            return member.state in (State.UP, State.READY) or (member.status is not None and not coming)
        case Condition.READY:
            return member.state is State.READY
        case Condition.COMPLETED:
            return member.state in (State.DOWN, State.FAILED) and member.status is not None
        case Condition.SUCCEEDED:
            return member.state is State.DOWN and member.succeeded


def _end_of(member: Member | None) -> End | None:
    if member is None or member.status is None:
        return None
    return End(member.status, member.own_end, member.succeeded)
