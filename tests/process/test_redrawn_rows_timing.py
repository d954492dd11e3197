"""Rows that are redrawn by moving up, over real ptys and with the clock: how often they are shown, and to whom."""

import re
import time

import pytest


@pytest.mark.parametrize("sink", ["terminal", "pipe"])
def test_rows_are_shown_once_a_second_at_most_and_into_a_pipe_only_in_the_end(sink, pipeline):
    one = pipeline(sink)
    one.start()
    one.feed(b"first 0\r\nsecond 0\r\n")
    began, step = time.monotonic(), 0
    while time.monotonic() - began < 2.4:
        step += 1
        one.feed(b"\x1b[2A\x1b[2Kfirst %d\r\n\x1b[2Ksecond %d\r\n" % (step, step))
        one.turn(0.005)
    took = time.monotonic() - began
    one.feed(b"done\r\n")
    one.finish()
    shown = [int(number) for number in re.findall(rb"first (\d+)", bytes(one.out))]
    assert shown[0] == 0
    assert shown[-1] == step
    assert len(shown) == 2 if sink == "pipe" else 3 <= len(shown) <= took + 3, shown
    assert bytes(one.out).count(b"second") == len(shown)
    assert one.log().count(b"first") == step + 1


@pytest.mark.parametrize("sink", ["terminal", "pipe"])
def test_rows_that_rest_are_shown_and_then_nothing_waits(sink, pipeline):
    one = pipeline(sink)
    one.start()
    one.feed(b"one\r\ntwo\r\n")
    one.turn_until(lambda: b"two" in one.out)
    one.feed(b"\x1b[2A\rready\r\n")
    one.turn_until(lambda: b"ready" in one.out)
    assert one.loop._timeout() is None


def test_who_waits_for_a_line_hears_of_one_that_is_written_over(pipeline):
    one, seen = pipeline("pipe"), []
    one.start().watcher = seen.append
    one.feed(b"one\r\ntwo\r\n\x1b[2A\rready\r\n\x1b[A\rgone\r\n")
    one.turn_until(lambda: b"ready" in b"".join(seen))
    one.finish()
    assert b"ready" not in one.out
    assert b"gone" in one.out
