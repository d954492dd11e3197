"""The loop: descriptors and deadlines, on real pipes and the real clock, without ever waiting for a time."""

import os
import selectors

import pytest

from orchestrator.runtime.loop import READ, WRITE, Loop


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pipes():
    """Make pipes; all ends that are still open are closed afterwards."""
    fds = []

    def make(content=b""):
        fds.extend(os.pipe())
        os.write(fds[-1], content)
        return fds[-2], fds[-1]

    yield make
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def test_a_readable_descriptor_is_called_back_with_its_events(loop, pipes):
    read_fd, write_fd = pipes(b"x")
    told = []
    loop.add(read_fd, READ, lambda mask: told.append(("read", mask)))
    loop.add(write_fd, WRITE, lambda mask: told.append(("write", mask)))
    loop.turn()
    assert sorted(told) == [("read", selectors.EVENT_READ), ("write", selectors.EVENT_WRITE)]


def test_one_that_is_removed_in_the_same_turn_is_not_called(loop, pipes):
    first, second = pipes(b"x")[0], pipes(b"x")[0]
    told = []
    loop.add(first, READ, lambda _: (told.append("first"), loop.remove(second)))
    loop.add(second, READ, lambda _: (told.append("second"), loop.remove(first)))
    loop.turn()
    assert len(told) == 1


def test_a_number_that_is_used_again_in_the_same_turn_does_not_get_the_old_event(loop, pipes):
    told = []

    def replace(other):
        def callback(_):
            told.append("old")
            loop.remove(other)
            os.close(other)
            reused = pipes()[0]
            assert reused == other
            loop.add(reused, READ, lambda _: told.append("new"))

        return callback

    first, second = pipes(b"x")[0], pipes(b"x")[0]
    loop.add(first, READ, replace(second))
    loop.add(second, READ, replace(first))
    loop.turn()
    assert told == ["old"]


def test_changed_events_hold_and_an_unknown_descriptor_is_removed_in_peace(loop, pipes):
    read_fd, write_fd = pipes(b"x")
    told = []
    loop.add(read_fd, READ, lambda mask: told.append("read"))
    loop.add(write_fd, READ, lambda mask: told.append("write"))
    loop.change(write_fd, WRITE)
    loop.change(write_fd, WRITE)
    loop.remove(read_fd)
    loop.remove(read_fd)
    loop.remove(99999)
    loop.turn()
    assert told == ["write"]


def test_a_closed_descriptor_can_still_be_removed(loop, pipes):
    read_fd, _ = pipes(b"x")
    loop.add(read_fd, READ, lambda mask: None)
    os.close(read_fd)
    loop.remove(read_fd)
    loop.call_in(0.0, lambda: None)
    loop.turn()


def test_timers_fire_once_in_the_order_of_their_times(loop):
    told = []
    now = loop.now()
    for name, when in {"c": 0.03, "a": 0.01, "b": 0.02, "b2": 0.02}.items():
        loop.call_at(now + when, lambda name=name: told.append(name))
    while len(told) < 4:
        loop.turn()
    assert told == ["a", "b", "b2", "c"]
    assert loop.now() >= now + 0.03
    loop.call_in(0.0, lambda: told.append("later"))
    loop.turn()
    assert told[4:] == ["later"]


def test_a_cancelled_timer_never_fires_and_keeps_nobody_waiting(loop, pipes):
    told = []
    cancelled = loop.call_in(0.0, lambda: told.append("cancelled"))
    far = loop.call_in(3600.0, lambda: told.append("far"))
    cancelled.cancel()
    far.cancel()
    loop.call_in(0.01, lambda: told.append("kept"))
    loop.turn()
    assert told == ["kept"]
    assert loop._timeout() is None


def test_a_timer_that_is_due_can_cancel_another_that_is(loop):
    told = []
    past = loop.now() - 1
    timers = []
    for name in ("first", "second"):
        timers.append(loop.call_at(past, lambda name=name: (told.append(name), [t.cancel() for t in timers])))
    loop.turn()
    assert told == ["first"]


def test_a_past_deadline_does_not_wait_and_a_descriptor_comes_with_it(loop, pipes):
    told = []
    loop.add(pipes(b"x")[0], READ, lambda _: told.append("fd"))
    loop.call_at(loop.now() - 5, lambda: told.append("timer"))
    loop.turn()
    assert told == ["fd", "timer"]


def test_after_each_turn_comes_last_and_once_a_turn(loop, pipes):
    told = []
    loop.after_each_turn(lambda: told.append("after"))
    loop.add(pipes(b"x")[0], READ, lambda _: told.append("fd"))
    loop.call_in(0.0, lambda: told.append("timer"))
    loop.turn()
    assert told[0] == "fd"
    assert told[-1] == "after"
    assert told.count("after") == 1


def test_a_timer_may_arm_itself_again_without_holding_the_turn(loop):
    count = []

    def again():
        count.append(1)
        loop.call_in(0.001, again)

    loop.call_in(0.0, again)
    for _ in range(3):
        loop.turn()
    assert 1 <= len(count) <= 6
