"""`orchestrate logs -f`: no line lost or doubled, over rotation, restarts and removal."""

import os
import shutil
import signal

from harness import Run, command_under_test
from test_logs_command import at, directory, logs, write

from orchestrator.output.logfile import Faults, LogFile
from orchestrator.output.logreader import Logs

__all__ = ["directory"]


def follow(home, *options, **run):
    return logs(home, "-f", *options, **run)


def test_ctrl_c_ends_it_with_130(home, directory):
    write(directory / "web.log", (at(1), "one"))
    run = Run(
        [
            "bash",
            "-c",
            'trap : INT; "$@"; echo status $?',
            "bash",
            *map(str, command_under_test()),
            "logs",
            "--home",
            str(home.path),
            "-f",
        ],
        terminal=True,
    )
    run.wait_for("one")
    os.write(run.terminal_fd, b"\x03")
    run.wait_for("status 130")
    run.wait()
    assert "Traceback" not in run.messages


def test_following_no_line_is_lost_or_doubled_over_rotation_and_restarts(home):
    """From the first line on, while the files are renamed all the time."""
    run = home.write(web="seq 1 30000; exec cat").up("--log-size", "50k", "--log-files", "1000")
    run.wait_for(r"^web +\| 100$")
    reader = follow(home, "web", "--no-color")
    reader.wait_for(r"^web \| 30000$")
    run.stop()
    home.write(web="seq 30001 40000; exec cat")
    again = home.up("--log-size", "50k", "--log-files", "1000")
    reader.wait_for(r"^web \| 40000$")
    again.stop()
    reader.signal(signal.SIGINT)
    assert reader.wait() == -signal.SIGINT
    assert [line for line in reader.text.splitlines() if line] == [f"web | {number}" for number in range(1, 40001)]


def test_following_shows_instances_that_come_later_and_lines_when_they_end(home, directory):
    write(directory / "web.1.log", (at(3), "one"))
    run = follow(home, "web")
    run.wait_for("one")
    with (directory / "web.1.log").open("a") as file:
        file.write(f"{at(2)} two, ")
        file.flush()
        write(directory / "web.2.log", (at(1), "second"))
        write(directory / "api.log", (at(1), "not asked for"))
        run.wait_for("second")
        file.write("and its end\n")
    run.wait_for("and its end")
    run.signal(signal.SIGINT)
    run.wait()
    assert run.text.splitlines() == ["web.1 | one", "web.2 | second", "web.1 | two, and its end"]


def test_a_log_that_is_emptied_or_removed_is_followed_on(home, directory):
    write(directory / "web.log", (at(3), "one, which is long"))
    run = follow(home)
    run.wait_for("one")
    write(directory / "web.log", (at(2), "two"))
    run.wait_for("two")
    (directory / "web.log").unlink()
    write(directory / "web.log", (at(1), "three"))
    run.wait_for("three")
    assert run.err == b""
    run.signal(signal.SIGINT)
    run.wait()


def test_a_reader_over_any_rotations_between_two_looks(tmp_path):
    """None, one, or several: every line once, in order; what was rotated out of reach is said."""
    log = LogFile(tmp_path / "web.log", Faults(print), size=300, kept=20)
    reader = Logs(tmp_path, lambda name: True)
    seen, written = [], 0
    for step in [1, 3, 10, 30, 2, 50, 1, 60]:
        for _ in range(step):
            log.write(b"line %d\r\n" % written)
            written += 1
        seen += [line.text for line in reader.news()]
    assert seen == [b"line %d" % number for number in range(written)]
    assert not reader.missed
    for _ in range(500):
        log.write(b"line %d\r\n" % written)
        written += 1
    seen = [line.text for line in reader.news()]
    numbers = [int(line.split()[1]) for line in seen]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (157, written - 1), numbers
    assert len(numbers) < 500
    assert reader.missed
    log.finish()
    shutil.rmtree(tmp_path)


def test_a_rotation_between_listing_and_reading_loses_nothing(tmp_path):
    log = LogFile(tmp_path / "web.log", Faults(print), size=300, kept=50)
    for number in range(40):
        log.write(b"line %d\r\n" % number)
    reader = Logs(tmp_path, lambda name: True)
    for number in range(40, 80):
        log.write(b"line %d\r\n" % number)
    before = [line.text for line in reader.history(0.0, whole=True)]
    after = [line.text for line in reader.news()]
    assert before + after == [b"line %d" % number for number in range(80)]
    assert before[-1] == b"line 39"
