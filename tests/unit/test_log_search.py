"""The search in logs finds exactly the lines that match among all as they are shown."""

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.output import log_reader, log_rows
from orchestrator.output.log_reader import Line, Logs
from orchestrator.output.log_rows import Rows
from orchestrator.output.log_search import LogSearch
from orchestrator.terminal.escapes import no_escapes

STAMPS = st.integers(0, 9).map(lambda n: b"2026-01-31T10:00:0%d.000000Z" % n)
TEXTS = st.one_of(
    st.sampled_from([b"", b"\r", b"one", b"two one", b"\x1b[31mo\x1b[mne", b"one\r", b"\x1b[2A\rone", b"\x1b[K", b" "]),
    st.sampled_from([b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[H\x1b[2J", b"\x1b7", b"\x1b8", b"\x0e", b"\x0f", b"\fone"]),
    st.sampled_from([b"2026-01-31T10:00:03.000000Z one", b"Z one", b"! one", b"\x1b[A", b"\x1b", b"x\x1b[2"]),
    st.binary(max_size=6).map(lambda text: text.replace(b"\n", b"")),
)
LINES = st.lists(st.tuples(STAMPS, st.sampled_from([b" ", b" ", b"! ", b""]), TEXTS), max_size=25)


def file_of(lines):
    """Lines without a mark are without a timestamp too."""
    return b"\n".join((stamp + mark if mark else b"") + text for stamp, mark, text in lines)


@contextmanager
def opened(files):
    with tempfile.TemporaryDirectory() as directory:
        for name, data in files.items():
            (Path(directory) / name).write_bytes(data)
        logs = Logs(Path(directory), lambda name: True)
        yield logs
        for reader in logs.readers.values():
            reader.close()


def shown(rows, lines, *, whole):
    yield from rows.take(lines)
    if not whole:
        yield from rows.rest()


def all_lines(logs, pattern, in_time, *, whole):
    rows = Rows()
    lines = filter(lambda line: in_time is None or in_time(line.instance, line.stamp), logs.history(0.0, whole=whole))
    with mock.patch.object(log_rows, "is_kept", return_value=False):
        found = [line for line in shown(rows, lines, whole=whole) if pattern.search(no_escapes(line.text))]
        return found, news(logs, rows)


def searched(logs, pattern, in_time, *, whole):
    rows = Rows()
    lines = LogSearch(pattern, rows, in_time).lines(logs, 0.0, whole=whole)
    lines = filter(lambda line: in_time is None or in_time(line.instance, line.stamp), lines)
    found = [line for line in shown(rows, lines, whole=whole) if pattern.search(no_escapes(line.text))]
    return found, news(logs, rows)


def news(logs, rows):
    """What a line that follows the others makes of them."""
    begun = [reader.unfinished for reader in logs.readers.values()]
    later = [Line(b"z", name, text) for name in logs.readers for text in (b"\x1b[3A\rnew", b"", b"", b"one")]
    return begun, list(rows.take(later)), rows.rest()


@settings(max_examples=400, deadline=None)
@given(
    st.tuples(LINES, LINES, LINES),
    st.sampled_from([rb"one", rb"^one", rb"e$", rb"^$", rb"\s", rb"[^x]", rb"\Aone\Z", rb"^", rb"Z", rb"nothing"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([4, 64, 1 << 18]),
)
def test_a_search_finds_what_all_lines_as_shown_have(lines, pattern, whole, is_limited, block):
    files = dict(zip(("web.log.1", "web.log", "api.log"), map(file_of, lines), strict=True))
    in_time = (lambda instance, stamp: stamp > b"2026-01-31T10:00:03" or instance == "api") if is_limited else None
    with mock.patch.object(log_reader, "_BLOCK", block), mock.patch.object(log_reader, "READ_LINE_MAX", 60):
        with opened(files) as logs:
            expected = all_lines(logs, re.compile(pattern), in_time, whole=whole)
        with opened(files) as logs:
            assert searched(logs, re.compile(pattern), in_time, whole=whole) == expected


@settings(max_examples=100, deadline=None)
@given(st.tuples(LINES, LINES, LINES), st.booleans(), st.integers(1, 60), st.sampled_from([4, 64, 1 << 18]))
def test_the_last_lines_are_the_end_of_all_lines(lines, whole, count, block):
    files = dict(zip(("web.log.1", "web.log", "api.log"), map(file_of, lines), strict=True))
    with mock.patch.object(log_reader, "_BLOCK", block), opened(files) as logs:
        for reader in logs.readers.values():
            expected = list(reader.history(0.0, whole=whole))[-count:], reader.unfinished
            assert reader.last(count, whole=whole) == expected[0]
            assert reader.unfinished == expected[1] or not whole
    in_order = (file_of(sorted((stamp, mark or b" ", text) for stamp, mark, text in one)) for one in lines)
    files = dict(zip(("web.log", "api.log", "db.log"), in_order, strict=True))
    with mock.patch.object(log_reader, "_BLOCK", block), opened(files) as logs:
        assert logs.last_of_all(count, whole=whole) == list(logs.history(0.0, whole=whole))[-count:]


def test_of_many_logs_little_is_read_for_the_last_lines():
    lines = [(b"2026-01-31T10:00:00.%06dZ" % n, b" ", b"line %d" % n) for n in range(5000)]
    with opened({f"c{number}.log": file_of(lines) + b"\n" for number in range(8)}) as logs:
        with mock.patch.object(log_reader.os, "pread", side_effect=os.pread) as reads:
            found = logs.last_of_all(16, whole=True)
        assert [line.text for line in found] == [b"line %d" % n for n in (4998, 4999) for _ in range(8)]
        assert reads.call_count == 8


@pytest.mark.parametrize("text", [b"line %d", b"\x1b[32mline\x1b[m %d", b"line %d\r"])
def test_lines_that_do_not_match_become_no_objects(text):
    lines = [(b"2026-01-31T10:00:00.000000Z", b"! " if n % 3 else b" ", text % n) for n in range(5000)]
    with opened({"web.log": file_of(lines) + b"\n"}) as logs:
        found = list(LogSearch(re.compile(rb"4321"), Rows(), None).lines(logs, 0.0, whole=False))
    assert [line.text for line in found] == [text % 4321]
