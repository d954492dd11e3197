"""Bytes of one terminal to lines: the same lines however they arrive, and never more memory than one line may take."""

import itertools

import pyte
import pytest
from examples import examples, flood
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.terminal.lines import LINE_MAX, LineSplitter, lf_for_crlf
from orchestrator.terminal.row import replay, rewrites


def fed(chunks, splitter=None):
    """What a splitter hands on for these chunks: (whole, piece) pairs, and its last words."""
    splitter = splitter or LineSplitter()
    handed = []
    for chunk in chunks:
        whole = splitter.feed(chunk)
        handed.append((whole, splitter.piece))
        splitter.piece = b""
    return handed, splitter.flush()


def joined(chunks):
    """All whole lines together, unfinished ones included; there must be no pieces."""
    handed, rest = fed(chunks)
    assert not any(piece for _, piece in handed)
    return b"".join(whole for whole, _ in handed) + rest


def cut(data, at):
    """Cut data at these places."""
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize(
    ("chunks", "handed", "rest"),
    [
        ([b"a\r\n"], [b"a\r\n"], b""),
        ([b"a\r\nb"], [b"a\r\n"], b"b\n"),
        ([b"a", b"b", b"\r", b"\n"], [b"", b"", b"", b"ab\r\n"], b""),
        ([b"a\nb\nc"], [b"a\nb\n"], b"c\n"),
        ([b"a\n", b"\n", b"\n\n"], [b"a\n", b"\n", b"\n\n"], b""),
        ([b"a\r\r\n"], [b"a\r\r\n"], b""),
        ([b"\0\xff\xe2\x82", b"\xac\n"], [b"", b"\0\xff\xe2\x82\xac\n"], b""),
        ([b"10%\r20%\r", b"30%\n"], [b"", b"10%\r20%\r30%\n"], b""),
        ([b"", b""], [b"", b""], b""),
    ],
)
def test_lines_are_handed_on_when_they_are_whole(chunks, handed, rest):
    assert fed(chunks) == ([(whole, b"") for whole in handed], rest)


def test_what_is_pending_is_known_and_forgotten_when_flushed():
    splitter = LineSplitter()
    assert (splitter.has_pending, splitter.pending) == (False, b"")
    splitter.feed(b"x\r\nPass")
    splitter.feed(b"word: ")
    assert (splitter.has_pending, splitter.pending) == (True, b"Password: ")
    assert splitter.flush() == b"Password: \n"
    assert (splitter.has_pending, splitter.pending, splitter.flush()) == (False, b"", b"")


LINES = st.lists(st.binary(max_size=20) | st.sampled_from([b"", b"\r", b"\x1b[31m", b"a\b", "é".encode()])).map(
    b"\n".join
)
CUTS = st.lists(st.integers(0, 400), max_size=20)


@settings(deadline=None)
@given(LINES, CUTS)
def test_any_chunking_gives_the_same_lines(data, at):
    assert joined(cut(data + b"\n", at)) == data + b"\n"
    assert joined(cut(data + b"end", at)) == data + b"end\n"


@settings(deadline=None)
@given(LINES, CUTS)
def test_only_whole_lines_are_handed_on(data, at):
    assert all(whole == b"" or whole.endswith(b"\n") for whole, _ in fed(cut(data, at))[0])


# A line without an end


def pieces_of(data, size):
    splitter, pieces = LineSplitter(), []
    for start in range(0, len(data), size):
        assert splitter.feed(data[start : start + size]) == b""
        assert len(splitter.pending) <= LINE_MAX
        pieces.append(splitter.piece)
        splitter.piece = b""
    return [piece for piece in pieces if piece], splitter.flush()


@pytest.mark.parametrize("size", [4095, 65_536])
def test_a_line_that_is_too_long_is_handed_on_in_pieces_and_nothing_is_lost(size):
    data = b"0123456789" * (LINE_MAX // 4)
    pieces, rest = pieces_of(data, size)
    assert len(pieces) >= 2
    assert b"".join(pieces) + rest == data + b"\n"
    assert all(len(piece) <= LINE_MAX + size for piece in pieces)


@pytest.mark.parametrize(
    "unit", ["é", "界", "🙂", "\x1b[38;2;1;2;3mx", "\x1b]8;;http://example.org/\x1b\\x", "\x1b[Kab"]
)
def test_a_piece_ends_between_characters_and_sequences(unit):
    unit = unit.encode()
    pieces, rest = pieces_of(unit * (LINE_MAX // len(unit) + 5000), 4095)
    for piece in pieces:
        assert piece.startswith(unit[:1])
        # Only where a whole unit, or a whole sequence of one, ends.
        tail = piece[len(piece) - len(piece) % len(unit) :] if len(piece) % len(unit) else unit
        assert unit.startswith(tail)
        assert tail[-1:] in (unit[-1:], b"m", b"\\", b"K", b"a")
    assert b"".join(pieces) + rest[:-1] == unit * (LINE_MAX // len(unit) + 5000)


def test_megabytes_of_a_progress_bar_are_one_short_line():
    splitter = LineSplitter()
    bar = b"".join(b"\r\x1b[32m%3d%%\x1b[0m |%s|" % (n % 101, b"#" * (n % 60)) for n in range(5000))
    for _ in range(3 * flood(10)):
        assert splitter.feed(bar) == b""
        assert splitter.piece == b""
        assert len(splitter.pending) < 1 << 16
    assert row_of(splitter.flush()[:-1]) == row_of(bar)


# A row that is written over


WORDS = st.text("abcxyz 0123456789", min_size=1, max_size=12).map(str.encode)
BACK = st.sampled_from([b"\r", b"\b", b"\b\b\b", b"\r\r"])
COUNTS = st.sampled_from([b"", b"0", b"1", b"2", b"7", b"25"])
MOTIONS = st.tuples(COUNTS, st.sampled_from([b"C", b"D", b"G", b"X", b"P", b"@"])).map(
    lambda motion: b"\x1b[%s%s" % motion
)
ERASURES = st.sampled_from([b"\x1b[K", b"\x1b[0K", b"\x1b[1K", b"\x1b[2K", b"\t"])
COLORS = st.sampled_from([b"\x1b[31m", b"\x1b[32m", b"\x1b[1m", b"\x1b[m", b"\x1b[39m", b"\x1b[22m", b"\x1b[0;31m"])
ROWS = st.lists(WORDS | BACK | MOTIONS | ERASURES | COLORS, max_size=30).map(b"".join)


def on_a_terminal(line):
    """A terminal of one very long row, after it was shown the line."""
    screen = pyte.Screen(1200, 1)
    pyte.ByteStream(screen).feed(line)
    return screen


def row_of(line):
    """What a terminal shows: each visible character with its column, color and weight; and the style left open."""
    screen = on_a_terminal(line)
    cells = {at: (cell.data, cell.fg, cell.bold) for at, cell in screen.buffer[0].items() if cell.data.strip()}
    return cells, (screen.cursor.attrs.fg, screen.cursor.attrs.bold)


@settings(deadline=None, max_examples=examples(200))
@given(ROWS)
def test_what_a_row_shows_in_the_end_is_what_a_terminal_shows(line):
    shown = replay(line)
    assert not rewrites(shown)
    assert row_of(shown) == row_of(line)


@settings(deadline=None, max_examples=examples(60))
@given(ROWS, st.integers(1, 60), CUTS, ROWS)
def test_a_long_row_in_any_chunks_is_the_same_row(start, times, at, end):
    """Rows that outgrow the splitter's patience are replaced by what stands on them; nobody may see it."""
    line = start + b"\r" + (end + b"\r") * times + end
    handed, rest = fed(cut(line, [place * max(1, len(line) // 400) for place in at]))
    assert [piece for _, piece in handed if piece] == []
    assert row_of(rest[:-1]) == row_of(line)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"10%\r20%\r100%", b"100%"),
        (b"100%\r5%", b"5%0%"),
        (b"downloading\r\x1b[Kdone", b"done"),
        (b"done\r", b"done"),
        (b"done\r\r\r", b"done"),
        (b"|\b/\b-\b\\", b"\\"),
        (b"\x1b[32m|\x1b[0m\b\x1b[32m/\x1b[0m", b"\x1b[32m/\x1b[m"),
        (b"\x1b[31mred\r\x1b[0mplain", b"plain"),
        (b"\x1b[1m|\x1b[m\b/", b"/"),
        (b"\x1b[K\bx", b"x"),
        (b"_\bw_\bo_\br_\bd", b"word"),
        (b"b\bbo\bol\bld\bd", b"bold"),
        ("界\b\bx".encode(), b"x "),
        (b"\b\b\bx", b"x"),
        (b"a\x1b[2Kb", b" b"),
    ],
)
def test_rows_people_know(line, shown):
    assert replay(line) == shown


@given(st.lists(st.sampled_from([b"a", b"\r\n", b"\n", b"\r", b"\xff"])).map(b"".join))
def test_lf_stands_for_crlf_where_nothing_else_has_a_cr_or_an_lf(chunk):
    others = chunk.replace(b"\r\n", b"")
    as_ever = not (b"\r" in others or b"\n" in others)
    assert lf_for_crlf(chunk) == (chunk.replace(b"\r\n", b"\n") if as_ever else chunk)
