"""Answers to prompts: where they are read, and how they are kept out of everything that is shown or logged.

A terminal with ECHO on repeats what is typed, and so does a line editor; then what comes after the answer is dropped
up to the end of the line, and a `…` stands there. (To take ECHO off from our side was rejected: the kernel echoes when
it takes the bytes, not when we write them, and the component may set its terminal meanwhile.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.model.masked import plain
from orchestrator.model.prompt_rules import Rule

UNTIL = 5.0  # seconds after which no echo is expected any more
ANSWER_MAX = 1024  # bytes; a line of a terminal has 4096
_MODES = re.compile(rb"\x1b\[\?[0-9;]{1,20}[hl]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NoAnswer(Exception):
    """There is none; the message says why."""


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


class Mask:
    """Drops the echo of one answer that is typed at `now`, monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._until = now + UNTIL
        self.done = False

    def take(self, data: bytes, now: float) -> bytes:
        """Return what of a chunk may be shown."""
        if self.done or now >= self._until:
            self.done = True
            return data
        echo, end, rest = data.partition(b"\n")
        kept = b"".join(_MODES.findall(echo))
        if not end:
            return kept
        self.done = True
        return kept + "…".encode() + b"\r\n" + rest
