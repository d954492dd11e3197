"""Keys in every encoding that a component can switch on: the byte that each would be without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.terminal.key_encoding import KeyEvent, begun_at, split_keys

PREFIX = 0x1C  # Ctrl-\


def key(data):
    (only,) = split_keys(data)
    assert only.raw == data
    return only.byte, only.event.name


@pytest.mark.parametrize(
    ("data", "byte"),
    [
        (b"\x1c", PREFIX),
        (b"\x1b[92;5u", PREFIX),  # kitty: disambiguate
        (b"\x1b[92;69u", PREFIX),  # with caps lock
        (b"\x1b[92;133u", PREFIX),  # with num lock
        (b"\x1b[92;197u", PREFIX),  # with both
        (b"\x1b[92;5:1u", PREFIX),  # with event types
        (b"\x1b[92:124;5u", PREFIX),  # with alternate keys
        (b"\x1b[92:124:92;133:1u", PREFIX),
        (b"\x1b[1102::92;5u", PREFIX),  # another layout: the place of the key counts
        (b"\x1b[27;5;92~", PREFIX),  # modifyOtherKeys
        (b"\x1b[220;43;28;1;8;1_", PREFIX),  # win32-input-mode
        (b"d", ord("d")),
        (b"\x1b[100u", ord("d")),  # kitty: report all keys
        (b"\x1b[100;1u", ord("d")),
        (b"\x1b[100;129u", ord("d")),
        (b"\x1b[100;1:1u", ord("d")),
        (b"\x1b[100;;100u", ord("d")),  # with associated text
        (b"\x1b[100:68;2;68u", ord("D")),
        (b"\x1b[100;2u", ord("D")),
        (b"\x1b[100;65u", ord("d")),  # caps lock does not count
        (b"\x1b[100;65;68u", ord("d")),
        (b"\x1b[100;66u", ord("D")),
        (b"\x1b[27;2;68~", ord("D")),
        (b"\x1b[1074::100;1u", ord("d")),
        (b"\x1b[68;32;100;1;0;1_", ord("d")),
        (b"\x1b[99;5u", 3),
        (b"\x1b[27;5;99~", 3),
        (b"\x1b[27;5;67~", 3),  # caps lock, in xterm
        (b"\x1b[1089::99;5u", 3),
        (b"\x1b[32;5u", 0),
        (b"\x1b[54;6u", 0x1E),  # Ctrl-^ is Ctrl-Shift-6
        (b"\x1b[54:94;6u", 0x1E),
        (b"\x1b[27;6;94~", 0x1E),
        (b"\x1b[45;6u", 0x1F),  # Ctrl-_
        (b"\x1b[47;5u", 0x1F),  # Ctrl-/ is the same key without a protocol
        (b"\x1b[93;5u", 0x1D),
        (b"\x1b[49;2u", ord("!")),
        (b"\x1b[49:33;2u", ord("!")),
        (b"\x1b[50:34;2u", ord('"')),  # a German keyboard
        (b"\x1b[50;2;34u", ord('"')),
        (b"\x1b[57401u", ord("2")),  # the keypad
        (b"\x1b[13u", 13),
        (b"\x1b[27u", 27),
    ],
)
def test_a_key_is_the_byte_that_it_was(data, byte):
    assert key(data) == (byte, "PRESS")


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b[92;7u",  # with Alt
        b"\x1b[92;13u",  # with Super
        b"\x1b[99;6u",  # Ctrl-Shift-C is another key
        b"\x1b[27;6;67~",
        b"\x1b[1092u",  # a Cyrillic letter whose place is not told
        b"\x1b[A",
        b"\x1b[1;5A",
        b"\x1bOP",
        b"\x1b[3~",
        b"\x1b[200~",
    ],
)
def test_another_key_is_none(data):
    assert key(data) == (None, "PRESS")


def test_the_place_of_a_latin_letter_does_not_count():
    """On Dvorak the key at the place of D types E."""
    assert key(b"\x1b[101::100;1u") == (ord("e"), "PRESS")


@pytest.mark.parametrize(
    ("data", "byte", "event"),
    [
        (b"\x1b[92;5:2u", PREFIX, "REPEAT"),
        (b"\x1b[92;5:3u", PREFIX, "RELEASE"),
        (b"\x1b[100;129:3u", ord("d"), "RELEASE"),
        (b"\x1b[68;32;100;0;0;1_", ord("d"), "RELEASE"),
        (b"\x1b[1;1:3A", None, "RELEASE"),
        (b"\x1b[57442;5u", None, "OTHER"),  # left Ctrl itself
        (b"\x1b[57442;1:3u", None, "OTHER"),
        (b"\x1b[17;29;0;1;8;1_", None, "OTHER"),
        (b"\x1b[<35;10;20M", None, "OTHER"),  # the mouse
        (b"\x1b[M d!", None, "OTHER"),
        (b"\x1b[I", None, "OTHER"),  # the focus
        (b"\x1b[24;80R", None, "OTHER"),  # answers
        (b"\x1b[?62;22c", None, "OTHER"),
        (b"\x1b[?1u", None, "OTHER"),
        (b"\x1b[0n", None, "OTHER"),
        (b"\x1b[48;24;80;0;0t", None, "OTHER"),
        (b"\x1b]11;rgb:0000/0000/0000\x1b\\", None, "OTHER"),
        (b"\x1bP>|kitty(0.36)\x1b\\", None, "OTHER"),
    ],
)
def test_what_is_not_a_press_is_known(data, byte, event):
    assert key(data) == (byte, event)


@given(st.binary(max_size=200))
def test_all_bytes_are_in_some_event(data):
    assert b"".join(event.raw for event in split_keys(data)) == data


@pytest.mark.parametrize("data", [b"\x1b[92:124:92;133:1u", b"\x1b[27;5;92~"])
def test_a_cut_sequence_is_known_as_one(data):
    for cut in range(1, len(data)):
        assert begun_at(b"text" + data[:cut]) == 4
    assert begun_at(b"text" + data) == 4 + len(data)
    assert begun_at(b"text") == 4


def test_alt_and_a_letter_are_two_keys():
    assert [(event.byte, event.event) for event in split_keys(b"\x1bd")] == [
        (27, KeyEvent.PRESS),
        (100, KeyEvent.PRESS),
    ]
