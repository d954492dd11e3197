"""What a terminal answers as if typed is known as a query, however it is cut; ordinary output is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs.escapes import QUERIES

from orchestrator.terminal.query_answers import Queries

HARMLESS = [
    b"text\r\n",
    b"\x1b[31mred\x1b[m\x1b[38;5;42m",
    b"\x1b]0;a title?\x07",
    b"\x1b]8;;http://host/?a=b\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]7;file://host/dir\x07",
    b"\x1b[2J\x1b[H\x1b[K\x1b[1;30r\x1b[5 q",
    b"\x1b[?1049h\x1b[?25l\x1b[?1000;1006h\x1b[?2004l",
    b"\x1b7\x1b8\x1b=\x1b>\x1bM\x1b(B\x0f",
    b"\x1b[>4;2m\x1b[>1u\x1b[<u\x1b[!p",
    "žluťoučký kůň — ünïcode ✓\r\n".encode(),
]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_one_wherever_it_is_cut(name):
    sequence = b"text " + QUERIES[name] + b" text"
    assert Queries().feed(sequence)
    for cut in range(1, len(sequence)):
        queries = Queries()
        assert queries.feed(sequence[:cut]) | queries.feed(sequence[cut:]), cut
    queries = Queries()
    assert any(queries.feed(bytes([byte])) for byte in sequence)


@given(st.lists(st.sampled_from(HARMLESS)), st.integers(1, 40))
def test_ordinary_output_is_none(pieces, step):
    queries, output = Queries(), b"".join(pieces)
    assert not any(queries.feed(output[position : position + step]) for position in range(0, len(output), step))


def test_what_is_carried_is_forgotten():
    queries = Queries()
    assert not queries.feed(b"\x1b[")
    assert queries.feed(b"6n")
    assert not queries.feed(b"6n")
