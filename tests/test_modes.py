"""The modes a program has put its terminal in: learned in any chunks, entered and left exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.text.modes import CARRY_MAX, Modes

VIM = b"\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[?1004h\x1b[1;30r\x1b[?25l~ text\x1b[?25h\x1b[2 q"
VIM_ENDS = b"\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[>4;m\x1b[?1049l\x1b[0 q"
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
