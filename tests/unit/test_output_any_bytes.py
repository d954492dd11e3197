"""For any bytes in any chunks: the same lines, the text as it was written, rows as a terminal of its own shows them."""

import re

import pyte
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_output_escapes import LEFT, PREFIX, painted

from orchestrator.terminal import escapes
from orchestrator.terminal.line_painter import PrefixPainter, PrefixStyle
from orchestrator.terminal.lines import LineSplitter

BAD = "�"
PIECES = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"\x08",
        b"\t",
        b"\x00",
        b"\x9b",
        b"\xc2\x9b",
        "é".encode(),
        "日".encode(),
        b"\xe6\x97",
        b"a",
        b"word ",
        b"\x7f",
        b"e\xcc\x81",
        b"\x1b",
        b"\x1b[",
        b"\x1b[31m",
        b"\x1b[0m",
        b"\x1b[K",
        b"\x1b[2K",
        b"\x1b[1G",
        b"\x1b[2D",
        b"\x1b[1C",
        b"\x1b[1P",
        b"\x1b]8;;http://x\x1b\\",
        b"\x1b]8;;\x07",
        b"\x1b]0;t",
        b"\x07",
        b"\x1b\\",
        b"\x1b[38;5;1m",
        b"\x1bP",
        b";",
        b"m",
        b"5",
    ]
)
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=60).map(b"".join))


@given(BYTES, st.lists(st.integers(1, 40), max_size=12), st.sampled_from(PrefixStyle))
@example(b"\x1b]0;\x1b", [1], PrefixStyle.COLORS)
@settings(max_examples=examples(400), deadline=None)
def test_any_chunking_gives_the_same_lines(written, cuts, style):
    splitter, painter, shown = LineSplitter(), PrefixPainter(PREFIX, style), []
    position = 0
    for cut in [*cuts, len(written)]:
        if whole := splitter.feed(written[position : position + cut]):
            shown.append(painter.paint(whole))
        painter.paint_tail(splitter.pending)
        position += cut
        if cut % 3 == 0:
            splitter.compact()
    if rest := splitter.flush():
        shown.append(painter.paint(rest))
    assert escapes.no_escapes(b"".join(shown)) == escapes.no_escapes(painted(written, style=style))


@given(BYTES)
@settings(max_examples=examples(400), deadline=None)
def test_stripped_of_prefix_and_allowed_escapes_the_screen_is_the_text(written):
    """The text, for bytes without rewrites: what is left without sequences and controls, its UTF-8 mended."""
    written += b"\n"
    shown = painted(written)
    assert shown.count(b"\n") == written.count(b"\n")
    lines = [LEFT.sub(b"", line.removeprefix(PREFIX)) for line in shown.split(b"\n")[:-1]]
    for line in lines:
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line), line
        assert not escapes.C1.search(line.decode())
    if not re.search(rb"[\r\x08\x1b]", written):
        text = [
            re.sub(rb"[\x00-\x08\x0b-\x1f\x7f]", b"", line).decode("utf-8", "replace") for line in written.split(b"\n")
        ]
        assert [line.decode() for line in lines] == [re.sub("[\x80-\x9f]", BAD, line) for line in text[: len(lines)]]


ON_A_ROW = st.sampled_from(
    [
        b"a",
        b"xyz",
        b"\r",
        b"\r",
        b"\x08",
        b"\x08\x08",
        "é".encode(),
        b" ",
        b"\x1b[K",
        b"\x1b[1K",
        b"\x1b[2K",
        b"\x1b[2C",
        b"\x1b[3D",
        b"\x1b[4G",
        b"\x1b[2P",
        b"\x1b[2@",
        b"\x1b[2X",
        b"\x1b[31m",
        b"\x1b[m",
        b"\t",
    ]
)


@given(st.lists(ON_A_ROW, max_size=40).map(b"".join), st.sets(st.integers(0, 100), max_size=3))
@settings(max_examples=examples(400), deadline=None)
def test_a_rewritten_row_is_what_a_terminal_of_its_own_shows(written, compactions):
    """By pyte, which knows no half of a wide character: those are in test_output_faithful."""
    own = pyte.Screen(200, 1)
    pyte.ByteStream(own).feed(written)
    splitter = LineSplitter()
    for position in range(len(written)):
        splitter.feed(written[position : position + 1])
        if position in compactions:
            splitter.compact()
    shown = painted(splitter.flush()).removeprefix(PREFIX)
    merged = pyte.Screen(200, 1)
    pyte.ByteStream(merged).feed(shown.rstrip(b"\n"))
    assert merged.display[0].rstrip() == own.display[0].rstrip()
