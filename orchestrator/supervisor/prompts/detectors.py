"""Notices that a component waits for input: it has been silent, and the kernel shows that it reads its terminal.

A process that is blocked reading the terminal waits for input: at an unfinished line, after a question that is a whole
line, in silence, or in a full-screen program such as a pager. An event loop also reads a terminal while it works, and
some processes may not be inspected; for these the unfinished line must look like a prompt.

The process is inspected at LOOKS after the last output (it may begin to read a while after the prompt), and only at
every second of them if no line is unfinished; then no timer is left. A look costs 0.2 ms.

The second detector notices a prompt that other lines have overtaken: a debugger waits in one thread while others
continue printing.

Silence cannot be measured then, so the kernel is asked at most every PACE seconds, and only after output: is there
a thread that waits for the terminal and has not run since the last look? This excludes programs that alternate between
printing and reading, such as a progress bar or a program that is raw while it prints. Two things mark a prompt:
- a text that looks like one and was continued by other output, on a terminal that was an ordinary one before any line
  editor took it; or,
- without such a text, that the thread waits for nothing else while others print.

After such a text the thread may also have run, if it has written nothing: prompt_toolkit, outside the main thread,
checks the terminal's size twice a second. A line editor may print the lines of others above its prompt, which it then
draws again (IPython): that is recognized by the same prompt at the end of two looks.
"""

from __future__ import annotations

import re
from typing import Protocol

from orchestrator.model.control import NO_PROMPT
from orchestrator.process.input_wait import Reader, Sleeper
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.terminal.escapes import plain
from orchestrator.terminal.row import replay

LOOKS = (0.5, 1.0, 2.0, 4.0)  # seconds of silence
TEXT_MAX = 4096  # bytes at the end of an unfinished line that are examined

_PROGRESS = re.compile(r"(?:…|\.\.\.|\d ?%\)?|\d+ ?/ ?\d+\]?|[\[|][#=\->. \u2500-\u25ff]*[\]|])$")
_PROMPT = re.compile(r"[:?>)\]$#»›❯→λ]$")
_QUESTION = re.compile(
    r"[?:]$|[\[(]y(?:es)?/no?[\])]\W*$|\b(?:press|hit)\b.*\b(?:key|enter|return|space)\b|\bany key\b|--more--",
    re.IGNORECASE,
)


class WatchedTerminal(Protocol):
    """The terminal that is watched."""

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet; empty under a full-screen program."""

    @property
    def row_before_cursor(self) -> str:
        """The text on the cursor's row, to the cursor; empty under a full-screen program."""

    @property
    def before(self) -> str:
        """The prompt that other lines have overtaken, or else the last line; empty under a full-screen program."""

    def expects(self, prompt: str) -> bool:
        """Apply the rule for this prompt; return False if there is none."""

    def find_reader(self) -> Reader | None:
        """Return a process that waits for input, as far as the kernel reports it."""

    def prompted(self, prompt: str, *, on_line: bool = True) -> None:
        """Report that it waits for input at a prompt without a rule. `on_line`: the prompt is the unfinished line."""


class PromptWatch:
    """Watches one run. `waiting` is the prompt it waits at; empty while it does not."""

    def __init__(self, loop: Loop, asked: WatchedTerminal) -> None:
        self.waiting = ""
        self._loop = loop
        self._asked = asked
        self._timer: Timer | None = None
        self._silent_since = 0.0
        self._printed = False  # since then
        self._looks = 0
        self._begin()  # it may wait without any output

    def took(self, data: bytes) -> None:
        """Take note of a chunk of output."""
        self.waiting = ""
        if self._timer is None or not data.endswith(b"\n"):
            self._begin()
        else:  # the clock is read at the next look only
            self._printed = True

    def typed(self) -> None:
        """Take note that something was typed: the next prompt is a new one, even with the same text."""
        self.waiting = ""
        self._begin()

    def close(self) -> None:
        """Stop watching."""
        self.waiting = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._silent_since = self._loop.now()
        self._looks, self._printed = 0, False
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._silent_since + LOOKS[self._looks], self._look)

    def _look(self) -> None:
        self._timer = None
        if self._printed:
            self._begin()
            return
        if self._loop.now() < self._silent_since + LOOKS[self._looks]:
            self._arm()  # there was output since
            return
        text = prompt_text(self._asked.unfinished)
        if text and self._asked.expects(text):
            return
        reader = self._asked.find_reader()
        if reader is not None and not text.strip():  # a line editor may have drawn rows below its prompt
            text = self._asked.row_before_cursor
            text = text if text.strip() else ""
            if text and self._asked.expects(text):
                return
        prompt = None if reader is None else text_of_prompt(text, self._asked.before, reader)
        if prompt is None:
            self._looks += 1 if text else 2  # without a text it is less likely
            if self._looks < len(LOOKS):
                self._arm()
        elif text or prompt == NO_PROMPT or not self._asked.expects(prompt):
            self.waiting = prompt
            self._asked.prompted(prompt, on_line=bool(text))


def text_of_prompt(unfinished: str, before: str, reader: Reader) -> str | None:
    """Return the prompt at which `reader` waits, NO_PROMPT if it has none; None if it does not wait at a prompt."""
    shown = unfinished.rstrip()
    is_progress = _PROGRESS.search(shown) is not None
    if shown and reader.blocked:
        return unfinished if reader.threads == 1 or not is_progress else None  # other threads may make progress
    if shown:
        return unfinished if _PROMPT.search(shown) and not is_progress else None
    if not reader.blocked:
        return None
    if _QUESTION.search(before.rstrip()):
        return before
    return NO_PROMPT if reader.is_main else None


def prompt_text(unfinished: bytes) -> str:
    """Return the text of an unfinished line, without colors."""
    return plain(replay(unfinished[-TEXT_MAX:])).decode("utf-8", "replace").rstrip("\0")


def shortened(prompt: str, width: int = 60) -> str:
    """Return a prompt for a message; if it is long, its end, which begins with a whole word if possible."""
    text = prompt.strip()
    if len(text) <= width:
        return text
    end = text[1 - width :]
    blank = end.find(" ", 0, width // 2)
    return "…" + end[max(0, blank) :]


def at(prompt: str) -> str:
    """Return ` at "PROMPT"` for a message; nothing if the prompt has no text."""
    return "" if prompt == NO_PROMPT else f' at "{shortened(prompt)}"'


def waits(name: str, prompt: str) -> str:
    """Return the message that a component waits for input, with the command to answer it."""
    return f"{name} is waiting for input{at(prompt)}; {how_to_answer(name)}"


def how_to_answer(name: str) -> str:
    """Return the command to type."""
    return f"answer it with: orchestrate attach {name}"


PACE = 0.5  # seconds between two looks
BUSY_TEXT_MAX = 512  # bytes of an unfinished line beyond which it is not a prompt
PROMPT_MAX = 80  # characters at the beginning of a line that may contain a prompt
_ENDS_PROMPT = (b":", b"?", b">", b")", b"]", b"$", b"#")
_PROMPT_END = re.compile(r"[\])}>:?$#] ?")
_DEBUGGER = re.compile(r"(?:\((?:i?[Pp]db(?:\+\+)?|gdb|lldb|rdb:\d+)\)|ipdb>|>>>|In \[\d+\]:) ?")


class BusyTerminal(Protocol):
    """The terminal that is watched."""

    @property
    def recent(self) -> bytes:
        """The end of its output."""

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet; empty under a full-screen program."""

    @property
    def is_full_screen(self) -> bool:
        """Whether a full-screen program has it."""

    def is_edited(self) -> bool:
        """Whether a line editor or a password prompt has it."""

    def find_sleeper(self, before: Sleeper | None) -> Sleeper | None:
        """Return a thread that waits for input from it, if any; the thread of `before` is checked first."""

    def expects(self, prompt: str) -> bool:
        """Apply the rule for this prompt; return False if there is none."""

    def prompted(self, prompt: str) -> None:
        """Report that it waits for input at a prompt without a rule."""


class BusyPromptWatch:
    """Watches one run. `waiting` is the prompt it waits at while other threads print; empty while it does not."""

    def __init__(self, loop: Loop, crowded: BusyTerminal) -> None:
        self.waiting = ""
        self._loop = loop
        self._crowded = crowded
        self._timer: Timer | None = None
        self._tail = b""  # the unfinished line, as long as it can be a prompt
        self._candidate = ""
        self._standing = ""  # the prompt that was on the unfinished line at the last look
        self._sleeper: Sleeper | None = None
        self._mid_line = False
        self._printed = False  # since the last look
        self._was_plain: bool | None = None  # nothing was printed yet
        self._told = False

    def took(self, data: bytes) -> None:
        """Take note of a chunk of output."""
        if self._was_plain is None:
            self._was_plain = not self._crowded.is_edited()
        if self._tail and not self._tail.endswith(b"\r") and not data.startswith((b"\r", b"\n")):
            self._overtake()
        end = data.rfind(b"\n") + 1
        self._tail = data[end:] if end else self._tail + data
        if len(self._tail) > BUSY_TEXT_MAX:
            self._tail = b""
        self._mid_line = not data.endswith(b"\n")
        self._printed = True
        if self._timer is None:
            self._timer = self._loop.call_in(PACE, self._look)

    def typed(self) -> None:
        """Take note that something was typed: the next wait is a new one."""
        self._forget()

    def told(self, prompt: str) -> None:
        """Take note that the prompt was reported; `prompt` is empty if no user has to act."""
        self.waiting = prompt
        self._told = True

    @property
    def candidate(self) -> str:
        """A text that may be a prompt, and that other output has continued; empty if there is none."""
        return self._candidate

    def close(self) -> None:
        """Stop watching."""
        self.waiting = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_in(PACE, self._look)

    def _overtake(self) -> None:
        if self._sleeper is not None and self._candidate:
            return
        if b"\x1b" in self._tail or self._tail.rstrip(b" ").endswith(_ENDS_PROMPT):
            text = prompt_text(self._tail)
            if text.rstrip().encode().endswith(_ENDS_PROMPT):
                self._candidate = text

    def _look(self) -> None:
        self._timer = None
        printed, self._printed = self._printed, False
        if self._crowded.is_full_screen:
            self._forget()
            return
        edited = self._crowded.is_edited()
        self._was_plain = self._was_plain or not edited
        before, self._sleeper = self._sleeper, None
        stood, self._standing = self._standing, _standing(self._crowded.unfinished) if edited else ""
        if edited or self._candidate or self.waiting:
            self._sleeper = self._crowded.find_sleeper(before)
        if self._sleeper is None or (before is not None and not self._sleeper.is_same(before)):
            self._forget()
        elif self._told:
            pass
        elif before is None:  # look once more, to see whether it runs
            self._candidate = self._candidate or (_found(self._crowded.recent) if edited and self._was_plain else "")
            self._arm()
        elif self._is_prompt(before, self._sleeper, edited=edited, printed=printed):
            self._tell()
        elif self._is_drawn_again(stood, self._sleeper) and self._was_plain and printed:
            self._candidate = stood
            self._tell()
        elif printed:  # it ran: look once more, but not repeatedly without new output, which would be polling
            self._arm()

    def _is_prompt(self, before: Sleeper, now: Sleeper, *, edited: bool, printed: bool) -> bool:
        """Whether a thread that waits, as it did at the look before, waits at a prompt."""
        went_raw = edited and bool(self._was_plain)
        if now.has_run_since(before):
            return bool(self._candidate) and went_raw and printed and not now.has_written_since(before)
        if self._candidate and (went_raw or not edited):
            return printed or not self._mid_line  # within a line it may have printed that itself
        return went_raw and printed and now.alone

    def _is_drawn_again(self, stood: str, now: Sleeper) -> bool:
        """Whether the same prompt was there at two looks, and the thread has no timeout or is a known debugger."""
        return bool(stood) and stood == self._standing and (not now.timed or _DEBUGGER.match(stood) is not None)

    def _forget(self) -> None:
        self.waiting = self._candidate = ""
        self._sleeper = None
        self._told = False

    def _tell(self) -> None:
        if not self._candidate or not self._crowded.expects(self._candidate):
            self._crowded.prompted(self._candidate or NO_PROMPT)


def _standing(unfinished: bytes) -> str:
    """Return the text of an unfinished line that looks like a prompt; empty if it does not."""
    text = prompt_text(unfinished) if 0 < len(unfinished) <= BUSY_TEXT_MAX else ""
    return text if text.rstrip().encode().endswith(_ENDS_PROMPT) else ""


def _found(recent: bytes) -> str:
    """Return the last prompt in these lines: the text before a part that also begins the line before or after it, or a
    debugger's prompt; empty if there is none."""
    lines = [_visible(line) for line in recent.splitlines()]
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        beside = {other[:3] for other in lines[max(0, place - 1) : place] + lines[place + 1 : place + 2]}
        for end in _PROMPT_END.finditer(line, 0, PROMPT_MAX):
            if len(start := line[end.end() : end.end() + 3]) == 3 and start in beside:
                return line[: end.end()]
    return next((found[0] for line in reversed(lines) if (found := _DEBUGGER.match(line))), "")


def _visible(line: bytes) -> str:
    return prompt_text(line) if b"\x1b" in line else line.decode("utf-8", "replace")
