"""A terminal that reads gets every line, however slowly it reads; and a flood does not hold up what others say."""

import os
import random
import re
import select
import signal
import time

import pytest
from harness import pump, until, voice
from lateness import in_time
from programs.output_pipeline import OutputPipeline

KERNEL = 80_000  # bytes between us and who reads a terminal, at most: its buffers are the kernel's
NOTE = rb"did not keep up: skipped ([\d,]+) lines"
TICK = 0.01


class Reader:
    """Reads the pipeline's terminal at so many bytes a second (None: as fast as it goes), from now on."""

    def __init__(self, pipeline, speed):
        self.pipeline, self.speed, self.reads = pipeline, speed, True
        if speed is not None:
            pipeline.look_away()
            pipeline.loop.call_in(TICK, self._read)

    def _read(self):
        size = max(1, int(self.speed * TICK))
        while self.reads and size > 0:
            try:
                data = os.read(self.pipeline.read_fd, min(size, 4096))
            except BlockingIOError:
                break
            size -= len(data)
            self.pipeline.out += data
        self.pipeline.loop.call_in(TICK, self._read)


@pytest.fixture
def pipeline(tmp_path):
    pipeline = OutputPipeline(tmp_path / "logs", names=("web", "api", *map("flood-{}".format, range(8))))
    pipeline.screen.shows_unfinished = False  # pyte would be slower than the slowest of these
    yield pipeline
    pipeline.close()


def lines_of(pipeline, name="web"):
    text = re.sub(rb"\x1b\[[\d;]*m|\x1b\(B|\r", b"", bytes(pipeline.out))
    return re.findall(rb"^%s +\| (.*)$" % name.encode(), text, re.MULTILINE)


def numbered(count, word=b"line"):
    return [b"%s %d" % (word, number) for number in range(count)]


def text(lines):
    return b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize(("speed", "count"), [(50_000, 4000), (500_000, 20_000), (5_000_000, 50_000), (None, 100_000)])
def test_a_terminal_that_reads_gets_every_line(speed, count, pipeline):
    Reader(pipeline, speed)
    pipeline.start()
    pipeline.feed(text(numbered(count)))
    pipeline.turn_until(lambda: b"line %d\r\n" % (count - 1) in pipeline.out[-200:])
    assert lines_of(pipeline) == numbered(count)
    assert b"did not keep up" not in pipeline.out


@pytest.mark.flaky(reason="eight floods and their reader need both processors")
@pytest.mark.parametrize("speed", [300_000, None])
def test_eight_floods_get_every_line_too(speed, pipeline):
    Reader(pipeline, speed)
    names = [f"flood-{number}" for number in range(8)]
    for name in names:
        pipeline.start(name)
    pieces = {name: memoryview(text(numbered(5000))) for name in names}
    while any(pieces.values()):
        for name in names:
            slave = pipeline.components[name][1]
            os.set_blocking(slave, False)
            try:
                pieces[name] = pieces[name][os.write(slave, pieces[name][:4096]) :]
            except BlockingIOError:
                continue
        pipeline.turn()
    pipeline.turn_until(lambda: pipeline.out.count(b"line 4999\r\n") == len(names))
    for name in names:
        assert lines_of(pipeline, name) == numbered(5000)
    assert b"did not keep up" not in pipeline.out


@pytest.mark.parametrize("seed", range(3))
def test_to_stop_the_terminal_for_less_than_two_seconds_loses_nothing(seed, pipeline):
    """^S and ^Q at any moment."""
    dice = random.Random(seed)
    reader = Reader(pipeline, 3_000_000)

    def toggle():
        reader.reads = not reader.reads
        pipeline.loop.call_in(
            dice.uniform(3 * TICK, 0.05) if reader.reads else dice.choice([0.001, 0.01, 0.1, 1.0]), toggle
        )

    pipeline.loop.call_in(0.02, toggle)
    pipeline.start()
    pipeline.feed(text(numbered(15_000)))
    pipeline.turn_until(lambda: b"line 14999\r\n" in pipeline.out[-200:])
    assert lines_of(pipeline) == numbered(15_000)


def test_a_terminal_that_has_stopped_for_two_seconds_slows_nobody_and_all_is_accounted_for(pipeline):
    reader = Reader(pipeline, 10_000_000)
    pipeline.start()
    pipeline.start("api")
    pipeline.feed(text(numbered(1000)))
    pipeline.turn_until(lambda: b"line 999\r\n" in pipeline.out[-200:])
    reader.reads = False
    began = time.monotonic()
    pipeline.feed(text(numbered(10_000, b"stopped")))
    waited = time.monotonic() - began
    assert waited > 1.5, "as long as it may go on, the writer waits for it"
    in_time(waited, 4)
    began = time.monotonic()
    pipeline.feed(text(numbered(100_000, b"more")))
    in_time(time.monotonic() - began, 4)
    pipeline.feed(b"a few words\n", "api")
    pipeline.turn_until(lambda: pipeline.log("api"))
    reader.reads = True
    pipeline.turn_until(lambda: re.search(NOTE, pipeline.out))
    pipeline.feed(text(numbered(30_000, b"after")))
    pipeline.turn_until(lambda: b"after 29999\r\n" in pipeline.out[-200:])
    lines = lines_of(pipeline)
    (skipped,) = re.findall(NOTE, pipeline.out)
    assert len(lines) + int(skipped.replace(b",", b"")) == 141_000
    assert [line for line in lines if line.startswith(b"after")] == numbered(30_000, b"after")
    assert b"more 99999" in lines, "of a flood that was skipped the end is kept"
    assert lines_of(pipeline, "api") == [b"a few words"]


def test_when_the_process_itself_was_stopped_the_terminal_has_not_stalled(pipeline):
    reader = Reader(pipeline, 10_000_000)
    pipeline.start()
    reader.reads = False
    slave = pipeline.components["web"][1]
    os.set_blocking(slave, False)
    while pipeline.console.waiting < 20_000:
        try:
            os.write(slave, b"x" * 70 + b"\n")
        except BlockingIOError:
            pass
        pipeline.turn()
    before = len(pipeline.out)
    assert select.select([], [], [], 2.1) == ([], [], [])  # stopped, as by ^Z; the terminal has read meanwhile
    while select.select([pipeline.read_fd], [], [], 0)[0]:
        pipeline.out += os.read(pipeline.read_fd, 65536)
    pipeline.turn_until(lambda: not pipeline.console.waiting or len(pipeline.out) > before + 1000)
    reader.reads = True
    pipeline.feed(text(numbered(20_000)))
    pipeline.turn_until(lambda: b"line 19999\r\n" in pipeline.out[-200:])
    assert b"did not keep up" not in pipeline.out


@pytest.mark.parametrize("floods", [1, 8])
def test_a_quiet_line_does_not_wait_behind_what_floods_have_printed(floods, pipeline):
    """At 400 KB a second, 100 KB before it are a quarter of a second."""
    Reader(pipeline, 400_000)
    names = [f"flood-{number}" for number in range(floods)]
    for name in [*names, "web"]:
        pipeline.start(name)

    def flood():
        for name in names:
            slave = pipeline.components[name][1]
            os.set_blocking(slave, False)
            try:
                os.write(slave, b"x" * 70 + b"\n" + b"y" * 2000 + b"\n")
            except BlockingIOError:
                continue
        pipeline.loop.call_in(0.0005, flood)

    flood()
    pipeline.turn_until(lambda: len(pipeline.out) > 400_000)
    for number in range(5):
        before = len(pipeline.out)
        pipeline.feed(b"quiet %d\n" % number)
        pipeline.turn_until(lambda number=number: b"quiet %d" % number in pipeline.out)
        behind = pipeline.out.index(b"quiet %d" % number) - before
        assert behind < KERNEL + 20_000, behind
    assert b"did not keep up" not in pipeline.out


def test_who_prints_much_at_once_and_is_quiet_then_is_quiet(pipeline):
    reader = Reader(pipeline, 400_000)
    for name in ("flood-0", "web"):
        pipeline.start(name)
    pipeline.feed(text(numbered(5000)), "web")  # 5000 lines: a flood as well
    slave = pipeline.components["flood-0"][1]
    os.set_blocking(slave, False)

    def flood():
        try:
            os.write(slave, b"y" * 2000 + b"\n")
        except BlockingIOError:
            pass
        pipeline.loop.call_in(0.0005, flood)

    flood()
    pipeline.turn_until(lambda: b"line 4999" in pipeline.out)
    before = len(pipeline.out)
    pipeline.feed(b"quiet\n")
    pipeline.turn_until(lambda: b"quiet" in pipeline.out)
    assert pipeline.out.index(b"quiet") - before < KERNEL + 20_000
    assert reader.reads


def test_what_is_said_of_the_end_of_a_flood_comes_after_its_last_line(pipeline):
    Reader(pipeline, 1_000_000)
    pipeline.start()
    pipeline.start("api")
    pipeline.feed(text(numbered(20_000)))
    pipeline.end()
    pipeline.presenter.tell("web ended")
    pipeline.feed(b"later\n", "api")
    pipeline.turn_until(lambda: b"later" in pipeline.out)
    assert lines_of(pipeline) == numbered(20_000)
    assert pipeline.out.index(b"line 19999\r\n") < pipeline.out.index(b"web ended") < pipeline.out.index(b"later")


# The whole command


def read_at(run, speed, done):
    """Read its terminal at so many bytes a second until `done()`."""
    run.look_away(run.out_fd)
    while not done():
        pump(lambda: False, 0.02)
        if select.select([run.out_fd], [], [], 0)[0]:
            try:
                run.out += os.read(run.out_fd, max(1, min(4096, int(speed * 0.02))))
            except OSError:
                break
    run.look_back(run.out_fd)


def numbers(run, word="line"):
    return [int(n) for n in re.findall(rf"^web +\| {word} (\d+)$", run.text, re.MULTILINE)]


def test_a_component_that_prints_much_and_exits_is_shown_to_its_last_line(home):
    run = home.write(web="seq -f 'line %.0f' 0 19999").up("--color", "never", terminal=True)
    run.wait()
    assert numbers(run) == list(range(20_000))
    assert "keep up" not in run.text


def test_last_words_are_shown_in_full_on_a_slow_terminal(home):
    """Half a megabyte in answer to the stop, at 200 KB a second."""
    words = "trap \"seq -f 'line %.0f' 0 39999; exit 0\" TERM; echo ready; while :; do sleep 0.05; done"
    run = home.write(web=words).up("--color", "never", "-t", "20", terminal=True)
    run.wait_for(r"^web +\| ready")
    run.signal(signal.SIGTERM)
    read_at(run, 200_000, lambda: run.returncode is not None)
    assert run.wait() == -signal.SIGTERM
    assert numbers(run) == list(range(40_000))
    assert "keep up" not in run.text


def test_of_last_words_without_end_the_last_megabyte_is_shown_and_the_rest_is_counted(home):
    go = home.path / "go"
    last = f"seq -f 'line %.0f' 0 299999; until [ -e {go} ]; do sleep 0.05; done; exit 0"
    words = f'trap "{last}" TERM; echo ready; while :; do sleep 0.05; done'
    run = home.write(web=words).up("--color", "never", "-t", "20", terminal=True)
    run.wait_for(r"^web +\| ready")
    run.look_away(run.out_fd)
    run.signal(signal.SIGTERM)
    log = home.path / ".orchestrate" / "logs" / "web.log"
    assert until(lambda: b"line 299999" in log.read_bytes()[-100:], interval=0.05)
    run.look_back(run.out_fd)
    go.touch()
    assert run.wait() == -signal.SIGTERM
    seen = numbers(run)
    assert seen[-40_000:] == list(range(260_000, 300_000))
    (skipped,) = re.findall(NOTE.decode(), run.text)
    assert len(seen) + int(skipped.replace(",", "")) == 300_000


def test_a_second_ctrl_c_ends_the_wait_for_a_slow_terminal(home):
    words = "trap \"seq -f 'line %.0f' 0 59999; exit 0\" TERM; echo ready; while :; do sleep 0.05; done"
    run = home.write(web=words).up("--color", "never", "-t", "20", terminal=True)
    run.wait_for(r"^web +\| ready")
    run.signal(signal.SIGINT)
    slow_until = time.monotonic() + 3
    read_at(run, 20_000, lambda: time.monotonic() > slow_until)
    assert run.returncode is None, "it waits for the terminal"
    since = run.signal(signal.SIGINT)
    assert run.wait() == -signal.SIGINT
    in_time(run.exited_at - since, 1)


def test_a_flood_of_every_speed_is_shown_whole_through_the_command(home):
    run = home.write(web=voice("count", 50_000, 80, home.path / "written")).up("--color", "never", terminal=True)
    run.wait_for(r"^web +\| line 100 ")
    read_at(run, 150_000, lambda: len(run.out) > 300_000)
    run.wait_for(r"^web +\| line 49999 ")
    run.stop()
    assert [int(n) for n in re.findall(r"^web +\| line (\d+)", run.text, re.MULTILINE)] == list(range(50_000))
