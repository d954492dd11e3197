"""How the live stream can be had otherwise, and what is said when a component ends."""

import json
import re
import shutil
import signal
from datetime import datetime, timezone

import pytest
from harness import PATIENCE, environment, pump, until, voice
from lateness import in_time
from log_files import log_of

LAST = "the last lines of web:"


def test_timestamps_stand_before_the_prefix(home):
    run = home.write(web="echo one; exec cat").up("-T")
    run.wait_for("one")
    run.stop()
    lines = run.text.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} (web        |orchestrate) \| ", line) for line in lines), lines
    now = datetime.now()
    assert abs(now.hour * 60 + now.minute - int(lines[0][:2]) * 60 - int(lines[0][3:5])) in (0, 1, 1439)


def test_utc_times_end_in_z(home):
    run = home.write(web="echo one; exec cat").up("--utc", env=environment(TZ="Asia/Kolkata"))
    run.wait_for("one")
    run.stop()
    lines = run.text.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}Z (web        |orchestrate) \| ", line) for line in lines), lines
    now = datetime.now(timezone.utc)
    assert abs(now.hour * 60 + now.minute - int(lines[0][:2]) * 60 - int(lines[0][3:5])) in (0, 1, 1439)


def test_no_prefix(home):
    run = home.write(web="echo one; exec cat").up("--no-prefix")
    run.wait_for("^one$")
    run.wait_for("^1 component started$")
    run.stop()
    assert sorted(run.text.splitlines()[:2]) == ["1 component started", "one"]
    assert run.text.splitlines()[2:] == [
        "SIGTERM received",
        "Shutting down components",
        "web stopped (killed by SIGTERM)",
        "Complete",
    ]


def test_json_is_one_object_a_line_and_nothing_else(home):
    home.write(
        web=r"printf '\033[31mred\033[m \042quoted\042\t\300\n10%%\r100%%\n\n\302\233\177x\n'; exec cat",
        api="echo api; exec cat",
    )
    before = datetime.now(timezone.utc)
    run = home.up("--json")
    pump(lambda: b"u009b" in run.out and b'"api"}' in run.out, PATIENCE)
    run.stop()
    entries = [json.loads(line) for line in bytes(run.out).split(b"\n")[:-1]]
    assert all(list(entry) == ["time", "component", "instance", "text"] for entry in entries)
    assert [e["text"] for e in entries if e["instance"] == "web"] == ['red "quoted"\t\ufffd', "100%", "", "\x9b\x7fx"]
    assert not re.search(rb"[\x7f\x1b]|\xc2\x9b", run.out)
    times = [datetime.fromisoformat(e["time"].replace("Z", "+00:00")) for e in entries]
    assert before <= times[0] <= times[-1] <= datetime.now(timezone.utc)
    assert {e["component"] for e in entries} == {"web", "api", "orchestrate"}
    assert entries[-1]["text"] == "Complete"


@pytest.mark.parametrize("words", [["--quiet", "web", "--quiet", "api"], ["--quiet=web, api"]])
def test_several_are_quiet(home, words):
    """Each with an option of its own, or separated by commas as everywhere."""
    run = home.write(web="echo one; exec cat", api="echo two; exec cat", last="sleep 0.3; echo three").up(*words)
    run.wait_for(r"^last +\| three$")
    assert run.wait() == 1
    assert not re.search(r"^(web|api) ", run.text, re.M), str(run)


def test_quiet_keeps_a_component_off_the_screen_and_in_its_log(home):
    run = home.write(web="echo one; exec cat", api="echo two; exec cat").up("--quiet", "web", "--quiet", "web.1")
    run.wait_for("two")
    assert until(lambda: log_of(home, "web") == b"one\n")
    run.stop()
    assert not re.search(r"^web |one$", run.text, re.MULTILINE)
    assert log_of(home, "web") == b"one\n"


def test_quiet_is_quiet_about_pieces_of_a_long_line_too(home):
    run = home.write(
        web="head -c 5000000 /dev/zero | tr '\\0' x; echo; touch written; exec cat",
        api="until [ -e written ]; do sleep 0.05; done; echo two; exec cat",
    ).up("--quiet", "web")
    run.wait_for("two")
    run.stop()
    assert "x" * 100 not in run.text
    assert log_of(home, "web").count(b"x") == 5_000_000


# Every end in words, with the last lines: of who ended the system always, of others if they are not in view.


@pytest.mark.parametrize(
    ("command", "words", "status"),
    [
        ("exit 3", r"web exited with status 3 after \d+\.\d s", 3),
        ("exit 0", r"web exited with status 0 after \d+\.\d s", 0),
        ("kill -9 $$", r"web killed by SIGKILL after \d+\.\d s", 137),
        ("kill -SEGV $$", r"web killed by SIGSEGV( \(core dumped\))? after \d+\.\d s", 139),
    ],
)
def test_an_end_is_said_in_words(command, words, status, home):
    run = home.write(web=f"echo said; {command}").up()
    assert run.wait() == status
    assert re.search(rf"^orchestrate \| {words}$", run.text, re.MULTILINE), run.text
    assert (LAST in run.text) == bool(status), "the block on who ended the system has them, though they are in view"


def test_the_last_lines_of_a_quiet_one_are_told(home):
    run = home.write(web=voice("fails")).up("--quiet", "web")
    assert run.wait() == 3
    told = run.text[run.text.index(LAST) :].splitlines()
    assert told[1:9] == [f"orchestrate |     reason {number}" for number in range(8)]


def test_the_last_lines_are_told_as_they_stood_on_the_row(home):
    run = home.write(web=r"printf '10%%\r\033[31m100%%\033[m\nfatal: \033]0;t\007no\n'; exit 1").up("--quiet", "web")
    assert run.wait() == 1
    assert run.text[run.text.index(LAST) :].splitlines()[1:3] == [
        "orchestrate |     100%",
        "orchestrate |     fatal: no",
    ]


def test_the_last_lines_are_told_where_others_have_written_much_since(home):
    go = home.path / "go"
    home.write(
        web=f"echo the reason; until [ -e {go} ]; do sleep 0.05; done; exit 3", api="sleep 0.5; seq 2000; exec cat"
    )
    run = home.up()
    run.wait_for(r"^api +\| 2000$")
    go.touch()
    assert run.wait() == 3
    assert run.text[run.text.index(LAST) :].splitlines()[1] == "orchestrate |     the reason"


def test_the_last_lines_are_told_where_the_screen_skipped_them(home):
    written = home.path / "written"
    script = voice("count", 60_000, 80, written).removeprefix("exec ")
    go = home.path / "go"
    run = home.write(web=f"timeout 5 {script}; echo the reason; until [ -e {go} ]; do sleep 0.05; done; exit 3").up(
        "--color", "never", "--log-size", "1G", terminal=True, columns=200
    )
    run.wait_for("^web")
    run.look_away(run.out_fd)
    path = home.path / ".orchestrate" / "logs" / "web.log"
    assert until(lambda: b"the reason" in path.read_bytes()[-200:])
    run.look_back(run.out_fd)
    run.wait_for("did not keep up")
    go.touch()
    assert run.wait() == 3
    assert f"orchestrate | {LAST}\n" in run.text
    assert "orchestrate |     the reason\n" in run.text


# In tmux, with colors.

tmux_here = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")


def start(terminal, home, *options, **components):
    home.write(**components)
    terminal.type(" ".join(map(str, home.command(*options))))


@tmux_here
def test_colors_titles_and_prompts_in_a_real_terminal(tmux, home):
    terminal = tmux()
    other = home.path / "other"
    web = (
        r"printf '\033]0;owned\007\033[2J\033[Hfirst \033[31mred\nstill red\033[0m\n\033[38;5;42mgreen\n"
        r"\033[38;2;1;2;3mrgb\033[m\nanswer? '; exec cat"
    )
    start(terminal, home, web=web, api=f"until [ -e {other} ]; do sleep 0.05; done; echo plain; exec cat")
    terminal.wait_for(r"^web +\| answer\?$")
    other.touch()
    terminal.wait_for(r"^api +\| plain\nweb +\| answer\?$")
    screen = terminal.screen(colors=True)
    assert re.search(r"\| (\x1b\[0?m|\x1b\[39m)?first \x1b\[31mred\n\x1b\[36mweb", screen), repr(screen)
    assert re.search(r"\x1b\[31mstill red\n\x1b\[36mweb", screen)
    assert "\x1b[38;5;42mgreen" in screen
    assert "\x1b[38;2;1;2;3mrgb" in screen
    assert "\x1b[31mplain" not in screen
    assert terminal("display-message", "-p", "-t", "main", "#{pane_title}").strip() != "owned"
    terminal.keys("C-c")
    terminal.wait_for(r"^orchestrate +\| Complete$")
    assert terminal.screen().count("answer?") == 1, terminal.screen()
    assert terminal.status() == 128 + signal.SIGINT


@tmux_here
def test_copy_mode_and_ctrl_s_block_nobody(tmux, home):
    for number, (stop, go) in enumerate(
        [(("copy-mode", "-t", "main"), ("send-keys", "-t", "main", "-X", "cancel")), ("C-s", "C-q")]
    ):
        terminal, written = tmux(), home.path / f"written{number}"
        start(
            terminal,
            home,
            web="echo ready; until [ -e go ]; do sleep 0.05; done; " + voice("count", 100_000, 80, written),
        )
        terminal.wait_for(r"^web +\| ready$")
        terminal(*stop) if isinstance(stop, tuple) else terminal.keys(stop)
        (home.path / "go").touch()
        assert until(written.exists, interval=0.01), "the component waits for the terminal"
        terminal(*go) if isinstance(go, tuple) else terminal.keys(go)
        terminal.wait_for(r"line 99999|did not keep up")
        terminal.keys("C-c")
        assert terminal.status() == 128 + signal.SIGINT
        (home.path / "go").unlink()
        log = log_of(home, "web")
        assert log.count(b"\nline ") + log.startswith(b"line ") == 100_000 * (number + 1)


def test_no_query_is_sent_to_the_terminal_and_no_answer_waited_for(home):
    """blessed asks terminals for their capabilities where it may."""
    run = home.write(web="printf 'one\\n? '; exec cat").up(terminal=True)
    run.wait_for(r"^web +\| one$")
    in_time(run.wait_for(r"\| \? ?$") - run.started_at, 5)
    run.stop()
    assert b"\x1bP" not in run.out
    assert not re.search(rb"\x1b\[[>?]?[\d;]*[cnq]|\x1b\[>", run.out)
