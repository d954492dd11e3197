"""`orchestrate logs -f`: no line lost or doubled, over rotation, restarts and removal."""

import os
import shutil
import signal

import pytest
from harness import Run, command_under_test, until
from test_logs_command import at, directory, logs, write

from orchestrator.output.log_file import Faults, LogFile
from orchestrator.output.log_reader import Logs

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


@pytest.mark.parametrize("end", ["moved", "removed"])
def test_a_directory_that_is_moved_or_removed_is_followed_on(home, directory, end):
    write(directory / "web.log", (at(4), "one"))
    run = follow(home, "web")
    run.wait_for("one")
    if end == "moved":
        directory.rename(directory.with_name("old"))
        with (directory.with_name("old") / "web.log").open("a") as file:
            file.write(f"{at(3)} last\n")
    else:
        shutil.rmtree(directory)
        directory.parent.rename(home.path / "gone")
        directory.parent.mkdir()
    directory.mkdir()
    write(directory / "web.log", (at(2), "two"))
    run.wait_for("two")
    with (directory / "web.log").open("a") as file:
        file.write(f"{at(1)} three\n")
    run.wait_for("three")
    run.signal(signal.SIGINT)
    run.wait()
    assert run.text.splitlines() == ["web | one", *["web | last"] * (end == "moved"), "web | two", "web | three"]


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


@pytest.mark.parametrize("silent", [False, True], ids=["writes", "silent"])
def test_a_log_that_is_moved_away_is_continued_in_a_new_file_and_followed(home, silent):
    """As logrotate does it without copytruncate."""
    speak = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
    run = home.write(web="echo 1; exec cat" if silent else speak).up()
    run.wait_for(r"^web +\| 1$")
    directory = home.path / ".orchestrate" / "logs"
    reader = follow(home, "web", "--no-color")
    reader.wait_for(r"^web \| 1$")
    for number in range(1, 4):
        (directory / "web.log").rename(directory / f"web.log-{number}")
        assert until(lambda: (directory / "web.log").exists(), 1.0)
        if silent:
            continue
        seen = int(reader.text.splitlines()[-1].split()[-1])
        reader.wait_for(rf"^web \| {seen + 20}$")
    run.stop()
    files = [*(directory / f"web.log-{number}" for number in range(1, 4)), directory / "web.log"]
    written = [line.split()[1] for file in files for line in file.read_text().splitlines()]
    assert until(lambda: reader.text.splitlines()[-1] == f"web | {written[-1]}")
    reader.signal(signal.SIGINT)
    reader.wait()
    assert [line.removeprefix("web | ") for line in reader.text.splitlines()] == written
    assert written == [str(number) for number in range(1, len(written) + 1)]


def test_a_line_without_an_end_goes_on_in_the_new_file(tmp_path):
    log = LogFile(tmp_path / "web.log", Faults(print))
    reader = Logs(tmp_path, lambda name: True)
    log.write(b"one\r\ntwo, ")
    assert [line.text for line in reader.news()] == [b"one"]
    (tmp_path / "web.log").rename(tmp_path / "web.log-1")
    log.renew()
    log.write(b"and its end\r\nthree\r\n")
    log.renew()
    assert (tmp_path / "web.log").read_bytes().startswith(b"and its end\n")
    assert [line.text for line in reader.news()] == [b"two, and its end", b"three"]


def test_older_files_are_not_followed_again_after_a_move_or_a_removal(tmp_path):
    (tmp_path / "web.log.2").write_text(f"{at(9)} old 1\n")
    (tmp_path / "web.log.1").write_text(f"{at(8)} old 2\n")
    (tmp_path / "web.log").write_text(f"{at(7)} one\n")
    reader = Logs(tmp_path, lambda name: True)
    assert len(list(reader.history(0.0, whole=True))) == 3
    (tmp_path / "web.log").rename(tmp_path / "elsewhere")
    assert reader.news() == []
    write(tmp_path / "web.log", (at(1), "two"))
    assert [line.text for line in reader.news()] == [b"two"]
    (tmp_path / "web.log").unlink()
    assert reader.news() == []
    write(tmp_path / "web.log", (at(1), "three"))
    assert [line.text for line in reader.news()] == [b"three"]
    assert not reader.missed


def test_a_component_that_has_printed_nothing_yet_is_waited_for(home):
    run = home.write(
        web="until [ -e go ]; do sleep 0.05; done; echo here; exec sleep 1000", api="echo a; exec cat"
    ).up()
    run.wait_for(r"^api +\\| a")
    reader = follow(home, "web", "--no-color")
    once = logs(home, "web")
    assert once.wait() == 0
    assert once.text == ""
    (home.path / "go").touch()
    reader.wait_for(r"^web \\| here$")
    reader.signal(signal.SIGINT)
    reader.wait()
    unknown = follow(home, "nobody")
    assert unknown.wait() == 1
    run.stop()


def test_an_instance_that_is_started_later_is_waited_for(home, directory):
    write(directory / "web.log", (at(3), "one"))
    run = follow(home, "web.2", "web")
    run.wait_for("one")
    later = follow(home, "web.2")
    nothing = logs(home, "web.2")
    assert nothing.wait() == 1
    write(directory / "web.2.log", (at(1), "second"))
    later.wait_for("second")
    for one in (run, later):
        one.signal(signal.SIGINT)
        one.wait()
    assert later.text.splitlines() == ["web.2 | second"]
    wrong = follow(home, "wbe.2")
    assert wrong.wait() == 1


def test_attach_prints_no_screen_of_a_program_that_runs_already(home):
    """Such as `top`, which does not use the alternate screen."""
    home.write(
        top="printf '\\033[?1h\\033=\\033[?25l'; seq -f row-%g 90; until [ -e go ]; do sleep 0.05; done;"
        " seq -f later-%g 30; printf '\\033[?1l\\033>\\033[?25h'; echo shell; exec sleep 1000",
        web="until [ -e go ]; do sleep 0.05; done; echo ready; exec sleep 1000",
    )
    run = home.up()
    run.wait_for("top runs a full-screen program")
    follower = Run([*command_under_test(), "attach", "--home", home.path])
    follower.wait_for("the merged stream; Ctrl-C leaves it")
    (home.path / "go").touch()
    follower.wait_for(r"^top +\| shell$")
    follower.wait_for(r"^web +\| ready$")
    assert "row-" not in follower.text
    assert "later-" not in follower.text
    run.stop()
    assert follower.wait() == 0


@pytest.mark.parametrize("words", ["logs -f", "attach"])
def test_unfinished_lines_are_shown_on_a_terminal(words, home, tmux):
    parts = "; ".join(f"until [ -e go{n} ]; do sleep 0.05; done; printf {text}" for n, text in enumerate(STEPS))
    run = home.write(
        web=f"{parts}; exec sleep 1000", api="until [ -e go9 ]; do sleep 0.05; done; echo x; exec cat"
    ).up()
    assert until((home.path / ".orchestrate" / "control.sock").exists)
    terminal = tmux(columns=80, rows=20)
    command = " ".join(map(str, command_under_test()))
    terminal.type(f"clear; {command} {words} --home {home.path}")
    for number, shown in ((0, r"^web +\| \.$"), (1, r"^web +\| \.\.$"), (9, r"^api +\| x\nweb +\| \.\.$")):
        (home.path / f"go{number}").touch()
        terminal.wait_for(shown)
    (home.path / "go2").touch()
    terminal.wait_for(r"^web +\| \.\. done\nweb +\| Name\?$")
    assert terminal.screen().count("..") == 1
    terminal.keys("C-c")
    assert terminal.status() == 130
    run.stop()


STEPS = ("'.'", "'.'", r"' done\nName? '")
