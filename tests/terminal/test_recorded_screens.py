"""The index beside a log, and what it gives back: the exact output, its times, and the screen at any of them."""

import json
import os
import re
import shutil
import sys

import pytest
from definitions import Directory, component
from examples import examples
from harness import until
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.history import replay
from orchestrator.history.replay import Piece, Recording
from orchestrator.output import log_index
from orchestrator.output.log_file import Faults, LogFile
from orchestrator.terminal.lines import lf_for_crlf

CHUNKS = st.lists(
    st.lists(st.sampled_from([b"a", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\x1b[2J", b"2026-01-01T00:00:00.000000Z "]),
             max_size=6).map(b"".join),
    max_size=12,
)  # fmt: skip


def written(directory, runs, limit=10_000_000):
    """Write the chunks of each run as the multiplexer does."""
    for chunks in runs:
        log = LogFile(directory / "web.log", Faults(pytest.fail), size=limit, kept=50)
        log.keep_index(lambda: (80, 24))
        after_cr = False
        for chunk in filter(None, chunks):
            data = chunk if after_cr else lf_for_crlf(chunk)
            after_cr = chunk.endswith(b"\r")
            log.write(data, more=len(chunk) % 2 == 1, removed=len(chunk) - len(data))
        log.finish()
    return list(replay.pieces_of(directory, "web"))


@given(st.lists(CHUNKS, min_size=1, max_size=3), st.sampled_from([10_000_000, 300]))
@settings(max_examples=examples(60), deadline=None)
def test_the_output_is_given_back_byte_by_byte(tmp_path_factory, runs, limit):
    directory = tmp_path_factory.mktemp("logs")
    pieces = written(directory, runs, limit)
    whole = b"".join(piece.data for piece in pieces)
    expected = b"".join(b"".join(chunks) for chunks in runs)
    if limit == 300:  # the index is full, and tells no more how lines end
        whole, expected = whole.replace(b"\r", b""), expected.replace(b"\r", b"")
    assert whole == expected
    shutil.rmtree(directory)
    if limit > 300:
        assert sum(piece.ends for piece in pieces) == len([chunks for chunks in runs if any(chunks)])


def test_an_index_is_bounded_and_goes_with_its_log(tmp_path):
    written(tmp_path, [[b"x\n", *([b"y"] * 2000)] * 3], limit=3000)
    logs = list(tmp_path.glob("web.log*"))
    indexes = list(tmp_path.glob("web.index*"))
    assert len(logs) > 1
    assert {log_index.path_of(path) for path in logs} >= set(indexes)
    assert len(logs) + len(indexes) == len(list(tmp_path.iterdir()))
    assert all(path.stat().st_size <= 3000 // 2 + 64 for path in indexes)


def recording(*pieces):
    return Recording(tuple(Piece(data, time, time, size, **more) for time, data, size, more in pieces))


SMALL = (3, 10)
TWO_RUNS = recording(
    (1.0, b"one", SMALL, {"begins": True}),
    (2.0, b"\x1b[?1049hALT", SMALL, {}),
    (3.0, b"", SMALL, {"ends": True}),
    (5.0, b"two", SMALL, {"begins": True}),
    (6.0, b"\r\n\x1b[31mred", (4, 20), {}),
)


def test_the_screen_at_a_time():
    def text(count):
        return TWO_RUNS.screen_after(count).screen().text()

    assert [text(TWO_RUNS.until(time)) for time in (1.5, 2.5, 4.0, 5.5, 9.0)] == [
        "one\n", "   ALT\n", "   ALT\n", "two\n", "two\nred\n"
    ]  # fmt: skip
    assert TWO_RUNS.until(0.5) == 0
    assert text(TWO_RUNS.until_exit(is_running=True)) == "   ALT\n"
    assert TWO_RUNS.until_exit(is_running=False) == TWO_RUNS.last  # killed together with the supervisor
    assert Recording(TWO_RUNS.pieces[:2]).until_exit(is_running=True) == 0
    assert Recording(TWO_RUNS.pieces[:3]).until_exit(is_running=False) == 3
    emulator = TWO_RUNS.screen_after(TWO_RUNS.last)
    assert (emulator.lines, emulator.columns) == (4, 20)


def test_a_screen_of_much_output_keeps_its_modes(monkeypatch):
    monkeypatch.setattr(replay, "FED_MAX", 20)
    long = recording(
        (1.0, b"\x1b[?1049h\x1b]2;title\x07" + b"x" * 100, SMALL, {"begins": True}),
        *((2.0, b"\x1b[Hrow\r\n", SMALL, {}) for _ in range(10)),
    )
    screen = long.screen_after(long.last).screen()
    assert (screen.is_alternate, screen.title, screen.text()) == (True, "title", "row\n")


@pytest.mark.parametrize("version", [2, 3])
def test_asciicast(version):
    header, *events = replay.asciicast(TWO_RUNS, 0, TWO_RUNS.last, version)
    shape = {"width": 10, "height": 3} if version == 2 else {"term": {"cols": 10, "rows": 3}}
    assert header == {"version": version, "timestamp": 1, **shape}
    times = [0.0, 0.0, 1.0, 2.0, 4.0, 5.0, 5.0] if version == 2 else [0.0, 0.0, 1.0, 1.0, 2.0, 1.0, 0.0]
    assert [event[0] for event in events] == times
    assert events[5][1:] == ["r", "20x4"]
    assert events[4][2] == "\x1bctwo"
    json.dumps(events)


def test_a_log_without_index_has_the_times_of_its_lines(tmp_path):
    (tmp_path / "web.log").write_bytes(b"2026-01-01T00:00:00.000000Z one\n2026-01-01T00:00:05.500000Z two\nhalf \r\xff")
    pieces = list(replay.pieces_of(tmp_path, "web"))
    assert [(piece.data, piece.time - 1767225600) for piece in pieces] == [
        (b"one\r\n", 0.0), (b"two\r\n", 5.5), (b"half \r\xff", 5.5)
    ]  # fmt: skip


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=examples(40), deadline=None)
def test_any_files_are_read(tmp_path_factory, log, index):
    directory = tmp_path_factory.mktemp("logs")
    (directory / "web.log").write_bytes(log)
    log_index.path_of(directory / "web.log").write_bytes(index)
    if pieces := tuple(replay.pieces_of(directory, "web")):
        Recording(pieces).screen_after(len(pieces))
    shutil.rmtree(directory)


FULL_SCREEN = (
    r"printf '\033[?1049h\033[2;3Hin the middle'; read x; printf '\033[2J\033[H\033[32mlast words\033[m'; exit 3"
)


@pytest.mark.skipif(sys.platform != "linux", reason="process trees")
def test_screens_of_a_real_system(tmp_path):
    here = Directory(tmp_path)
    run = here.write(component("web", FULL_SCREEN, 'restart = { policy = "on-failure", backoff = [0.1, 1] }')).up()
    assert until(lambda: here.run("screen", "web").wait() == 0)  # there is a log
    assert until(lambda: here.output("screen", "web") == "\n  in the middle\n")
    here.output("send", "web", r"\r")
    assert until(lambda: here.run("screen", "web", "--at", "crash").wait() == 0)
    assert here.output("screen", "web", "--at", "crash") == "last words\n"
    found = json.loads(here.output("screen", "web", "--at", "crash", "--json"))
    assert found["styles"][0] == [[0, "last words", {"fg": "2"}]]
    assert (found["alternate"], found["columns"]) == (True, 120)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["time"])
    run.stop()
    assert here.output("screen", "web", "--at", "-1d", status=1).startswith(
        "orchestrate: cannot show the screen at -1d"
    )
    assert "there are: " in here.output("screen", "nope", status=1)
    header, *events = here.output("replay", "web", "--asciicast", "-", "--from", "-1d").splitlines()
    assert json.loads(header)["width"] == 120
    assert "last words" in "".join(json.loads(event)[2] for event in events)
    assert "not a terminal" in here.output("replay", "web", status=1)
    shown = here.run("replay", "web", "--speed", "100", "--from=-1d", terminal=True)
    assert shown.wait() == 0
    assert "last words" in shown.text
    assert os.path.exists(log_index.path_of(tmp_path / ".orchestrate" / "logs" / "web.log"))


@pytest.mark.parametrize("last", [b"x" * 100 + b"\r\n", b"x" * 600 + b"\r\n", b"x" * 600 + b"\r\nrest"])
def test_the_end_of_a_run_is_known_though_its_last_line_fills_the_log(tmp_path, last):
    first = b"y" * (500 - 28 - 2 - 28) + b"\r\n"
    pieces = written(tmp_path, [[first, last], [b"next\r\n"]], limit=500)
    assert (tmp_path / "web.log.1").is_file()
    ends = [number for number, piece in enumerate(pieces) if piece.ends]
    assert len(ends) == 2
    assert b"".join(piece.data for piece in pieces[: ends[0] + 1]) == first + last
