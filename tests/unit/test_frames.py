"""What an attached client and the supervisor say to each other: whole frames from any chunks, garbage refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.frames import (
    FRAME_MAX,
    ClientTerminal,
    Frame,
    FrameKind,
    FrameReader,
    MalformedFrame,
    decode_terminal,
    format_size,
    parse_size,
)

frames = st.lists(st.builds(Frame, st.sampled_from(FrameKind), st.binary(max_size=50)), max_size=10)


@given(frames, st.data())
def test_any_chunking_gives_the_same_frames(sent, data):
    whole = b"".join(frame.encode() for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    reader = FrameReader()
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [frame for chunk in chunks for frame in reader.feed(chunk)] == sent


@pytest.mark.parametrize(
    "garbage", [b'{"version": 1}\n', b"i\xff\xff\xff\xff", b"o" + (FRAME_MAX + 1).to_bytes(4, "big")]
)
def test_garbage_is_refused_before_it_is_collected(garbage):
    with pytest.raises(MalformedFrame):
        FrameReader().feed(garbage)


@given(st.binary(max_size=200))
def test_any_bytes_give_frames_or_are_refused(data):
    try:
        FrameReader().feed(data)
    except MalformedFrame:
        pass


@given(st.builds(ClientTerminal, st.integers(1, 65535), st.integers(1, 65535), st.booleans(), st.booleans()))
def test_a_terminal_is_read_as_it_was_written(terminal):
    assert decode_terminal(terminal.encode()) == terminal


@pytest.mark.parametrize("text", ["", "0x80", "24x", "x", "24x80 dance", "-1x80", "99999x1", "24x80x3", "٣x80"])
def test_a_malformed_terminal_is_refused(text):
    with pytest.raises(MalformedFrame):
        decode_terminal(text)


def test_a_size_is_read_as_it_was_written():
    assert parse_size(format_size(24, 80).encode()) == (24, 80)
