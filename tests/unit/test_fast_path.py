"""The fast path of a painter: it is taken for what programs usually print, and shows what the slow path shows."""

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.terminal.line_painter import PrefixPainter, PrefixStyle

PREFIX = b"web | "


class Careful(PrefixPainter):
    """Takes the slow path always: each line for itself, cleaned and replayed."""

    __slots__ = ()

    def _plain(self, whole):
        return None

    @staticmethod
    def _is_calm(line):
        return False


class Hasty(PrefixPainter):
    """Fails where it cannot take the fast path."""

    __slots__ = ()

    def _line(self, line, *, ends=True):
        raise AssertionError(f"looked at one by one: {line!r}")


USUAL = {
    "CR LF": b"a 1\r\n\r\nb\t2\r\n",
    "LF": b"a 1\n\nb\t2\n",
    "CR CR LF": b"a\r\r\nb\r\n",
    "UTF-8": "grün 界 🙂\r\n".encode(),
    "one color a line": b"\x1b[32mINFO\x1b[0m started\r\nplain\r\n\x1b[31mERROR\x1b[m\r\n",
    "on and off": b"\x1b[32mINFO\x1b[39m \x1b[2mtext\x1b[22m\r\n\x1b[7m\x1b[38;5;9mx\x1b[39m\x1b[27m\r\n",
    "many colors a line": b"\x1b[2m12:00\x1b[0m \x1b[1m\x1b[38;5;208mWARN\x1b[0m - \x1b[1mtext\x1b[0m\r\n",
}


@pytest.mark.parametrize("style", PrefixStyle)
@pytest.mark.parametrize("whole", USUAL.values(), ids=USUAL)
def test_usual_lines_take_the_fast_path(whole, style):
    assert Hasty(PREFIX, style).paint(whole) == Careful(PREFIX, style).paint(whole)


@pytest.mark.parametrize("style", PrefixStyle)
@pytest.mark.parametrize(
    "whole",
    [b"10%\r20%\r\n", b"x\bok\r\n", b"\x1b[2Jhello\r\n", b"\x1b]0;t\x07hello\r\n", b"\x1b\x1b[m[31m\r\n", b"\x1b\n"],
)
def test_what_writes_over_itself_or_moves_is_looked_at(whole, style):
    with pytest.raises(AssertionError, match="one by one"):
        Hasty(PREFIX, style).paint(whole)


@pytest.mark.parametrize(
    ("style", "whole"),
    [
        (PrefixStyle.COLORS, b"\x1b[31mopen\r\nto here\x1b[m\r\n"),
        (PrefixStyle.COLORS, b"\x1b[31mopen\r\n"),
        (PrefixStyle.COLORS, b"\x1b[31mopen\x1b[49m\r\n"),
        (PrefixStyle.COLORS, b"\x1b[31mopen\r\n\x1b[39m\r\n"),
        (PrefixStyle.COLORS, b"\x1b[3mopen\x1b[24m\r\n"),
        (PrefixStyle.COLORS, b"\x1b[1mopen\x1b[24m\r\n"),
        (PrefixStyle.COLORS, b"bell\a\r\n"),
        (PrefixStyle.NO_COLORS, b"bell\a\r\n"),
        (PrefixStyle.COLORS, b"\xff\r\n"),
        (PrefixStyle.NO_COLORS, b"\xc2\x9b2J\r\n"),
    ],
)
def test_a_style_left_open_and_what_a_terminal_cannot_bear_is_looked_at(style, whole):
    with pytest.raises(AssertionError, match="one by one"):
        Hasty(PREFIX, style).paint(whole)


TEXT = st.sampled_from([b"text", b"  ", b"\t", "é界".encode(), b"", b"\a", b"\0", b"\xff", b"\xc2\x9b", b"[m", b"[31m"])
SGR = st.sampled_from([b"\x1b[31m", b"\x1b[1;44m", b"\x1b[38;5;8m", b"\x1b[m", b"\x1b[0m", b"\x1b[39m", b"\x1b[0;31m"])
ON = st.sampled_from([b"31", b"97", b"38;5;8", b"38;2;1;2;3", b"45", b"100", b"1", b"2", b"3", b"4", b"7"])
OFF = st.sampled_from([b"39", b"39", b"49", b"22", b"23", b"24", b"27", b"0"])
OTHER = st.sampled_from(
    [
        *(b"\r", b"\b", b"\x1b", b"\x1b[", b"\x1b[K", b"\x1b[2J", b"\x1b]0;t\x07", b"\x1b]0;", b"\x1b[" + b"1;" * 130),
        *(b"\x1b]8;;http://a/\x1b\\", b"\x1b]8;;\x1b\\", b"\x1b[" + b"0" * 250 + b"m", b"\x1b[" + b"0" * 251 + b"m"),
    ]
)
END = st.sampled_from([b"\n", b"\r\n", b"\r\n", b"\r\r\n"])
RESET = st.sampled_from([b"\x1b[m", b"\x1b[0m"])
PLAIN_LINE = st.tuples(TEXT, TEXT, END).map(b"".join)
CLOSED_LINE = st.tuples(TEXT, SGR, TEXT, SGR, TEXT, RESET, TEXT, END).map(b"".join)
PAIR = st.tuples(ON, TEXT | SGR, OFF).map(lambda pair: b"\x1b[%bm%b\x1b[%bm" % pair)
PAIRS_LINE = st.tuples(st.lists(TEXT | PAIR | PAIR | RESET | SGR, max_size=5).map(b"".join), END).map(b"".join)
ANY_LINE = st.tuples(st.lists(TEXT | SGR | OTHER, max_size=5).map(b"".join), END).map(b"".join)
CHUNK = st.one_of(
    st.lists(PLAIN_LINE, min_size=1, max_size=5),
    st.lists(PLAIN_LINE | CLOSED_LINE, min_size=1, max_size=5),
    st.lists(PLAIN_LINE | PAIRS_LINE, min_size=1, max_size=5),
    st.lists(PLAIN_LINE | CLOSED_LINE | ANY_LINE, min_size=1, max_size=5),
).map(b"".join)


@settings(deadline=None, max_examples=examples(400))
@given(st.lists(CHUNK, max_size=5), st.sampled_from(PrefixStyle))
def test_the_fast_path_shows_what_the_slow_one_shows(chunks, style):
    """One painter for all chunks of a component: what one leaves open the next one has to know."""
    fast, slow = PrefixPainter(PREFIX, style), Careful(PREFIX, style)
    for chunk in chunks:
        assert fast.paint(chunk) == slow.paint(chunk)
        assert fast.paint_tail(b"tail") == slow.paint_tail(b"tail")


@settings(deadline=None, max_examples=examples(300))
@given(CHUNK, st.binary(max_size=8).map(lambda data: data.replace(b"\n", b"")), CHUNK, st.sampled_from(PrefixStyle))
def test_also_around_a_piece_of_a_line_that_was_too_long(before, piece, after, style):
    fast, slow = PrefixPainter(PREFIX, style), Careful(PREFIX, style)
    for painter in (fast, slow):
        painter.paint(before)
        painter.paint_piece(piece)
    assert fast.paint(after) == slow.paint(after)
    assert fast.paint(b"next\r\n") == slow.paint(b"next\r\n")
