"""Text that is positioned instead of written: which line it belongs to, and what belongs to none."""

import re

import pyte
import pytest
from examples import examples, flood
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lateness import cheap

from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.redraw import ROWS_MAX
from orchestrator.terminal.row import replay
from orchestrator.terminal.row_motions import BLANK_MAX
from orchestrator.terminal.row_splitter import RowSplitter


def handed_on(chunks):
    splitter, out = RowSplitter(), b""
    for chunk in chunks:
        out += splitter.feed(chunk, out)
    return out + splitter.flush()


def lines(*chunks):
    return [
        no_escapes(replay(line)).decode("utf-8", "replace").rstrip() for line in handed_on(chunks).split(b"\n")[:-1]
    ]


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


MOTIONS = {
    "CUP": (b"\x1b[5;1H", 0),
    "CUP to a column": (b"\x1b[5;10H", 9),
    "CUP home": (b"\x1b[H", 0),
    "HVP": (b"\x1b[5;3f", 2),
    "VPA": (b"\x1b[5d", 3),
    "VPR": (b"\x1b[2e", 3),
    "CUD": (b"\x1b[B", 3),
    "CUU": (b"\x1b[2A", 3),
    "CNL": (b"\x1b[2E", 0),
    "NEL": (b"\x1bE", 0),
    "IND": (b"\x1bD", 3),
    "RI": (b"\x1bM", 3),
    "VT": (b"\v", 3),
    "FF": (b"\f", 3),
    "clear": (b"\x1b[H\x1b[2J\x1b[3J", 0),
    "reset": (b"\x1bc", 0),
    "restore what was never saved": (b"\x1b8", 0),
    "alternate screen 47": (b"\x1b[?47hx\x1b[?47l", 0),
    "alternate screen 1047": (b"\x1b[?1047hx\x1b[?1047l", 0),
}


@pytest.mark.parametrize(("motion", "column"), MOTIONS.values(), ids=MOTIONS)
def test_a_motion_to_another_row_ends_the_line(motion, column):
    assert lines(b"top" + motion + b"down\r\n") == ["top", " " * column + "down"]
    assert lines(motion + b"down\r\n")[-1].lstrip() == "down"
    assert lines(b"top\r\n" + motion + b"\x1b[m\r\n")[0] == "top"
    assert [line for line in lines(b"\x1b[31mtop" + motion + b"\x1b[K") if line] == ["top"]


def test_a_motion_within_the_row_does_not():
    assert lines(b"\x1b[3;1Hname\x1b[3;9Hvalue\x1b[4;1Hother\x1b[3;1Hagain\r\n") == ["name    value", "other", "again"]


SAVES = [(b"\x1b7", b"\x1b8"), (b"\x1b[s", b"\x1b[u"), (b"\x1b[?1048h", b"\x1b[?1048l")]


@pytest.mark.parametrize(("save", "restore"), SAVES)
@pytest.mark.parametrize("motion", [b"\x1b[24;1H", b"\x1b[24d", b"\x1b[9B", b"\x1b[2;5f\x1b[K"])
def test_a_status_row_is_not_written_into_the_line(save, restore, motion):
    status = save + motion + b"\x1b[42mstatus\x1b[m\r\n50%" + restore
    assert lines(b"one " + status + b"line\r\n" + status + b"two" + status + b"\r\n") == ["one line", "two"]


@pytest.mark.parametrize(("save", "restore"), SAVES)
def test_a_saved_cursor_within_the_row(save, restore):
    assert lines(b"ab" + save + b"cd" + restore + b"X\r\n") == ["abXd"]
    assert lines(save + b"1" + restore + b"2" + restore + b"3\r\n") == ["3"]


@pytest.mark.parametrize(("save", "restore"), SAVES)
def test_rows_that_are_drawn_again_from_a_saved_cursor(save, restore):
    drawn = b"".join(restore * (n > 0) + b"a %d\r\nb %d\r\n" % (n, n) for n in range(4))
    assert lines(save + drawn + b"done\r\n") == ["a 0", "b 0", "a 3", "b 3", "done"]


def test_a_cursor_that_is_saved_and_never_restored_hides_nothing():
    body = b"".join(b"%d\r\n" % n for n in range(3 * ROWS_MAX))
    assert lines(b"\x1b[s\x1b[5;1Hone\r\ntwo" + b"\x1b[9;1H" + body) == ["one", "two", *map(str, range(3 * ROWS_MAX))]
    assert lines(b"\x1b7\x1b[9;1H" + b"x" * 9000 + b"\x1b8y\r\n")[0] == "x" * 9000


@pytest.mark.parametrize("clear", [b"\x1b[1;1H\x1b[0J", b"\x1b[H\x1b[J", b"\x1b[2J\x1b[3J\x1b[H", b"\x1bc", b"\x1b[2J"])
@pytest.mark.parametrize("blank", [b"\r\n", b"\n"])
def test_blank_rows_that_a_clear_takes_back_are_not_shown(clear, blank):
    """As Vite clears: rows - 2 newlines, home, erase below."""
    assert lines(b"old\r\n" + blank * 39 + clear + b"\x1b[32mready\x1b[m\r\n\r\nurl\r\n") == ["old", "ready", "", "url"]
    assert lines(blank * 39 + clear + b"ready\r\n") == ["ready"]


def test_blank_rows_that_are_only_made_room_for_are_not_shown():
    assert lines(b"question\r\n" + b"\r\n" * 3 + b"\x1b[3A" + b"a\r\nb\r\n") == ["question", "a", "b"]
    assert lines(b"question\r\n" + b"\r\n" * 3 + b"\x1b[F" + b"a\r\n") == ["question", "", "", "a"]
    assert lines(b"one 1\r\n\r\n\r\n\x1b[3A\x1b[Kone 2\r\n") == ["one 1", "one 2"]


def test_other_blank_rows_are_shown_once_something_follows():
    splitter = RowSplitter()
    assert splitter.feed(b"one\n\n\n") == b"one\n"
    assert splitter.holds
    assert splitter.settle() == b"\n\n"
    assert not splitter.holds
    assert splitter.feed(b"\n") == b""
    assert splitter.feed(b"two\n") == b"\ntwo\n"
    assert splitter.feed(b"\n" * 3 * BLANK_MAX).count(b"\n") > BLANK_MAX


def test_text_drawn_after_a_save_is_shown_when_it_rests():
    splitter = RowSplitter()
    assert splitter.feed(b"one\x1b7\x1b[9;1Hquestion? ") == b""
    assert splitter.holds
    assert splitter.settle() == b"one\n"
    assert splitter.pending == b"question? "


SCREENS = {
    "1049": (b"\x1b[?1049h", b"\x1b[?1049l"),
    "1049 among others": (b"\x1b[?1;1049;25h", b"\x1b[?25;1049l"),
    "47 with a saved cursor": (b"\x1b7\x1b[?47h", b"\x1b[2J\x1b[?47l\x1b8"),
    "1047 with a saved cursor": (b"\x1b[?1048h\x1b[?1047h", b"\x1b[?1047l\x1b[?1048l"),
}
DRAWN = b"\x1b[2J\x1b[1;1Hrow 1\x1b[2;1Hval 1\r\nx\n\n\x1b7\x1b[9Ay\x1b8\x1b(0qqq\x1b(B\x1b[5b\x1b[3;1Hval 3"


@pytest.mark.parametrize(("enter", "leave"), SCREENS.values(), ids=SCREENS)
def test_what_is_drawn_on_the_alternate_screen_never_reaches_the_stream(enter, leave):
    assert lines(b"be" + enter + DRAWN + leave + b"fore\r\nafter\r\n") == ["before", "after"]
    assert lines(b"before\r\n" + enter + DRAWN) == ["before"]


def test_nor_what_a_program_draws_that_has_the_whole_screen_as_top_has():
    drawn = b"\x1b[?1h\x1b=\x1b[?25l\x1b[H\x1b[2Jtop\r\nload\r\n\x1b[Htop\r\n\x1b[?1l\x1b>\x1b[24;1H\r\n\x1b[?25h"
    assert lines(b"before\r\n" + drawn + b"after\r\n") == ["before", "after"]
    assert lines(b"\x1b[?25l| 1\r\x1b[?25h/ 2\r\n\x1b=\x1b>keys\r\n") == ["/ 2", "keys"]


def test_a_full_screen_program_is_noticed_when_it_begins():
    splitter = RowSplitter()
    splitter.feed(b"x\x1b[?1049")
    assert not splitter.took_screen
    splitter.feed(b"hy")
    assert splitter.took_screen
    assert splitter.full_screen
    assert splitter.pending == b"x"
    splitter.feed(b"\x1bc")
    assert not splitter.full_screen


def test_line_drawing_becomes_unicode():
    assert lines(b"\x1b(0lqqqk\x1b(B lqk\r\n") == ["┌───┐ lqk"]
    assert lines(b"\x1b)0\x0elqk\x0f lqk\r\n\x0e\x1b[31mmqj\x1b[m", b"\r\n", b"x\x0fx") == ["┌─┐ lqk", "└─┘", "│x"]
    assert lines(b"\x1b(0x\r\nx\x1b[!px\r\n") == ["│", "│x"]
    assert lines(b"\x1b[1m\x1b(B\x1b[mq\x0f\r\n") == ["q"]


@pytest.mark.parametrize("begun", [b"\x1b", b"\x1b[?25", b"\x1b[1;", b"\x1b(", b"\x1b]0;title", b"\x1bPq"])
@pytest.mark.parametrize("motion", [b"\x1b[5;1H", b"\x1b7", b"\x1b[1G", b"\x1b[m"])
def test_a_sequence_that_another_one_cuts_off_is_dropped(begun, motion):
    for written in (begun + motion + b"text\r\n", begun + begun + motion + b"text\r\n"):
        assert lines(written) == lines(*cut(written, 1)) == ["text"]


def test_a_character_is_repeated():
    assert lines(b"a-\x1b[5b|\r\n") == ["a------|"]
    assert lines("界".encode() + b"\x1b[2b\r\n\x1b(0q\x1b[m\x1b[3b\x1b(B\r\n") == ["界界界", "────"]
    assert lines("e\u0301\x1b[2b\r\n".encode()) == ["e\u0301" * 3]
    assert lines(b"\x1b[5bx\r\n\r\n\x1b[5by") == ["x", "", "y"]
    assert len(lines(b"x\x1b[999999b" * 50)[0]) < 10_000


WORDS = st.integers(0, 10**6).map(lambda number: b"<%d>" % number)
ROWS = st.sampled_from(
    [
        *(b"\x1b[91;4H", b"\x1b[92;1f", b"\x1b[90d", b"\x1b[2B", b"\x1b[3A", b"\x1bE", b"\x1bD", b"\x1bM", b"\v"),
        *(b"\f", b"\x1b[E", b"\x1b[2F", b"\r\n", b"\r\n\r\n", b"\x1b[H"),
    ]
)
WITHIN = st.sampled_from([b"\x1b[5C", b"\t", b" ", b"\x1b[31m", b"\x1b[m"])
OTHERS = st.sampled_from(
    [
        *(b"\x1b7", b"\x1b8", b"\x1b[s", b"\x1b[u"),
        *(b"\r", b"\x1b[K", b"\x1b[2K", b"\x1b[J", b"\x1b[1J", b"\x1b[2J", b"\x1b[H\x1b[J", b"\n", b"\b", b"\x1b[9D"),
        *(b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?47h", b"\x1b[?47l", b"\x1b[?25l", b"\x1b[?25h", b"\x1b=", b"\x1b>"),
        *(b"\x1b(0", b"\x1b(B", b"\x1b)0", b"\x0e", b"\x0f", b"\x1b[3b", b"\x1b]0;t\x07", b"\x1b]8;;u\x1b\\", b"\x1bc"),
        *(
            b"\xff",
            "é界".encode(),
            b"\r\r\n",
            b"\x1b[L",
            b"\x1b[2;9r",
            b"\x18",
            b"lqk",
            b"\x1b[?25",
            b"\x1b]2;t",
            b"\x1b]2;t\x1b\\",
            b"\x1b[38:2::1:2:3m",
            b"\x1b[999C",
            b"\x9b2J",
            "e\u0301\u0085".encode(),
        ),
    ]
)


@settings(max_examples=examples(1000), deadline=None)
@given(st.lists(WORDS | ROWS | WITHIN | OTHERS, max_size=25), st.integers(1, 12))
@example([b"<0>", b"\x1b[91;4H", b"\x1b[31m", b"\r\n\r\n", b"\x1b[3A", b"<0>"], 1)
@example([b"\x1bE", b"\x0e", b"\x1b[3A", b"<0>"], 1)
@example([b"<0>", b"\r\n\r\n", b"\x1b[J", b"\x1bM", b"<1>"], 1)
@example([b"\x1b[s", b"<0>", b"\x1bE", b"\x1b[u", b"\x1b[91;4H", b"\x1b[31m", b"\r\n\r\n"], 1)
@example([b"\x0e", b"\x1b)0", b"lqk", b"\x1b[H", b"\x1b[999C", b"\x1b[9D", b"<0>"], 1)
def test_any_chunking_gives_the_same_lines(bits, size):
    written = b"".join(bits)
    assert "\n".join(lines(*cut(written, size))).rstrip() == "\n".join(lines(written)).rstrip()


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(WORDS | ROWS.filter(lambda bit: bit != b"\x1b[H") | WITHIN, max_size=25))
def test_words_of_two_rows_never_share_a_line(bits):
    """In the middle of a terminal of 300 rows, where nothing scrolls and no motion is cut short by its first row; each
    word is written once."""
    screen = pyte.Screen(400, 300)
    stream = pyte.ByteStream(screen)
    rows, written, size = {}, b"above\r\n" * 90, 0
    stream.feed(written)
    for bit in bits:
        if bit.startswith(b"<"):
            bit = b"<%d>" % size
            rows[size] = screen.cursor.y
            size += 1
        written += bit
        stream.feed(bit)
    for line in lines(written):
        assert len({rows[int(word)] for word in re.findall(r"<(\d+)>", line)}) < 2, (line, rows)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            b"\x1b[H",
            b"\x1b[9;999Hx",
            b"\x1b7\x1b[5;1Hx",
            b"\x1b7\x1b[5;1Hx\x1b8",
            b"\x1b[u",
            b"\x1b[sa\r\n\x1b[u",
            b"\v",
        ),
        *(b"x\x1b[2J", b"\n\x1b[A", b"\x1b[?1049hx\x1b[?1049l", b"\x1b(0q\x1b(B", b"x\x1b[999b", b"\x1bMx", b"\x1bEx"),
        *(b"\x1b[?25l", b"\x1b[", b"\x1b]", b"\r\r\n", b"\x0e\x0f"),
    ],
    ids=repr,
)
def test_a_flood_of_motions_takes_no_more_than_a_moment(unit):
    written = unit * (flood(100_000) // len(unit))

    def feed():
        splitter = RowSplitter()
        for chunk in cut(written, 20_475):
            splitter.feed(chunk, b"line\n" * 1000)
            splitter.overwritten.clear()
        assert len(splitter.pending) <= 100_000

    cheap(feed)
