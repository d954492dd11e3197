"""The probes of all members: who is not ready yet, who is asked whether it lives, and the prober process they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from orchestrator.model.messages import Answer, Question, Run
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
from orchestrator.supervisor.health import (
    APART,
    Key,
    Liveness,
    ProbeTransport,
    Readiness,
    ReadinessState,
    in_words,
)
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.notifications import Notifications

AGAIN = 1.0  # seconds until a fork of the prober that the kernel has refused is tried again


class Probes:
    """Watches members until they are ready, and while they are; `done` is told which one is ready, `spoken` called when
    one has printed all that its probes look for."""

    def __init__(self, loop: Loop, done: Callable[[Instance], None], spoken: Callable[[], None]) -> None:
        self._loop = loop
        self._done = done
        self._spoken = spoken
        self._means = ProbeTransport(loop, self._ask)
        self.notifications = Notifications(loop, self._reported)
        self._members: dict[str, Instance] = {}
        self._open: dict[str, Readiness] = {}
        self._guarded: dict[str, Liveness] = {}
        self._streams: dict[str, Stream] = {}
        self._answers: dict[str, str] = {}
        self._passing: dict[str, dict[int, bool]] = {}
        self.flipped: Callable[[Instance, str, bool, str], None] = lambda *_: None
        self._process: ForkedProcess[Question, Answer] | None = None
        self._is_lost = False
        self._resting = False

    @property
    def pids(self) -> set[int]:
        """The prober's pid, where there is one."""
        return {self._process.pid} if self._process else set()

    def fork_if_needed(self, components: Iterable[ComponentSpec]) -> None:
        """Fork the prober if any component is asked over the network."""
        if any(isinstance(probe, ProberProbe) for c in components for probe in (*c.ready, *c.alive)):
            self._fork()

    def _fork(self) -> str:
        """Fork the prober; where the kernel refuses, return why: each question tries again."""
        process: ForkedProcess[Question, Answer] | None = None
        try:
            from orchestrator.process import prober  # http and what it needs: only systems that are asked pay for it

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

    def watch(self, member: Instance, stream: Stream) -> None:
        """Begin to probe a new incarnation, whose lines are read from `stream`."""
        self._members[member.key] = member
        self._answers.pop(member.key, None)
        self._passing[member.key] = {}
        readiness = Readiness(
            member.key,
            member.run_count,
            member.spec.ready,
            member.spec.failed,
            self._means,
            lambda: self._done(member),
            member.fail,
            self._spoken,
        )
        self._open[member.key] = readiness
        self._streams[member.key] = stream
        if readiness.sees_lines:
            stream.watcher = readiness.see
        if readiness.wants_tails:
            stream.tail_watcher = readiness.see_tail
        if self.notifications.is_ready(member):
            readiness.reported()
        if not self._resting:
            readiness.begin()

    def unwatch(self, member: Instance) -> None:
        """End probing a member."""
        if readiness := self._open.pop(member.key, None):
            readiness.end()
            stream = self._streams.pop(member.key)
            stream.watcher = stream.tail_watcher = None

    def _reported(self, member: Instance) -> None:
        """It has sent READY=1, perhaps before we watch it."""
        if readiness := self._open.get(member.key):
            readiness.reported()

    def is_silent(self, name: str) -> bool:
        """Whether this member runs and has not printed yet what its probes look for."""
        return name in self._open and self._open[name].wants_lines

    def rest(self) -> None:
        """Ask nothing any more: the system stops, and a failure now would stop a member before its turn."""
        self._resting = True
        for readiness in self._open.values():
            readiness.end()
        for liveness in self._guarded.values():
            liveness.end()

    def waiting(self) -> dict[Instance, ReadinessState]:
        """For each member that is not ready yet, what it waits for and what it was last answered."""
        return {self._members[key]: self._standing(key, readiness) for key, readiness in self._open.items()}

    def _standing(self, key: str, readiness: Readiness) -> ReadinessState:
        status = self.notifications.status(self._members[key])
        return replace(readiness.standing, last_answer=status) if status else readiness.standing

    # Liveness

    def guard(self, member: Instance) -> None:
        """Begin to ask whether a member lives."""
        if (probes := member.spec.alive) and not self._resting:
            self._guarded[member.key] = liveness = Liveness(
                member.key, member.run_count, probes, member.since, self._means, member.replace
            )
            liveness.begin()

    def unguard(self, member: Instance) -> None:
        """End asking."""
        if liveness := self._guarded.pop(member.key, None):
            liveness.end()

    # Questions and answers

    def last_answer(self, name: str) -> str:
        """What a probe of this member was last answered in its present incarnation; empty for nothing yet.

        Where the kernel does not tell whose socket answered it says `owner unknown`.
        """
        return self._answers.get(name, "")

    def liveness(self, name: str) -> Mapping[str, str]:
        """For each liveness probe of this member in words what it was last answered."""
        return self._guarded[name].last_answers if name in self._guarded else {}

    def hear(self, answer: Answer) -> None:
        """Take an answer of the prober, or of a guardian that has run a command."""
        name = answer.key[0]
        member = self._members.get(name)
        if member is not None and answer.key[1] >> 16 == member.run_count:
            self._answers[name] = answer.text
            if self._passing[name].get(answer.key[1]) is not answer.holds:
                self._passing[name][answer.key[1]] = answer.holds
                self.flipped(member, self._in_words(member, answer.key[1] & 0xFFFF), answer.holds, answer.text)
        if readiness := self._open.get(name):
            readiness.hear(answer)
        if liveness := self._guarded.get(name):
            liveness.hear(answer)

    @staticmethod
    def _in_words(member: Instance, index: int) -> str:
        probes = member.spec.alive if index >= APART else member.spec.ready
        probe = probes[index % APART] if index % APART < len(probes) else None
        what = "liveness probe" if index >= APART else "readiness probe"
        return f"{what} {in_words(probe)}" if isinstance(probe, AskedProbe) else what

    def _ask(self, key: Key, probe: AskedProbe) -> None:
        member = self._members[key[0]]
        if isinstance(probe, ExecProbe):
            member.ask(Run(key, probe.argv, probe.timeout))
        elif self._process is None and not self._resting and (refusal := self._fork()):
            self._answers[member.key] = refusal
            self._loop.call_in(AGAIN, lambda: self._ask_again(key, probe))
        elif self._process is not None:
            owner = Ownership.ANY if isinstance(probe, FileProbe) else probe.owner
            root = member.guardian_pid if owner is Ownership.TREE else 0
            try:
                self._process.channel.send(Question(key, probe, member.since_wall, root))
            except ChannelClosed:
                pass  # it died; `reap` follows and asks again

    def _ask_again(self, key: Key, probe: AskedProbe) -> None:
        """Ask what could not be asked, if somebody still wants to know; nobody counts it as a failure."""
        if key[0] in self._open or key[0] in self._guarded:
            self._ask(key, probe)

    # The prober

    def reap(self, pid: int) -> bool:
        """Take note that `pid` ended; True if it was the prober, which then is forked anew."""
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
        """See whether the prober, whose channel is closed, has ended: the fork of a guardian may have waited for it."""
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
