"""A member against every order of events (hypothesis, stateful), between a host and guardians that are only imagined.

Shown: there are never two incarnations at once, nothing is forked while anything of the last one is left, the member is
never stuck in a state that nothing can end, and a stop always ends.
"""

import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.model.lifecycle import RUNNING, Event, State
from orchestrator.model.messages import Kill, LeaderExited, Started, StartFailed, Stop, Stuck, Vacated
from orchestrator.model.spec import ComponentSpec, RestartPlan, RestartPolicy
from orchestrator.process.channel import ChannelClosed
from orchestrator.runtime.loop import Timer
from orchestrator.supervisor.instance import Instance

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

    def call_in(self, seconds, callback):
        assert seconds >= 0
        self.timers.append(Timer(seconds, callback))
        return self.timers[-1]

    def armed(self):
        return [timer for timer in self.timers if timer.callback is not None]

    def fire(self, timer):
        callback, timer.callback = timer.callback, None
        callback()


class Host:
    """The system around the member: counts what must not happen twice."""

    def __init__(self):
        self.loop = Loop()
        self.guardians = []
        self.terminal_open = self.watching = self.guarding = self.lost_guardians = self.refuse_next = False
        self.stuck = self.changed = lambda member, what: None
        self.last_line = lambda member: "the same line"
        self.is_oom_kill = lambda message: False

    def fork(self, member):
        assert not self.lost_guardians, "forked while orphans of the last incarnation live"
        for guardian in self.guardians:
            assert (guardian.reaped, guardian.tree, guardian.open) == (True, False, False), "forked while one lives"
        if self.refuse_next:
            self.refuse_next = False
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.guardians.append(Guardian())
        return self.guardians[-1]

    def attach(self, member, master_fd):
        assert not self.terminal_open
        self.terminal_open = True

    def detach(self, member):
        self.terminal_open = False

    def watch(self, member):
        assert (self.terminal_open, self.watching) == (True, False)
        self.watching = True

    def unwatch(self, member):
        assert self.watching
        self.watching = False

    def guard(self, member):
        assert (self.terminal_open, self.watching, self.guarding) == (True, False, False)
        self.guarding = True

    def unguard(self, member):
        assert self.guarding
        self.guarding = False

    def adopt(self, member):
        assert not self.lost_guardians
        self.lost_guardians = True


class MemberMachine(RuleBasedStateMachine):
    """Random events in an order that the real parts could bring about."""

    @initialize(policy=st.sampled_from(RestartPolicy), limit=st.integers(1, 4))
    def set_up(self, policy, limit):
        self.host = Host()
        spec = ComponentSpec(name="web", argv=("x",), cwd="/", restart=RestartPlan(policy, max=limit))
        self.member = Instance(spec, self.host)

    def guardian(self):
        """The guardian that has not been reaped yet."""
        return next((g for g in self.host.guardians if not g.reaped), None)

    def living(self, **facts):
        guardian = self.guardian()
        return bool(guardian and guardian.alive and all(getattr(guardian, k) == v for k, v in facts.items()))

    @rule(event=st.sampled_from([Event.START] * 8 + [Event.STOP, Event.KILL]))
    def want(self, event):
        self.member.handle(event)
        if event is not Event.START and self.living(leader=True, open=True):
            assert {type(message) for message in self.guardian().heard} & {Stop, Kill}, "nobody told the guardian"

    @precondition(lambda self: self.host.guarding)
    @rule()
    def it_does_not_live(self):
        self.member.replace("failed its liveness probe")
        assert self.member.state is State.STOPPING

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
        self.member.end_guardian()

    @precondition(lambda self: self.host.lost_guardians)
    @rule()
    def orphans_are_gone(self):
        self.host.lost_guardians = False
        for guardian in self.host.guardians:
            guardian.tree = guardian.leader = False
        self.member.gone()

    @precondition(lambda self: self.host.watching)
    @rule()
    def probes_hold(self):
        self.member.handle(Event.PROBED)

    @precondition(lambda self: self.host.loop.armed())
    @rule(data=st.data())
    def timer_is_due(self, data):
        self.host.loop.fire(data.draw(st.sampled_from(self.host.loop.armed())))

    @invariant()
    def the_state_tells_what_there_is(self):
        assert sum(not g.reaped for g in self.host.guardians) <= 1
        assert sum(g.tree for g in self.host.guardians) <= 1
        state, something = self.member.state, self.guardian() is not None or self.host.lost_guardians
        if state in RUNNING:
            assert something or self.host.loop.armed(), f"wedged in {state}"
        else:
            assert (something, self.host.terminal_open) == (False, False), f"{state}, but something is left"
        assert (state is State.BACKOFF) <= bool(self.host.loop.armed())
        assert (state in (State.DOWN, State.FAILED)) <= (not self.host.loop.armed())
        assert self.host.watching == (state is State.UP)
        assert self.host.guarding == (state is State.READY)
        assert self.member.guardian_pid == (self.guardian().pid if self.guardian() else 0)

    def teardown(self):
        """A stop always ends: from wherever the run got to, with nothing but what a stop itself brings about."""
        self.want(Event.STOP)
        for _ in range(50):
            self.step()
        assert self.member.state in (State.DOWN, State.FAILED)
        assert not any(g.alive or g.tree for g in self.host.guardians)

    @rule()
    def step(self):
        """Let happen what follows of itself."""
        guardian = self.guardian()
        if self.deliverable():
            self.message_arrives()
        elif guardian and not guardian.alive:
            self.guardian_is_reaped()
        elif self.host.lost_guardians:
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
    machine = MemberMachine()
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
    assert machine.member.state is State.STOPPING
    machine.teardown()


def test_a_stop_during_the_backoff_disarms_it():
    machine = crashed()
    while machine.member.state is not State.BACKOFF:
        machine.step()
    (timer,) = machine.host.loop.armed()
    machine.want(Event.STOP)
    assert (machine.member.state, timer.callback) == (State.DOWN, None)


MemberMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMember = MemberMachine.TestCase
