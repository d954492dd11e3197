"""The prompt rules of a component, and which of them applies to a prompt. Pure.

A rule's pattern is searched in the unfinished line as it is on the screen; the first rule that matches counts.
(pexpect's matcher looks for the earliest match in a stream of raw bytes; here the text is one row, and the question is
which rule matches it.) A rule acts once per prompt, and not again before the line has ended. If a hidden prompt (for a
password) appears again in the same words, the answer was wrong. It is not given again, as that could lock the account.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass


class PromptAction(enum.Enum):
    """The action of a rule."""

    ALERT = "alert"  # the user has to act
    ANSWER = "answer"
    READY = "ready"  # the component is ready
    FAIL = "fail"  # the component has failed


@dataclass(frozen=True, slots=True)
class Rule:
    """`prompt` is a regular expression. The answer is the value of a variable in the component's environment, or the
    first line of a file."""

    prompt: str
    do: PromptAction = PromptAction.ALERT
    answer_env: str = ""
    answer_file: str = ""


class RuleMatch(enum.Enum):
    """How the rules apply to a prompt."""

    UNKNOWN = "no rule matches"
    ACT = "do what the rule says"
    DONE = "it has been done on this line already"
    REFUSED = "the answer was given before, and it is asked again"


class Expectations:
    """The rules of one run, and which of them have acted."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [(re.compile(rule.prompt), rule) for rule in rules]
        self._done: Rule | None = None
        self._answered: set[str] = set()

    def end_line(self) -> None:
        """Record that the line has ended: the next prompt is a new one."""
        self._done = None

    def meet(self, prompt: str, *, hidden: bool) -> tuple[RuleMatch, Rule | None]:
        """Return what to do at a prompt; `hidden` says that input is not echoed."""
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
