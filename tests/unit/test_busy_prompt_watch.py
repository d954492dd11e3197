"""A prompt that is followed by other lines: histories of output and looks, and what is reported."""

import pytest

from orchestrator.model.control import NO_PROMPT
from orchestrator.process.input_wait import UNKNOWN as UNKNOWN_COUNT
from orchestrator.process.input_wait import Sleeper
from orchestrator.supervisor.prompts.detectors import BusyPromptWatch


class History:
    """A loop whose time passes on demand, and a terminal whose facts the test sets."""

    def __init__(self, *, edited=False, rules=()):
        self.recent, self.is_full_screen, self.edited, self.thread = b"", False, edited, None
        self.told, self.met, self.looks = [], [], 0
        self._rules, self._runs, self._due = rules, 0, None
        self.watch = BusyPromptWatch(self, self)

    def call_in(self, _seconds, callback):
        assert self._due is None
        self._due = callback
        return self

    def cancel(self):
        self._due = None

    def is_edited(self):
        return self.edited

    @property
    def unfinished(self):
        return self.recent.rpartition(b"\n")[2]

    def find_sleeper(self, before):
        return self.thread

    def expects(self, prompt):
        self.met.append(prompt)
        if prompt in self._rules:
            self.watch.told("")
        return prompt in self._rules

    def prompted(self, prompt):
        self.watch.told(prompt)
        self.told.append(prompt)

    def prints(self, *chunks):
        for chunk in chunks:
            self.recent += chunk
            self.watch.took(chunk)

    def sleeps(self, task="7", alone=True, written=None, timed=False):
        """A thread of the component goes to sleep at the terminal, once more, and has written in between or not."""
        self._runs += 1
        self.thread = Sleeper(1, task, self._runs, self._runs if written is None else written, alone, timed)

    def look(self):
        """Half a second passes; False where nobody looks then."""
        due, self._due = self._due, None
        if due is not None:
            self.looks += 1
            due()
        return due is not None

    def edits(self):
        """A debugger begins to read a line."""
        self.edited = True
        self.sleeps()


LINE = b"GET / 200\r\n"


def serving():
    history = History()
    history.prints(LINE)
    history.look()
    return history


def test_a_prompt_among_the_lines_of_others_is_told_once():
    history = serving()
    history.edits()
    for _ in range(10):
        history.prints(b"(Pdb) ", LINE) if not history.told else history.prints(LINE)
        history.look()
    assert history.told == ["(Pdb) "]
    assert history.watch.waiting == "(Pdb) "


def test_one_line_over_it_is_enough():
    history = serving()
    history.edits()
    history.prints(b"-> total += 1\r\n(Pdb) ", LINE)
    assert history.look()
    assert history.told == []
    assert history.look()
    assert history.told == ["(Pdb) "]
    assert not history.look()


def test_one_in_the_same_read_as_a_line_is_found_there():
    history = serving()
    history.edits()
    history.prints(b"(Pdb) " + LINE)
    while history.look():
        pass
    assert history.told == ["(Pdb) "]


def test_a_look_before_it_is_overtaken_takes_nothing_away():
    history = serving()
    history.edited = True
    history.sleeps(alone=False)
    history.prints(b"mine> ")
    history.look()
    history.prints(LINE)
    history.look()
    assert history.told == ["mine> "]


@pytest.mark.parametrize("editor", [b"In [1]: ", b"\x1b[?25l\x1b[0mIn [1]:\x1b[7D\x1b[8C\x1b[?7h\x1b[?25h"])
def test_also_that_of_an_event_loop(editor):
    history = serving()
    history.edited = True
    history.sleeps(alone=False)
    history.prints(editor + LINE)
    while history.look():
        pass
    assert history.told == ["In [1]: "]


def test_its_text_is_found_before_what_the_next_line_begins_with_too():
    history = serving()
    history.edits()
    history.prints(LINE, b"Password: " + LINE)
    for _ in range(3):
        history.prints(b"GET /other 404\r\n", b"level: debug\r\n")
        history.look()
    assert history.told == ["Password: "]


def test_without_a_known_debugger_that_is_said_without_its_text():
    history = serving()
    history.edits()
    history.prints(b"mine, " + LINE)
    history.look()
    history.prints(LINE)
    history.look()
    assert history.told == [NO_PROMPT]


def test_what_was_typed_makes_the_next_prompt_news():
    history = serving()
    for _ in range(3):
        history.watch.typed()
        history.edits()
        history.prints(b"(Pdb) ", LINE)
        history.look()
        history.prints(LINE)
        history.look()
    assert history.told == ["(Pdb) "] * 3


def test_it_waits_no_more_once_nobody_sleeps_there():
    history = serving()
    history.edits()
    history.prints(b"(Pdb) ", LINE)
    history.look()
    history.look()
    history.edited, history.thread = False, None
    assert history.watch.waiting
    history.prints(LINE)
    history.look()
    assert not history.watch.waiting


def test_a_signal_that_woke_it_is_no_news():
    history = serving()
    history.edits()
    history.prints(b"(Pdb) ", LINE)
    for _ in range(5):
        history.look()
        history.sleeps()  # the same thread
        history.prints(LINE)
        history.look()
        history.prints(LINE)
    assert history.told == ["(Pdb) "]


def test_what_was_told_in_silence_still_waits_when_others_print():
    history = serving()
    history.edits()
    history.prints(b"(Pdb) ")
    history.watch.told("(Pdb) ")
    for _ in range(3):
        history.prints(LINE)
        history.look()
    assert history.told == []
    assert history.watch.waiting == "(Pdb) "


def test_a_question_by_plain_read_is_told_when_it_was_seen():
    history = serving()
    history.sleeps()
    history.prints(b"Continue? [Y/n] ", LINE)
    history.look()
    history.look()
    assert history.told == ["Continue? [Y/n] "]


def test_a_rule_is_followed_and_nothing_told():
    history = History(rules=["Password: "])
    history.prints(LINE)
    history.look()
    history.edits()
    history.prints(b"Password: ")
    for _ in range(4):
        history.prints(LINE)
        history.look()
    assert history.met == ["Password: "]
    assert history.told == []


@pytest.mark.parametrize(
    "chunks",
    [
        [b"42% ", b"\r43% "],
        [b"\r[####  ]", b"\r[##### ]"],
        [b"loading: ", b"\r\n"],
        [b"ready\r\n", b"press q to quit\r\n"],
        [b"AV: 00:01 (1%)", b"\rAV: 00:02 (2%)"],
        [b"frame: 1 (1%)\r", b"frame: 2 (2%)\r", LINE],
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_who_is_raw_while_it_prints_is_not_at_a_prompt(chunks, alone):
    """Raw from the beginning, and a thread of it asleep at the terminal all the time."""
    history = History(edited=True)
    history.sleeps(alone=alone)
    for _ in range(8):
        history.prints(*chunks)
        history.look()
    assert history.told == []


def test_who_prints_and_reads_keys_in_turn_has_run():
    history = serving()
    history.edited = True
    for _ in range(8):
        history.prints(b"speed: ", b"12 ", LINE)
        history.sleeps()
        history.look()
    assert history.told == []


@pytest.mark.parametrize(("written", "told"), [(7, ["ipdb> "]), (None, []), (UNKNOWN_COUNT, [])])
def test_one_that_only_looks_for_the_size_now_and_then_is_at_its_prompt(written, told):
    """As prompt_toolkit does outside the main thread: it runs, but writes nothing."""
    history = serving()
    history.edited = True
    history.prints(b"ipdb> ")
    for _ in range(4):
        history.sleeps(alone=False, written=written)
        history.prints(LINE)
        history.look()
    assert history.told == told


@pytest.mark.parametrize(
    ("prompt", "timed", "told"),
    [(b"sql> ", False, ["sql> "]), (b"In [1]: ", True, ["In [1]: "]), (b"press q: ", True, [])],
)
def test_a_line_editor_that_prints_the_lines_of_others_above_its_prompt_waits_there(prompt, timed, told):
    """As IPython does, which has timers; who else wakes up by itself may draw anything."""
    history = serving()
    history.edited = True
    for _ in range(4):
        history.prints(b"\r\x1b[K", LINE, prompt)
        history.sleeps(alone=False, timed=timed)
        history.look()
    assert history.told == told


def test_one_that_was_raw_before_has_to_rest():
    history = History(edited=True)
    history.prints(b"loading: ")
    for _ in range(4):
        history.sleeps(written=7)
        history.prints(b"done\r\n")
        history.look()
    assert history.told == []


def test_what_others_ask_for_meanwhile_does_not_take_its_place():
    history = serving()
    history.edits()
    history.prints(b"(Pdb) ", LINE)
    history.look()
    history.prints(b"what is this? ", LINE)
    history.look()
    assert history.told == ["(Pdb) "]


def test_a_bar_that_returns_at_its_end_is_not_overtaken():
    history = serving()
    history.edited = True
    history.sleeps(alone=False)
    for _ in range(4):
        history.prints(b"\x1b[32m(1%)\x1b[m\r", b"\x1b[32m(2%)\x1b[m\r", LINE)
        history.look()
    assert history.told == []


def test_an_event_loop_that_went_raw_is_no_prompt():
    history = serving()
    history.edited = True
    history.sleeps(alone=False)
    for _ in range(8):
        history.prints(LINE)
        history.look()
    assert history.told == []


def test_a_screen_it_draws_itself_is_no_prompt():
    """In two writes, then silence: within a line, as nobody else's line has ended it."""
    history = serving()
    history.edits()
    history.prints(b"top - 12:00:\x1b[m ", b"load\r\nPID:")
    while history.look():
        pass
    assert history.told == []


def test_a_full_screen_program_is_none():
    history = serving()
    history.edits()
    history.is_full_screen = True
    for _ in range(4):
        history.prints(b"(Pdb) ", LINE)
        history.look()
    assert history.told == []


def test_without_output_nobody_looks():
    """Two looks after the last output, also where a thread never rests."""
    history = serving()
    history.edited = True
    history.prints(b"> ", LINE)
    for _ in range(10):
        history.sleeps()
        history.look()
    assert history.looks == 3
    history.watch.close()
    assert not history.look()


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        (LINE + b"Password: " + LINE, ["Password: "]),
        (b"name? " + LINE + LINE, ["name? "]),
        (b"\x1b[1mname?\x1b[0m " + LINE + LINE, ["name? "]),
        (LINE + b"12:30:30 level: debug\r\n" + LINE, []),
        (LINE + b": : :\r\n> ab\r\n" + LINE, []),
        (LINE * 50 + b"(Pdb) WARN\r\n" + LINE * 50, ["(Pdb) "]),
    ],
)
def test_what_is_a_prompt_in_a_read_of_many_lines(chunk, told):
    history = serving()
    history.edits()
    history.prints(chunk)
    while history.look():
        pass
    assert history.told == told
