"""A member against every order of events (hypothesis, stateful), between a host and guardians that are only imagined.

Shown: there are never two incarnations at once, nothing is forked while anything of the last one is left, the member is
never stuck in a state that nothing can end, and a stop always ends.
"""

import itertools
import types

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.model.lifecycle import RUNNING, Event, State
from orchestrator.model.messages import Kill, LeaderExited, Started, StartFailed, Stop, Stuck, Vacated
from orchestrator.model.spec import Component, RestartPlan, RestartPolicy
from orchestrator.process.channel import ChannelClosed
from orchestrator.supervise.component import Member

_fds = itertools.count(100)
RARELY = st.sampled_from([False] * 5 + [True])


class Guardian:
    """What a guardian does, and its tree, seen from the supervisor: a Forked and a Channel in one."""

    def __init__(self):
        self.channel = self
        self.pid = self.fd = next(_fds)
        self.alive, self.reaped, self.open = True, False, True
        self.started = self.leader = self.tree = self.asked = False
        self.said, self.heard = [], []

    def say(self, message):
        if self.open:
            self.said.append(message)

    def end(self):
        self.alive = False

    @property
    def told_to_end(self):
        """Whether it knows that its tree has to go: by a message, or by the channel's end."""
        return bool(self.heard) or not self.open

    # Channel

    def fileno(self):
        return self.fd

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

    def receive_fd(self):
        return self.fd + 1000

    def close(self):
        self.open = False

    # Forked

    def kill(self):
        self.end()

    def reap(self):
        assert not self.alive, "the supervisor would wait here"
        assert not self.reaped
        self.reaped = True


class Loop:
    """Descriptors and timers that the test fires by hand."""

    def __init__(self):
        self.watched, self.timers = {}, []

    def add(self, fd, events, callback):
        assert fd not in self.watched
        self.watched[fd] = callback

    def remove(self, fd):
        self.watched.pop(fd, None)

    def call_in(self, seconds, callback):
        assert seconds >= 0
        timer = types.SimpleNamespace(callback=callback)
        timer.cancel = lambda: setattr(timer, "callback", None)
        self.timers.append(timer)
        return timer

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
        self.refuse_forks = 0
        self.terminal_open = self.watching = self.bereaved = False
        self.changes = []

    def fork(self, member):
        assert not self.bereaved, "forked while orphans of the last incarnation live"
        for guardian in self.guardians:
            assert not guardian.alive, "forked while a guardian lives"
            assert not guardian.tree, "forked while a tree lives"
            assert guardian.reaped
            assert not guardian.open
        if self.refuse_forks:
            self.refuse_forks -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.guardians.append(Guardian())
        return self.guardians[-1]

    def attach(self, member, master_fd):
        assert not self.terminal_open
        self.terminal_open = True

    def detach(self, member):
        self.terminal_open = False

    def watch(self, member):
        assert self.terminal_open
        assert not self.watching
        self.watching = True

    def unwatch(self, member):
        assert self.watching
        self.watching = False

    def adopt(self, member):
        assert not self.bereaved
        self.bereaved = True

    def stuck(self, member, message):
        assert member.is_stuck

    def changed(self, member, before):
        assert member.state is not before
        self.changes.append((before, member.state))


class MemberMachine(RuleBasedStateMachine):
    """Random events in an order that the real parts could bring about."""

    @initialize(policy=st.sampled_from(RestartPolicy), limit=st.integers(1, 4))
    def set_up(self, policy, limit):
        self.host = Host()
        spec = Component(name="web", argv=("x",), cwd="/", restart=RestartPlan(policy, max=limit))
        self.member = Member(spec, self.host)

    def guardian(self):
        """The guardian that has not been reaped yet."""
        return next((g for g in self.host.guardians if not g.reaped), None)

    def living(self, **facts):
        guardian = self.guardian()
        return bool(guardian and guardian.alive and all(getattr(guardian, k) == v for k, v in facts.items()))

    # What people want

    @rule()
    def start(self):
        self.want(Event.START)

    @rule(event=st.sampled_from([Event.STOP, Event.KILL]), rarely=RARELY)
    def stop(self, event, rarely):
        if rarely:
            self.want(event)

    def want(self, event):
        before, stopping = self.guardian(), event in (Event.STOP, Event.KILL)
        ran = self.member.state in RUNNING
        self.member.handle(event)
        if stopping and ran and before is not None and before.alive and before.open and before.leader:
            assert {type(message) for message in before.heard} & {Stop, Kill}, "nobody told the guardian"

    @rule(rarely=RARELY)
    def next_fork_is_refused(self, rarely):
        self.host.refuse_forks = int(rarely)

    # What guardians do

    @precondition(lambda self: self.living(started=False, tree=False))
    @rule(fails=RARELY, dies=RARELY)
    def guardian_starts(self, fails, dies):
        guardian = self.guardian()
        guardian.started = guardian.tree = guardian.leader = not fails
        if fails:
            guardian.say(StartFailed("command not found: x"))
        elif not dies:
            guardian.say(Started(guardian.pid + 1))
        if fails or dies:
            guardian.end()

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
        guardian.say(Vacated())
        guardian.end()

    @precondition(lambda self: self.living(tree=True) and self.guardian().told_to_end)
    @rule()
    def guardian_cannot_kill(self):
        self.guardian().say(Stuck((7,), "7 (x, state D)"))

    @precondition(lambda self: self.living())
    @rule(rarely=RARELY)
    def guardian_is_killed(self, rarely):
        if rarely:
            self.guardian().end()

    # What the supervisor's loop does

    @precondition(lambda self: self.deliverable())
    @rule()
    def message_arrives(self):
        self.host.loop.watched[self.guardian().fd](1)

    def deliverable(self):
        guardian = self.guardian()
        return guardian and guardian.fd in self.host.loop.watched and (guardian.said or not guardian.alive)

    @precondition(lambda self: self.guardian() and not self.guardian().alive)
    @rule()
    def guardian_is_reaped(self):
        guardian = self.guardian()
        self.member.on_guardian_ended()
        assert guardian.reaped

    @precondition(lambda self: self.host.bereaved)
    @rule()
    def orphans_are_gone(self):
        self.host.bereaved = False
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

    # What always holds

    @invariant()
    def one_incarnation(self):
        if hasattr(self, "host"):
            assert sum(not g.reaped for g in self.host.guardians) <= 1
            assert sum(g.tree for g in self.host.guardians) <= 1

    @invariant()
    def the_state_tells_what_there_is(self):
        if not hasattr(self, "host"):
            return
        state, something = self.member.state, self.guardian() is not None or self.host.bereaved
        if state in RUNNING:
            assert something or self.host.loop.armed(), f"wedged in {state}"
        else:
            assert not something, f"{state}, but something is left"
            assert not self.host.terminal_open
        assert (state is State.BACKOFF) <= bool(self.host.loop.armed())
        assert (state in (State.DOWN, State.FAILED)) <= (not self.host.loop.armed())
        assert self.host.watching == (state is State.UP)
        assert self.member.guardian_pid == (self.guardian().pid if self.guardian() else 0)

    def teardown(self):
        """A stop always ends: from wherever the run got to, with nothing but what a stop itself brings about."""
        if hasattr(self, "host"):
            self.want(Event.STOP)
            for _ in range(50):
                if not self.step():
                    break
            assert self.member.state in (State.DOWN, State.FAILED), self.member.state
            assert not any(g.alive or g.tree for g in self.host.guardians)

    @rule()
    def things_take_their_course(self):
        self.step()

    def step(self):
        """Let happen what follows of itself; false where nothing does."""
        guardian = self.guardian()
        if self.deliverable():
            self.message_arrives()
        elif guardian and not guardian.alive:
            self.guardian_is_reaped()
        elif self.host.bereaved:
            self.orphans_are_gone()
        elif guardian and not guardian.started:
            self.guardian_starts(fails=False, dies=False)
        elif guardian and guardian.leader and guardian.told_to_end:
            self.leader_ends(-15)
        elif guardian and guardian.tree and not guardian.leader:
            self.tree_is_vacated()
        elif self.host.loop.armed():
            self.host.loop.fire(self.host.loop.armed()[0])
        else:
            return False
        self.one_incarnation()
        self.the_state_tells_what_there_is()
        return True


def crashed():
    """A machine whose leader has just crashed, and would be restarted."""
    machine = MemberMachine()
    machine.set_up(policy=RestartPolicy.ALWAYS, limit=4)
    machine.start()
    machine.guardian_starts(fails=False, dies=False)
    machine.message_arrives()
    machine.leader_ends(1)
    machine.message_arrives()
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
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMember = MemberMachine.TestCase
