"""Keys under the merged stream, the row that shows them, and the view that they open in the same terminal."""

import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest
from attaching import flags, log
from definitions import Directory
from harness import PATIENCE, command_under_test, pump, until
from terminal import PROMPT

pytest.importorskip("pyte")
pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")

KEYS = r"u view · r restart … · \? keys"


def start(tmux, home, *options, text="", **components):
    home.write(text, **components)
    terminal = tmux(columns=100, rows=16, ORCHESTRATE_STATUS="auto")
    terminal.type(shlex.join(map(str, home.command(*options))))
    return terminal


def rows(terminal):
    return terminal.screen().split("\n")


def test_the_row_is_last_below_an_unfinished_line_and_goes_with_the_system(home, tmux):
    terminal = start(tmux, home, web="echo ready; exec sleep 1000", ask="printf 'Name: '; read it; echo hello $it; cat")
    terminal.wait_for(rf"^ask +\| Name:\n● web ● ask \(waits for input\) · {KEYS}$")
    terminal.resize(60, 16)
    terminal.wait_for(rf"^ask +\| Name:\n● web \+1 · {KEYS}$")
    terminal.resize(100, 16)
    terminal.wait_for(rf"^ask +\| Name:\n● web ● ask \(waits for input\) · {KEYS}$")
    terminal.keys("x")
    terminal.wait_for(r"keys do not reach components here \(u view, r restart, \? keys\); orchestrate")
    terminal.keys("?")
    terminal.wait_for(r"\| u view · r NAME restart · Enter blank line · Ctrl-C stop · Ctrl-Z suspend$")
    assert len(re.findall(KEYS, terminal.screen())) == 1
    terminal.keys("C-c")
    terminal.wait_for(r"orchestrate \| Complete")
    assert terminal.status() == 128 + signal.SIGINT
    assert not re.search(KEYS, terminal.screen())


@pytest.mark.skipif(not shutil.which("vim"), reason="no vim here")
def test_a_full_screen_program_is_not_shown_as_waiting(home, tmux):
    terminal = start(tmux, home, edit="exec vim -u NONE -i NONE -N", ask="read it")
    terminal.wait_for(rf"^● edit ● ask \(waits for input\) · {KEYS}$")
    terminal.keys("u")
    terminal.wait_for(r"^▌● edit ")
    terminal.wait_for(r"^ \? ask  waits for input")
    terminal.wait_for(r"^ ask waits for input: p ")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_r_takes_a_name_outside_ascii(home, tmux):
    text = "".join(f"[components.'{name}']\ncommand = 'exec sleep 1000'\n" for name in ("名前", "名古屋", "büro"))
    home.write(text, name="orchestrate.toml")
    terminal = tmux(columns=60, rows=16, ORCHESTRATE_STATUS="auto")
    terminal.type(shlex.join(map(str, [*command_under_test(), "up", "-C", home.path])))
    terminal.wait_for(rf"^● 名前 ● 名古屋 ● büro · {KEYS}$")
    terminal("send-keys", "-t", "main", "-l", "r名")
    terminal.wait_for(r"^restart: 名_ \(名前, 名古屋\) · type the beginning of a \w+…$")
    terminal("send-keys", "-t", "main", "-l", "前")
    terminal.wait_for(r"^orchestrate \| restarting 名前$")
    terminal("send-keys", "-t", "main", "-l", "rbü")
    terminal.wait_for(r"^orchestrate \| restarting büro$")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_r_and_a_name_restarts_one(home, tmux):
    terminal = start(tmux, home, web="echo ready; exec sleep 1000", worker="exec sleep 1000", api="exec sleep 1000")
    terminal.wait_for(rf"^● web ● worker ● api · {KEYS}$")
    terminal.keys("r")
    terminal.wait_for(r"^restart: _ · type the beginning of a name · Esc cancels$")
    terminal.keys("w")
    terminal.wait_for(r"^restart: w_ \(web, worker\) · type")
    terminal.keys("e")
    terminal.wait_for(r"^orchestrate \| restarting web\n(.*\n)*web +\| ready$")
    assert re.search(
        r"^web restarted at \S+ because the key r was pressed in the terminal of up$",
        Directory(home.path).output("why", "web"),
        re.M,
    )
    terminal.keys("r", "x")
    terminal.wait_for(r"no component begins with 'x'$")
    terminal.keys("r")
    terminal.wait_for(r"^restart: _ · type")
    terminal.keys("Escape")
    terminal.wait_for(rf"^● web ● worker ● api · {KEYS}$")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


@pytest.mark.parametrize("options", [("--no-status",), ("--json",)])
def test_without_the_row(home, tmux, options):
    terminal = start(tmux, home, *options, web="echo ready; exec sleep 1000")
    terminal.wait_for("ready")
    terminal.keys("r", "w")
    terminal.wait_for("restarting web")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT
    assert not re.search(KEYS, terminal.screen())


@pytest.mark.parametrize(
    ("before", "options", "why"),
    [
        ("TERM=dumb ", "", "the view cannot use a terminal of type 'dumb'"),
        ("", " | cat", "the view needs a terminal"),
        ("", " --json", "the view does not print JSON"),
    ],
)
def test_a_terminal_that_cannot_show_the_view_gets_the_stream(home, tmux, before, options, why):
    home.write(web="echo ready; exec sleep 1000")
    terminal = tmux(columns=120)
    terminal.type(before + shlex.join(map(str, home.command("--ui"))) + options)
    terminal.wait_for(f"^orchestrate: {why}; showing the merged stream$")
    terminal.wait_for(r"web +\| ready|\"ready\"")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_output_of_a_view_that_was_not_shown_has_no_mark(home, tmux):
    home.write(web="echo ready; exec sleep 1000")
    terminal = tmux(columns=39, rows=20)
    terminal.type(shlex.join(map(str, home.command("--ui"))))
    terminal.wait_for(r"^web +\| ready$")
    assert "showing the merged stream" in terminal.screen().replace("\n", "")
    assert "while the view" not in terminal.screen().replace("\n", "")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


TICKING = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done"


def test_u_opens_the_view_and_u_returns_with_what_was_printed_meanwhile(home, tmux):
    terminal = start(tmux, home, web=TICKING)
    terminal.wait_for(r"web +\| tick 3$")
    quiet = flags(terminal)
    terminal.keys("u")
    terminal.wait_for(r"^ Procfile +1/1 ready")
    shown = int(terminal.wait_for(r"│tick (\d+)$").group(1))
    terminal.wait_for(rf"│tick {shown + 2}$")  # printed while the view was open
    terminal.keys("u")
    found = terminal.wait_for(r"^orchestrate \| (\d+) lines? while the view was open:$")
    terminal.wait_for(rf"^● web · {KEYS}$")
    assert int(found.group(1)) > 0
    assert flags(terminal) == quiet
    terminal.keys("?", "x")
    terminal.wait_for(r"^orchestrate \| u view · r NAME restart")
    terminal.wait_for(r"^orchestrate \| keys do not reach")
    logged = log(home, "orchestrate").decode()
    assert not re.search("while the view was open|r NAME restart|keys do not reach", logged)  # for this screen only
    terminal.keys("C-c")
    terminal.wait_for(r"orchestrate \| Complete")
    ticks = [int(n) for n in re.findall(r"^web +\| tick (\d+)$", terminal.screen(), re.M)]
    assert ticks == list(range(ticks[0], ticks[-1] + 1))
    assert terminal.status() == 128 + signal.SIGINT


@pytest.mark.parametrize("how", ["s", "C-c", "kill"])
def test_the_ways_out_of_up_ui(home, tmux, how):
    home.write(web="echo ready; exec sleep 1000")
    terminal = tmux(columns=100, rows=16, ORCHESTRATE_STATUS="auto")
    before = flags(terminal)
    terminal.type(shlex.join(map(str, home.command("--ui"))))
    terminal.wait_for(r"│ready$")
    if how == "s":
        terminal.keys("q")
        terminal.wait_for(r"^ s stop the system · b run in the background · u merged stream · other keys stay$")
        terminal.keys("s")
        terminal.wait_for(r"orchestrate \| stop requested in the view")
    elif how == "C-c":
        terminal.keys("C-c")
    else:  # the view is killed: the stream is there again
        (pid,) = terminal.foreground()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        (view,) = [int(p) for p in children if b"ui\0--home" in Path(f"/proc/{p}/cmdline").read_bytes()]
        os.kill(view, signal.SIGKILL)
        terminal.wait_for(KEYS)
        terminal.keys("C-c")
    terminal.wait_for(r"orchestrate \| Complete")
    assert terminal.status() == (0 if how == "s" else 128 + signal.SIGINT)
    modes = terminal("display-message", "-p", "-t", "main", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
    assert modes == "0 0 1\n"
    assert flags(terminal) == before


def started_in_background(tmux, home):
    """A system that `b` in its view has put into the background, and that runs on there: its terminal and its pid."""
    terminal = start(tmux, home, "--ui", web=TICKING)
    terminal.wait_for(r"│tick \d+$")
    (pid,) = terminal.foreground()
    terminal.keys("q", "b")
    terminal.wait_for(rf"orchestrate \| keeps running in the background \(pid {pid}\)")
    terminal.wait_for(rf"Stopped[^\n]*(\n[^\n]+)*\n{PROMPT.strip()}$")
    log_file = home.path / ".orchestrate" / "logs" / "web.log"
    size = log_file.stat().st_size
    assert until(lambda: log_file.stat().st_size > size)  # it runs on
    return terminal, pid


def test_in_the_background_the_shell_has_the_terminal_and_the_system_stays(home, tmux):
    terminal, pid = started_in_background(tmux, home)
    shown = terminal.screen().count("tick")
    assert not pump(lambda: terminal.screen().count("tick") > shown, 1)
    terminal.type(shlex.join(map(str, [*command_under_test(), "down", "-C", home.path])))
    assert until(lambda: not Path(f"/proc/{pid}").exists())
    terminal.type("wait; echo over")
    terminal.wait_for("^over$")


def test_no_wake_up_while_nothing_changes(home, tmux):
    terminal = start(tmux, home, web="echo ready; exec sleep 1000")
    terminal.wait_for(rf"^● web · {KEYS}$")
    (pid,) = terminal.foreground()

    def switches():
        text = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))

    def rests():
        before = switches()
        return not pump(lambda: switches() != before, 1.5)

    assert until(rests, PATIENCE, interval=0.01)
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_if_the_system_is_killed_under_the_view_the_terminal_is_in_order(home, tmux):
    home.write(web="echo ready; exec sleep 1000")
    terminal = tmux(columns=100, rows=16, ORCHESTRATE_STATUS="auto")
    before = flags(terminal)
    terminal.type(shlex.join(map(str, home.command("--ui"))))
    terminal.wait_for(r"│ready$")
    (pid,) = terminal.foreground()
    os.kill(pid, signal.SIGKILL)
    assert until(terminal.is_shell_in_front)

    def is_in_order():
        """The view and the guardian restore it too; the next prompt has the shell's modes in any case."""
        return flags(terminal) == before or terminal.keys("Enter")

    assert until(is_in_order, 8, interval=0.2), (before, flags(terminal))
    terminal.type("sh -c 'exit 7'")
    assert terminal.status() == 7
    assert flags(terminal) == before


@pytest.mark.parametrize("key", ["Enter", "C-c", "C-z"])
def test_fg_brings_the_stream_back_from_the_background(home, tmux, key):
    terminal, pid = started_in_background(tmux, home)
    os.kill(pid, signal.SIGHUP)  # as if the terminal were closed
    terminal.type("clear; echo shell is us''able")
    terminal.wait_for("^shell is usable$")
    terminal.type("fg")
    terminal.wait_for(rf"^{PROMPT.strip()} fg\n\S+")
    if key == "C-z":
        terminal.keys(key)
        terminal.wait_for(rf"Stopped[^\n]*(\n[^\n]+)*\n{PROMPT.strip()}$")
        terminal.type("fg")
    else:
        terminal.keys(key)
    terminal.wait_for(r"^orchestrate \| in the foreground again; orchestrate logs shows what was printed meanwhile$")
    if key != "C-c":
        terminal.wait_for(rf"^web +\| tick \d+\n● web · {KEYS}$")
        terminal.keys("u")
        terminal.wait_for(r"^ Procfile +1/1 ready")
        terminal.keys("u")
        terminal.wait_for(rf"^● web · {KEYS}$")
        terminal.keys("C-c")
    terminal.wait_for(r"^orchestrate \| SIGINT received\n(.*\n)*orchestrate \| Complete$")
    assert terminal.status() == 128 + signal.SIGINT
