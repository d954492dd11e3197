"""The readiness and liveness probes of all instances, and the prober process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from orchestrator.model.messages import Answer, Execute, Question
from orchestrator.model.spec import (
    AskedProbe,
    ComponentSpec,
    ExecProbe,
    FileProbe,
    Ownership,
    ProberProbe,
)
from orchestrator.output.stream import Stream
from orchestrator.process.channel import ChannelClosed
from orchestrator.process.fork import ForkedProcess, highest_descriptor
from orchestrator.runtime.loop import READ, Loop
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.liveness import APART, Liveness
from orchestrator.supervisor.notifications import Notifications
from orchestrator.supervisor.readiness import Readiness, ReadinessState
from orchestrator.supervisor.repeated_probe import Key, ProbeTransport, in_words

ASIDE = (1 << 16) - 1  # no probe has this number
Aside = Callable[[bool, str], None]


class FaultHandler(Protocol):
    """Stops an instance that failed a probe; with `restarts`, to restart it."""

    def __call__(self, instance: Instance, reason: str, *, restarts: bool = False) -> None: ...


AGAIN = 1.0  # seconds until a fork of the prober that the kernel has refused is tried again


class Probes:
    """Probes instances until they are ready, and from then on whether they are alive. `done` is called with each that
    is ready, `failed` with each that failed a probe for good, `spoken` when one has printed all that its probes look
    for."""

    def __init__(
        self,
        loop: Loop,
        done: Callable[[Instance], None],
        failed: FaultHandler,
        spoken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._done = done
        self._failed = failed
        self._spoken = spoken
        self._transport = ProbeTransport(loop, self._ask)
        self.notifications = Notifications(loop, self._reported)
        self._instances: dict[str, Instance] = {}
        self._open: dict[str, Readiness] = {}
        self._guarded: dict[str, Liveness] = {}
        self._streams: dict[str, Stream] = {}
        self._answers: dict[str, str] = {}
        self._passing: dict[str, dict[int, bool]] = {}
        self._asides: dict[Key, Callable[[bool, str], None]] = {}
        self.flipped: Callable[[Instance, str, bool, str], None] = lambda *_: None
        self._process: ForkedProcess[Question, Answer] | None = None
        self._is_lost = False
        self._resting = False

    @property
    def pids(self) -> set[int]:
        """The prober's pid, if there is one."""
        return {self._process.pid} if self._process else set()

    def fork_if_needed(self, components: Iterable[ComponentSpec]) -> None:
        """Fork the prober if any component has a network probe."""
        if any(isinstance(probe, ProberProbe) for c in components for probe in (*c.ready, *c.alive)):
            self._fork()

    def _fork(self) -> str:
        """Fork the prober; if the kernel refuses, return why: each probe tries again."""
        process: ForkedProcess[Question, Answer] | None = None
        try:
            from orchestrator.process import prober  # imports http, which only systems with network probes need

            process = ForkedProcess("prober", prober.run)
            process.fork(highest_descriptor())
        except OSError as error:
            if process is not None:
                process.channel.close()
            return f"cannot fork the prober: {error.strerror}"
        self._process = process
        self._is_lost = False
        self._loop.add(process.channel.fileno(), READ, lambda _: self._on_answer())
        return ""

    # Readiness

    def watch(self, instance: Instance, stream: Stream) -> None:
        """Begin to probe a new run, whose lines are read from `stream`."""
        self._instances[instance.key] = instance
        self._answers.pop(instance.key, None)
        self._passing[instance.key] = {}
        readiness = Readiness(
            instance.key,
            instance.run.number,
            instance.spec.ready,
            instance.spec.failed,
            self._transport,
            lambda: self._done(instance),
            lambda reason: self._failed(instance, reason),
            self._spoken,
        )
        self._open[instance.key] = readiness
        self._streams[instance.key] = stream
        if readiness.sees_lines:
            stream.watcher = readiness.see
        if readiness.wants_tails:
            stream.unfinished_watcher = readiness.see_tail
        if self.notifications.is_ready(instance):
            readiness.reported()
        if not self._resting:
            readiness.begin()

    def unwatch(self, instance: Instance) -> None:
        """End probing an instance."""
        if readiness := self._open.pop(instance.key, None):
            readiness.end()
            stream = self._streams.pop(instance.key)
            stream.watcher = stream.unfinished_watcher = None

    def _reported(self, instance: Instance) -> None:
        """The component has sent READY=1, perhaps before its probes began."""
        if readiness := self._open.get(instance.key):
            readiness.reported()

    def is_silent(self, name: str) -> bool:
        """Whether this instance runs and has not printed yet what its probes look for."""
        return name in self._open and self._open[name].wants_lines

    def rest(self) -> None:
        """Stop probing: the system stops, and a failure now would stop an instance before its turn."""
        self._resting = True
        for readiness in self._open.values():
            readiness.end()
        for liveness in self._guarded.values():
            liveness.end()

    def waiting(self) -> dict[Instance, ReadinessState]:
        """For each instance that is not ready yet, what it waits for and the last result of its probe."""
        return {self._instances[key]: self._standing(key, readiness) for key, readiness in self._open.items()}

    def _standing(self, key: str, readiness: Readiness) -> ReadinessState:
        status = self.notifications.status(self._instances[key])
        return replace(readiness.standing, last_answer=status) if status else readiness.standing

    # Liveness

    def guard(self, instance: Instance) -> None:
        """Begin the liveness probes of an instance."""
        if (probes := instance.spec.alive) and not self._resting:
            self._guarded[instance.key] = liveness = Liveness(
                instance.key,
                instance.run.number,
                probes,
                instance.run.started,
                self._transport,
                lambda reason: self._failed(instance, reason, restarts=True),
            )
            liveness.begin()

    def unguard(self, instance: Instance) -> None:
        """End the liveness probes of an instance."""
        self._asides = {key: then for key, then in self._asides.items() if key[0] != instance.key}
        if liveness := self._guarded.pop(instance.key, None):
            liveness.end()

    # Results

    def last_answer(self, name: str) -> str:
        """The last result of a probe of this instance in its present run; empty if there is none yet.

        If the kernel does not show who owns the socket that answered, it says `owner unknown`.
        """
        return self._answers.get(name, "")

    def liveness(self, name: str) -> Mapping[str, str]:
        """The last result of each liveness probe of this instance, by its subject in words."""
        return self._guarded[name].last_answers if name in self._guarded else {}

    def run_aside(self, instance: Instance, argv: tuple[str, ...], timeout: float, then: Aside) -> None:
        """Run a command in the tree of an instance, once, independently of the probes. `then` gets whether it exited
        with 0, and its last line; it is never called if the tree ends first."""
        key = instance.key, (instance.run.number << 16) + ASIDE
        self._asides[key] = then
        instance.ask(Execute(key, argv, timeout))

    def hear(self, answer: Answer) -> None:
        """Take an answer of the prober, or of a guardian that has run a command."""
        if then := self._asides.pop(answer.key, None):
            then(answer.holds, answer.text)
            return
        name = answer.key[0]
        instance = self._instances.get(name)
        if instance is not None and answer.key[1] >> 16 == instance.run.number:
            self._answers[name] = answer.text
            if self._passing[name].get(answer.key[1]) is not answer.holds:
                self._passing[name][answer.key[1]] = answer.holds
                self.flipped(instance, self._in_words(instance, answer.key[1] & 0xFFFF), answer.holds, answer.text)
        if readiness := self._open.get(name):
            readiness.hear(answer)
        if liveness := self._guarded.get(name):
            liveness.hear(answer)

    @staticmethod
    def _in_words(instance: Instance, index: int) -> str:
        probes = instance.spec.alive if index >= APART else instance.spec.ready
        probe = probes[index % APART] if index % APART < len(probes) else None
        what = "liveness probe" if index >= APART else "readiness probe"
        return f"{what} {in_words(probe)}" if isinstance(probe, AskedProbe) else what

    def _ask(self, key: Key, probe: AskedProbe) -> None:
        instance = self._instances[key[0]]
        if isinstance(probe, ExecProbe):
            instance.ask(Execute(key, probe.argv, probe.timeout))
        elif self._process is None and not self._resting and (refusal := self._fork()):
            self._answers[instance.key] = refusal
            self._loop.call_in(AGAIN, lambda: self._ask_when_forked(key, probe))
        elif self._process is not None:
            owner = Ownership.ANY if isinstance(probe, FileProbe) else probe.owner
            root = instance.guardian_pid if owner is Ownership.TREE else 0
            try:
                self._process.channel.send(Question(key, probe, instance.run.started_wall, root))
            except ChannelClosed:
                pass  # it died; `reap` follows and asks again

    def _ask_when_forked(self, key: Key, probe: AskedProbe) -> None:
        """Repeat a probe that could not be sent, if it is still open; this does not count as a failure."""
        if key[0] in self._open or key[0] in self._guarded:
            self._ask(key, probe)

    # The prober

    def reap(self, pid: int) -> bool:
        """Take note that `pid` ended; return True if it was the prober, which is then forked again."""
        if self._process is None or self._process.pid != pid:
            return False
        self.close()
        if self._resting:
            return True
        self._fork()
        for readiness in self._open.values():
            readiness.begin()
        for liveness in self._guarded.values():
            liveness.begin()
        return True

    def see(self) -> None:
        """Check whether the prober, whose channel is closed, has exited: the fork of a guardian may have reaped it."""
        if self._process is not None and self._is_lost and self._process.has_ended:
            self.reap(self._process.pid)

    def close(self) -> None:
        """End the prober."""
        if self._process is not None:
            self._loop.remove(self._process.channel.fileno())
            self._process.channel.close()
            self._process.kill()
            self._process.reap()
            self._process = None

    def _on_answer(self) -> None:
        assert self._process is not None
        try:
            answer = self._process.channel.receive()
        except ChannelClosed:
            self._loop.remove(self._process.channel.fileno())
            self._is_lost = True
            self.see()
            return
        self.hear(answer)
