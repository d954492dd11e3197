"""Whatever the terminal, the pipe or the file does: no component is blocked, the stop is punctual, nothing is lost
that was promised."""

import fcntl
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
from harness import PROGRAMS, PYTHON, Run, environment, until, voice
from lateness import in_time
from log_files import log_of
from programs.output_pipeline import OutputPipeline

MEGABYTES_64 = 64 << 20
NOTE = rb"did not keep up: skipped ([\d,]+) lines \(([\d,]+) bytes\); \S+/logs has them"


def numbers(text, word=rb"line"):
    return [int(number) for number in re.findall(rb"^(?:web +\| )?" + word + rb" (\d+)", text, re.MULTILINE)]


def memory(run):
    """The private memory of the supervisor, in bytes."""
    rollup = Path(f"/proc/{run.pid}/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_\w+: +(\d+)", rollup, re.MULTILINE)))


def number(digits):
    return int(digits.replace(b",", b""))


def test_a_stalled_terminal_blocks_nobody_and_what_it_skipped_is_said(home):
    """30 MB: the component comes to its end, memory is bounded, the log has every line; the counts are right."""
    lines, written = 300_000, home.path / "written"
    run = home.write(web=voice("count", lines, 80, written)).up("--color", "never", terminal=True, columns=200)
    run.wait_for("^web")
    run.look_away(run.out_fd)
    idle = memory(run)
    assert until(written.exists, interval=0.01), "the component waits for the terminal"
    assert until(
        lambda: len(numbers(log_of(home, "web")[-4096:])) and numbers(log_of(home, "web")[-4096:])[-1] == lines - 1,
        interval=0.1,
    )
    assert memory(run) - idle < MEGABYTES_64
    run.look_back(run.out_fd)
    run.wait_for("did not keep up")
    run.stop()
    assert numbers(log_of(home, "web")) == list(range(lines))
    shown = bytes(run.out).replace(b"\r\n", b"\n")
    notes = re.findall(NOTE, shown)
    assert notes, run.text[-500:]
    assert len(numbers(shown)) + sum(number(skipped) for skipped, _ in notes) == lines
    seen = numbers(shown)
    assert seen == sorted(set(seen)), "what is shown is in order, and whole"


def test_what_a_slow_terminal_skips_is_the_flood_and_not_the_words_of_others(tmp_path):
    pipeline = OutputPipeline(tmp_path / "logs")
    pipeline.start("web")
    pipeline.start("api")
    pipeline.look_away()
    pipeline.feed(b"flood\n" * 500_000, "web")
    pipeline.feed(b"still here\n", "api")
    pipeline.turn_until(lambda: pipeline.log("api"))
    pipeline.look_back()
    pipeline.turn_until(lambda: b"did not keep up" in pipeline.out)
    assert b"still here" in pipeline.out
    pipeline.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGQUIT])
def test_stop_and_kill_are_punctual_under_a_stalled_terminal(end, home):
    home.write(flood=voice("deaf"), web=voice("wordy"))
    run = home.up("--color", "never", "-t", "1", terminal=True)
    run.wait_for(r"^web +\| ready")
    run.look_away(run.out_fd)
    run.wait_stalled(run.out_fd)
    since = run.signal(end)
    assert run.wait() == (-end if end == signal.SIGTERM else 128 + end)
    assert run.survivors(1) == []
    in_time(run.exited_at - since, 1 + 1.5)
    if end == signal.SIGTERM:
        assert log_of(home, "web").endswith(b"word 49999\nthe end\n")


def test_a_pipe_gets_every_line_that_was_read_before_the_stop_and_the_log_the_same(home):
    run = home.write(web=voice("forever")).up("--log-size", "1G")
    run.wait_for(r"^web +\| line 5000$")
    run.look_away(run.out_fd)
    run.wait_stalled(run.out_fd)
    run.signal(signal.SIGTERM)
    run.look_back(run.out_fd)
    assert run.wait() == -signal.SIGTERM
    shown, log = numbers(bytes(run.out)), numbers(log_of(home, "web"))
    assert shown == list(range(len(shown)))
    assert numbers(bytes(run.out), rb"last") == [len(shown)]
    assert log == shown


def test_a_pipe_slows_the_writers(home):
    """They wait: 300 MB do not go by, and our memory stays what it is."""
    run = home.write(web=voice("forever")).up("--no-log")
    run.wait_for(r"^web +\| line 1000$")
    idle = memory(run)
    run.look_away(run.out_fd)
    run.wait_stalled(run.out_fd)
    assert memory(run) - idle < MEGABYTES_64
    (leader,) = [pid for pid in run.living() if b"voices.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    before = Path(f"/proc/{leader}/io").read_text()
    run.wait_stalled(run.out_fd)
    assert Path(f"/proc/{leader}/io").read_text() == before, "it still writes"
    since = run.signal(signal.SIGTERM)
    run.wait()
    in_time(run.exited_at - since, 5)
    assert run.survivors(1) == []


def test_a_pipe_that_nobody_reads_to_the_end_delays_the_end_by_seconds_at_most(home):
    run = home.write(flood=voice("deaf")).up("-t", "1")
    run.wait_for("^flood")
    run.look_away(run.out_fd)
    run.wait_stalled(run.out_fd)
    idle = memory(run)
    since = run.signal(signal.SIGTERM)
    run.wait()
    in_time(run.exited_at - since, 5)
    assert idle < 2 * MEGABYTES_64


def shell(command, home, **run):
    return Run(["bash", "-c", command], cwd=home.path, **run)


def orchestrate(home, *options):
    return shlex.join(map(str, home.command(*options)))


def test_head_ends_the_system_in_order_with_the_status_of_sigpipe(home):
    home.write(web=voice("slowly"))
    run = shell(f"{orchestrate(home)} | head -2; echo ${{PIPESTATUS[0]}}", home)
    assert run.wait() == 0
    *shown, status = run.text.splitlines()
    assert sorted(shown) == ["orchestrate | 1 component started", "web         | line 0"]
    assert status == str(128 + signal.SIGPIPE)
    assert run.survivors(2) == []
    assert run.err == b""
    log = log_of(home, "web")
    assert log.endswith(b"last %d\n" % len(numbers(log))), "it was stopped in order, and its last words are logged"


@pytest.mark.parametrize("where", ["> /dev/full", "> /dev/full 2>&1"])
def test_a_full_disk_under_stdout_ends_the_system_in_order(where, home):
    home.write(web=voice("slowly"))
    run = shell(f"{orchestrate(home)} {where}", home)
    assert run.wait() == 1
    assert run.survivors(2) == []
    said = run.err.decode().splitlines()
    assert said == (
        [] if "2>&1" in where else ["orchestrate: cannot write to standard output: No space left on device; stopping"]
    )
    log = log_of(home, "web")
    if log:  # our own first line fails too, perhaps before the component can hear a signal
        assert log.endswith(b"last %d\n" % len(numbers(log)))


@pytest.mark.parametrize("kind", ["terminal", "pipe", "socket", "file"])
def test_the_shells_own_descriptors_keep_their_flags(kind, home):
    home.write(web="seq 5000; echo end")
    command = [*PYTHON, str(PROGRAMS / "voices.py"), "flags", *home.command()]
    if kind == "socket":
        connect = (
            "import os,socket,sys;a,b=socket.socketpair();os.dup2(b.fileno(),1);"
            "os.fork() or (b.close(),os.execvp(sys.argv[1],sys.argv[1:]));b.close();os.close(1)\n"
            "while d:=a.recv(65536):os.write(2,d)"
        )
        command = [sys.executable, "-c", connect, *command]
    elif kind == "file":
        command = ["bash", "-c", f"{shlex.join(map(str, command))} > out; cat out"]
    run = Run(command, terminal=kind == "terminal", cwd=home.path)
    run.wait_for(r"^flags same status 1?0?$") if kind != "socket" else run.wait_for("flags same")
    run.wait()
    assert "5000" in run.messages
    assert run.survivors(2) == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="gives a terminal away")
def test_a_terminal_that_cannot_be_opened_again_is_written_in_portions_and_skipped_like_any_other(home):
    """As after `su`: the terminal belongs to somebody else."""
    written = home.path / "written"
    home.write(web=voice("count", 50_000, 80, written))
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    give_away = ["sh", "-c", 'tty=$(tty); chown 65534 $tty; chmod 600 $tty; exec "$@"', "sh"]
    run = home.up("--color", "never", before=[*give_away, *bound], terminal=True, columns=200)
    run.wait_for(r"^web +\| line 10 ")
    target = os.readlink(f"/proc/{run.pid}/fd/1")
    assert not [
        fd
        for fd in os.listdir(f"/proc/{run.pid}/fd")
        if int(fd) > 2 and os.readlink(f"/proc/{run.pid}/fd/{fd}") == target
    ]
    run.look_away(run.out_fd)
    assert until(written.exists, interval=0.01)
    run.look_back(run.out_fd)
    run.wait_for("did not keep up")
    run.look_away(run.out_fd)
    since = run.signal(signal.SIGTERM)
    run.wait()
    in_time(run.exited_at - since, 2)
    assert len(numbers(log_of(home, "web"))) == 50_000


def test_a_terminal_that_goes_away_ends_the_system(home):
    run = home.write(web=voice("slowly")).up("--color", "never", terminal=True)
    run.wait_for(r"^web +\| line 10\s")
    run.close_fd(run.out_fd)
    assert run.wait() == -signal.SIGHUP
    assert run.survivors(2) == []
    log = log_of(home, "web")
    assert log.endswith(b"last %d\n" % len(numbers(log)))


def test_a_terminal_that_goes_away_under_nohup_does_not(home):
    run = home.write(web=voice("slowly")).up(
        "--color", "never", terminal=True, before=["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    )
    run.wait_for(r"^web +\| line 10\s")
    run.close_fd(run.out_fd)
    path = home.path / ".orchestrate" / "logs" / "web.log"
    size = path.stat().st_size
    assert until(lambda: path.stat().st_size > size + 100_000)
    assert run.returncode is None
    run.signal(signal.SIGTERM)
    assert run.wait() == -signal.SIGTERM
    assert run.survivors(2) == []


def test_yes_head_says_nothing_of_a_broken_pipe(home):
    run = home.write(web="yes | head -1; echo end").up()
    run.wait_for("end")
    run.wait()
    assert "roken" not in run.messages
    assert run.text.count("y\n") == 1


def test_python_is_line_buffered_as_it_is(home):
    home.write(web=shlex.join(["exec", sys.executable, str(PROGRAMS / "voices.py"), "lines"]))
    run = home.up(env=environment(PYTHONUNBUFFERED=None))
    run.wait_for(r"^web +\| first$")
    run.stop()


def test_no_flag_of_ours_is_left_on_a_pipe_while_we_run(home):
    read_fd, write_fd = os.pipe()
    try:
        before = fcntl.fcntl(write_fd, fcntl.F_GETFL)
        run = home.write(web="echo ready; cat").up()
        run.wait_for("ready")
        theirs = Path(f"/proc/{run.pid}/fdinfo/1").read_text()
        assert not int(re.search(r"flags:\s+(\d+)", theirs).group(1), 8) & os.O_NONBLOCK
        assert fcntl.fcntl(write_fd, fcntl.F_GETFL) == before
        run.stop()
    finally:
        os.close(read_fd)
        os.close(write_fd)
