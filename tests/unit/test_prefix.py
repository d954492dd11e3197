"""One component's bytes to what is shown: prefix, styles closed and reopened, a screen that nobody moves."""

import json
import re
import time

import pyte
import pytest
from examples import examples, flood
from hypothesis import given, settings
from hypothesis import strategies as st
from lateness import cheap
from painting import streamed

from orchestrator.terminal.escapes import LINK_END, RESET, keep_colors, no_escapes, plain
from orchestrator.terminal.line_painter import CUT, JsonPainter, PrefixPainter, PrefixStyle, for_file

COLORS, NO_COLORS, BYTES = PrefixStyle.COLORS, PrefixStyle.NO_COLORS, PrefixStyle.BYTES
PREFIX = b"\x1b[36mweb | \x1b[m"
LINK = b"\x1b]8;;https://example.org/\x1b\\"


def painter(style=COLORS, prefix=b"web | ", stamp=None):
    return PrefixPainter(prefix, style, stamp)


def shown(data, style=COLORS):
    """The lines that are shown of some data, without their prefix, each without its end."""
    lines = streamed(data, len(data), painter(style)).split(b"\n")
    assert lines.pop() == b""
    assert all(line.startswith(b"web | ") for line in lines)
    return [line.removeprefix(b"web | ") for line in lines]


@pytest.mark.parametrize("style", PrefixStyle)
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"  indented\tand tabbed  \r\n", [b"  indented\tand tabbed  "]),
        (b"windows\r\r\n", [b"windows"]),
        (b"unfinished", [b"unfinished"]),
        ("grüße 界 🙂\r\n".encode(), ["grüße 界 🙂".encode()]),
        (b"10%\r20%\r30%\r\n", [b"30%"]),
        (b"x\b\bok\r\n", [b"ok"]),
        (b"\x1b]0;title\x07\x1b[2J\x1b[Hhello\x1b[6n\r\n", [b"hello"]),
        (b"\x1b]0;never ended\r\nnext\r\n", [b"", b"next"]),
    ],
)
def test_plain_lines(data, lines, style):
    assert shown(data, style) == lines


@pytest.mark.parametrize(
    ("style", "line"),
    [
        (COLORS, "a\tb��cd\x1b[31mr\x1b[m".encode()),
        (NO_COLORS, "a\tb��cdr".encode()),
        (BYTES, b"a\tb\xff\xc2\x85c\0dr"),
    ],
)
def test_each_sink_gets_what_it_can_bear(style, line):
    assert shown(b"a\tb\xff\xc2\x85c\0d\x1b[31mr\x1b[m\r\n", style) == [line]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"\x1b[31mred\nstill\x1b[m\nnot\n", [b"\x1b[31mred" + RESET, b"\x1b[31mstill\x1b[m", b"not"]),
        (b"\x1b[1m\x1b[32mx\ny\n", [b"\x1b[1m\x1b[32mx" + RESET, b"\x1b[1m\x1b[32my" + RESET]),
        (b"\x1b[38:2::1:2:3mx\ny\n", [b"\x1b[38:2::1:2:3mx" + RESET, b"\x1b[38:2::1:2:3my" + RESET]),
        (b"\x1b[31mx\x1b[39m\ny\n", [b"\x1b[31mx\x1b[39m", b"y"]),
        (b"\x1b[31mx\n\x1b[32my\n", [b"\x1b[31mx" + RESET, b"\x1b[31m\x1b[32my" + RESET]),
        (b"\x1b[31m10%\r\x1b[m20%\nplain\n", [b"20%", b"plain"]),
        (LINK + b"a\nb" + LINK_END + b"\nc\n", [LINK + b"a" + LINK_END, LINK + b"b" + LINK_END, b"c"]),
    ],
)
def test_a_style_is_closed_at_the_lines_end_and_reopened_on_the_next(data, lines):
    assert shown(data) == lines


def test_a_style_stays_with_its_component():
    red, other = painter(), painter(prefix=b"api | ")
    red.paint(b"\x1b[31mred\n")
    assert other.paint(b"plain\r\n") == b"api | plain\n"
    assert red.paint(b"more\r\n") == b"web | \x1b[31mmore" + RESET + b"\n"


def test_the_time_stands_before_the_prefix():
    at = 1_700_000_000.25
    stamped = painter(BYTES, stamp=lambda: at).paint(b"a\r\nb\x00\r\n").split(b"\n")
    clock = time.strftime("%H:%M:%S", time.localtime(at)).encode() + b".250 "
    assert stamped == [clock + b"web | a", clock + b"web | b\0", b""]


def test_a_motion_to_the_right_ends_at_the_edge_of_the_components_terminal():
    line = b"start\x1b[999C\x1b[5D[ OK ]\n"
    painter = PrefixPainter(b"web | ", PrefixStyle.NO_COLORS, columns=lambda: 40)
    assert painter.paint(line) == b"web | start" + b" " * 29 + b"[ OK ]\n"
    assert painter.paint_tail(line[:-1]) == b"web | start" + b" " * 29 + b"[ OK ]"
    assert painter.paint(b"x" * 50 + b"\x1b[999Cy\n") == b"web | " + b"x" * 50 + b"y\n"  # which wraps there


def test_an_unfinished_line_is_painted_without_a_trace():
    paint = painter()
    for cut_off in (b"", b"\xc3", b"\x1b[3"):
        assert paint.paint_tail(b"\x1b[31mPass" + cut_off) == b"web | \x1b[31mPass" + RESET
    assert paint.paint(b"ok\n") == b"web | ok\n"


# What is too long


@pytest.mark.parametrize("size", [4095, 1 << 20])
def test_a_clipboard_of_a_megabyte_is_not_shown(size):
    data = b"before\x1b]52;c;" + b"QUFB" * 250_000 + b"\x07after\r\nnext\r\n"
    assert streamed(data, size, painter()) == b"web | beforeafter\nweb | next\n"


@pytest.mark.parametrize("style", [COLORS, NO_COLORS])
def test_nor_one_of_ten_megabytes_that_is_cut_in_pieces(style):
    data = b"before\x1b]52;c;" + b"QUFB" * 2_500_000 + b"\x07after\r\nnext\r\n"
    lines = streamed(data, 65_536, painter(style))
    assert b"".join(lines.replace(b"web | ", b"").replace(CUT, b"").split(b"\n")) == b"beforeafternext"


def test_a_line_of_ten_megabytes_is_cut_and_marked_and_complete():
    data = "grün ".encode() * 2_000_000
    lines = streamed(data + b"\r\nnext\r\n", 4095, painter()).split(b"\n")
    assert lines[-2:] == [b"web | next", b""]
    assert len(lines) > 3
    assert lines[0].endswith(CUT)
    assert all(line.startswith(b"web | " + CUT) for line in lines[1:-2])
    assert b"".join(line.removeprefix(b"web | ").replace(CUT, b"") for line in lines[:-2]) == data


@pytest.mark.parametrize(
    "begin",
    [
        b"\x1b]8;;http://" + b"x" * 3900 + b"\x1b\\",
        b"\x1b[" + b"1;" * 120 + b"1m",
        b"".join(b"\x1b[" + b"0" * 200 + b"%dm" % code for code in (1, 3, 4, 5, 7, 8, 9, 31, 41, 51, 53)),
    ],
    ids=["link", "one style", "many styles"],
)
def test_a_kilobyte_that_is_left_open_does_not_become_a_gigabyte(begin):
    """It is reopened on each line; one turn of the loop may bring 30,000 lines."""
    data = begin + b"\r\n" * 30_000
    assert len(streamed(data, 1 << 16, painter())) < 16 << 20


FLOODS = [
    *(
        b"\x1b",
        b"\b",
        b"\x1b[",
        b"a\b",
        b"\r",
        b"a\r",
        b"\x1b[31ma\x1b[39m",
        b"\x1b[K\r",
        b"a\x1b[1K",
        b"\t\r",
        b"a\rb\r\n",
    ),
    *(b"\x1b[1\n", "界\b".encode(), b"a\x1b[@\r", b"\x1b[1000C\r", b"\r\x1b[32m####", b"\x1b[32m|\x1b[0m\b", b"half"),
]


@pytest.mark.parametrize("size", [4095, 1 << 20])
@pytest.mark.parametrize("unit", FLOODS, ids=repr)
def test_a_flood_takes_no_more_than_a_moment(unit, size):
    half = flood(250_000)
    data = b"a" * half + b"\b" * half if unit == b"half" else unit * (2 * half // len(unit))
    cheap(streamed, data + b"\r\n", size, painter())


# Any bytes at all

BITS = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"\b", b"\t", b"\0", b"\xff", b"\xc2\x9b", "é界".encode(), b"word", b"  ", b"\a"),
        *(b"\x1b[31m", b"\x1b[1;44m", b"\x1b[m", b"\x1b[39m", LINK, LINK_END, b"\x1b]0;t\x07", b"\x1b]0;", b"\x1b["),
        *(
            b"\x1b[2J",
            b"\x1b[3A",
            b"\x1b[10;10H",
            b"\x1b[?1049h",
            b"\x1b[4h",
            b"\x1b[2;5r",
            b"\x1bc",
            b"\x1b7",
            b"\x1bM",
        ),
        *(
            b"\x1b[c",
            b"\x1b[6n",
            b"\x1b(0",
            b"\x0e",
            b"\x1b[?7l",
            b"\x1b[20h",
            b"\x1b[5G",
            b"\x1b[K",
            b"\x1bE",
            b"\x1b[3",
        ),
    ]
)
DATA = st.lists(BITS | st.binary(max_size=5), max_size=40).map(b"".join)
SIZES = st.integers(1, 50)


@settings(deadline=None, max_examples=examples(200))
@given(DATA, SIZES, st.sampled_from(PrefixStyle))
def test_any_chunking_shows_the_same(data, size, style):
    assert streamed(data, size, painter(style)) == streamed(data, len(data) or 1, painter(style))


CLEAN = {COLORS: plain, NO_COLORS: plain, BYTES: for_file}


@settings(deadline=None, max_examples=examples(200))
@given(DATA, SIZES, st.sampled_from(PrefixStyle))
def test_without_prefix_and_colors_it_is_the_text_that_was_written(data, size, style):
    """Of a line that does not write over itself: its bytes without sequences and, on a terminal, controls."""
    data = re.sub(rb"\x1b\[\d*Z", b"", data.translate(None, b"\b")).replace(b"\x1b[5G", b"").replace(b"\x1b[K", b"")
    data = re.sub(rb"\r(?!\r*\n)", b"", data + b"\n")
    lines = streamed(data, size, painter(style)).split(b"\n")
    assert len(lines) == data.count(b"\n") + 1
    for line, original in zip(lines[:-1], data.split(b"\n")[:-1], strict=True):
        assert line.startswith(b"web | ")
        if original.isascii():
            assert no_escapes(line.removeprefix(b"web | ")) == CLEAN[style](original.rstrip(b"\r"))


class Witness(pyte.Screen):
    """A terminal that fails when it is asked something, or rung."""

    def write_process_input(self, data):
        pytest.fail(f"it was made to answer {data!r}")

    def bell(self, *_):
        pytest.fail("it was rung")


@settings(deadline=None, max_examples=examples(100))
@given(DATA, SIZES, st.sampled_from([COLORS, NO_COLORS]))
def test_a_terminal_shows_each_line_in_its_row_and_nothing_else_happens_to_it(data, size, style):
    """The tty turns our LF into CR LF. Nothing moves the cursor, sets a mode, asks, rings, or stays colored."""
    prefix = PREFIX if style is COLORS else b"web | "
    lines = streamed(data, size, painter(style, prefix)).split(b"\n")[:-1]
    screen = Witness(600, len(lines) + 1)
    stream = pyte.ByteStream(screen)
    fresh = Witness(600, len(lines) + 1)
    for number, line in enumerate(lines):
        stream.feed(line + b"\r\n")
        assert (screen.cursor.y, screen.cursor.x) == (number + 1, 0)
        assert screen.cursor.attrs == fresh.cursor.attrs
        assert screen.display[number].startswith("web | ")
    assert (screen.mode, screen.margins, screen.title) == (fresh.mode, fresh.margins, fresh.title)
    assert (screen.charset, screen.g0_charset, screen.tabstops) == (fresh.charset, fresh.g0_charset, fresh.tabstops)
    assert (screen.cursor.hidden, screen.savepoints) == (False, [])


@settings(deadline=None, max_examples=examples(100))
@given(DATA)
def test_the_tail_is_the_line_as_it_would_be_shown_now(data):
    line = re.sub(rb"[\n\x1b\x80-\xff]", b"", data)
    assert painter().paint_tail(line) + b"\n" == painter().paint(line + b"\n")
    assert keep_colors(painter().paint_tail(data.replace(b"\n", b""))) == painter().paint_tail(data.replace(b"\n", b""))


# JSON


def test_a_line_is_an_object():
    paint = JsonPainter("web", "web.2", lambda: 1_700_000_000.5)
    first, second = paint.paint(b'\x1b[31m"quoted"\x1b[m \xff\r\n10%\r20%\r\n').splitlines()
    head = {"time": "2023-11-14T22:13:20.500000Z", "component": "web", "instance": "web.2"}
    assert json.loads(first) == {**head, "text": '"quoted" �'}
    assert json.loads(second) == {**head, "text": "20%"}
    assert json.loads(paint.paint_piece(b"x" * 9)) == {**head, "text": "x" * 9, "cut": True}
    assert paint.paint_tail(b"x") == b""


@settings(deadline=None, max_examples=examples(100))
@given(DATA)
def test_any_bytes_are_one_object_a_line(data):
    lines = streamed(data + b"\n", 7, JsonPainter("web", "web", lambda: 0.0)).decode().split("\n")[:-1]
    assert len(lines) == data.count(b"\n") + 1
    assert all(json.loads(line)["component"] == "web" for line in lines)


def test_a_joiner_at_the_end_of_a_line_does_not_reach_the_next_row_of_a_terminal():
    line = "👩\u200d👩\u200d\r\n\x1b[1mé\u200d\r\n".encode()
    assert shown(line) == ["👩\u200d👩".encode(), "\x1b[1mé\x1b[m".encode()]
    assert shown(line, NO_COLORS) == ["👩\u200d👩".encode(), "é".encode()]
    assert shown(line, BYTES) == ["👩\u200d👩\u200d".encode(), "é\u200d".encode()]
    assert shown("a\t👩\u200d\n".encode()) == ["a\t👩".encode()]
