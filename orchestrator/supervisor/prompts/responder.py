"""The prompts of one run: noticed in silence or among other lines, answered by rule, or reported.

Each prompt is reported once: not while a writer is attached, not again on the same line, and not when the same prompt
is repeated unanswered.

This file also reads the answers to prompts, and keeps them out of everything that is shown or logged.

A terminal with ECHO on repeats what is typed, and so does a line editor; then the output after the answer is replaced
by `…` up to the end of the line. (Turning ECHO off from our side was rejected: the kernel echoes when it takes the
bytes, not when we write them, and the component may set its terminal meanwhile.)
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from orchestrator.model.control import NO_PROMPT
from orchestrator.model.masked import plain
from orchestrator.model.prompt_rules import Expectations, PromptAction, Rule, RuleMatch
from orchestrator.output.stream import Stream
from orchestrator.process import input_wait
from orchestrator.process.input_wait import Reader, Sleeper
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.prompts.detectors import (
    BusyPromptWatch,
    PromptWatch,
    at,
    how_to_answer,
    prompt_text,
    shortened,
    waits,
)


class ResponderHost(Protocol):
    """The terminal's user side."""

    @property
    def is_attended(self) -> bool:
        """Whether a writer is attached."""

    @property
    def is_full_screen(self) -> bool:
        """Whether a full-screen program has the terminal."""

    @property
    def row_before_cursor(self) -> str:
        """The text on the cursor's row, to the cursor."""

    def type(self, data: bytes) -> bool:
        """Type into it; return False if it accepts no more."""

    def tell(self, text: str, *, warns: bool = False) -> None:
        """Show an event line in the merged stream."""

    def fail(self, instance: Instance, reason: str) -> None:
        """Stop an instance that shows a prompt which a rule forbids."""

    def look_at_waiting(self) -> None:
        """Report if the prompt at which it waits is another one."""


class PromptResponder:
    """Lives as long as one run's stream; `tree` returns the pids of its processes."""

    def __init__(
        self, instance: Instance, stream: Stream, tree: Callable[[], Iterable[int]], loop: Loop, host: ResponderHost
    ) -> None:
        self._instance = instance
        self._stream = stream
        self._tree = tree
        self._loop = loop
        self._host = host
        self._expectations = Expectations(instance.spec.expect)
        self._mask: EchoMask | None = None
        self._silent = PromptWatch(loop, weakref.proxy(self))  # in a cycle these objects, and the stream with its last
        self._busy_watch = BusyPromptWatch(loop, weakref.proxy(self))  # lines, would stay until the next collection
        self._noticed = ""
        self._same_line = False

    @property
    def waiting(self) -> str:
        """The prompt at which it waits for input; empty while it does not."""
        return self._silent.waiting or self._busy_watch.waiting

    def take(self, data: bytes) -> bytes:
        """Take a chunk of output; return the part that may be shown and logged."""
        if self._mask is not None:
            data = self._mask.take(data, self._loop.now())
            if self._mask.done:
                self._mask = None
        if b"\n" in data:
            self._same_line = False
            if self._instance.spec.expect:
                self._expectations.end_line()
        self._silent.took(data)
        self._busy_watch.took(data)
        return data

    def typed(self) -> None:
        """Take note that something was typed: the next prompt is a new one."""
        self._noticed = ""
        self._silent.typed()
        self._busy_watch.typed()

    def close(self) -> None:
        """Stop watching, because the run has ended."""
        self._silent.close()
        self._busy_watch.close()

    # For the two detectors (detectors.WatchedTerminal, detectors.BusyTerminal)

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet; empty under a full-screen program."""
        return b"" if self._host.is_full_screen else self._stream.splitter.pending

    @property
    def recent(self) -> bytes:
        """The end of its output."""
        return self._stream.recent

    @property
    def row_before_cursor(self) -> str:
        """The text on the cursor's row, to the cursor; empty under a full-screen program."""
        return "" if self._host.is_full_screen else self._host.row_before_cursor

    @property
    def before(self) -> str:
        """The prompt that other lines have overtaken, or else the last line; empty under a full-screen program."""
        if self._host.is_full_screen:
            return ""
        last = self._stream.recent.rstrip().rpartition(b"\n")[2]
        return self._busy_watch.candidate or prompt_text(last)

    def find_reader(self) -> Reader | None:
        """Return a process that waits for input, as far as the kernel reports it."""
        return input_wait.find_reader(self._stream.master_fd, self._tree())

    @property
    def is_full_screen(self) -> bool:
        """Whether a full-screen program has the terminal."""
        return self._host.is_full_screen

    def is_edited(self) -> bool:
        """Whether a line editor or a password prompt has the terminal."""
        return input_wait.is_edited(self._stream.master_fd)

    def find_sleeper(self, before: Sleeper | None) -> Sleeper | None:
        """Return a thread that waits for input from the terminal, if any; the thread of `before` is checked first."""
        return input_wait.find_sleeper(self._stream.master_fd, self._tree(), before)

    def expects(self, prompt: str) -> bool:
        """Apply the rule for this prompt; return False if none matches."""
        turn, rule = self._expectations.meet(prompt, hidden=input_wait.is_hidden(self._stream.master_fd))
        if rule is None:
            return False
        self._busy_watch.told("")
        name = self._instance.name
        if turn is RuleMatch.REFUSED:
            self._alert(f"{name} did not take the answer and asks again{at(prompt)}; {how_to_answer(name)}", prompt)
        elif turn is RuleMatch.ACT and rule.do is PromptAction.ALERT:
            self._alert(waits(name, prompt), prompt)
        elif turn is RuleMatch.ACT and rule.do is PromptAction.ANSWER:
            self._answer(rule, prompt)
        elif turn is RuleMatch.ACT and rule.do is PromptAction.FAIL:
            self._host.fail(self._instance, f"failed, because it asked {shortened(prompt)}")
        return True

    def prompted(self, prompt: str, *, on_line: bool = True) -> None:
        """Report that it waits for input at a prompt without a rule."""
        if not on_line and self._busy_watch.waiting:
            return  # which was reported
        self._busy_watch.told(prompt)
        self._host.look_at_waiting()
        news = prompt.strip() if on_line else NO_PROMPT  # a server that reads commands prints many lines
        if self._host.is_full_screen and self._stream.full_screen_reported:
            return  # that report names the command to type
        if not self._same_line and not self._host.is_attended and news != self._noticed:
            self._same_line, self._noticed = True, news
            self._alert(waits(self._instance.name, prompt), prompt)

    def _answer(self, rule: Rule, prompt: str) -> None:
        name = self._instance.name
        try:
            answer = answer_of(rule, self._instance.spec.environment)
        except NoAnswer as why:
            self._alert(f"cannot answer {name}{at(prompt)}: {why}; {how_to_answer(name)}", prompt)
            return
        if input_wait.is_echoed(self._stream.master_fd):
            self._mask = EchoMask(self._loop.now())
        self._host.type(answer + b"\r")
        self._host.tell(f"answered {name} ({shortened(prompt)})")

    def _alert(self, text: str, prompt: str) -> None:
        """Report that the user has to act."""
        self._silent.waiting = prompt
        self._busy_watch.told(prompt)
        self._host.look_at_waiting()
        if not self._host.is_attended:
            self._host.tell(text, warns=True)


UNTIL = 5.0  # seconds after which no echo is expected any more
ANSWER_MAX = 1024  # bytes; a line of a terminal has 4096
_MODES = re.compile(rb"\x1b\[\?[0-9;]{1,20}[hl]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NoAnswer(Exception):
    """The rule has no usable answer; the message says why."""


def answer_of(rule: Rule, environment: Mapping[str, str]) -> bytes:
    """Return what is typed for a rule, without Enter; raises NoAnswer."""
    if rule.answer_env:
        text = environment.get(rule.answer_env)
        if text is None:
            raise NoAnswer(f"{rule.answer_env} is not set")
    else:
        text = _first_line(rule.answer_file)
    encoded = text.encode("utf-8", "surrogateescape")
    where = rule.answer_env or rule.answer_file
    if _CONTROL.search(text):
        raise NoAnswer(f"{where} has a control character in it")
    if len(encoded) > ANSWER_MAX:
        raise NoAnswer(f"{where} has more than {ANSWER_MAX} bytes")
    return encoded


def _first_line(path: str) -> str:
    try:
        with Path(plain(path)).open("rb") as file:
            line = file.readline(2 * ANSWER_MAX)
    except OSError as error:
        raise NoAnswer(f"{path}: {error.strerror}") from None
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


class EchoMask:
    """Drops the echo of one answer that is typed at `now`, monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._until = now + UNTIL
        self.done = False

    def take(self, data: bytes, now: float) -> bytes:
        """Return the part of a chunk that may be shown."""
        if self.done or now >= self._until:
            self.done = True
            return data
        echo, end, rest = data.partition(b"\n")
        kept = b"".join(_MODES.findall(echo))
        if not end:
            return kept
        self.done = True
        return kept + "…".encode() + b"\r\n" + rest
