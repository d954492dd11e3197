"""The keys that leave an attached terminal: found in any chunks, and nothing else is taken out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.terminal.detach_keys import ALONE, DEFAULT, ESCAPE, has_ctrl_c, parse

PREFIX = b"\x1c"
KITTY, KITTY_D = b"\x1b[92;5u", b"\x1b[100u"
ENCODED = {
    "kitty": (KITTY, b"d"),
    "kitty, all keys": (KITTY, KITTY_D),
    "kitty, all keys, caps and num lock": (b"\x1b[92;197u", b"\x1b[100;193u"),
    "kitty, event types": (b"\x1b[92;5:1u\x1b[92;5:3u", b"\x1b[100;1:1u"),
    "kitty, everything": (
        b"\x1b[57442;5u\x1b[92:124:92;5:1u\x1b[92:124:92;5:2u\x1b[92:124:92;5:3u\x1b[57442;1:3u",
        b"\x1b[100:68:100;1:1;100u",
    ),
    "modifyOtherKeys": (b"\x1b[27;5;92~", b"d"),
    "modifyOtherKeys, CSI u": (b"\x1b[92;5u", b"d"),
    "modifyOtherKeys, with num lock": (b"\x1b[27;133;92~", b"d"),
    "Windows": (b"\x1b[17;29;0;1;8;1_\x1b[220;43;28;1;8;1_\x1b[220;43;28;0;8;1_", b"\x1b[68;32;100;1;0;1_"),
}


def typed(*chunks, keys=DEFAULT, encoded=False):
    watch = parse(keys)
    passed = b""
    for chunk in chunks:
        more, left = watch.typed(chunk, encoded=encoded)
        passed += more
        if left:
            return passed, True
    return passed, False


def test_the_keys_leave_and_are_not_passed_on():
    assert typed(b"ls\r" + PREFIX + b"dnever") == (b"ls\r", True)
    assert typed(b"ls\r", PREFIX, b"d") == (b"ls\r", True)


def test_the_prefix_twice_is_passed_on_once():
    assert typed(PREFIX + PREFIX + b"d") == (PREFIX + b"d", False)
    assert typed(PREFIX, PREFIX, PREFIX, b"d") == (PREFIX, True)


def test_the_prefix_and_another_key_are_both_passed_on():
    assert typed(PREFIX + b"xd") == (PREFIX + b"xd", False)
    assert typed(PREFIX, b"x", PREFIX, b"d") == (PREFIX + b"x", True)


def test_the_keys_are_configurable():
    assert typed(b"\x10a\x10\x11b", keys="ctrl-p,ctrl-q") == (b"\x10a", True)
    assert typed(b"ab\x1dcd", keys="ctrl-]") == (b"ab", True)
    assert typed(b"\x01\x01xyxyz", keys="ctrl-a,x,y,z") == (b"\x01xyxyz", False)
    assert typed(b"\x01xy\x01xyz", keys="ctrl-a,x,y,z") == (b"\x01xy", True)
    assert parse("CTRL-P,q").name == "Ctrl-p q"
    assert parse(DEFAULT).name == "Ctrl-\\ d"


@pytest.mark.parametrize(
    "keys", ["", "d", "ctrl-", "ctrl-1", "ctrl-\\,", "ctrl-\\,ctrl-\\", "ctrl-a b", "ctrl-é", "F1"]
)
def test_keys_that_are_none_are_refused(keys):
    with pytest.raises(ValueError, match=r"."):
        parse(keys)


@given(st.binary(max_size=100).map(lambda data: data.replace(PREFIX, b"")), st.data())
def test_all_else_is_passed_on_as_it_is(data, draw):
    cut = draw.draw(st.integers(0, len(data)))
    assert typed(data[:cut], data[cut:]) == (data, False)


@given(st.lists(st.sampled_from([PREFIX, b"d", b"x"]), max_size=20))
def test_any_chunking_gives_the_same_keys(keys):
    assert typed(*keys) == typed(b"".join(keys))


@pytest.mark.parametrize("name", ENCODED)
def test_they_are_found_in_every_encoding_and_however_they_are_cut(name):
    first, second = ENCODED[name]
    keys = b"ls\r" + first + second
    assert typed(keys)[1], "also where it is not known that the component has switched it on"
    for cut in range(1, len(keys)):
        passed, left = typed(keys[:cut], keys[cut:], encoded=True)
        assert left, cut
    passed, left = typed(*(bytes([byte]) for byte in keys), encoded=True)
    assert left
    modifiers = [b"\x1b[57442;5u", b"\x1b[57442;1:3u", b"\x1b[17;29;0;1;8;1_"]
    for modifier in modifiers:  # these are passed on
        passed = passed.replace(modifier, b"")
    assert passed == b"ls\r"


def test_configured_keys_are_found_in_every_encoding():
    assert typed(b"\x1b[112;5u\x1b[113;5u", keys="ctrl-p,ctrl-q", encoded=True) == (b"", True)
    assert typed(b"\x1b[27;5;93~", keys="ctrl-]", encoded=True) == (b"", True)
    assert typed(b"\x1b[54;6u\x1b[49;2u", keys="ctrl-^,!", encoded=True) == (b"", True)
    assert typed(b"\x1b[97;5u\x1b[100;2u", keys="ctrl-a,D", encoded=True) == (b"", True)
    assert typed(b"\x1b[97;5u\x1b[100u", keys="ctrl-a,D", encoded=True) == (b"\x1b[97;5u\x1b[100u", False)


def test_what_is_not_a_key_does_not_interrupt_them():
    mouse, focus, answer = b"\x1b[<35;1;2M", b"\x1b[O", b"\x1b[?62;22c"
    assert typed(KITTY + mouse + focus + answer + b"d", encoded=True) == (mouse + focus + answer, True)


def test_the_encoded_prefix_twice_is_passed_on_once_with_its_release():
    press, release = b"\x1b[92;5:1u", b"\x1b[92;5:3u"
    assert typed((press + release) * 2, encoded=True) == (press + release, False)
    assert typed(KITTY + KITTY + KITTY_D, encoded=True) == (KITTY + KITTY_D, False)


def test_the_encoded_prefix_and_another_key_are_both_passed_on_as_they_came():
    keys = b"\x1b[92;5:1u\x1b[92;5:3u\x1b[A"
    assert typed(keys, encoded=True) == (keys, False)


def test_the_prefix_alone_is_passed_on():
    watch = parse(DEFAULT)
    assert watch.wait is None
    for prefix in (PREFIX, KITTY):
        assert watch.typed(prefix, encoded=True) == (b"", False)
        assert watch.wait == ALONE
        assert watch.expire() == (prefix, False)
        assert watch.wait is None
        assert watch.typed(b"d") == (b"d", False)


def test_the_beginning_of_a_sequence_is_not_kept_for_long():
    watch = parse(DEFAULT)
    assert watch.typed(b"\x1b") == (b"\x1b", False), "without a protocol ESC is passed on at once"
    assert watch.typed(b"\x1b", encoded=True) == (b"", False)
    assert watch.wait == ESCAPE
    assert watch.expire() == (b"\x1b", False)
    assert watch.typed(b"\x1b[1;", encoded=True) == (b"", False)
    assert watch.expire() == (b"\x1b[1;", False)
    assert watch.wait is None


def test_escape_can_be_a_detach_key():
    watch = parse("ctrl-[,d")
    assert watch.typed(b"\x1b[A\x1b") == (b"\x1b[A", False)
    assert watch.typed(b"d") == (b"", True)
    assert watch.typed(b"\x1b", encoded=True) == (b"", False)
    assert watch.expire() == (b"", False)
    assert watch.typed(b"d", encoded=True) == (b"", True)


@pytest.mark.parametrize(
    "keys", [b"\x03", b"\x1b[99;5u", b"\x1b[99;197:1u", b"\x1b[27;5;99~", b"\x1b[1089::99;5u", b"\x1b[67;46;3;1;8;1_"]
)
def test_ctrl_c_is_known_in_every_encoding(keys):
    assert has_ctrl_c(b"x" + keys)
    assert not has_ctrl_c(keys[:-1])


def test_another_key_is_not_ctrl_c():
    assert not has_ctrl_c(b"c\x1b[99u\x1b[99;6u\x1b[99;5:3u\x1b[<3;3;3M")
