"""Rules for prompts: which one a prompt calls for, once, and answers that leave no trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.prompt_rules import Expectations, PromptAction, Rule, RuleMatch
from orchestrator.supervisor.prompts.responder import ANSWER_MAX, UNTIL, EchoMask, NoAnswer, answer_of

PASSWORD = Rule("Password: $", PromptAction.ANSWER, answer_env="SECRET")
GO_ON = Rule(r"\[Y/n\] $", PromptAction.ANSWER, answer_env="YES")
PDB = Rule(r"\(Pdb\) $")


def test_the_first_rule_that_matches_counts():
    rules = Expectations([PASSWORD, Rule("word", PromptAction.FAIL), PDB])
    assert rules.meet("Password: ", hidden=True) == (RuleMatch.ACT, PASSWORD)
    rules.end_line()
    assert rules.meet("one word", hidden=False)[1].do is PromptAction.FAIL
    rules.end_line()
    assert rules.meet("42% ", hidden=False) == (RuleMatch.UNKNOWN, None)


def test_a_rule_acts_once_a_prompt():
    rules = Expectations([GO_ON])
    assert [rules.meet("Continue? [Y/n] ", hidden=False)[0] for _ in range(3)] == [
        RuleMatch.ACT,
        RuleMatch.DONE,
        RuleMatch.DONE,
    ]
    rules.end_line()
    assert rules.meet("Continue? [Y/n] ", hidden=False)[0] is RuleMatch.ACT


def test_a_password_that_is_asked_again_was_refused():
    rules = Expectations([PASSWORD])
    turns = []
    for prompt in ("Password: ", "Password: ", "New Password: ", "Password: "):
        turns.append(rules.meet(prompt, hidden=True)[0])
        rules.end_line()
    assert turns == [RuleMatch.ACT, RuleMatch.REFUSED, RuleMatch.ACT, RuleMatch.REFUSED]


def test_an_answer_comes_from_the_environment_or_a_file(tmp_path):
    assert answer_of(PASSWORD, {"SECRET": "pä ss"}) == "pä ss".encode()
    file = tmp_path / "secret"
    file.write_bytes(b"first\r\nsecond\n")
    rule = Rule("", PromptAction.ANSWER, answer_file=str(file))
    assert answer_of(rule, {}) == b"first"
    for content in (b"a\x03b\n", b"x" * (ANSWER_MAX + 1)):
        file.write_bytes(content)
        with pytest.raises(NoAnswer) as told:
            answer_of(rule, {})
        assert content[:1].decode() not in str(told.value).replace(str(file), "").replace("a control", "").split()
    file.unlink()
    with pytest.raises(NoAnswer, match="No such file"):
        answer_of(rule, {})
    with pytest.raises(NoAnswer, match="SECRET is not set"):
        answer_of(PASSWORD, {})


def test_the_echo_is_dropped_to_the_end_of_its_line():
    mask = EchoMask(0.0)
    assert mask.take(b"hun", 0.1) + mask.take(b"ter2\x1b[?2004l\r", 0.2) == b"\x1b[?2004l"
    assert mask.take(b"\nwelcome\r\n", 0.3) == "…\r\nwelcome\r\n".encode()
    assert mask.take(b"hunter2\r\n", 0.4) == b"hunter2\r\n"  # its own words


def test_no_echo_is_waited_for_for_ever():
    assert EchoMask(0.0).take(b"50%", UNTIL) == b"50%"


@given(st.text("abc", min_size=3, max_size=20), st.data())
def test_no_part_of_an_answer_is_seen_in_any_chunking(answer, data):
    whole = answer.encode() + b"\r\nDONE\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    mask = EchoMask(0.0)
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(mask.take(chunk, 0.1) for chunk in chunks) == "…\r\nDONE\r\n".encode()
