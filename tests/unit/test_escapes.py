"""What may reach the merged screen: exact bytes for each class of sequence, and nothing else from any bytes at all."""

import contextlib
import io
import re

import pyte
import pytest
from examples import examples, flood
from hypothesis import given, settings
from hypothesis import strategies as st
from lateness import cheap

from orchestrator.cli import client
from orchestrator.terminal.escapes import drop_loose_joiners, keep_colors, no_escapes, open_link, open_style, plain

LINK = b"\x1b]8;id=1;https://example.org/a?b=c;d\x1b\\"
LINK_BEL = b"\x1b]8;;file:///tmp/x\x07"
NO_LINK = b"\x1b]8;;\x1b\\"

PASS = {
    "reset": b"\x1b[m",
    "reset in digits": b"\x1b[0m",
    "16 colors": b"\x1b[1;4;31;42m",
    "bright": b"\x1b[97;101m",
    "256 colors": b"\x1b[38;5;208m",
    "256 colors, colons": b"\x1b[38:5:208m",
    "24 bits": b"\x1b[38;2;255;100;0m",
    "24 bits, colons": b"\x1b[48:2::255:100:0m",
    "curly underline": b"\x1b[4:3;58:5:196m",
    "link": LINK,
    "link, BEL": LINK_BEL,
    "link's end": NO_LINK,
}

GO = {
    "cursor up": b"\x1b[A",
    "cursor position": b"\x1b[12;40H",
    "cursor forward": b"\x1b[5C",
    "clear screen": b"\x1b[2J",
    "clear scrollback": b"\x1b[3J",
    "scroll region": b"\x1b[1;5r",
    "save cursor": b"\x1b7",
    "next line": b"\x1bE",
    "full reset": b"\x1bc",
    "alternate screen": b"\x1b[?1049h",
    "hide cursor": b"\x1b[?25l",
    "bracketed paste": b"\x1b[?2004h",
    "mouse": b"\x1b[?1000;1006h",
    "no wrap": b"\x1b[?7l",
    "insert mode": b"\x1b[4h",
    "device attributes": b"\x1b[c",
    "cursor position report": b"\x1b[6n",
    "keyboard, kitty": b"\x1b[>1u",
    "private SGR": b"\x1b[?4m",
    "cursor shape": b"\x1b[5 q",
    "title, BEL": b"\x1b]0;title\x07",
    "title, ST": b"\x1b]2;title\x1b\\",
    "clipboard": b"\x1b]52;c;aGVsbG8=\x07",
    "color query": b"\x1b]11;?\x1b\\",
    "shell marks": b"\x1b]133;A\x07",
    "image": b"\x1b]1337;File=inline=1:aGk=\x07",
    "sixel": b"\x1bPq#0;2;0;0;0~-\x1b\\",
    "status query": b"\x1bP$qm\x1b\\",
    "tmux passthrough": b"\x1bPtmux;x\x1b\\",
    "application command": b"\x1b_Gf=24;AAAA\x1b\\",
    "privacy message": b"\x1b^secret\x1b\\",
    "character set": b"\x1b(0",
    "character set, two": b"\x1b$)C",
    "keypad": b"\x1b=",
    "empty": b"\x1b",
}

# Cut off by the end of the line.
OPEN = [
    *(
        b"\x1b",
        b"\x1b[",
        b"\x1b[3",
        b"\x1b[38;2;1",
        b"\x1b[?",
        b"\x1b[1 ",
        b"\x1b(",
        b"\x1b]0;title",
        b"\x1b]8;;http://x",
    ),
    *(b"\x1bPq", b"\x1b_G", b"\x1b]52;c;" + b"A" * 1_000_000),
]


@pytest.mark.parametrize("name", PASS)
def test_colors_and_links_pass_a_terminal_and_nothing_else(name):
    line = b"a" + PASS[name] + b"b"
    assert (keep_colors(line), plain(line), no_escapes(line)) == (line, b"ab", b"ab")


@pytest.mark.parametrize("name", GO)
def test_everything_else_goes(name):
    line = b"a" + GO[name] + b"\x1b[31mb\x1b[m"
    assert (keep_colors(line), plain(line), no_escapes(line)) == (b"a\x1b[31mb\x1b[m", b"ab", b"ab")


@pytest.mark.parametrize("sequence", OPEN, ids=lambda sequence: repr(sequence[:12]))
def test_what_the_end_of_the_line_cuts_off_is_gone(sequence):
    line = b"\x1b[32ma" + sequence
    assert (keep_colors(line), plain(line), no_escapes(line)) == (b"\x1b[32ma", b"a", b"a")


@pytest.mark.parametrize("end", [b"\x18", b"\x1a"])
def test_a_string_that_is_cancelled_hides_no_more(end):
    assert plain(b"a\x1b]0;title" + end + b"b") == b"ab"


def test_an_escape_within_a_sequence_begins_another():
    assert keep_colors(b"\x1b[3\x1b[31mred\x1b[\x1b]0;t\x07x") == b"\x1b[31mredx"


def test_removing_one_sequence_makes_no_other():
    assert keep_colors(b"\x1b[\x1b[2K2J \x1b\x1b[2K[2J \x1b]\x1b[2K0;t\x07") == b"2J [2J 0;t"


@pytest.mark.parametrize(
    "line", [b"\x1b]8;;http://x\x18\xc2\x9b2J\x07y", b"\x1b]8;;\xc2\x9c\xc2\x9b2J\x07y", b"\x1b]8;;\x9c\x07y"]
)
def test_no_control_hides_in_a_link(line):
    shown = keep_colors(line)
    assert b"\x9b" not in shown
    assert b"\x9c" not in shown
    assert b"\x18" not in shown
    assert b"\x1b" not in shown


def test_controls_but_tab_go_on_a_terminal_and_stay_in_a_file():
    controls = bytes(b for b in range(32) if b not in b"\t\n\r\b\x1b") + b"\x7f"
    line = b"a\tb" + controls + b"c"
    assert (keep_colors(line), plain(line), no_escapes(line)) == (b"a\tbc", b"a\tbc", line)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"\xff", "�"),
        (b"a\xe2\x82b", "a�b"),
        (b"\xc0\xaf", "��"),
        (b"\xed\xa0\x80", "���"),
        (b"\x9b2J", "�2J"),
        ("\x9b2J".encode(), "�2J"),
        ("\x85".encode(), "�"),
        ("é 界 🙂 \u0301 \ufffd".encode(), "é 界 🙂 \u0301 \ufffd"),
        (b"\xe2\x82\x1b[K\xac", "€"),
    ],
)
def test_what_is_no_utf8_and_what_hides_in_it_is_a_question_mark(line, shown):
    assert keep_colors(line) == plain(line) == shown.encode()


# Any bytes at all

TEXT = [b"text ", b"\x9b", b"\xc2", b"\xc2\x9b", b"\x18", b"\a", b"\x1b\\", b"\t", "é".encode()]
BITS = [*PASS.values(), *GO.values(), *(sequence for sequence in OPEN if len(sequence) < 99), *TEXT]
BYTES = st.lists(st.sampled_from(BITS) | st.binary(max_size=6), max_size=20).map(
    lambda parts: b"".join(parts).translate(None, b"\r\n\b")
)
ALLOWED = re.compile(
    r"(?:[^\x00-\x08\x0a-\x1f\x7f-\x9f]|\x1b\[[0-9;:]*m|\x1b\]8;[ -~]*(?:\x07|\x1b\\))*",
)


def visible(line):
    """A terminal's parser (ECMA-48, xterm's ctlseqs) by hand: what is text, controls apart."""
    text, at = bytearray(), 0
    while at < len(line):
        byte = line[at]
        at += 1
        if byte != 0x1B:
            text.append(byte)
            continue
        following = line[at : at + 1]
        if following in (b"]", b"P", b"X", b"^", b"_"):
            while at < len(line) and line[at] not in b"\x07\x18\x1a\x1b":
                at += 1
            if line[at : at + 1] == b"\x07":
                at += 1
            elif line[at : at + 2] == b"\x1b\\":
                at += 2
            continue
        if following == b"[":
            at += 1
            while at < len(line) and 0x30 <= line[at] <= 0x3F:
                at += 1
            first, last = 0x40, 0x7E
        else:
            first, last = 0x30, 0x7E
        while at < len(line) and 0x20 <= line[at] <= 0x2F:
            at += 1
        if at < len(line) and first <= line[at] <= last:
            at += 1
    return bytes(text)


@settings(deadline=None, max_examples=examples(150))
@given(BYTES)
def test_only_text_colors_and_links_are_left_of_any_bytes(line):
    assert ALLOWED.fullmatch(keep_colors(line).decode())
    assert "\x1b" not in plain(line).decode()


@settings(deadline=None, max_examples=examples(150))
@given(BYTES)
def test_the_text_is_what_a_terminals_parser_makes_of_it(line):
    assert no_escapes(line) == visible(line)
    controls = bytes(b for b in range(32) if b != 9) + b"\x7f"
    expected = re.sub("[\x80-\x9f]", "�", visible(line).translate(None, controls).decode("utf-8", "replace"))
    assert plain(line).decode() == expected
    if line.isascii():
        assert no_escapes(keep_colors(line)) == expected.encode()


@settings(deadline=None, max_examples=examples(150))
@given(BYTES)
def test_what_was_cleaned_stays_as_it_is(line):
    assert keep_colors(keep_colors(line)) == keep_colors(line)
    assert plain(plain(line)) == plain(line)


# Styles and links that are left open


def style_after(data):
    screen = pyte.Screen(10, 1)
    pyte.ByteStream(screen).feed(data + b"x")
    return screen.buffer[0][0]._replace(data="x")


CODES = st.sampled_from("0 1 3 4 5 7 9 22 23 24 25 27 29 31 32 39 41 49 90 97 100 38;5;9 48;5;200 38;2;1;2;3".split())
SGRS = st.lists(st.lists(CODES, max_size=4).map(lambda codes: b"\x1b[%sm" % ";".join(codes).encode()), max_size=8)


@settings(deadline=None, max_examples=examples(150))
@given(SGRS, SGRS)
def test_the_style_that_is_open_is_the_one_a_terminal_has(before, line):
    before, line = b"".join(before), b"text".join(line)
    style = open_style(open_style(b"", before), line)
    assert style_after(style) == style_after(before + line.replace(b"text", b""))


@pytest.mark.parametrize(
    "line", [b"\x1b[31mx\x1b[0m", b"\x1b[31mx\x1b[39m", b"\x1b[1;4mx\x1b[22;24m", b"\x1b[7mx\x1b[;m"]
)
def test_a_style_that_was_closed_is_none(line):
    assert open_style(b"", line) == b""


def test_a_style_does_not_grow():
    style = b""
    for n in range(3000):
        style = open_style(style, b"\x1b[38;5;%dm\x1b[1m\x1b[4m\x1b[48;2;%d;0;0m\x1b[7mx" % (n % 256, n % 256))
        assert len(style) < 200
    for sequence in (b"\x1b[" + b"1;" * 600 + b"1m", b"\x1b[0;" + b"1;" * 600 + b"1m", b"\x1b[" + b"9" * 4000 + b"m"):
        assert len(open_style(style, sequence)) < 1024


def test_links_open_and_close():
    assert open_link(b"", b"a" + LINK + b"b") == LINK
    assert open_link(b"", LINK + LINK_BEL) == LINK_BEL
    assert open_link(LINK, b"text") == LINK
    assert open_link(LINK, b"b" + NO_LINK) == b""
    assert open_link(LINK, b"b\x1b]8;id=1;\x07") == b""


# Time

FLOODS = [
    *(
        b"\x1b",
        b"\b",
        b"\x1b[",
        b"a\b",
        b"\x1b]",
        b"\x1b]8;;",
        b"\x1b ",
        b"\x1b[0",
        b"\x1b]8;;\x1b",
        b"\x80",
        b"\x1b[1m",
    ),
    *(b"\x1b[" + b"1;" * 500, b"\x1b[" + b" " * 500, b"\x1b]8;;http://x\x1b\\", b"\x1bP\x1b"),
]


JOINER = "\u200d".encode()
FLOODS += [JOINER, JOINER + b"\x1b[m", JOINER + b"x", JOINER * 500 + b"\x1b[m" * 500]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\x1b[m\n", b"\x1b]8;;\x1b\\\x1b[0m\r\n"])
def test_a_joiner_that_joins_nothing_is_not_drawn(end):
    """tmux joins it with what is drawn next, in another row too, and loses a character of that."""
    woman = "👩".encode()
    pair = woman + JOINER + woman
    assert drop_loose_joiners(pair + JOINER + end) == pair + end
    assert drop_loose_joiners(pair + JOINER * 3 + end) == pair + end
    assert drop_loose_joiners(pair + JOINER + b"\x1b[1m" + woman + end) == pair + JOINER + b"\x1b[1m" + woman + end


@pytest.mark.parametrize("unit", FLOODS, ids=lambda unit: repr(unit[:12]))
def test_a_megabyte_takes_no_more_than_a_moment(unit):
    line = unit * (flood(1_000_000) // len(unit))
    for function in (
        keep_colors,
        plain,
        no_escapes,
        lambda line: open_style(b"", line),
        lambda line: open_link(b"", line),
        drop_loose_joiners,
    ):
        cheap(function, line)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "é 日 � ? →"), ("ascii", "? ? ? ? ?"), ("latin-1", "é ? ? ? ?")]
)
def test_any_text_can_be_printed_in_any_locale(encoding, shown):
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    with contextlib.redirect_stdout(out):
        for one, expected in zip("é 日 \udcff \ud800 →".split(), shown.split(), strict=True):
            print(client.printable(one), file=out)  # raises UnicodeEncodeError if it cannot
            assert one == "\udcff" or client.printable(one) == expected
