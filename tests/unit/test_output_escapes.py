"""What a component sends beside text: colors stay its own, what could hurt the merged screen stays out of it."""

import re

import pytest
from examples import flood
from lateness import cheap
from painting import streamed

from orchestrator.terminal.line_painter import PrefixPainter, PrefixStyle
from orchestrator.terminal.sgr import open_style

PREFIX = b"web | "
LEFT = re.compile(rb"\x1b\[[0-9;:]*m|\x1b\]8;[ -~]*(?:\x07|\x1b\\)")


def painted(written, step=1 << 16, style=PrefixStyle.COLORS):
    """The lines that a component's bytes come to, read in chunks of so many bytes."""
    return streamed(written, step, PrefixPainter(PREFIX, style))


def cells(screen, row):
    """(character, color, background, bold, underlined) of the row, after the prefix, without blanks at the end."""
    line = screen.buffer[row]
    found = [
        (line[x].data, line[x].fg, line[x].bg, line[x].bold, line[x].underscore) for x in range(14, screen.columns)
    ]
    while found and found[-1] == (" ", "default", "default", False, False):
        found.pop()
    return found


def written_with(text, fg="default", bg="default", bold=False, underscore=False):
    return [(character, fg, bg, bold, underscore) for character in text]


def test_an_open_color_does_not_bleed_and_is_not_lost(pipeline):
    terminal = pipeline()
    terminal.start("web")
    terminal.start("api")
    terminal.feed(b"\x1b[31;1mone\n", "web")
    terminal.turn_until(lambda: b"one" in terminal.out)
    terminal.feed(b"plain\n", "api")
    terminal.turn_until(lambda: b"plain" in terminal.out)
    terminal.feed(b"two\x1b[0m three\nfour\n", "web")
    terminal.finish()
    assert cells(terminal.pyte, 0) == written_with("one", "red", bold=True)
    assert cells(terminal.pyte, 1) == written_with("plain")
    assert cells(terminal.pyte, 2) == written_with("two", "red", bold=True) + written_with(" three")
    assert cells(terminal.pyte, 3) == written_with("four")


def test_an_open_color_does_not_bleed_where_there_is_no_prefix_to_stop_it(pipeline):
    terminal = pipeline(prefix=False)
    terminal.start("web")
    terminal.start("api")
    terminal.feed(b"\x1b[41mone\n", "web")
    terminal.turn_until(lambda: b"one" in terminal.out)
    terminal.feed(b"plain words here\n", "api")
    terminal.turn_until(lambda: b"here" in terminal.out)
    assert cells(terminal.pyte, 1) == written_with("re")
    assert [cell.data for cell in terminal.pyte.buffer[0].values() if cell.bg == "red"] == ["o", "n", "e"]
    assert {cell.bg for cell in terminal.pyte.buffer[1].values()} == {"default"}


@pytest.mark.parametrize(
    ("sequence", "look"),
    [
        (b"\x1b[38;5;42m", {"fg": "00d787"}),
        (b"\x1b[48;5;196m", {"bg": "ff0000"}),
        (b"\x1b[38;2;1;2;3m", {"fg": "010203"}),
        (b"\x1b[48;2;1;2;3m", {"bg": "010203"}),
        (b"\x1b[4m\x1b[33m", {"fg": "brown", "underscore": True}),
        (b"\x1b[0;33;44m", {"fg": "brown", "bg": "blue"}),
    ],
)
def test_256_and_24_bit_colors_and_attributes_are_kept_over_line_ends(sequence, look, pipeline):
    terminal = pipeline().show(sequence + b"one\ntwo\n" + b"\x1b[mthree\n")
    assert cells(terminal.pyte, 0) == written_with("one", **look)
    assert cells(terminal.pyte, 1) == written_with("two", **look)
    assert cells(terminal.pyte, 2) == written_with("three")
    assert terminal.log() == sequence + b"one\ntwo\n\x1b[mthree\n"


OPEN = {
    "closed by 39": (b"\x1b[31mx\x1b[39m", b""),
    "closed by 22": (b"\x1b[1mx\x1b[2my\x1b[22m", b""),
    "another color": (b"\x1b[31m\x1b[32m", b"\x1b[32m"),
    "256 after 16 colors": (b"\x1b[31m\x1b[38;5;9m", b"\x1b[38;5;9m"),
    "the 0 of a color is no reset": (b"\x1b[31m\x1b[48;5;0m\x1b[38;2;0;0;0m", b"\x1b[48;5;0m\x1b[38;2;0;0;0m"),
    "reset in the middle": (b"\x1b[31m\x1b[1;0;4m", b"\x1b[1;0;4m"),
    "an empty parameter resets": (b"\x1b[31m\x1b[;1m", b"\x1b[;1m"),
    "reset at the end": (b"\x1b[31m\x1b[1;0m", b""),
    "curly underline, and off": (b"\x1b[4:3m\x1b[4:0m", b""),
    "with colons": (b"\x1b[38:2::1:2:3m", b"\x1b[38:2::1:2:3m"),
    "one of two closed": (b"\x1b[1;31m\x1b[39m", b"\x1b[1;31m\x1b[39m"),
    "nonsense": (b"\x1b[999m\x1b[:m\x1b[38m\x1b[38;7m", b"\x1b[38;7m"),
    "not SGR": (b"\x1b[>4;1m\x1b[?4m", b""),
}


@pytest.mark.parametrize("case", OPEN.values(), ids=OPEN)
def test_what_is_left_open(case):
    written, left = case
    assert open_style(b"", written) == left


def test_a_style_does_not_grow_however_long_nothing_is_reset():
    style = b""
    for number in range(5000):
        style = open_style(style, b"\x1b[38;5;%dm\x1b[%dm\x1b[%dm" % (number % 256, number % 10 or 1, 40 + number % 8))
    assert len(style) < 200
    line = b"\x1b[36minfo\x1b[39m text\r\n"
    assert painted(line * 3) == (PREFIX + b"\x1b[36minfo\x1b[39m text\n") * 3


def test_an_overlong_color_is_dropped_and_harms_nobody(pipeline):
    terminal = pipeline().show(b"\x1b[" + b"1;" * 5000 + b"31mone\ntwo\n")
    assert cells(terminal.pyte, 0) == written_with("one")
    assert cells(terminal.pyte, 1) == written_with("two")


def test_hyperlinks_pass_and_are_closed_at_the_line_end(pipeline):
    terminal = pipeline().show(
        b"\x1b]8;id=1;http://x/y\x1b\\link\nmore\x1b]8;;\x1b\\ after\x1b]8;;http://z\x07z\x1b]8;;\x07\n"
    )
    begin = b"\x1b]8;id=1;http://x/y\x1b\\"
    assert begin + b"link\x1b]8;;\x1b\\\r\n" in terminal.out
    assert begin + b"more\x1b]8;;\x1b\\ after\x1b]8;;http://z\x07z\x1b]8;;\x07\r\n" in terminal.out


def test_a_status_line_on_another_row_is_not_written_into_a_line(pipeline):
    """As apt draws it."""
    bar = b"\x1b7\x1b[24;0f\x1b[42m\x1b[30mProgress: [ 10%]\x1b[49m\x1b[39m [#...] \x1b8"
    written = b"Unpacking\n" + bar + b"Setting up\n" + bar + bar + b"\x1b7unsaved\x1b8 \x1b7\x1b[Hno way back\n"
    terminal = pipeline().show(written)
    assert terminal.rows() == [
        f"web         | {text}" for text in ("Unpacking", "Setting up", " nsaved", "no way back")
    ]
    assert pipeline("pipe").show(written).lines() == [b"Unpacking", b"Setting up", b" nsaved", b"no way back"]
    assert terminal.log() == written


@pytest.mark.parametrize("inside", [b"\x18", b"\x9b2J", b"\r", b"\xc2\x9b2J", b"\x1a", b"\x00"])
def test_no_control_hides_in_a_hyperlink(inside, pipeline):
    terminal = pipeline().show(b"\x1b]8;;http://x" + inside + b"\x1b\\link\n")
    assert b"]8" not in terminal.out
    assert inside not in terminal.out.replace(b"\r\n", b"")


STRINGS = {
    "clear screen": b"\x1b[2J",
    "clear scrollback": b"\x1b[3J",
    "scroll region": b"\x1b[2;5r",
    "scroll up": b"\x1b[3S",
    "insert lines": b"\x1b[4L",
    "title": b"\x1b]0;owned\x07",
    "title, ended by ST": b"\x1b]2;owned\x1b\\",
    "clipboard": b"\x1b]52;c;b3duZWQ=\x07",
    "a color query": b"\x1b]11;?\x07",
    "device attributes": b"\x1b[c",
    "secondary attributes": b"\x1b[>c",
    "status report": b"\x1b[6n",
    "a setting query (DCS)": b"\x1bP$qm\x1b\\",
    "sixels": b"\x1bPq#0;2;0;0;0~\x1b\\",
    "a terminfo query": b"\x1bP+q544e\x1b\\",
    "APC": b"\x1b_Gf=32;AAAA\x1b\\",
    "PM": b"\x1b^owned\x1b\\",
    "SOS": b"\x1bXowned\x1b\\",
    "mouse": b"\x1b[?1000h",
    "bracketed paste": b"\x1b[?2004h",
    "cursor hidden": b"\x1b[?25l",
    "no wrap": b"\x1b[?7l",
    "key modifiers": b"\x1b[>4;2m",
    "soft reset": b"\x1b[!p",
    "double height": b"\x1b#3",
    "keypad": b"\x1b=",
    "save and restore": b"\x1b7\x1b8",
    "window size": b"\x1b[8;10;10t",
    "a lone ESC": b"\x1b\x1b",
    "print": b"\x1b[5i",
    "iTerm file": b"\x1b]1337;File=:AAAA\x07",
    "notification": b"\x1b]9;owned\x07",
}


@pytest.mark.parametrize("sequence", STRINGS.values(), ids=STRINGS)
def test_no_other_sequence_reaches_the_screen_and_none_eats_text(sequence, pipeline):
    written = b"before" + sequence + b"\x1b[31mafter\x1b[m\nnext\n" + b"x" * 50 + sequence
    terminal = pipeline().show(written)
    assert terminal.rows() == ["web         | beforeafter", "web         | next", "web         | " + "x" * 50]
    shown = LEFT.sub(b"", bytes(terminal.out).replace(b"\r\n", b"\n"))
    assert b"\x1b" not in shown.replace(b"\r\x1b[K", b"")
    pipe = pipeline("pipe").show(written)
    assert pipe.lines() == [b"beforeafter", b"next", b"x" * 50]
    assert pipe.log() == written + b"\n"
    assert b"owned" not in terminal.out + pipe.out


MOVES = {
    "cursor up": (b"\x1b[5A", 6),
    "cursor home": (b"\x1b[H", 0),
    "position": (b"\x1b[3;4H", 3),
    "down": (b"\x1b[2B", 6),
    "row": (b"\x1b[9d", 6),
    "next line": (b"\x1bE", 0),
    "index": (b"\x1bD", 6),
    "reverse index": (b"\x1bM", 6),
    "vertical tab": (b"\v", 6),
    "form feed": (b"\f", 6),
    "full reset": (b"\x1bc", 0),
}


@pytest.mark.parametrize(("sequence", "column"), MOVES.values(), ids=MOVES)
def test_a_motion_to_another_row_reaches_no_screen_and_ends_the_line(sequence, column, pipeline):
    written = b"before" + sequence + b"\x1b[31mafter\x1b[m\nnext\n" + b"x" * 50 + sequence
    shown = ["before", " " * column + "after", "next", "x" * 50]
    terminal = pipeline().show(written)
    assert terminal.rows() == [f"web         | {text}" for text in shown]
    rest = LEFT.sub(b"", bytes(terminal.out).replace(b"\r\n", b"\n")).replace(b"\r\x1b[K", b"")
    assert not {b"\x1b"[0], b"\v"[0], b"\f"[0]} & set(rest)
    pipe = pipeline("pipe").show(written)
    assert [line.decode() for line in pipe.lines()] == shown
    assert pipe.log() == written + b"\n"


def test_a_clear_that_takes_back_blank_rows_shows_none(pipeline):
    """As Vite begins: it fills the screen with rows, goes home, and erases what is below."""
    written = b"> vite\n" + b"\n" * 39 + b"\x1b[1;1H\x1b[0J\n  VITE ready\n\n  url\n"
    for sink in ("terminal", "pipe"):
        one = pipeline(sink).show(written)
        shown = one.rows() if sink == "terminal" else [f"web         | {line.decode()}" for line in one.lines()]
        texts = ("> vite", "  VITE ready", "", "  url")
        assert [row.rstrip() for row in shown] == [f"web         | {text}".rstrip() for text in texts]
        assert one.log() == written


def test_blank_rows_that_nothing_takes_back_are_shown_after_a_moment(pipeline):
    terminal = pipeline()
    terminal.start()
    terminal.feed(b"one\n\n\n")
    terminal.turn_until(lambda: terminal.rows() == ["web         | one", "web         |", "web         |"])
    assert terminal.loop._timeout() is None


def test_a_full_screen_program_is_reported_once_and_what_it_draws_is_not_shown(pipeline):
    written = b"row 1\x1b[?1049h\x1b[2J\x1b[1;1Hval 1\x1b[2;1Hrow 2\r\nval 2\x1b[?1049lafter\n"
    for sink in ("terminal", "pipe"):
        one = pipeline(sink)
        one.start()
        one.feed(written * 2)
        one.feed(b"end\n")
        one.turn_until(lambda one=one: b"end" in one.out)
        one.finish()
        shown = bytes(one.out).decode()
        assert "val" not in shown
        assert shown.count("web runs a full-screen program; view it with: orchestrate attach web") == 1
        assert shown.count("row 1after") == 2
        assert one.log() == written * 2 + b"end\n"


def test_line_drawing_and_repeated_characters_are_shown_as_they_look(pipeline):
    written = b"\x1b(0lqqk\x1b(B\nx\x1b[3b|\n\x1b)0a\x0emj\x0fq\n"
    for sink in ("terminal", "pipe"):
        one = pipeline(sink).show(written)
        shown = one.rows() if sink == "terminal" else [f"web         | {line.decode()}" for line in one.lines()]
        assert shown == [f"web         | {text}" for text in ("┌──┐", "xxxx|", "a└┘q")]


@pytest.mark.parametrize(
    "begin", [b"\x1b", b"\x1b[", b"\x1b[31", b"\x1b[?", b"\x1b]0;t", b"\x1bP1$", b"\x1b_", b"\x1b(", b"\x1b]8;;http"]
)
@pytest.mark.parametrize("step", [1, 3, 1 << 16])
def test_an_unterminated_sequence_eats_no_further_line(begin, step):
    assert painted(b"before" + begin + b"\r\nafter\r\n", step) == PREFIX + b"before\n" + PREFIX + b"after\n"


@pytest.mark.parametrize("end", [b"\x07", b"\x1b\\"])
@pytest.mark.parametrize("step", [4095, 65536])
@pytest.mark.parametrize("size", [1 << 20, 5 << 20])
def test_a_sequence_of_megabytes_does_not_reach_the_screen(size, step, end):
    shown = painted(b"a\x1b]52;c;" + b"QUJD" * (size // 4) + end + b"b\r\nnext\r\n", step).replace("…".encode(), b"")
    assert shown.replace(PREFIX, b"").replace(b"\n", b"") == b"abnext"


def test_a_long_sequence_in_a_rewritten_row_does_not_reach_the_screen():
    shown = painted(b"10%\r20%\x1b]52;c;" + b"QUJD" * (1 << 16) + b"\x07 ok\r\nnext\r\n", 4095)
    assert shown == PREFIX + b"20% ok\n" + PREFIX + b"next\n"


@pytest.mark.parametrize(
    "unit",
    [
        b"\x1b",
        b"\b",
        b"\r",
        b"\x1b[",
        b"a\b",
        b"\x1b]",
        b"\x1b[31m",
        b"a\r",
        b"\x1bP",
        b"\x1b[999@",
        b"\xff",
        b"\t",
        b"\x1b7\x1b[H",
    ],
)
@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["no end", "line"])
def test_a_megabyte_of_anything_takes_time_in_proportion(unit, end):
    written = unit * (flood(1 << 20) // len(unit)) + end
    cheap(painted, written, 32_000)
