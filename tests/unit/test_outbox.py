"""What is to be sent on a socket: never waited for, nothing lost, the other end's going said."""

import socket

import pytest

from orchestrator.runtime.connection import Outbox


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_a_full_socket_does_not_take_stays_and_follows(ends):
    ours, theirs = ends
    outbox = Outbox(ours)
    whole = bytes(range(256)) * 8192
    outbox.add(whole)
    outbox.flush()
    assert 0 < len(outbox) < len(whole)
    received = bytearray()
    while len(received) < len(whole):
        received += theirs.recv(1 << 16)
        outbox.flush()
    assert (received, len(outbox)) == (whole, 0)


def test_where_the_other_end_has_gone_the_rest_is_forgotten(ends):
    ours, theirs = ends
    outbox = Outbox(ours)
    theirs.close()
    outbox.add(b"x" * 100)
    with pytest.raises(BrokenPipeError):
        outbox.flush()
    assert len(outbox) == 0
