"""A connection to a client: it receives everything in order, never blocks its sender, and is closed once."""

import socket

import pytest

from orchestrator.runtime.connection import Connection
from orchestrator.runtime.loop import Loop

LONG = bytes(range(256)) * 8192


class ConnectionUnderTest:
    """A peer in a loop, `theirs` the other end, and what the peer's owner was told."""

    def __init__(self):
        ours, self.theirs = socket.socketpair()
        self.loop = Loop()
        self.told = []
        tell = self.told.append
        self.peer = Connection(ours, self.loop, tell, lambda: tell("gone"), lambda: tell("caught up"))

    def take(self, size):
        """Read so many bytes at the other end, with the loop turning for what is still to be sent."""
        received = bytearray()
        while len(received) < size:
            received += self.theirs.recv(1 << 16)
            self.loop.call_in(0.0, lambda: None)  # nobody waits here for the kernel to call it writable
            self.loop.turn()
        return bytes(received)


@pytest.fixture
def tested():
    tested = ConnectionUnderTest()
    yield tested
    tested.peer.close()
    tested.theirs.close()
    tested.loop.close()


def test_what_he_does_not_take_at_once_follows_and_then_he_has_caught_up(tested):
    tested.peer.send(LONG)
    assert 0 < tested.peer.waiting < len(LONG)
    assert tested.take(len(LONG)) == LONG
    assert tested.told == ["caught up"]


def test_the_end_waits_until_he_has_taken_everything(tested):
    tested.peer.send(LONG)
    tested.peer.end()
    assert (tested.peer.open, tested.peer.hears) == (True, False)
    assert tested.take(len(LONG)) == LONG
    assert tested.theirs.recv(1) == b""
    assert tested.told == ["gone"]


def test_his_going_is_told_once_after_what_he_said(tested):
    tested.theirs.sendall(b"last words")
    tested.theirs.close()
    tested.loop.turn()
    tested.loop.turn()
    tested.peer.close()
    assert tested.told == [b"last words", "gone"]


def test_a_connection_that_is_given_away_is_left_alone(tested):
    connection = tested.peer.release()
    assert not tested.peer.open
    tested.theirs.sendall(b"x")
    assert connection.recv(1) == b"x"
    assert tested.told == []
    connection.close()
