"""An instance against every order of events (hypothesis, stateful); the host and the guardians are stand-ins.

Shown: there are never two runs at once, nothing is forked while anything of the last one is left, the instance is
never stuck in a state that nothing can end, and a stop always ends.
"""

import itertools
from types import SimpleNamespace

from examples import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.model.lifecycle import OCCUPIED, RUNNING, Event, State
from orchestrator.model.messages import Kill, LeaderExited, Started, StartFailed, Stop, Stuck, Vacated
from orchestrator.model.run import EXITS_KEPT
from orchestrator.model.spec import ComponentSpec, RestartPlan, RestartPolicy
from orchestrator.process.channel import ChannelClosed
from orchestrator.runtime.loop import Timer
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.launcher import Launcher
from orchestrator.supervisor.supervisor import Supervisor

_fds = itertools.count(100)
RARELY = st.sampled_from([False] * 5 + [True])


class Guardian:
    """What a guardian does, and its tree, seen from the supervisor: a Forked and a Channel in one."""

    def __init__(self):
        self.channel = self
        self.pid = self.fd = next(_fds)
        self.alive, self.reaped, self.open = True, False, True
        self.started = self.leader = self.tree = False
        self.said, self.heard = [], []
        self.fileno, self.wake = lambda: self.fd, lambda children=False: None
        self.receive_fd = lambda: self.fd + 1000

    @property
    def has_ended(self):
        return not self.alive

    def say(self, message, *, ends=False):
        self.said.append(message)
        self.alive = not ends

    @property
    def told_to_end(self):
        """Whether it knows that its tree has to go: by a message, or by the channel's end."""
        return bool(self.heard) or not self.open

    def send(self, message):
        assert self.open, "sent into a closed channel"
        if not self.alive:
            raise ChannelClosed
        self.heard.append(message)

    def receive(self):
        assert self.open, "read from a closed channel"
        if self.said:
            return self.said.pop(0)
        assert not self.alive, "the supervisor would wait here"
        raise ChannelClosed

    def close(self):
        self.open = False

    def reap(self):
        assert (self.alive, self.reaped) == (False, False), "the supervisor would wait here"
        self.reaped = True


class Loop:
    """Descriptors and timers that the test fires by hand."""

    def __init__(self):
        self.watched, self.timers = {}, []
        self.remove = lambda fd: self.watched.pop(fd, None)

    def add(self, fd, events, callback):
        assert fd not in self.watched
        self.watched[fd] = callback

    def call_at(self, when, callback):
        return self.call_in(0.0, callback)

    def call_in(self, seconds, callback):
        assert seconds >= 0
        self.timers.append(Timer(seconds, callback))
        return self.timers[-1]

    def armed(self):
        return [timer for timer in self.timers if timer.callback is not None]

    def fire(self, timer):
        callback, timer.callback = timer.callback, None
        callback()


class Host(Launcher):
    """The system around the instance: the launcher and the transitions are the real ones, without processes, terminals
    and probes. It counts what must not happen twice."""

    handle, fail, _carry_out = Supervisor.handle, Supervisor.fail, Supervisor._carry_out

    def __init__(self):
        self.loop, self.guardians = Loop(), []
        self.terminal_open = self.watching = self.guarding = self.lost = self.refuse_next = self.abandoned = False
        self._launcher = self._supervisor = self
        self._events, self._timers, self._silent, self._by_guardian = {}, {}, set(), {}
        close = SimpleNamespace(close=lambda instance: None)
        self.streams = SimpleNamespace(open=self.attach, close=self.detach, of=lambda instance: None)
        self.probes = SimpleNamespace(
            watch=self.watch, unwatch=self.unwatch, guard=self.guard, unguard=self.unguard, notifications=close
        )
        self.lost_guardians = SimpleNamespace(add=self.adopt)
        self.registry = SimpleNamespace(goes_first=lambda instance: False, note=lambda instance: None)
        self._oom_kills = SimpleNamespace(is_cause_of=lambda message: False)
        self._presenter = SimpleNamespace(log_path=lambda key: "")

    def tell(self, text, *, tone):
        raise AssertionError(text)

    def say_stuck(self, instances, why):
        for instance in instances:
            self.handle(instance, Event.STUCK)

    def _changed(self, instance, before):
        """Nothing follows for others."""

    def make_guardian(self, instance):
        assert not self.lost, "forked while orphans of the last run live"
        for guardian in self.guardians:
            assert (guardian.reaped, guardian.tree, guardian.open) == (True, False, False), "forked while one lives"
        if self.refuse_next:
            self.refuse_next = False
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.guardians.append(Guardian())
        return self.guardians[-1]

    def attach(self, instance, master_fd):
        assert not self.terminal_open
        assert instance.pid
        self.terminal_open = True

    def detach(self, instance):
        self.terminal_open = False

    def watch(self, instance, stream):
        assert (self.terminal_open, self.watching) == (True, False)
        self.watching = True

    def unwatch(self, instance):
        assert self.watching
        self.watching = False

    def guard(self, instance):
        assert (self.terminal_open, self.watching, self.guarding) == (True, False, False)
        self.guarding = True

    def unguard(self, instance):
        assert self.guarding
        self.guarding = False

    def adopt(self, instance):
        assert not self.lost
        self.lost = True


class InstanceMachine(RuleBasedStateMachine):
    """Random events in an order that the real parts could bring about."""

    @initialize(policy=st.sampled_from(RestartPolicy), limit=st.integers(1, 4))
    def set_up(self, policy, limit):
        self.host = Host()
        spec = ComponentSpec(name="web", argv=("x",), cwd="/", restart=RestartPlan(policy, max=limit))
        self.instance = Instance(spec)

    def guardian(self):
        """The guardian that has not been reaped yet."""
        return next((g for g in self.host.guardians if not g.reaped), None)

    def living(self, **facts):
        guardian = self.guardian()
        return bool(guardian and guardian.alive and all(getattr(guardian, k) == v for k, v in facts.items()))

    @rule(event=st.sampled_from([Event.START] * 8 + [Event.STOP, Event.KILL]))
    def want(self, event):
        self.host.handle(self.instance, event)
        if event is not Event.START and self.living(leader=True, open=True):
            assert {type(message) for message in self.guardian().heard} & {Stop, Kill}, "nobody told the guardian"

    @precondition(lambda self: self.host.guarding)
    @rule()
    def it_does_not_live(self):
        self.host.fail(self.instance, "failed its liveness probe", restarts=True)
        assert self.instance.state is State.STOPPING

    @precondition(lambda self: self.host.watching)
    @rule()
    def it_does_not_get_ready(self):
        self.host.fail(self.instance, "did not get ready")
        assert self.instance.state is State.STOPPING

    @rule(refuse=RARELY)
    def next_fork_is_refused(self, refuse):
        self.host.refuse_next = refuse

    @precondition(lambda self: self.living(started=False, tree=False))
    @rule(fails=RARELY, dies=RARELY)
    def guardian_starts(self, fails, dies):
        guardian = self.guardian()
        guardian.started = guardian.tree = guardian.leader = not fails
        if fails:
            guardian.say(StartFailed("command not found: x"), ends=True)
        elif dies:
            guardian.alive = False
        else:
            guardian.say(Started(guardian.pid + 1))

    @precondition(lambda self: self.living(leader=True))
    @rule(status=st.sampled_from([0, 1, -9, -15]))
    def leader_ends(self, status):
        guardian = self.guardian()
        guardian.leader = False
        guardian.say(LeaderExited(status, asked=guardian.told_to_end))

    @precondition(lambda self: self.living(leader=False, tree=True))
    @rule()
    def tree_is_vacated(self):
        guardian = self.guardian()
        guardian.tree = False
        guardian.say(Vacated(), ends=True)

    @precondition(lambda self: self.living(tree=True) and self.guardian().told_to_end)
    @rule()
    def guardian_cannot_kill(self):
        self.guardian().say(Stuck((7,), "7 (x, state D)"))

    @precondition(lambda self: self.living())
    @rule(rarely=RARELY)
    def guardian_is_killed(self, rarely):
        if rarely:
            self.guardian().alive = False

    def deliverable(self):
        guardian = self.guardian()
        return guardian and guardian.fd in self.host.loop.watched and (guardian.said or not guardian.alive)

    @precondition(deliverable)
    @rule()
    def message_arrives(self):
        self.host.loop.watched[self.guardian().fd](1)

    @precondition(lambda self: self.guardian() and not self.guardian().alive)
    @rule()
    def guardian_is_reaped(self):
        self.instance.guardian_link.end()

    @precondition(lambda self: self.host.lost)
    @rule()
    def orphans_are_gone(self):
        self.host.lost = False
        for guardian in self.host.guardians:
            guardian.tree = guardian.leader = False
        self.host.end_run(self.instance)

    @precondition(lambda self: self.host.lost)
    @rule(rarely=RARELY)
    def orphans_cannot_be_killed(self, rarely):
        """What a killed guardian has left is not waited for any more, and nothing is heard of it again."""
        if rarely:
            self.host.lost, self.host.abandoned = False, True
            for guardian in self.host.guardians:
                guardian.tree = guardian.leader = False
            self.host.handle(self.instance, Event.STUCK)
            assert self.instance.state is State.STUCK

    @precondition(lambda self: self.host.watching)
    @rule()
    def probes_hold(self):
        self.host.handle(self.instance, Event.PROBED)

    @precondition(lambda self: self.host.loop.armed())
    @rule(data=st.data())
    def timer_is_due(self, data):
        self.host.loop.fire(data.draw(st.sampled_from(self.host.loop.armed())))

    @invariant()
    def the_state_tells_what_there_is(self):
        assert sum(not g.reaped for g in self.host.guardians) <= 1
        assert sum(g.tree for g in self.host.guardians) <= 1
        state, something = self.instance.state, self.guardian() is not None or self.host.lost
        if state in RUNNING:
            assert something or self.host.loop.armed(), f"wedged in {state}"
        elif state in OCCUPIED:
            assert something or self.host.abandoned
        else:
            assert (something, self.host.terminal_open) == (False, False), f"{state}, but something is left"
        assert (state is State.BACKOFF) <= bool(self.host.loop.armed())
        assert (state in (State.DOWN, State.FAILED)) <= (not self.host.loop.armed())
        assert (self.instance.exit is None) >= (state in (State.STARTING, State.UP, State.READY))
        assert (self.instance.exit is not None) >= (state in (State.EXITED, State.BACKOFF, State.FAILED))
        assert bool(self.instance.pid) <= (state in OCCUPIED)
        assert self.host.watching == (state is State.UP)
        assert self.host.guarding == (state is State.READY)
        assert self.instance.guardian_pid == (self.guardian().pid if self.guardian() else 0)

    @invariant()
    def the_last_exits_are_kept_each_once(self):
        numbers = [one.run for one in self.instance.exits]
        last = self.instance.run.number - (self.instance.state in OCCUPIED)
        assert numbers == list(range(1, last + 1))[-EXITS_KEPT:]

    def teardown(self):
        """A stop always ends: from wherever the run got to, with nothing but what a stop itself brings about."""
        self.want(Event.STOP)
        for _ in range(50):
            self.step()
        assert self.instance.state in ((State.STUCK,) if self.host.abandoned else (State.DOWN, State.FAILED))
        assert not any(g.alive or g.tree for g in self.host.guardians)

    @rule()
    def step(self):
        """Let happen what follows of itself."""
        guardian = self.guardian()
        if self.deliverable():
            self.message_arrives()
        elif guardian and not guardian.alive:
            self.guardian_is_reaped()
        elif self.host.lost:
            self.orphans_are_gone()
        elif guardian and not guardian.started:
            self.guardian_starts(fails=False, dies=False)
        elif guardian and guardian.leader and guardian.told_to_end:
            self.leader_ends(-15)
        elif guardian and guardian.tree and not guardian.leader:
            self.tree_is_vacated()
        elif armed := self.host.loop.armed():
            self.host.loop.fire(armed[0])
        self.the_state_tells_what_there_is()


def crashed():
    """A machine whose leader has just crashed, and would be restarted."""
    machine = InstanceMachine()
    machine.set_up(policy=RestartPolicy.ALWAYS, limit=4)
    machine.want(Event.START)
    machine.step()
    machine.step()
    machine.leader_ends(1)
    machine.step()
    return machine


def test_a_stop_between_a_crash_and_the_empty_tree_is_a_stop():
    """The sweep of what the crash left is under way; a Ctrl-C now must not be answered by a restart."""
    machine = crashed()
    assert machine.instance.state is State.EXITED
    machine.teardown()


def test_what_cannot_be_killed_and_then_goes_restarts_like_any_other():
    machine = crashed()
    machine.guardian().say(Stuck((7,), "7 (x, state D)"))
    machine.message_arrives()
    assert (machine.instance.state, machine.instance.runs) == (State.STUCK, False)
    machine.tree_is_vacated()
    while machine.instance.state is not State.BACKOFF:
        machine.step()


def test_a_stop_during_the_backoff_disarms_it():
    machine = crashed()
    while machine.instance.state is not State.BACKOFF:
        machine.step()
    (timer,) = machine.host.loop.armed()
    machine.want(Event.STOP)
    assert (machine.instance.state, timer.callback) == (State.DOWN, None)


InstanceMachine.TestCase.settings = settings(
    max_examples=examples(100), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestInstance = InstanceMachine.TestCase
