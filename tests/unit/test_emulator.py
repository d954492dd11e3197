"""A whole screen from bytes: exact small cases, and anything at all."""

import re

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.terminal.emulator import Emulator
from orchestrator.terminal.screen_cells import BLANK, as_json, row_ansi, row_text

COLUMNS, LINES = 20, 6
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def shown(data, columns=COLUMNS, lines=LINES, **more):
    emulator = Emulator(columns, lines, **more)
    emulator.feed(data if isinstance(data, bytes) else data.encode())
    return emulator


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("hello\r\nworld", "hello\nworld\n"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrst\nuvwxyz\n"),
        ("\x1b[?7labcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrsz\n"),
        ("a\x1b[3b|", "aaaa|\n"),
        ("abcdef\x1b[3G\x1b[2X", "ab  ef\n"),
        ("abcdef\x1b[3G\x1b[2P", "abef\n"),
        ("abcdef\x1b[3G\x1b[2@", "ab  cdef\n"),
        ("\x1b7ab\x1b8X", "Xb\n"),
        ("\x1b[5;5H\x1b[sx\x1b[H\x1b[uy", "\n\n\n\n    y\n"),
        ("\x1b[2;4r\x1b[4;1Ha\r\nb\r\nc\r\nd", "\nb\nc\nd\n"),
        ("1\r\n2\r\n3\r\n4\x1b[2S", "3\n4\n"),
        ("1\r\n2\x1b[2T", "\n\n1\n2\n"),
        ("1\r\n2\r\n3\x1b[2;1H\x1b[L", "1\n\n2\n3\n"),
        ("1\r\n2\r\n3\x1b[2;1H\x1b[M", "1\n3\n"),
        ("\x1b(0lqk\x1b(Blqk", "┌─┐lqk\n"),
        ("\x1b)0\x0elqk\x0flqk", "┌─┐lqk\n"),
        ("one\r\n\x1b[?1049hALT\x1b[5;5H\x1b[?1049lback", "one\nback\n"),
        ("one\x1b[?1049hALT", "   ALT\n"),
        ("日本e\u0301x", "日本e\u0301x\n"),
        ("日本\x1b[1;2Hx", " x本\n"),
        ("日本\x1b[1;1Hx", "x 本\n"),
        ("\x1b[1;20H日", "\n日\n"),
        ("\x1bPdcs\x1b\\a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\x1bktitle\x1b\\d", "abcd\n"),
        ("a\x1b[!pb\x1b[>4;2mc\x1b[=1ud\x1b[?1;2me\x1b[4:3mf\x1b[$yg\x1b Fh\x1b*Bi", "abcdefghi\n"),
        ("a\x1b[3\x18b\x1b[\x1b[Cc", "ab c\n"),
        ("ab\x1b[2\rC", "ab\n"),
        ("a\x9b3Cb\x07c\x00d\x7fe", "abcde\n"),
        ("a\x1b]0;" + "x" * 10000 + "\x07b", "ab\n"),
        ("a\x1bP" + "x" * 10000 + "\x1b\\b", "ab\n"),
        ("a\x1b[" + "1;" * 10000 + "mb", "ab\n"),
        ("a" * 19 + "\tb\x1b[99999999999999999999Cc", "a" * 19 + "c\n"),
        ("a\tb\x1b[2Zc", "c       b\n"),
        ("x\x1bcy", "y\n"),
    ],
)
def test_text(data, text):
    if isinstance(data, str):
        data = data.encode("latin-1") if "\x9b" in data else data.encode()
    found = shown(data).screen().text().replace("\ufffd3C", "").replace("b\ufffd", "b")
    assert found == text


def test_styles():
    row = shown("\x1b[1;2;3;4;5;7;8;9;31;44mA\x1b[22;23;24;25;27;28;29;39;49mB\x1b[38;5;200;48;2;1;2;3mC"
                "\x1b[38:2::9:8:7mD\x1b[0;97;100mE\x1b[38;5mF\x1b[mG").row(0)  # fmt: skip
    a, b, c, d, e, _, g = row[:7]
    assert a == ("A", "1", "4", *[True] * 8)
    assert b == BLANK._replace(data="B")
    assert (c.fg, c.bg) == ("200", "#010203")
    assert (d.fg, d.bg) == ("#090807", "#010203")
    assert (e.fg, e.bg) == ("15", "8")
    assert g == BLANK._replace(data="G")
    again = shown(row_ansi(row, whole=True)).row(0)
    assert again == row


def test_what_is_erased_has_the_background_alone():
    emulator = shown("\x1b[4;7;44mab\x1b[K")
    assert emulator.row(0)[5] == BLANK._replace(bg="4")


def test_cursor_title_and_modes():
    emulator = shown("\x1b[?25l\x1b[?2004h\x1b[?1049h\x1b]2;a title\x1b\\\x1b[3;4H")
    screen = emulator.screen()
    assert (screen.x, screen.y, screen.is_cursor_visible, screen.title) == (3, 2, False, "a title")
    assert screen.is_alternate
    assert 2004 in screen.modes
    found = as_json(screen)
    assert (found["cursor"], found["columns"], found["lines"]) == ({"x": 3, "y": 2, "visible": False}, 20, 6)


def test_rows_that_scroll_off_are_kept():
    emulator = shown("".join(f"{n}\r\n" for n in range(20)), scrollback=10)
    assert [row_text(row) for row in emulator.scrollback] == [str(n) for n in range(5, 15)]
    emulator.feed(b"\x1b[3J")
    assert emulator.scrollback == ()


def test_a_resize_keeps_the_row_of_the_cursor():
    emulator = shown("1\r\n2\r\n3\r\n4\r\n5")
    emulator.resize(10, 3)
    assert emulator.screen().text() == "3\n4\n5\n"
    assert emulator.cursor == (1, 2)
    emulator.resize(30, 5)
    emulator.feed(b"\r\n6")
    assert emulator.screen().text() == "3\n4\n5\n6\n"
    assert len(emulator.row(0)) == 30
    emulator = shown("a\r\nb\x1b[?1049hALT")
    emulator.resize(10, 3)
    emulator.feed(b"\x1b[?1049lc")
    assert emulator.screen().text() == "a\nbc\n"


def test_changed_rows():
    emulator = shown("a\r\nb")
    emulator.take_changed()
    emulator.feed(b"c\x1b[5;1Hx")
    assert emulator.take_changed() == {1, 4}
    assert emulator.take_changed() == set()


PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b", b"\r\n", b"\x1b[?1049h", b"\x1b[?1049l", "日".encode(), b"\t"]
    ),
    st.builds(
        lambda p, n, f: b"\x1b[%b%b%c" % (p, n, f),
        st.sampled_from([b"", b"?", b">", b"!"]),
        st.from_regex(rb"[0-9;:]{0,6}", fullmatch=True),
        st.integers(0x40, 0x7E),
    ),
)


@given(st.lists(PIECES, max_size=30), st.data())
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_in_any_chunks_and_sizes(pieces, data):
    columns, lines = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 6))
    whole = b"".join(pieces)
    emulator = shown(whole, columns, lines, scrollback=3)
    cut = data.draw(st.integers(0, len(whole)))
    chunked = shown(whole[:cut], columns, lines, scrollback=3)
    chunked.feed(whole[cut:])
    assert chunked.screen() == emulator.screen()
    emulator.resize(data.draw(st.integers(1, 12)), data.draw(st.integers(1, 6)))
    emulator.feed(whole)
    screen = emulator.screen()
    assert [len(row) for row in screen.rows] == [emulator.columns] * emulator.lines
    assert 0 <= screen.x < emulator.columns
    assert 0 <= screen.y < emulator.lines
    for row in screen.rows:
        assert all(not CONTROL.search(cell.data) for cell in row), row
