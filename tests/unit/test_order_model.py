"""Several instances against every order of events (hypothesis, stateful): the registry, the order and the instances are
the real ones, guardians are stand-ins, and `System` does what the supervisor does.

Shown: nobody starts before what he depends on allows it, nobody has two runs at once, nobody is asked to stop
while somebody who depends on him is still there (so the stop order is the start order reversed), nothing is started
during a stop, and a stop always ends, from wherever the system got to.
"""

from types import SimpleNamespace

from examples import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_instance_model import RARELY, Guardian, Host

from orchestrator.model.lifecycle import AT_REST, RUNNING, Desired, Event, State
from orchestrator.model.messages import LeaderExited, Started, StartFailed, Stop, Vacated
from orchestrator.model.spec import ComponentSpec, Condition, Dependency, RestartPlan, RestartPolicy
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.registry import Registry
from orchestrator.supervisor.supervisor import Supervisor

MOST = 5
LIVE = [Condition.STARTED, Condition.READY]


class Kept(Guardian):
    """A guardian of one instance, which holds the system to its order at each stop."""

    def __init__(self, instance, host):
        super().__init__()
        self.instance, self.host = instance, host

    def send(self, message):
        for other in self.host.registry.instances:
            if any(d.name == self.instance.name for d in other.spec.depends_on):
                if self.host.stopping:
                    assert other.state not in RUNNING, f"{self.instance.name} is to stop while {other.name} is there"
                elif isinstance(message, Stop) and self.instance.is_leaving and not self.instance.reason:
                    # One that failed its liveness probe is stopped at once.
                    assert not other.is_leaving, f"{self.instance.name} is to stop before {other.name}"
        super().send(message)


class System(Host):
    """The host of all instances."""

    go_on = Supervisor.go_on

    def __init__(self, components):
        super().__init__()
        self.stopping = self._is_going_on = False
        self.streams = SimpleNamespace(open=lambda *_: None, close=lambda _: None, of=lambda _: None)
        close = SimpleNamespace(close=lambda instance: None)
        ignore = dict.fromkeys(("unwatch", "guard", "unguard"), lambda instance: None)
        self.probes = SimpleNamespace(watch=lambda *_: None, notifications=close, **ignore)
        self.registry = Registry((), lambda instance: "")
        self.registry.fill(components)
        self.requests = ChangeRequests(self.registry, self.handle, self.go_on)

    def make_guardian(self, instance):
        assert not self.stopping, f"{instance.name} is started during the stop"
        mine = [g for g in self.guardians if g.instance is instance]
        assert all((g.reaped, g.tree) == (True, False) for g in mine), "forked while a run lives"
        if not mine:
            for dependency in instance.spec.depends_on:
                other = next(m for m in self.registry.instances if m.name == dependency.name)
                assert other.run.number, f"{instance.name} starts before {other.name}"
                assert dependency.condition is not Condition.READY or other.state is State.READY
        self.guardians.append(Kept(instance, self))
        return self.guardians[-1]

    def _changed(self, instance, before):
        self.registry.note(instance)
        if instance.state is State.BACKOFF and not self.stopping:
            self.requests.restart_dependents(instance)
        self.go_on()

    def stop(self):
        self.stopping = True
        self.requests.stop_all()
        self.go_on()


@st.composite
def systems(draw):
    """Each may depend on those before it, so there is no circle; the definition names them in any order."""
    found = []
    for number in range(draw(st.integers(1, MOST))):
        names = draw(st.lists(st.sampled_from(found), unique_by=lambda c: c.name)) if found else []
        depends_on = tuple(Dependency(c.name, draw(st.sampled_from(LIVE)), restart=draw(st.booleans())) for c in names)
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
            guardian.instance.guardian_link.end()

    @rule(data=st.data())
    def probes_hold(self, data):
        if instance := self.draw_from(data, [m for m in self.system.registry.instances if m.state is State.UP]):
            self.system.handle(instance, Event.PROBED)

    @precondition(lambda self: not self.system.stopping)  # then nobody asks any more
    @rule(data=st.data())
    def it_does_not_live(self, data):
        if instance := self.draw_from(data, [m for m in self.system.registry.instances if m.state is State.READY]):
            self.system.fail(instance, "failed its liveness probe", restarts=True)

    @precondition(lambda self: self.system.loop.armed())
    @rule(data=st.data())
    def backoff_is_over(self, data):
        self.system.loop.fire(data.draw(st.sampled_from(self.system.loop.armed())))

    @precondition(lambda self: not self.system.stopping)
    @rule(data=st.data(), verb=st.sampled_from(["start", "stop", "restart", "kill"]))
    def a_request(self, data, verb):
        some = data.draw(st.lists(st.sampled_from(self.system.registry.instances), min_size=1, unique=True))
        getattr(self.system.requests, verb)(some)
        wanted = {"start": {Desired.UP, Desired.RESTART}, "restart": {Desired.UP, Desired.RESTART}}
        assert all(m.desired in wanted.get(verb, {Desired.DOWN}) for m in some)

    @precondition(lambda self: not self.system.stopping)
    @rule()
    def all_is_done(self):
        """Whatever was requested is done at last, or waits for what is not to come."""
        for _ in range(10 * MOST):
            self.what_follows_of_itself()
        for instance in self.system.registry.instances:
            assert not instance.is_leaving, f"{instance.name} is not asked to stop"
            assert instance not in self.system.registry.startable(), f"{instance.name} is not started"
            assert instance.desired is not Desired.DOWN or instance.state in AT_REST

    @rule(rarely=RARELY)
    def stop(self, rarely):
        if rarely:
            self.system.stop()

    @invariant()
    def there_is_one_run_at_most(self):
        for instance in self.system.registry.instances:
            mine = [g for g in self.system.guardians if g.instance is instance and (g.tree or not g.reaped)]
            assert len(mine) == (instance.state in RUNNING), f"{instance.name} is {instance.state}, with {len(mine)}"

    def teardown(self):
        """A stop ends with nothing but what a stop itself brings about."""
        self.system.stop()
        for _ in range(10 * MOST):
            self.what_follows_of_itself()
        states = {m.name: m.state for m in self.system.registry.instances}
        assert set(states.values()) <= {State.DOWN, State.FAILED}, f"wedged: {states}"
        assert not self.some()

    def what_follows_of_itself(self):
        for guardian in self.some(alive=True, started=False):
            self.start(guardian)
        for guardian in self.some(alive=True, leader=True):
            if guardian.told_to_end:
                self.end_leader(guardian, -15)
        for guardian in self.some(alive=True, leader=False, tree=True):
            self.vacate(guardian)


OrderMachine.TestCase.settings = settings(
    max_examples=examples(100), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
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
