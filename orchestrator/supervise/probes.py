"""The probes of all members: one `Readiness` for each that is starting, and the prober process they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.model.messages import Answer, Question
from orchestrator.model.spec import Component, HttpProbe
from orchestrator.process.channel import ChannelClosed
from orchestrator.process.fork import Forked
from orchestrator.runtime.loop import READ, Loop
from orchestrator.supervise.component import Member
from orchestrator.supervise.multiplexer import Stream
from orchestrator.supervise.readiness import Readiness


class Probers:
    """Watches members until they are ready; `done` is told which one is."""

    def __init__(self, loop: Loop, done: Callable[[Member], None]) -> None:
        self._loop = loop
        self._done = done
        self._open: dict[str, Readiness] = {}
        self._streams: dict[str, Stream] = {}
        self._process: Forked[Question, Answer] | None = None
        self._is_lost = False

    @property
    def pids(self) -> set[int]:
        """The prober's pid, where there is one."""
        return {self._process.pid} if self._process else set()

    def fork_if_needed(self, components: Iterable[Component]) -> None:
        """Fork the prober if any component is asked over the network."""
        if any(isinstance(probe, HttpProbe) for c in components for probe in c.ready):
            self._fork()

    def _fork(self) -> None:
        from orchestrator.process import prober  # urllib and what it needs: only systems that are asked pay for it

        self._process = Forked("prober", prober.run)
        self._process.fork()
        self._is_lost = False
        self._loop.add(self._process.channel.fileno(), READ, lambda _: self._on_answer())

    def watch(self, member: Member, stream: Stream) -> None:
        """Begin to probe a new incarnation, whose lines are read from `stream`."""
        readiness = Readiness(
            member.name,
            member.incarnations,
            member.spec.ready,
            member.since_wall,
            self._loop,
            self._ask,
            lambda: self._done(member),
        )
        self._open[member.name] = readiness
        self._streams[member.name] = stream
        if readiness.wants_lines:
            stream.watcher = readiness.see
        readiness.begin()

    def unwatch(self, member: Member) -> None:
        """End probing a member."""
        if readiness := self._open.pop(member.name, None):
            readiness.end()
            self._streams.pop(member.name).watcher = None

    def waiting(self) -> dict[str, str]:
        """For each member that is not ready yet, in words what it waits for."""
        return {name: readiness.waiting_for for name, readiness in self._open.items()}

    def reap(self, pid: int) -> bool:
        """Take note that `pid` ended; True if it was the prober, which then is forked anew."""
        if self._process is None or self._process.pid != pid:
            return False
        self.close()
        self._fork()
        for readiness in self._open.values():
            readiness.begin()
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

    def _ask(self, question: Question) -> None:
        if self._process is not None:
            try:
                self._process.channel.send(question)
            except ChannelClosed:
                pass  # it died; `reap` follows and asks again

    def _on_answer(self) -> None:
        assert self._process is not None
        try:
            answer = self._process.channel.receive()
        except ChannelClosed:
            self._loop.remove(self._process.channel.fileno())
            self._is_lost = True
            self.see()
            return
        if readiness := self._open.get(answer.key[0]):
            readiness.hear(answer)
