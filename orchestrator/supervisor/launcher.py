"""What members live on: for each incarnation a guardian, a reader of its terminal, its probes; and the children that
all of that has. It decides nothing: what a member's change of state means for the others, its head does.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.lifecycle import Event, State
from orchestrator.model.messages import Answer, Down, Launch, LeaderExited, Stuck, Up
from orchestrator.model.spec import SystemSpec
from orchestrator.output.multiplexer import Multiplexer
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.process import tree
from orchestrator.process.fork import ForkBatch, ForkedProcess, guardian_of
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor import announcements
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.limits import LimitGroups, OomKills
from orchestrator.supervisor.probes import Probes
from orchestrator.supervisor.reaper import LostGuardians
from orchestrator.supervisor.registry import Registry
from orchestrator.supervisor.staggered_start import StaggeredStart
from orchestrator.supervisor.terminals import Streams


class LauncherOwner(Protocol):
    """Who decides."""

    def changed(self, member: Instance, before: State) -> None:
        """A member's state is another one now."""

    def start_possible(self) -> None:
        """Somebody who let others go first may start now."""

    def lost(self, members: list[Instance]) -> None:
        """The guardians of these members were killed; each comes after what it depends on."""

    def say_stuck(self, members: list[Instance], why: str) -> None:
        """Something of these members cannot be killed."""

    def tell(self, text: str, *, tone: Tone) -> None:
        """Show a line of our own."""


class Launcher:
    """The `component.Host` of all members, which are in `registry`. `descriptors` is the soft RLIMIT_NOFILE that
    components get. `rescue` is what guardians do first if we are killed."""

    def __init__(
        self, system: SystemSpec, home: Home, loop: Loop, stage: Presenter, descriptors: int, head: LauncherOwner
    ) -> None:
        self.loop = loop
        self._home = home
        self._presenter = stage
        self._descriptors = descriptors
        self._head = head
        self.registry = Registry(system.init, self)
        self.streams = Streams(loop, Multiplexer(loop, stage.screen), stage)
        self.lost_guardians = LostGuardians(
            loop, self._own_pids, head.say_stuck, self.registry.in_start_order, head.lost
        )
        self.probes = Probes(loop, lambda member: member.handle(Event.PROBED), head.start_possible)
        self.turns = StaggeredStart(loop, self.registry, self.probes, head.start_possible)
        self._forks = ForkBatch(loop)
        self._limit_groups = LimitGroups(lambda text: head.tell(text, tone=Tone.WARNING))
        self._oom_kills = OomKills(loop.now)
        loop.call_in(0.0, self._oom_kills.begin)
        self.rescue: Callable[[], None] = lambda: None
        self.view_pid: Callable[[], int] = lambda: 0  # a child that is not an orphan

    def waiting(self) -> dict[str, str]:
        """For each member whose probes are asked, or whose turn to start will come, in words what it waits for."""
        asked = {member.name: str(standing) for member, standing in self.probes.waiting().items()}
        if (step := self.registry.steps.running) and step.state in (State.UP, State.READY):
            limit = f" of at most {step.spec.timeout:g} s" if step.spec.timeout else ""
            asked[step.name] = f"has run for {time.monotonic() - step.since:.0f} s{limit}"
        return asked | {member.name: "its turn" for member in self.registry.startable()}

    def reap(self) -> None:
        """Some child has ended: a guardian, the prober, or an orphan that we adopted."""
        while pid := tree.peek_ended(self._own_pids):
            if member := self.registry.guarded_by(pid):
                member.end_guardian()
            elif not self.probes.reap(pid):
                tree.reap(pid)
        for member in [*self.registry.steps, *self.registry.silent]:
            member.see_guardian()
        self.probes.see()
        self.lost_guardians.check()

    def _own_pids(self) -> set[int]:
        return {m.guardian_pid for m in self.registry.everyone} | self.probes.pids | {self.view_pid()}

    # What members ask for (component.Host)

    def fork(self, member: Instance) -> ForkedProcess[Down, Up]:
        """Have a guardian forked for a new incarnation."""
        if not self._home.locks.is_dir():
            self._make_home_again()
        rows, columns = self._presenter.pty_size
        spec = member.spec
        guardian = guardian_of(
            Launch(
                instance=member.name,
                argv=spec.argv,
                cwd=spec.cwd,
                environment={**spec.environment, **self.probes.notifications.open(member)},
                stop=spec.stop,
                lock_path=str(self._home.instance_lock(member.key)),
                rows=rows,
                columns=columns,
                descriptors=self._descriptors,
                tty=spec.tty,
                attributes=spec.attributes,
                hooks=spec.hooks,
                cgroup=self._limit_groups.group_of(member),
            ),
            lambda: self._presenter.drain_log(member.key),
            self.rescue,
        )
        self._forks.add(guardian, member.not_forked)
        return guardian

    def _make_home_again(self) -> None:
        """Somebody has cleaned the home (git clean -fdx): no guardian could take its lock any more."""
        with contextlib.suppress(OrchestrateError):  # the guardian will tell
            self._home.make()
        self._head.tell(
            f"{self._home.state_dir} was removed: commands in a second terminal do not find this system, and"
            " another start on this home is not refused; start it again when you can",
            tone=Tone.WARNING,
        )

    def attach(self, member: Instance, master_fd: int) -> None:
        """Read the terminal of a new incarnation."""
        self.streams.open(member, master_fd)

    def attach_errors(self, member: Instance, error_fd: int) -> None:
        """Read its standard error too; log probes look at both."""
        self.streams.open_errors(member, error_fd)

    def detach(self, member: Instance) -> None:
        """Read its last words, and hear no more reports."""
        self.streams.close(member)
        self.probes.notifications.close(member)

    def last_line(self, member: Instance) -> str:
        """Return the last line of the run that has ended."""
        return announcements.last_line(self.streams.recent(member))

    def watch(self, member: Instance) -> None:
        """Begin to probe."""
        self.probes.watch(member, self.streams.of(member))
        self.turns.begun(member)

    def unwatch(self, member: Instance) -> None:
        """End probing."""
        self.probes.unwatch(member)

    def guard(self, member: Instance) -> None:
        """Begin to ask whether it lives."""
        self.probes.guard(member)

    def unguard(self, member: Instance) -> None:
        """End asking."""
        self.probes.unguard(member)

    def answered(self, member: Instance, answer: Answer) -> None:
        """Its guardian has run what it was asked to."""
        self.probes.hear(answer)

    def remarked(self, member: Instance, text: str) -> None:
        """Its guardian has something to say."""
        self._head.tell(text, tone=Tone.WARNING)

    def is_oom_kill(self, message: LeaderExited) -> bool:
        """Say whether the OOM killer has ended a run."""
        return self._oom_kills.is_cause_of(message)

    def log_path(self, member: Instance) -> str:
        """Return the path of its log file; empty if it has none."""
        return self._presenter.log_path(member.key)

    def adopt(self, member: Instance) -> None:
        """Empty what a dead guardian left."""
        self.lost_guardians.add(member)

    def stuck(self, member: Instance, message: Stuck) -> None:
        """Say what cannot be killed, and do not wait for it."""
        self._head.say_stuck([member], message.why)

    def changed(self, member: Instance, before: State) -> None:
        """Its state is another one now."""
        self._head.changed(member, before)
