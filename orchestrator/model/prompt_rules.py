"""What is done at which prompt: the rules of a component, and which of them a prompt calls for. Pure.

A rule's pattern is searched in the unfinished line as it stands on the screen; the first rule that matches counts.
(pexpect's matcher looks for the earliest match in a stream of raw bytes; what is asked here is one row, and which rule
is meant by it.) A rule acts once a prompt: not again before the line has ended. A hidden prompt (a password) that is
asked in the same words again has refused the answer: it is not given again, or the account would be locked.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass


class PromptAction(enum.Enum):
    """What a prompt means."""

    ALERT = "alert"  # somebody has to look
    ANSWER = "answer"
    READY = "ready"  # the component is
    FAIL = "fail"  # the component has


@dataclass(frozen=True, slots=True)
class Rule:
    """`prompt` is a regular expression. The answer is the value of a variable in the component's environment, or the
    first line of a file."""

    prompt: str
    do: PromptAction = PromptAction.ALERT
    answer_env: str = ""
    answer_file: str = ""


class RuleMatch(enum.Enum):
    """What a prompt calls for."""

    UNKNOWN = "no rule matches"
    ACT = "do what the rule says"
    DONE = "it has been done on this line already"
    REFUSED = "the answer was given before, and it is asked again"


class Expectations:
    """The rules of one incarnation, and what was done by them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [(re.compile(rule.prompt), rule) for rule in rules]
        self._done: Rule | None = None
        self._answered: set[str] = set()

    def end_line(self) -> None:
        """The line has ended: the next prompt is another one."""
        self._done = None

    def meet(self, prompt: str, *, hidden: bool) -> tuple[RuleMatch, Rule | None]:
        """Say what a prompt calls for; `hidden` where what is typed is not echoed."""
        rule = next((rule for pattern, rule in self._rules if pattern.search(prompt)), None)
        if rule is None:
            return RuleMatch.UNKNOWN, None
        if rule is self._done:
            return RuleMatch.DONE, rule
        self._done = rule
        if rule.do is PromptAction.ANSWER and hidden:
            if prompt in self._answered:
                return RuleMatch.REFUSED, rule
            self._answered.add(prompt)
        return RuleMatch.ACT, rule
