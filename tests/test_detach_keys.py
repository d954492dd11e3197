"""The keys that leave an attached terminal: found in any chunks, and nothing else is taken out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.text.detachkeys import DEFAULT, parse

PREFIX = b"\x1c"


def typed(*chunks, keys=DEFAULT):
    watch = parse(keys)
    passed = b""
    for chunk in chunks:
        more, left = watch.typed(chunk)
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
