"""Forks and reaps the guardians of runs, and connects each run to a reader of its terminal and to its probes.

It decides nothing: the supervisor does.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.model.errors import OrchestrateError
from orchestrator.model.lifecycle import Action, Event, State
from orchestrator.model.messages import Answer, Down, Kill, Launch, LeaderExited, Remark, Started, Stop, Stuck, Up
from orchestrator.model.spec import SystemSpec
from orchestrator.output.multiplexer import Multiplexer
from orchestrator.output.presenter import Presenter, Tone
from orchestrator.process import tree
from orchestrator.process.fork import ForkBatch, ForkedProcess, guardian_of
from orchestrator.runtime.home import Home
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor import announcements
from orchestrator.supervisor.guardian_link import GuardianLink
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.limit_groups import LimitGroups, OomKills
from orchestrator.supervisor.probes import Probes
from orchestrator.supervisor.reaper import LostGuardians
from orchestrator.supervisor.registry import Registry
from orchestrator.supervisor.staggered_start import StaggeredStart
from orchestrator.supervisor.streams import Streams

if TYPE_CHECKING:
    from orchestrator.supervisor.supervisor import Supervisor


class Launcher:
    """Carries out the actions of transitions, and reports to `supervisor` what happens to the runs.

    `descriptors` is the soft RLIMIT_NOFILE that components get. `rescue` is what guardians do first if we are killed.
    """

    def __init__(
        self, system: SystemSpec, home: Home, loop: Loop, presenter: Presenter, descriptors: int, supervisor: Supervisor
    ) -> None:
        self.loop = loop
        self._home = home
        self._presenter = presenter
        self._descriptors = descriptors
        self._supervisor = supervisor
        self.registry = Registry(system.init, self._last_line)
        self.streams = Streams(loop, Multiplexer(loop, presenter.screen), presenter, supervisor.fail)
        self.lost_guardians = LostGuardians(
            loop, self._own_pids, supervisor.say_stuck, self.registry.in_start_order, supervisor.lost, self.end_run
        )
        self.probes = Probes(
            loop,
            lambda instance: supervisor.handle(instance, Event.PROBED),
            supervisor.fail,
            supervisor.start_possible,
        )
        self.turns = StaggeredStart(loop, self.probes, supervisor.start_possible)
        self.registry.is_silent = self.turns.is_silent
        self._forks = ForkBatch(loop)
        self._by_guardian: dict[int, Instance] = {}
        self._timers: dict[Instance, Timer] = {}  # of those in backoff
        self._silent: set[Instance] = set()  # those whose guardian has closed its channel, and not ended yet
        self._limit_groups = LimitGroups(lambda text: supervisor.tell(text, tone=Tone.WARNING))
        self._oom_kills = OomKills(loop.now)
        loop.call_in(0.0, self._oom_kills.begin)
        self.rescue: Callable[[], None] = lambda: None
        self.view_pid: Callable[[], int] = lambda: 0  # a child that is not an orphan

    def waiting(self) -> dict[str, str]:
        """Return in words, by name, what instances wait for: those that are probed, and those that may start soon."""
        asked = {instance.name: str(standing) for instance, standing in self.probes.waiting().items()}
        if (step := self.registry.steps.running) and step.state in (State.UP, State.READY):
            limit = f" of at most {step.spec.timeout:g} s" if step.spec.timeout else ""
            asked[step.name] = f"has run for {time.monotonic() - step.run.started:.0f} s{limit}"
        return asked | {instance.name: "its turn" for instance in self.registry.startable()}

    def reap(self) -> None:
        """Some child has ended: a guardian, the prober, or an orphan that we adopted."""
        while pid := tree.peek_ended(self._own_pids):
            if (instance := self._by_guardian.get(pid)) and instance.guardian_link is not None:
                instance.guardian_link.end()
            elif not self.probes.reap(pid):
                tree.reap(pid)
        for instance in list(self._silent):
            if instance.guardian_link is not None:
                instance.guardian_link.see()
        self.probes.see()
        self.lost_guardians.check()

    def _own_pids(self) -> set[int]:
        return {m.guardian_pid for m in self.registry.everyone} | self.probes.pids | {self.view_pid()}

    # Actions

    def perform(self, instance: Instance, action: Action) -> None:
        """Carry out one action of a transition."""
        match action:
            case Action.FORK:
                self._fork(instance)
            case Action.WATCH:
                self.probes.watch(instance, self.streams.of(instance))
                if self.registry.goes_first(instance):
                    self.turns.begun(instance)
            case Action.UNWATCH:
                self.probes.unwatch(instance)
            case Action.GUARD:
                self.probes.guard(instance)
            case Action.UNGUARD:
                self.probes.unguard(instance)
            case Action.SEND_STOP:
                instance.send(Stop())
            case Action.SEND_KILL:
                instance.send(Kill())
            case Action.ARM:
                self._timers[instance] = self.loop.call_at(instance.retry_at, lambda: self._due(instance))
            case Action.DISARM:
                self._timers.pop(instance).cancel()

    def _due(self, instance: Instance) -> None:
        del self._timers[instance]
        self._supervisor.handle(instance, Event.DUE)

    def _fork(self, instance: Instance) -> None:
        try:
            guardian = self.make_guardian(instance)
        except OSError as error:
            self.loop.call_in(0.0, lambda error=error: self._not_forked(instance, error))  # type: ignore[misc]
            return
        instance.guardian_link = GuardianLink(
            guardian,
            self.loop,
            lambda message, fds: self._hear(instance, message, fds),
            lambda: self._guardian_ended(instance),
            lambda: self._silent.add(instance),
        )

    def make_guardian(self, instance: Instance) -> ForkedProcess[Down, Up]:
        """Make a guardian, which is forked before the loop waits again. Raises OSError."""
        if not self._home.locks.is_dir():
            self._make_home_again()
        rows, columns = self._presenter.pty_size
        spec = instance.spec
        guardian = guardian_of(
            Launch(
                instance=instance.name,
                argv=spec.argv,
                cwd=spec.cwd,
                environment={**spec.environment, **self.probes.notifications.open(instance)},
                stop=spec.stop,
                lock_path=str(self._home.instance_lock(instance.key)),
                rows=rows,
                columns=columns,
                descriptors=self._descriptors,
                tty=spec.tty,
                attributes=spec.attributes,
                hooks=spec.hooks,
                cgroup=self._limit_groups.group_of(instance),
            ),
            lambda: self._presenter.drain_log(instance.key),
            self.rescue,
        )
        self._forks.add(
            guardian,
            lambda pid: self._by_guardian.update({pid: instance}),
            lambda error: self._not_forked(instance, error),
        )
        return guardian

    def _make_home_again(self) -> None:
        """The home was removed (git clean -fdx): make it again, or no guardian can take its lock."""
        with contextlib.suppress(OrchestrateError):  # the guardian will tell
            self._home.make()
        self._supervisor.tell(
            f"{self._home.state_dir} was removed: commands in a second terminal do not reach this system;"
            " `orchestrate down` stops it, start it again when you can",
            tone=Tone.WARNING,
        )

    # Runs

    def _not_forked(self, instance: Instance, error: OSError) -> None:
        """The kernel refused to fork a guardian."""
        if instance.guardian_link is not None:
            instance.guardian_link.close()
        self._unlink(instance)
        instance.note_no_guardian(error)
        self._supervisor.handle(instance, Event.EXITED)
        self.end_run(instance)

    def _hear(self, instance: Instance, message: Up, fds: tuple[int, ...]) -> None:
        is_oom_kill = isinstance(message, LeaderExited) and self._oom_kills.is_cause_of(message)
        event = instance.hear(message, is_oom_kill=is_oom_kill)
        match message:
            case Started():
                self.streams.open(instance, fds[0])
                for error_fd in fds[1:]:
                    self.streams.open_errors(instance, error_fd)
            case Stuck():
                self._supervisor.say_stuck([instance], message.why)
            case Answer():
                self.probes.hear(message)
            case Remark(text):
                self._supervisor.tell(text, tone=Tone.WARNING)
        if event is Event.EXITED and (conclusion := instance.conclusion(self._presenter.log_path(instance.key))):
            instance.send(conclusion)
        if event is not None:
            self._supervisor.handle(instance, event)

    def _guardian_ended(self, instance: Instance) -> None:
        """All its messages were handled: see whether its tree was empty."""
        link = instance.guardian_link
        self._unlink(instance)
        if instance.is_vacated:
            self.end_run(instance)
            return
        instance.note_lost_guardian(lost_stop=link is not None and link.has_lost_stop)
        self._supervisor.handle(instance, Event.EXITED)
        self.lost_guardians.add(instance)

    def _unlink(self, instance: Instance) -> None:
        self._by_guardian.pop(instance.guardian_pid, None)
        instance.guardian_link = None
        self._silent.discard(instance)

    def end_run(self, instance: Instance) -> None:
        """The tree of a run is empty: read its last output, and decide what follows."""
        instance.end_run()
        self.streams.close(instance)
        self.probes.notifications.close(instance)
        self._supervisor.handle(instance, instance.decide_restart())

    def _last_line(self, instance: Instance) -> str:
        """Return the last line of the run that has ended."""
        return announcements.last_line(self.streams.recent(instance))
