"""The order in which text waits for a terminal: whatever the sink takes, and when."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output.backlog import KEEP_MIN, LAST, LIGHT_MAX, Backlog, Flow

NAMES = "abc"
FLOOD = LIGHT_MAX + 1000

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(NAMES + "-"), st.sampled_from([1, 3, 400, 3000])),
        st.tuples(st.just("take"), st.integers(0, 40_000)),
        st.tuples(st.just("merge"), st.sampled_from(NAMES)),
        st.tuples(st.just("calm"), st.sampled_from(NAMES)),
        st.tuples(st.just("keep"), st.sampled_from([None, KEEP_MIN, 1 << 20])),
    ),
    max_size=60,
)


class Sink:
    """Takes what it is told to, and no more; `-` stands for our own lines."""

    def __init__(self, fair=True):
        self.backlog, self.out = Backlog(fair=fair), b""
        self.flows = {name: Flow() for name in NAMES}
        self.said = dict.fromkeys(NAMES + "-", 0)

    def say(self, name, count=1):
        for _ in range(count if count < 1000 else 1):
            number = self.said[name]
            lines = count if count >= 1000 else 1
            self.said[name] += lines
            text = b"".join(b"%s%06d\n" % (name.encode(), number + i) for i in range(lines))
            self.backlog.append(text, self.flows.get(name))

    def take(self, count):
        while count:
            if not (data := self.backlog.head()):
                break
            done = min(count, len(data))
            self.out += bytes(data[:done])
            self.backlog.consume(done)
            count -= done
        if self.backlog.size:
            self.backlog.settle()

    def drain(self):
        self.take(1 << 40)

    def numbers(self, name):
        return [int(n) for n in re.findall(rb"^%s(\d{6})$" % re.escape(name.encode()), self.out, re.MULTILINE)]


@pytest.mark.parametrize("fair", [True, False], ids=["terminal", "pipe"])
@given(actions=ACTIONS)
def test_every_line_comes_once_whole_and_in_its_components_order_or_is_counted(fair, actions):
    sink = Sink(fair)
    for what, *values in actions:
        if what == "say":
            sink.say(*values)
        elif what == "take":
            sink.take(*values)
        elif what == "merge":
            sink.backlog.merge(sink.flows[values[0]])
        elif what == "calm":
            flow = sink.flows[values[0]]
            flow.is_flood &= bool(flow.size)
        else:
            sink.backlog.keep = values[0]
            sink.backlog.trim()
    sink.drain()
    assert sink.backlog.size == sink.backlog.flood_size == 0
    assert not any(flow.size or flow.in_line for flow in sink.flows.values()) or not fair
    lines = sink.out.split(b"\n")
    assert lines.pop() == b""
    assert all(re.fullmatch(rb"[abc-]\d{6}", line) for line in lines), "a line was mixed with another"
    for name in NAMES + "-":
        numbers = sink.numbers(name)
        assert numbers == sorted(set(numbers))
    missing = sum(sink.said.values()) - len(lines)
    assert missing == sink.backlog.skipped_lines
    assert sink.backlog.skipped_bytes == 8 * missing
    if not any(what == "keep" and value for what, *rest in actions for value in rest):
        assert missing == 0
    assert sink.numbers("-") == list(range(sink.said["-"])), "our own lines are never dropped for a flood"
    if not fair:
        assert missing == 0


def test_a_quiet_component_passes_a_flood_and_waits_for_the_end_of_a_line_only():
    sink = Sink()
    sink.say("a", 3000)
    sink.take(1001)
    sink.say("b", 1)
    sink.say("-", 1)
    sink.drain()
    assert sink.out.index(b"b000000\n-000000\n") == 1008
    assert sink.numbers("a") == list(range(3000))


def test_what_is_merged_is_not_passed_by_what_is_said_then():
    for taken in (0, 1000, 20_000):
        sink = Sink()
        sink.say("a", 3000)
        sink.say("a", 3000)
        sink.take(taken)
        sink.backlog.merge(sink.flows["a"])
        sink.say("-")
        sink.take(10)
        sink.say("b")
        sink.drain()
        assert sink.out.endswith(b"a005999\n-000000\nb000000\n"), taken


def test_quiet_components_keep_the_order_between_them():
    sink = Sink()
    sink.take(1)
    sink.say("a", 3000)
    sink.take(100)
    for name in "bcb-cb":
        sink.say(name)
    sink.drain()
    rest = re.sub(rb"a\d{6}\n", b"", sink.out)
    assert rest == b"b000000\nc000000\nb000001\n-000000\nc000001\nb000002\n"


def test_floods_take_turns():
    sink = Sink()
    sink.say("a", 3000)
    sink.take(100)
    for _ in range(20):
        sink.say("a", 3000)
    sink.say("b", 3000)
    sink.drain()
    assert sink.numbers("a") == list(range(63_000))
    assert sink.out.index(b"b000000") < sink.out.index(b"a009000")


def test_of_a_flood_that_nobody_may_slow_the_last_text_is_kept():
    sink = Sink()
    sink.say("a", 3000)
    sink.take(100)
    sink.backlog.keep = 100_000
    for _ in range(100):
        sink.say("a", 3000)
    kept = sink.backlog.flood_size
    assert 100_000 <= kept < 100_000 + 3 * FLOOD
    assert sink.backlog.size < kept + 100
    sink.drain()
    assert sink.numbers("a")[-12_500:] == list(range(303_000 - 12_500, 303_000))


def test_the_last_text_is_dropped_whole_unless_it_has_begun():
    for taken, begun in ((8, False), (9, True), (11, True)):
        sink = Sink()
        sink.say("a")
        sink.backlog.append(b"prompt", LAST)
        sink.take(taken)
        assert sink.backlog.last_has_begun is begun
        sink.say("b")
        sink.drain()
        assert sink.out == b"a000000\n" + b"prompt" * begun + b"b000000\n"


def test_a_line_that_is_longer_than_everything_else_goes_out_whole():
    sink = Sink()
    text = b"x" * 3_000_000 + b"\n"
    sink.backlog.append(text, sink.flows["a"])
    while sink.backlog.size > 1000:
        sink.take(4000)
        sink.say("b")
    sink.drain()
    assert sink.out.startswith(text)
