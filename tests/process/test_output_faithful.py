"""Bytes in, rows on the terminal (by pyte), lines in a pipe, and the log: exact, over real ptys."""

import fcntl
import os
import resource
import select
import struct
import termios
import unicodedata

import pytest

from orchestrator.output.console import HIGH_WATER
from orchestrator.output.multiplexer import READ_SIZE

only_linux = pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="only Linux widens a pipe")

OWN = "web         | "
BAD = "�"


# What the component writes; the rows of the terminal; the lines in a pipe; the log (None: as written).
PLAIN = {
    "blanks and tabs": (
        b"  two\n\ttab\n\n  x  \n",
        ["  two", "        tab", "", "  x"],
        [b"  two", b"\ttab", b"", b"  x  "],
        None,
    ),
    "only empty lines": (b"\n\n\n", ["", "", ""], [b"", b"", b""], None),
    "utf-8": ("ä€😀\n".encode(), ["ä€😀"], ["ä€😀".encode()], None),
    "wide and combining": ("日本|e\u0301\n".encode(), ["日本|é"], ["日本|e\u0301".encode()], None),
    "invalid bytes": (b"a\xe9\xff\xfeb\n", [f"a{BAD * 3}b"], [b"a\xe9\xff\xfeb"], None),
    "half a character": (b"a\xe2\x82\nb\n", [f"a{BAD}", "b"], [b"a\xe2\x82", b"b"], None),
    "a surrogate": (b"\xed\xa0\x80\n", [BAD * 3], [b"\xed\xa0\x80"], None),
    "an overlong form": (b"\xc0\xaf\n", [BAD * 2], [b"\xc0\xaf"], None),
    "a bare C1 control": (b"a\x9b2Jb\n", [f"a{BAD}2Jb"], [b"a\x9b2Jb"], None),
    "C1 in utf-8": (b"a\xc2\x9b2Jb\n", [f"a{BAD}2Jb"], [b"a\xc2\x9b2Jb"], None),
    "NULs": (b"a\0\0b\n", ["ab"], [b"a\0\0b"], None),
    "bell, shift out, DEL": (b"a\x07\x0e\x7fb\x0f\n", ["ab"], [b"a\x07\x7fb"], None),
    "vertical tab, form feed": (b"a\x0bb\x0cc\n", ["a", " b", "  c"], [b"a", b" b", b"  c"], None),
    "a unicode line end": ("b\u0085c\n".encode(), [f"b{BAD}c"], ["b\u0085c".encode()], None),
    "its own CR LF": (b"one\r\ntwo\r\n", ["one", "two"], [b"one", b"two"], b"one\r\ntwo\r\n"),
    "no end": (b"one\ntwo", ["one", "two"], [b"one", b"two"], b"one\ntwo\n"),
    "nothing": (b"", [], [], b""),
}
REWRITTEN = {
    "a shorter rewrite": (b"100 of 100\rdone\n", ["doneof 100"]),
    "erased to its end": (b"100%\r\x1b[Kdone\n", ["done"]),
    "erased after": (b"downloading\rdone\x1b[K\n", ["done"]),
    "the whole row erased": (b"abc\x1b[2K\rx\n", ["x"]),
    "erased where it stands": (b"abc\x1b[2Kx\n", ["   x"]),
    "erased up to here": (b"abcdef\r\x1b[2C\x1b[1Kx\n", ["  xdef"]),
    "erased and left": (b"10%\r20%\r\x1b[K\n", [""]),
    "backspaces": (b"50%\b\b\b51%\b\b\b100%\n", ["100%"]),
    "a spinner": (b"wait |\b/\b-\b\\\b|\n", ["wait |"]),
    "overstruck, as in a man page": (b"N\bNA\bAM\bME\bE\n", ["NAME"]),
    "by column": (b"\x1b[1G1 of 9\x1b[1G\x1b[0K2 of 9\x1b[1G\x1b[0K3 of 9\n", ["3 of 9"]),
    "back by columns": (b"abc\x1b[2Dx\n", ["axc"]),
    "forth by columns": (b"a\x1b[3Cb\n", ["a   b"]),
    "characters deleted": (b"abcdef\r\x1b[2Pxy\n", ["xyef"]),
    "characters inserted": (b"abc\r\x1b[2@x\n", ["x abc"]),
    "characters blanked": (b"abcdef\r\x1b[3X\n", ["   def"]),
    "wide, half written over": ("日本\rx\n".encode(), ["x 本"]),
    "wide, second half written over": ("日本\r\x1b[1Cx\n".encode(), [" x本"]),
    "wide, by as many cells": ("日本\rabcd\n".encode(), ["abcd"]),
    "combining": ("e\u0301e\u0301\rX\n".encode(), ["Xé"]),
    "a tab": (b"ab\tc\rXYZ\n", ["XYZ     c"]),
    "many CRs at the end": (b"abc\r\r\r\n", ["abc"]),
    "only CRs": (b"\r\r\r\n", [""]),
    "invalid bytes": (b"\xff\xff\rx\n", [f"x{BAD}"]),
}


def expanded(text):
    return (OWN + text).expandtabs().rstrip()


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
def test_what_is_written_is_what_is_shown_and_logged(case, pipeline):
    written, rows, lines, log = case
    terminal = pipeline().show(written)
    assert terminal.rows() == ([expanded(row) for row in rows] or [""])
    pipe = pipeline("pipe").show(written)
    assert pipe.lines() == lines
    log = written if log is None else log
    assert terminal.log() == log
    assert pipe.log() == log


@pytest.mark.parametrize("case", REWRITTEN.values(), ids=REWRITTEN)
def test_a_row_that_is_rewritten_ends_as_on_a_terminal_of_its_own(case, pipeline):
    written, rows = case
    terminal = pipeline().show(written)
    assert terminal.rows() == [(OWN + row).rstrip() for row in rows]
    pipe = pipeline("pipe").show(written)
    shown = [unicodedata.normalize("NFC", line.decode("utf-8", "replace")).rstrip() for line in pipe.lines()]
    assert shown == [row.rstrip() for row in rows]
    assert terminal.log() == written
    assert pipe.log() == written


@pytest.mark.parametrize("size", [0, 1, 4094, 4095, 4096, 4097, 8190, 65536, 1 << 20])
def test_lines_of_any_length_stay_whole(size, pipeline):
    written = b"x" * size + b"\n" + b"y" * size + b"\nend\n"
    pipe = pipeline("pipe").show(written)
    assert pipe.lines() == [b"x" * size, b"y" * size, b"end"]
    assert pipe.log() == written
    if size < 10_000:
        terminal = pipeline(columns=4200).show(written)
        assert "".join(terminal.rows()).count("y") == size
        assert terminal.rows()[-1] == OWN + "end"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7])
def test_a_character_or_sequence_cut_by_a_read_is_put_together(step, pipeline):
    written = "ä€😀日\x1b[38;2;1;2;3mred\x1b[0m\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\ end\n".encode()
    terminal = pipeline()
    terminal.start()
    for position in range(0, len(written), step):
        terminal.feed(written[position : position + step])
        terminal.turn()
    terminal.finish()
    assert terminal.rows() == [OWN + "ä€😀日redlink end"]
    assert terminal.log() == written


def test_a_cut_character_is_not_shown_as_a_broken_one_while_it_waits(pipeline):
    terminal = pipeline()
    terminal.start()
    terminal.feed("10 €"[:-1].encode() + b"\xe2\x82")
    terminal.turn_until(lambda: "10" in terminal.rows()[0])
    assert BAD not in terminal.rows()[0]
    terminal.feed(b"\xac\n")
    terminal.finish()
    assert terminal.rows() == [OWN + "10 €"]


def test_a_line_without_an_end_comes_in_marked_pieces_and_costs_no_memory(pipeline):
    """100 MB: the pieces put together are the line."""
    size = 100 * 1000 * 1000
    pipe = pipeline("pipe")
    shown = 0
    stream = pipe.start()
    block = b"0123456789" * 6553
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    written = 0
    marks = 0
    while written < size:
        pipe.feed(block)
        written += len(block)
        if len(pipe.out) > 1 << 22:
            shown += len(pipe.out)
            marks += pipe.out.count("…".encode())
            pipe.out.clear()
    pipe.feed(b"\nafter\n")
    pipe.finish()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert pipe.lines()[-1] == b"after"
    marks += pipe.out.count("…".encode())
    pieces = written // (1 << 21)
    assert pieces <= marks // 2 <= pieces + 2, "each piece ends with a mark, and the next begins with one"
    assert shown + len(pipe.out) - written < 200 * marks
    assert not stream.open
    assert (pipe.path / "web.log").stat().st_size <= 55 * 1000 * 1000
    assert pipe.path.joinpath("web.log.1").exists(), "a log is rotated within a line that does not end"


def test_the_pieces_of_a_line_are_the_line(pipeline):
    body = b"".join(b"%07d," % number for number in range(700_000))
    pipe = pipeline("pipe").show(body + b"\n")
    mark = "…".encode()
    assert b"".join(line.removeprefix(mark).removesuffix(mark) for line in pipe.lines()) == body
    assert pipe.log() == body + b"\n"


def test_nothing_waits_where_nothing_is_written(pipeline):
    """An idle component costs no turn of the loop."""
    terminal = pipeline()
    terminal.start()
    terminal.feed(b"prompt> ")
    terminal.turn_until(lambda: "prompt" in terminal.rows()[0])
    assert terminal.loop._timeout() is None
    assert select.select([terminal.components["web"][0].master_fd], [], [], 0)[0] == []


def test_a_terminal_that_is_opened_again_is_read_again(pipeline, tmp_path):
    """All its descriptors closed, then /dev/tty: as ssh asks for a password. EIO is not the end."""
    pipe = pipeline("pipe")
    stream = pipe.start()
    name = os.ttyname(pipe.components["web"][1])
    pipe.feed(b"first\n")
    pipe.turn_until(lambda: b"first" in pipe.out)
    os.close(pipe.components["web"][1])
    pipe.turn_until(lambda: stream.parked)
    turns = 0
    while turns < 50:
        pipe.turn(0.001)
        turns += 1
    again = os.open(name, os.O_RDWR | os.O_NOCTTY)
    pipe.fds[pipe.fds.index(pipe.components["web"][1])] = again
    pipe.components["web"] = (stream, again)
    pipe.feed(b"Password: " + b"x" * 100_000 + b"\n")
    pipe.turn_until(lambda: pipe.out.endswith(b"x\n"))
    assert len(pipe.lines()[1]) == 100_010


def test_what_is_collected_of_many_floods_is_all_there_and_in_order(pipeline):
    """Each turn reads a little of each of eight, which is looked at together with what the next turns read."""
    names = [f"f{number}" for number in range(8)]
    pipeline = pipeline("pipe", names=names)
    for name in names:
        pipeline.start(name)
    floods = {name: b"".join(b"%s %06d\n" % (name.encode(), number) for number in range(20_000)) for name in names}
    for position in range(0, max(map(len, floods.values())), 4096):
        for name, flood in floods.items():
            pipeline.feed(flood[position : position + 4096], name)
    pipeline.turn_until(lambda: all(len(pipeline.lines(name)) == 20_000 for name in names))
    pipeline.finish()
    for name, flood in floods.items():
        assert pipeline.log(name) == flood
        assert pipeline.lines(name) == flood.splitlines()


def test_what_is_collected_does_not_wait_for_more_than_a_moment(pipeline):
    pipeline = pipeline("pipe")
    stream = pipeline.start()
    pipeline.multiplexer._are_several_ready = (
        True  # as when many are ready in one turn: a full read is no reason to look yet
    )
    pipeline.feed(b"x" * 4094 + b"\n")
    pipeline.turn_until(lambda: pipeline.lines() == [b"x" * 4094])
    assert pipeline.log() == b"x" * 4094 + b"\n"
    assert not stream.backlog


@only_linux
def test_each_of_several_is_read_four_times_in_a_turn(pipeline):
    """Through pipes, whose reads give what is there: how much a pty has by then is its worker's business."""
    pipeline = pipeline("pipe")
    ends = [os.pipe(), os.pipe()]
    streams = []
    for number, (read_fd, write_fd) in enumerate(ends):
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.write(write_fd, (b"x" * 99 + b"\n") * 5000)
        streams.append(pipeline.take_over(f"web.{number}", read_fd))
        pipeline.fds.append(write_fd)
    pipeline.multiplexer._are_several_ready = True
    pipeline.turn()
    left = [struct.unpack("i", fcntl.ioctl(read_fd, termios.FIONREAD, b"1234"))[0] for read_fd, _ in ends]
    assert left == [500_000 - 4 * READ_SIZE] * 2
    for stream in streams:
        pipeline.multiplexer.close(stream)


def test_one_of_a_crowd_may_end_before_it_has_been_read(pipeline):
    pipeline = pipeline("pipe")
    for name in ("web", "api"):
        pipeline.start(name)
        pipeline.feed(name.encode() * 1000 + b"\n", name)
    pipeline.multiplexer._are_several_ready = True
    pipeline.loop.call_in(0.0, lambda: pipeline.end("web"))
    pipeline.turn()
    pipeline.finish()
    for name in ("web", "api"):
        assert pipeline.lines(name) == [name.encode() * 1000]
        assert pipeline.log(name) == name.encode() * 1000 + b"\n"


@only_linux
def test_a_pipe_is_widened_and_never_narrowed(pipeline):
    assert fcntl.fcntl(pipeline("pipe").read_fd, fcntl.F_GETPIPE_SZ) == HIGH_WATER
    read_fd, write_fd = os.pipe()
    fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 2 * HIGH_WATER)
    pipeline(write_fd)
    assert fcntl.fcntl(read_fd, fcntl.F_GETPIPE_SZ) == 2 * HIGH_WATER
    os.close(read_fd)
