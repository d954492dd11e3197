"""Widths in columns, and what follows: padding, and tabs that keep the columns that the component gave them."""

import pyte
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.terminal.escapes import plain
from orchestrator.terminal.line_painter import PrefixPainter, PrefixStyle
from orchestrator.terminal.width import expand_tabs, padded, width


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("web", 3), ("日本", 4), ("e\u0301", 1), ("a\u200bb", 2), ("ﬁ", 1), ("한", 2), ("🙂", 2)],
)
def test_widths(text, columns):
    assert width(text) == columns
    assert padded(text, 5) == text + " " * (5 - columns)


TEXT = st.lists(st.sampled_from([b"a", b"abc", b"\t", b"\t", "日本é".encode(), b"\x1b[31m", b"\x1b[m", b"longer text"]))


@settings(deadline=None, max_examples=examples(300))
@given(TEXT, TEXT)
def test_tabs_reach_the_columns_that_they_reach_in_a_terminal_of_its_own(first, second):
    written = b"".join((*first, b"\n", *second))
    screen = pyte.Screen(500, 3)
    pyte.ByteStream(screen).feed(written.replace(b"\n", b"\r\n"))
    for row, line in zip(screen.display, expand_tabs(written).split(b"\n"), strict=False):
        assert "".join(row).rstrip() == plain(line).decode().rstrip()


@pytest.mark.parametrize(
    "line", [b"a\tX", b"abc\tX", b"\x1b[31mab\tX\x1b[m", "日本\tX".encode(), b"abcd\b\tX", b"a\aa\tX"]
)
def test_tabs_are_expanded_for_a_terminal_only(line):
    for style in (PrefixStyle.COLORS, PrefixStyle.NO_COLORS):
        one = PrefixPainter(b"web | ", style, expand_tabs=True)
        for shown in (one.paint(line + b"\n"), one.paint_tail(line)):
            assert plain(shown).index(b"X") - shown.count("日".encode()) * 2 == len(b"web | ") + 8
    for style in (PrefixStyle.COLORS, PrefixStyle.BYTES):
        if b"\b" not in line:
            assert b"\t" in PrefixPainter(b"web | ", style).paint(line + b"\n")


def test_in_a_terminal_and_a_pipe(pipeline):
    written = b"a\tX\nabc\tX\n\x1b[32mab\x1b[m\tX\n"
    assert [row.index("X") for row in pipeline().show(written).rows()] == [len("web         | ") + 8] * 3
    for style in (None, PrefixStyle.COLORS):
        one = pipeline("pipe", style=style).show(written)
        assert bytes(one.out).count(b"\t") == 3
        assert one.log() == written
