"""Queries of a program that no terminal sees: answered as a plain terminal would, in order, once."""

import os
import shutil
import subprocess
import uuid

import pytest
from facts import until
from hypothesis import given
from hypothesis import strategies as st
from programs.escapes import QUERIES

from orchestrator.terminal.cursor import Cursor, CursorRow
from orchestrator.terminal.modes import Modes
from orchestrator.terminal.query_answers import CHUNKS_MAX, KEPT, QueryAnswers

ROWS, COLUMNS = 24, 80


class Program:
    def __init__(self, rows=ROWS, columns=COLUMNS):
        self.modes = Modes()
        self.answers = QueryAnswers(self.modes, lambda: (rows, columns))

    def prints(self, *chunks, seen=False):
        """What it is answered."""
        return b"".join(self.answers.take(c, escapes=self.modes.feed(c), seen=seen) for c in chunks)


ANSWERS = [
    (b"\x1b[5n", b"\x1b[0n"),
    (b"\x1b[6n", b"\x1b[1;1R"),
    (b"one\r\ntwo\x1b[6n", b"\x1b[2;4R"),
    (b"\x1b[?6n", b"\x1b[?1;1R"),
    (b"\x1b[c", b"\x1b[?62;22c"),
    (b"\x1b[0c", b"\x1b[?62;22c"),
    (b"\x1bZ", b"\x1b[?62;22c"),
    (b"\x1b[>c", b"\x1b[>1;0;0c"),
    (b"\x1b[=c", b"\x1bP!|00000000\x1b\\"),
    (b"\x1b[?u", b"\x1b[?0u"),
    (b"\x1b[>5u\x1b[?u", b"\x1b[?5u"),
    (b"\x1b[?2004$p", b"\x1b[?2004;2$y"),
    (b"\x1b[?2004h\x1b[?2004$p", b"\x1b[?2004;1$y"),
    (b"\x1b[?7$p\x1b[?25$p", b"\x1b[?7;1$y\x1b[?25;1$y"),
    (b"\x1b[?2026$p\x1b[?2048$p", b"\x1b[?2026;0$y\x1b[?2048;0$y"),
    (b"\x1b[4h\x1b[4$p\x1b[20$p\x1b[99$p", b"\x1b[4;1$y\x1b[20;2$y\x1b[99;0$y"),
    (b"\x1b]10;?\x07", b"\x1b]10;rgb:ffff/ffff/ffff\x07"),
    (b"\x1b]11;?\x1b\\", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    (b"\x1b]10;?;?\x07", b"\x1b]10;rgb:ffff/ffff/ffff\x07\x1b]11;rgb:0000/0000/0000\x07"),
    (b"\x1b[18t\x1b[19t", b"\x1b[8;24;80t\x1b[9;24;80t"),
    (b"\x1b[>q", b"\x1bP>|orchestrate\x1b\\"),
    (b"\x1b[2;9r\x1bP$qr\x1b\\", b"\x1bP1$r2;9r\x1b\\"),
    (b"\x1bP$qr\x1b\\", b"\x1bP1$r1;24r\x1b\\"),
    (b"\x1b[5 q\x1bP$q q\x1b\\", b"\x1bP1$r5 q\x1b\\"),
    (b"\x1bP$qm\x1b\\", b"\x1bP0$r\x1b\\"),
    (b"\x1bP+q544e\x1b\\", b"\x1bP0+r544e\x1b\\"),
    (b"\x1b[?15n", b"\x1b[?13n"),
    (b"\x1b]11;?\x07\x1b[?u\x1b[c", b"\x1b]11;rgb:0000/0000/0000\x07\x1b[?0u\x1b[?62;22c"),
]
NOT_ANSWERED = ["color scheme", "checksum (DECRQCRA)", "clipboard", "font", "graphics of kitty", "window's title"]


@pytest.mark.parametrize(("query", "answer"), ANSWERS, ids=[repr(query) for query, _ in ANSWERS])
def test_a_query_is_answered_once_wherever_it_is_cut(query, answer):
    assert Program().prints(query) == answer
    for cut in range(1, len(query)):
        assert Program().prints(query[:cut], query[cut:]) == answer, cut
    program = Program()
    assert program.prints(*(bytes([byte]) for byte in query)) == answer
    assert program.prints(b"more\r\n\x1b[31mtext\x1b[m", b"\x1b[K") == b""


@pytest.mark.parametrize("name", NOT_ANSWERED)
def test_what_has_no_true_answer_gets_none(name):
    assert Program().prints(QUERIES[name]) == b""


@pytest.mark.parametrize(("query", "answer"), ANSWERS, ids=[repr(query) for query, _ in ANSWERS])
def test_no_answer_is_a_query(query, answer):
    """A terminal in cooked mode echoes it."""
    assert Program().prints(answer) == b""


@pytest.mark.parametrize(("query", "_"), ANSWERS, ids=[repr(query) for query, _ in ANSWERS])
def test_a_query_that_a_terminal_sees_is_not_answered(query, _):
    for cut in range(len(query)):
        assert Program().prints(query[:cut], query[cut:], seen=True) == b""


def test_a_query_is_answered_by_us_if_no_terminal_has_seen_all_of_it():
    program = Program()
    assert program.prints(b"\x1b[5") == b""
    assert program.prints(b"n", seen=True) == b"\x1b[0n"
    assert program.prints(b"\x1b[5", seen=True) == b""
    assert program.prints(b"n") == b"\x1b[0n"


def test_the_position_is_known_after_any_amount_of_output():
    program = Program()
    for number in range(3000):
        program.prints(b"line %d \x1b[32mgreen\x1b[m\r\n" % number)
        held = program.answers._kept
        assert len(held) <= CHUNKS_MAX
        assert sum(map(len, held)) <= 3 * KEPT
    assert program.prints(b"> \x1b[6n") == b"\x1b[24;3R"
    program.prints(*[b"x" * 4095] * 20)
    assert program.prints(b"\r\n\x1b[3;4H\x1b[6n") == b"\x1b[3;4R"
    program.prints(b"\x1b[1;10r", b"\x1b[10;1H", *[b"y\r\n" * 1000] * 20)
    assert program.prints(b"\x1b[6n") == b"\x1b[10;1R", "the margins hold it"


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_bytes_are_taken(chunks):
    program = Program()
    for chunk in chunks:
        program.prints(chunk)
        program.prints(b"\x1b" + chunk)
    assert len(program.answers._begun) <= 300


POSITIONS = [  # not after a backspace at the right margin: there terminals differ
    b"text",
    b"x" * 80,
    b"x" * 81,
    b"x" * 80 + b"\r\n",
    b"x" * 80 + b"\n",
    b"x" * 200 + b"\x1b[A",
    b"x" * 79 + "宽".encode(),
    "e\u0301宽w".encode(),
    b"a\tb\tc",
    b"x" * 78 + b"\t\ty",
    b"\x1b[5;10Htext\x1b[2A\x1b[3C",
    b"\x1b[99B\x1b[99Cx",
    b"\x1b[5;5H\x1b[9D\x1b[9A",
    b"\x1b[10d\x1b[20G",
    b"\x1b[3E\x1b[2Ftext",
    b"\n" * 30 + b"text",
    b"\x1b[24;1H\n\nx",
    b"\x1b[5;10r\x1b[10;1H\n\n\nx",
    b"\x1b[5;10r\x1b[20;1H\n\n\n\n\n\n",
    b"\x1b[5;10r\x1b[5;1H\x1bM\x1bMx",
    b"\x1b[5;10r\x1b[7;3H\x1b[9A",
    b"\x1b[5;10r\x1b[2;3H\x1b[9B",
    b"\x1b[3;4H\x1b7\x1b[10;10Hx\x1b8y",
    b"\x1b[3;4H\x1b[?1049hmore\x1b[H\x1b[?1049l",
    b"\x1b[?7l" + b"x" * 100,
    b"\x1b[3;3Hx\x1bEy\x1bDz",
    b"x\x1b[9b",
    b"\x1b[31mred\x1b[m\x1b]0;title\x07\x1b(B!",
    b"\x1b]8;;http://host\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b[4;4H\x1b[2J\x1b[K\x1b[3X\x1b[2P\x1b[2@x",
    b"\x1b[?25l\x1b[5 q\x1b[>4;1mx",
    b"\x1b[6;6H\x1bcx",
]


@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
def test_the_position_is_that_of_a_terminal(tmp_path):
    """tmux, asked for the same output, in one pane after the other."""
    socket = ["tmux", "-L", f"cursor-{uuid.uuid4().hex[:12]}", "-f", "/dev/null"]
    environment = {**os.environ, "TMUX_TMPDIR": str(tmp_path)}

    def tmux(*words):
        return subprocess.run([*socket, *words], env=environment, capture_output=True, text=True, check=True).stdout

    differ = []
    try:
        for number, output in enumerate(POSITIONS):
            (tmp_path / str(number)).write_bytes(output)
            command = f"stty raw -echo; cat {tmp_path / str(number)}; : >{tmp_path / 'done'}; exec sleep 1000"
            tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "-s", str(number), command)
            assert until((tmp_path / "done").exists)
            (tmp_path / "done").unlink()
            cursor = Cursor(ROWS, COLUMNS)
            cursor.feed(output)
            row, column = cursor.position
            where = ["display-message", "-p", "-t", str(number), "#{cursor_y},#{cursor_x}"]

            def same(where=where, row=row, column=column):
                y, x = map(int, tmux(*where).split(","))
                return (y + 1, min(x + 1, COLUMNS)) == (row, column)

            if not until(same, 5):
                differ.append((output, (row, column), tmux(*where).strip()))
    finally:
        tmux("kill-server")
    assert differ == []


@pytest.mark.parametrize(
    ("output", "row"),
    [
        (b"one\r\ntwo> ", "two> "),
        (b"In [1]:\r\r\n\r\r\n\r\r\n\x1b[0m \x08\x1b[3A\x1b[8C", "In [1]: "),  # prompt_toolkit
        (b"\x1b[24;1Hlast\n\n> ", "    > "),
        (b"wrong\r\x1b[Kright> ", "right> "),
        (b"> text\x1b[4D", "> "),
        (b"x" * 85, "xxxxx"),
        (b"a\x1b[2;1Hb\x1b[H\x1b[1M\x1b[C", "b"),
        (b"> abc\x1b[3D\x1b[2P\x1b[C", "> c"),
        (b"a\r\n> \x1b7\x1b[1;1H\x1b[2J\x1b[Htop\x1b8", "  "),
        (b"> \x1b[?1049hother\x1b[?1049l", "> "),
        ("宽> ".encode(), "宽> "),
        (b"\x1b[2;4r\x1b[4;1Hold\r\nnew: ", "new: "),
        (b"\x1b[S\x1b[Tx\x1bM\x1b[5Xy\x1b[9Ly\x1bcz", "z"),
    ],
)
def test_the_row_of_the_cursor_is_read_as_it_stands(output, row):
    screen = CursorRow(ROWS, COLUMNS)
    screen.feed(output)
    assert screen.row_before_cursor == row


@given(
    st.lists(
        st.sampled_from(
            [b"\x1b[", b"5", b";", *map(bytes.fromhex, "0a 0d 08 09 1b 41 48 4c 4d".split()), b"P@XJKSTrb", b"text"]
        )
    )
)
def test_no_output_takes_the_cursor_off_the_screen(pieces):
    for screen in (CursorRow(3, 10), CursorRow(1, 1), Cursor(3, 10)):
        screen.feed(b"".join(pieces))
        assert 0 <= screen.row < screen.rows
        assert 0 <= screen.column <= screen.columns
