"""Several members against every order of events (hypothesis, stateful): the roster, the order and the members are the
real ones, guardians are imagined, and `Host.changed` does what the supervisor does with what the roster tells.

Shown: nobody starts before what he depends on allows it, nobody has two incarnations at once, nobody is asked to stop
while somebody who depends on him is still there (so the stop order is the start order reversed), nothing is started
during a stop, and a stop always ends, from wherever the system got to.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_member_model import RARELY, Guardian, Loop

from orchestrator.model.lifecycle import RUNNING, Event, State
from orchestrator.model.messages import LeaderExited, Started, StartFailed, Vacated
from orchestrator.model.spec import ComponentSpec, Condition, Dependency, RestartPlan, RestartPolicy
from orchestrator.supervisor.registry import Registry

MOST = 5
LIVE = [Condition.STARTED, Condition.READY]


class Kept(Guardian):
    """A guardian of one member, which holds the system to its order at each stop."""

    def __init__(self, member, host):
        super().__init__()
        self.member, self.host = member, host

    def send(self, message):
        if self.host.stopping:
            for other in self.host.registry.members:
                if any(d.name == self.member.name for d in other.spec.depends_on):
                    assert other.state not in RUNNING, f"{self.member.name} is to stop while {other.name} is there"
        super().send(message)


class System:
    """The host of all members."""

    def __init__(self, components):
        self.loop = Loop()
        self.guardians = []
        self.stopping = False
        self.attach = lambda member, fd: None
        self.detach = self.watch = self.unwatch = self.guard = self.unguard = lambda member: None
        self.registry = Registry((), self)
        self.registry.fill(components)

    def is_oom_kill(self, left):
        return False

    def fork(self, member):
        assert not self.stopping, f"{member.name} is started during the stop"
        mine = [g for g in self.guardians if g.member is member]
        assert all((g.reaped, g.tree) == (True, False) for g in mine), "forked while an incarnation lives"
        if not mine:
            for dependency in member.spec.depends_on:
                other = next(m for m in self.registry.members if m.name == dependency.name)
                assert other.run_count, f"{member.name} starts before {other.name}"
                assert dependency.condition is not Condition.READY or other.state is State.READY
        self.guardians.append(Kept(member, self))
        return self.guardians[-1]

    def changed(self, member, before):
        self.go_on()

    def go_on(self):
        for member in self.registry.stoppable() if self.stopping else self.registry.startable():
            member.handle(Event.STOP if self.stopping else Event.START)

    def stop(self):
        self.stopping = True
        self.go_on()


@st.composite
def systems(draw):
    """Each may depend on those before it, so there is no circle; the definition names them in any order."""
    found = []
    for number in range(draw(st.integers(1, MOST))):
        names = draw(st.lists(st.sampled_from(found), unique_by=lambda c: c.name)) if found else []
        depends_on = tuple(Dependency(c.name, draw(st.sampled_from(LIVE))) for c in names)
        plan = RestartPlan(draw(st.sampled_from(RestartPolicy)), max=draw(st.integers(1, 4)))
        found.append(ComponentSpec(name=f"c{number}", argv=("x",), cwd="/", depends_on=depends_on, restart=plan))
    return tuple(draw(st.permutations(found)))


class OrderMachine(RuleBasedStateMachine):
    """Random events in an order that the real parts could bring about."""

    @initialize(components=systems())
    def set_up(self, components):
        self.system = System(components)
        self.system.go_on()

    def some(self, **facts):
        """The guardians that are not reaped and of which this is true."""
        there = [g for g in self.system.guardians if not g.reaped]
        return [g for g in there if all(getattr(g, key) == value for key, value in facts.items())]

    def draw_from(self, data, found):
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data(), fails=RARELY)
    def guardian_starts(self, data, fails):
        if guardian := self.draw_from(data, self.some(alive=True, started=False)):
            self.start(guardian, fails)

    def start(self, guardian, fails=False):
        guardian.started = guardian.leader = guardian.tree = not fails
        guardian.say(StartFailed("no such command") if fails else Started(guardian.pid + 1), ends=fails)
        self.deliver(guardian)

    @rule(data=st.data(), status=st.sampled_from([0, 1, -9]))
    def leader_ends(self, data, status):
        if guardian := self.draw_from(data, self.some(alive=True, leader=True)):
            self.end_leader(guardian, status)

    def end_leader(self, guardian, status):
        guardian.leader = False
        guardian.say(LeaderExited(status, asked=guardian.told_to_end))
        self.deliver(guardian)

    @rule(data=st.data())
    def tree_is_vacated(self, data):
        if guardian := self.draw_from(data, self.some(alive=True, leader=False, tree=True)):
            self.vacate(guardian)

    def vacate(self, guardian):
        guardian.tree = False
        guardian.say(Vacated(), ends=True)
        self.deliver(guardian)

    def deliver(self, guardian):
        if guardian.alive:
            self.system.loop.watched[guardian.fd](1)
        else:
            guardian.member.end_guardian()

    @rule(data=st.data())
    def probes_hold(self, data):
        if member := self.draw_from(data, [m for m in self.system.registry.members if m.state is State.UP]):
            member.handle(Event.PROBED)

    @precondition(lambda self: not self.system.stopping)  # then nobody asks any more
    @rule(data=st.data())
    def it_does_not_live(self, data):
        if member := self.draw_from(data, [m for m in self.system.registry.members if m.state is State.READY]):
            member.replace("does not live")

    @precondition(lambda self: self.system.loop.armed())
    @rule(data=st.data())
    def backoff_is_over(self, data):
        self.system.loop.fire(data.draw(st.sampled_from(self.system.loop.armed())))

    @rule(rarely=RARELY)
    def stop(self, rarely):
        if rarely:
            self.system.stop()

    @invariant()
    def there_is_one_incarnation_at_most(self):
        for member in self.system.registry.members:
            mine = [g for g in self.system.guardians if g.member is member and (g.tree or not g.reaped)]
            assert len(mine) == (member.state in RUNNING), f"{member.name} is {member.state}, with {len(mine)}"

    def teardown(self):
        """A stop ends with nothing but what a stop itself brings about."""
        self.system.stop()
        for _ in range(10 * MOST):
            for guardian in self.some(alive=True, started=False):
                self.start(guardian)
            for guardian in self.some(alive=True, leader=True):
                if guardian.told_to_end:
                    self.end_leader(guardian, -15)
            for guardian in self.some(alive=True, leader=False, tree=True):
                self.vacate(guardian)
        states = {m.name: m.state for m in self.system.registry.members}
        assert set(states.values()) <= {State.DOWN, State.FAILED}, f"wedged: {states}"
        assert not self.some()


OrderMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOrder = OrderMachine.TestCase


def crashed():
    """A machine of two that run, of which the one that the other depends on has just crashed, and would come back."""
    machine = OrderMachine()
    db = ComponentSpec(name="db", argv=("x",), cwd="/", restart=RestartPlan(RestartPolicy.ALWAYS))
    web = ComponentSpec(name="web", argv=("x",), cwd="/", depends_on=(Dependency("db"),))
    machine.set_up(components=(db, web))
    for guardian in (*machine.some(started=False),):
        machine.start(guardian)
    machine.start(machine.some(started=False)[0])
    guardian = machine.some()[0]
    machine.end_leader(guardian, 1)
    return machine, guardian


def test_who_waits_for_a_comeback_does_not_come_back_during_the_stop():
    machine, guardian = crashed()
    machine.vacate(guardian)
    machine.system.stop()
    assert not machine.system.loop.armed(), "its backoff would end while the other one is still there"
    machine.teardown()


def test_who_has_crashed_before_the_stop_does_not_come_back_during_it():
    machine, guardian = crashed()
    machine.system.stop()
    machine.vacate(guardian)
    assert not machine.system.loop.armed()
    machine.teardown()
