"""The modes a program has put its terminal in: learned in any chunks, entered and left exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.terminal.modes import CARRY_MAX, Modes

VIM = b"\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[?1004h\x1b[1;30r\x1b[?25l~ text\x1b[?25h\x1b[2 q"
VIM_ENDS = b"\x1b[r\x1b[23;0;0t\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[>4;m\x1b[?1049l\x1b[0 q"
PIECES = [
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?1000;1006h",
    b"\x1b[?25l",
    b"\x1b[?25h",
    b"\x1b=",
    b"\x1b>",
    b"\x1b[>1u",
    b"\x1b[<u",
    b"\x1b[5 q",
    b"\x1bc",
    b"\x1b[31m",
    b"text\r\n",
    b"\x1b]0;title\x07",
    b"\x1b",
    b"[?47h",
    b"\xc2\x9b?1000h",
    b"\xc2\x9d0;title\xc2\x9c",
    b"\xc2",
]


def after(*chunks):
    modes = Modes()
    for chunk in chunks:
        modes.feed(chunk)
    return modes


@pytest.mark.parametrize("number", [b"47", b"1047", b"1049"])
def test_the_alternate_screen_is_recognised_wherever_a_chunk_ends(number):
    on, off = b"\x1b[?" + number + b"h", b"\x1b[?25;" + number + b"l"
    for cut in range(len(on) + 1):
        assert after(b"text" + on[:cut], on[cut:] + b"more").alternate
    for cut in range(len(off) + 1):
        assert not after(on, off[:cut], off[cut:]).alternate
    for single in range(1, len(on)):
        assert not after(on[:single]).alternate


def test_a_full_screen_program_that_ends_leaves_nothing_to_undo():
    assert after(VIM).alternate
    assert after(VIM, VIM_ENDS).enter == b""
    assert after(VIM, VIM_ENDS).leave == after().leave


def test_who_attaches_gets_into_the_modes_and_out_again():
    there = after(VIM).enter
    assert there.startswith(b"\x1b[?1049h")
    for sequence in (b"\x1b[?1h", b"\x1b=", b"\x1b[?2004h", b"\x1b[?1004h", b"\x1b[>4;2m", b"\x1b[2 q"):
        assert sequence in there
    assert b"\x1b[?25" not in there  # on, as usual
    back = after(there).leave
    assert back.index(b"\x1b[?2004l") < back.index(b"\x1b[?1049l")
    assert after(there, back).enter == b""


def test_c1_controls_count_as_their_escape_sequences():
    there = "\u009b?1049h\u009b?25l\u009b>1u\u009d8;;u\u009c".encode()
    for cut in range(len(there)):
        modes = after(there[:cut], there[cut:])
        assert modes.leave == after(b"\x1b[?1049h\x1b[?25l\x1b[>1u\x1b]8;;u\x1b\\").leave


def test_a_reset_is_the_end_of_all_modes():
    assert after(VIM, b"\x1bc").enter == b""
    assert after(b"\x1b[?25l", b"\x1b[!p").enter == b""


def test_the_normal_screen_is_not_left():
    """1049l would move the cursor of a terminal that was never in the alternate screen."""
    assert b"1049" not in after(b"\x1b[?25l").leave


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.data())
def test_any_chunking_gives_the_same_modes(pieces, data):
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert (after(*chunks).enter, after(*chunks).leave) == (after(whole).enter, after(whole).leave)


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_leaving_undoes_entering(pieces):
    modes = after(b"".join(pieces))
    entered = after(modes.enter)
    assert (entered.enter, entered.alternate) == (modes.enter, modes.alternate)
    assert after(modes.enter, modes.leave).enter == b""


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_are_taken_and_none_of_them_kept(chunks):
    modes = after(*chunks, b"\x1b[?" + b"1;" * 10_000)
    assert len(modes._carry) <= CARRY_MAX
    assert after(modes.enter, modes.leave).enter == b""


ST = b"\x1b\\"
UNDONE = [  # what a component can send, what undoes it, and what else it may send that leaves nothing to undo
    *((b"\x1b[?%dh" % n, b"\x1b[?%dl" % n) for n in (1, 4, 5, 6, 9, 12, 45, 47, 66, 67, 69, 80, 95, 1000, 1001, 1002)),
    *((b"\x1b[?%dh" % n, b"\x1b[?%dl" % n) for n in (1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004, 2026, 2027)),
    *((b"\x1b[?%dh" % n, b"\x1b[?%dl" % n) for n in (2031, 2048, 5522, 7727, 9001, 12345)),
    *((b"\x1b[?%dl" % n, b"\x1b[?%dh" % n) for n in (7, 8, 25, 1007)),
    (b"\x1b[?1002;1006h", b"\x1b[?1002l\x1b[?1006l"),
    (b"\x1b[?7s\x1b[?7l\x1b[?7s\x1b[?7h\x1b[?7r", b"\x1b[?7h"),  # saved while it was off
    *((b"\x1b[%dh" % n, b"\x1b[%dl" % n) for n in (2, 4, 20)),
    (b"\x1b[12l", b"\x1b[12h"),
    (b"\x1b=", b"\x1b>"),
    (b"\x1b[5 q", b"\x1b[0 q"),
    (b"\x1b[?6c", b"\x1b[?0c"),
    (b"\x1b[2q", b"\x1b[0q"),
    (b'\x1b[1"q', b'\x1b[0"q'),
    (b"\x1b[2*x", b"\x1b[0*x"),
    (b"\x1b[1$}", b"\x1b[0$}"),
    (b"\x1b[1'z", b"\x1b[0'z"),
    (b"\x1b[5i", b"\x1b[4i"),
    (b"\x1b[?5i", b"\x1b[?4i"),
    (b"\x1b[?2l", b"\x1b<"),
    (b"\x1b%@", b"\x1b%G"),
    (b"\x1b G", b"\x1b F"),
    (b"\x1b[>4;2m", b"\x1b[>4m"),
    (b"\x1b[>1;2m", b"\x1b[>1m"),
    (b"\x1b[>4n", b"\x1b[>4m"),
    (b"\x1b[>4;1f", b"\x1b[>4f"),
    (b"\x1b[>5u", b"\x1b[<1u"),
    (b"\x1b[>1u\x1b[>5u", b"\x1b[<2u"),
    (b"\x1b[=5u", b"\x1b[=0u"),
    (b"\x1b[=1;2u\x1b[=4;2u\x1b[=1;3u", b"\x1b[=0u"),
    (b"\x1b[>1u\x1b[?1049h\x1b[>5u", b"\x1b[<1u\x1b[r\x1b[?1049l\x1b[<1u"),
    (b"\x1b[1;5r", b"\x1b7\x1b[r\x1b8"),
    (b"\x1b[3g", b"\r\x1b[3g" + b"\x1b[8C\x1bH" * 32 + b"\r"),
    (b"\x1bH", b"\x1b[8C\x1bH"),
    (b"\x1b(0", b"\x1b(B"),
    (b"\x1b)0\x0e", b"\x1b)B\x1b(B\x0f"),
    (b"\x1b*0\x1bn", b"\x1b*B"),
    (b"\x1b]8;;http://host/\x07text", b"\x1b]8;;" + ST),
    (b"\x1b]8;id=1;http://host/" + ST + b"text", b"\x1b]8;;" + ST),
    (b"\x1b]4;1;#ff0000\x07", b"\x1b]104" + ST),
    (b"\x1b]10;#ff0000\x07", b"\x1b]110" + ST),
    (b"\x1b]11;rgb:00/00/00" + ST, b"\x1b]111" + ST),
    (b"\x1b]12;red\x07", b"\x1b]112" + ST),
    (b"\x1b]22;pointer\x07", b"\x1b]22;" + ST),
    (b"\x1b]9;4;1;50\x07", b"\x1b]9;4;0" + ST),
    (b"\x1b]2;a title\x07", b"\x1b[23;0t"),
    (b"\x1b[22;2t\x1b]0;a title\x07", b"\x1b[23;0t"),
    (b"\x1b]2;cut", b"\x18"),
    (b"\x1bP+q54", b"\x18"),
    (b"\x1b[38;5", b"\x18"),
]
NOTHING = [
    *((on + undo, b"") for on, undo in UNDONE if undo != b"\x18" and b"\x1bH" not in undo),
    (b"\x1b[3g\x1bH\x1b[?5W", b""),
    (b"\x1b[31m\x1b[2J\x1b[3;4H\x1b[K\x1b[?6n\x1b[c\x1b[>c\x1b[?u\x1b7\x1b8\x1b[s\x1b[u\x1b[5X", b""),
    (b"\x1b]4;1;?\x07\x1b]11;?\x07\x1b]12;?" + ST, b""),
    (b"\x1b]8;;http://host/\x07text\x1b]8;;\x07", b""),
    (b"\x1b]8;;http://host/" + ST + b"text\x1b]8;;" + ST, b""),
    (b"\x1b[?1007h\x1b[?1034h\x1b[?7h\x1b[?25h\x1b[?1048h\x1b[?1049l", b""),
    (b"\x1b[22;0t\x1b[23;0t", b""),
    (b"\x1b[>5u\x1b[=3u\x1b[<u", b""),
    (b"\x1b[>1u\x1b[<9u", b""),
    *((on + b"\x1bc", b"") for on, undo in UNDONE if undo != b"\x18"),
]
PLAIN = b"\x1b(B\x0f\x1b[m"  # which comes last, and always


def undone(leave):
    """What is undone, less what always is, and less the margins of the alternate screen."""
    assert leave.endswith(PLAIN)
    return leave.removesuffix(PLAIN)


@pytest.mark.parametrize(("on", "undo"), UNDONE, ids=[repr(on) for on, _ in UNDONE])
def test_each_mode_is_undone(on, undo):
    leave = after(b"text" + on).leave
    assert undo in leave
    for cut in range(1, len(on)):
        assert after(b"text" + on[:cut], on[cut:]).leave == leave, cut
    if undo != b"\x18":
        assert undone(after(on, leave).leave) == b"", "nothing is left to undo"


@pytest.mark.parametrize(("output", "undo"), NOTHING, ids=[repr(output)[:60] for output, _ in NOTHING])
def test_what_is_off_already_is_not_undone(output, undo):
    assert undone(after(output).leave) == undo


def test_a_soft_reset_leaves_the_screen_the_mouse_and_the_keys():
    leave = after(b"\x1b[?1049h\x1b[?1000h\x1b[>1u\x1b[?25l\x1b[4h\x1b[2;3r\x1b(0\x1b[!p").leave
    assert undone(leave) == b"\x1b[?1000l\x1b[<1u\x1b[r\x1b[?1049l"


def test_what_holds_output_back_is_undone_first():
    leave = after(b"\x1b[?2026h\x1b[?2004h\x1b[5i\x1b[?2l").leave
    assert leave.startswith(b"\x1b<\x1b[4i\x1b[?2026l")


def test_who_attaches_is_not_given_what_lasts_a_moment():
    assert after(b"\x1b[?2026h\x1b[?3h\x1b[5i\x1b]11;red\x07\x1b]8;;http://host\x07").enter == b""


def test_a_title_is_saved_before_it_is_set():
    assert after().saves_title(b"\x1b]0;vim\x07")
    assert not after(b"\x1b]0;vim\x07").saves_title(b"\x1b]0;vim\x07")
    assert not after().saves_title(b"\x1b[22;0;0t\x1b]0;vim\x07")
    assert not after().saves_title(b"\x1b]8;;http://host\x07")
    assert after(b"\x1b]").saves_title(b"0;vim\x07")


@pytest.mark.parametrize(
    ("output", "encodes", "reports"),
    [
        (b"\x1b[>1u", True, False),
        (b"\x1b[>3u", True, True),
        (b"\x1b[=2u", True, True),
        (b"\x1b[>1u\x1b[<u", False, False),
        (b"\x1b[>1u\x1b[?1049h", False, False),  # each screen has its own
        (b"\x1b[>4;1m", True, False),
        (b"\x1b[>4;1m\x1b[>4;0m", False, False),
        (b"\x1b[?9001h", True, True),
        (b"\x1b[?1003h", False, True),
        (b"\x1b[?2004h", False, False),
    ],
)
def test_what_the_terminal_sends_is_known(output, encodes, reports):
    assert (after(output).encodes_keys, after(output).reports) == (encodes, reports)
