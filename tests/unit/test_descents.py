"""A way down and up again over rows that nothing is drawn on is no line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.terminal.cursor import CursorRow
from orchestrator.terminal.redraw import less_descents

PROMPT = b"\x1b[0mIn [1]:\x1b[0m"


@pytest.mark.parametrize(
    ("down", "up"),
    [(b"\r\r\n" * 10 + b"\x1b[0m \b", b"\x1b[10A"), (b"\n" * 3 + b" \b\x1b[0m", b"\x1b[3A"), (b"\r\n \b", b"\x1b[1A")],
)
def test_it_is_a_return_to_the_beginning_of_the_row(down, up):
    chunk = PROMPT + down + up + b"\x1b[8C\x1b[?25h"
    assert less_descents(chunk) == PROMPT + b"\r" + b"\x1b[0m" * down.count(b"\x1b") + b"\x1b[8C\x1b[?25h"
    before, after = CursorRow(24, 80), CursorRow(24, 80)
    before.feed(chunk.replace(b"\n", b"\r\n"))  # in our lines LF is the end of one
    after.feed(less_descents(chunk))
    assert before.position == after.position
    assert before.row_before_cursor == after.row_before_cursor == "In [1]: "


@pytest.mark.parametrize(
    "chunk",
    [
        b"one\r\ntwo \b\x1b[1A",  # something is drawn
        b"one\r\n\r\n \b\x1b[1A",  # it goes up less
        b"one\r\n \b\x1b[2A",  # or more
        b"one\r\n\x1b[1A",
        b"50%\b\b\b51%",
        b"\r" * 100_000 + b"\b",
    ],
)
def test_all_else_stays(chunk):
    assert less_descents(chunk) == chunk


@given(st.binary(max_size=300).map(lambda data: data.replace(b"A", b"a")))
def test_any_bytes_stay(chunk):
    assert less_descents(chunk) == chunk
