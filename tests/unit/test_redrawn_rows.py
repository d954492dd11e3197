"""Rows that are redrawn by moving up: what stands in the end is handed on, not each state; and nothing is lost."""

import re

import pyte
import pytest
from examples import examples, flood
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lateness import cheap

from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.row import replay
from orchestrator.terminal.row_splitter import RowSplitter


def handed_on(chunks, above=b""):
    splitter, out = RowSplitter(), []
    for chunk in chunks:
        out.append(splitter.feed(chunk, above + b"".join(out)))
        assert not splitter.piece
    out.append(splitter.flush())
    return b"".join(out)


def lines(data):
    return [no_escapes(replay(line)).decode().rstrip() for line in data.split(b"\n")[:-1]]


def nested(steps=5):
    """As tqdm draws a bar below a bar."""
    yield b"\router 0"
    for outer in range(1, 3):
        for inner in range(steps):
            yield from (b"\r\n", b"\rinner %d" % inner, b"\x1b[A")
        yield b"\router %d" % outer
    yield from (b"\r\n", b"\r       ", b"\r\x1b[A", b"\r\n", b"done\r\n")


def layers(steps=5):
    """As docker pulls: up to a row, erased and written, and down again."""
    yield b"layer 0: waiting\r\nlayer 1: waiting\r\n"
    for step in range(steps):
        for layer in range(2):
            up = 2 - layer
            yield b"\x1b[%dA\x1b[2K\rlayer %d: %d%%\r\x1b[%dB" % (up, layer, step, up)
    yield b"\x1b[2A\x1b[2K\rlayer 0: pulled\r\x1b[2BStatus: done\r\n"


def whole(steps=5):
    """As docker compose: all rows, from the first on."""
    for step in range(steps):
        yield (b"\x1b[2A" if step else b"") + b"running %d\r\n  web %d\x1b[K\r\n" % (step, step)
    yield b"done\r\n"


def hidden(steps=5):
    """The same, with a cursor that is hidden while it draws: what stands before the motion is no text."""
    for step in range(steps):
        yield (b"\x1b[2A" if step else b"") + b"\x1b[?25lrunning %d\r\n  web %d\x1b[K\r\n\x1b[?25h" % (step, step)
    yield b"done\r\n"


def live(steps=5):
    """As rich: row by row upward, erased; between them a line that stays."""
    yield b"A 0\r\nB 0"
    for step in range(1, steps):
        yield b"\r\x1b[2K\x1b[1A\x1b[2KA %d\r\nB %d" % (step, step)
    yield b"\r\x1b[2K\x1b[1A\x1b[2Khalfway\r\nA 9\r\nB 9"
    yield b"\r\x1b[2K\x1b[1A\x1b[2KA 10\r\nB 10\r\ndone\r\n"


PRODUCERS = {
    "tqdm": (nested, ["outer 2", "done"]),
    "docker": (layers, ["layer 0: waiting", "layer 1: waiting", "layer 0: pulled", "layer 1: 4%", "Status: done"]),
    "compose": (whole, ["running 0", "  web 0", "running 1", "  web 1", "running 4", "  web 4", "done"]),
    "hidden": (hidden, ["running 0", "  web 0", "running 1", "  web 1", "running 4", "  web 4", "done"]),
    "rich": (live, ["A 0", "halfway", "A 9", "A 10", "B 10", "done"]),
}


@pytest.mark.parametrize("producer", PRODUCERS.values(), ids=PRODUCERS)
def test_only_what_stands_in_the_end_is_handed_on(producer):
    chunks, expected = producer
    found = lines(handed_on(chunks()))
    assert [line for line in found if line] == expected or found == ["outer 0", *expected]


@pytest.mark.parametrize("producer", PRODUCERS.values(), ids=PRODUCERS)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_however_it_arrives(producer, step):
    written = b"".join(producer[0]())
    cut = (written[at : at + step] for at in range(0, len(written), step))
    assert lines(handed_on(cut)) == lines(handed_on(producer[0]()))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"before\x1b[5Aafter\r\n", ["before", "      after"]),
        (b"one\r\ntwo\x1b[Athree\r\nfour\r\n", ["one", "two", "   three", "four"]),
        (b"one\r\n\x1b[Atwo\r\nthree\r\n", ["one", "two", "three"]),
        (b"one\r\n\x1bMtwo\x1bM\r\nthree\r\n", ["one", "two", "three"]),
        (b"one\r\n\x1b[3Btwo\r\n\x1b[Jthree\r\n", ["one", "two", "three"]),
        (b"one\r\ntwo\x1b[A", ["one", "two"]),
        (b"one\r\ntwo\x1b[A\r\n", ["one", "two"]),
        (b"\x1b[2A\x1b[2K\rfirst\r\n", ["first"]),
    ],
)
def test_where_nothing_is_redrawn_a_motion_ends_the_line(written, expected):
    assert lines(handed_on([written])) == expected
    assert lines(handed_on(written[at : at + 1] for at in range(len(written)))) == expected


STEPS = st.one_of(
    st.sampled_from([b"a", b"bc", b"def ", b"\x1b[31mx\x1b[m", b"\r", b"\r\n", b"\r\n", b"\r\x1b[K", b"\x1b[2K\r"]),
    st.integers(1, 4).map(lambda count: b"\x1b[%dA\r" % count),
    st.integers(1, 4).map(lambda count: b"\x1b[%dB\r" % count),
    st.just(b"\x1b[F"),
)


@given(st.lists(STEPS, max_size=40), st.integers(1, 9))
@example([b"\r\n", b"\x1b[1A\r", b"\r\n"], 1)
@example([b"\r", b"\r\n", b"\x1b[F"], 3)
@example([b"\r\n", b"\r", b"\x1b[F"], 1)
@settings(max_examples=examples(100), deadline=None)
def test_every_row_that_stands_on_a_terminal_of_its_own_in_the_end_is_handed_on(steps, size):
    written = b"".join(steps)
    screen = pyte.Screen(161, 161)  # 40 steps of at most 4 columns or rows
    pyte.ByteStream(screen).feed(written)
    found = lines(handed_on([written]))
    rows = [row.rstrip() for row in screen.display]
    if b"B" not in re.sub(rb"\x1b\[\d*A", b"", written):  # below what was ever written there is no row for us
        assert {row for row in rows if row} <= set(found)
    assert lines(handed_on(written[at : at + size] for at in range(0, len(written), size))) == found


@pytest.mark.parametrize("above", [b"", b"line\n" * 2000])
@pytest.mark.parametrize(
    "unit",
    [b"\x1b[A", b"\x1b[A\r", b"x\x1b[A\rx\r\n", b"\x1b[9A\x1b[2K\r\n", b"\x1b[A\x1b[2Ky" * 9, b"\x1b[99F\r\n" * 9],
)
def test_a_flood_of_motions_takes_no_more_than_a_moment(unit, above):
    written = unit * (flood(100_000) // len(unit))
    splitter = RowSplitter()

    def feed():
        splitter.feed(b"\x1b[A\rz\r\n", above)
        for at in range(0, len(written), 32_000):
            splitter.feed(written[at : at + 32_000], above)
            splitter.overwritten.clear()

    cheap(feed)
    assert len(splitter.pending) < 100_000


def test_a_row_without_an_end_is_bounded_and_whole():
    body = b"".join(b"%d," % number for number in range(50_000))
    chunks = [b"one\r\n", b"\x1b[A\rtwo\r\n\x1b[A\r\n", *(body[at : at + 4095] for at in range(0, len(body), 4095))]
    assert lines(handed_on(chunks)) == ["one", "two", body.decode()]
