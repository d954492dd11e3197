"""In a real terminal, as the user has it: keys, hang-up, job control, window size, colors."""

import os
import re
import shlex
import shutil
import signal
import time

import pytest
from harness import describe, tree, until, voice
from lateness import in_time
from terminal import PROMPT

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")

PREFIX = len("orchestrate | ")


def start(terminal, home, *options, **components):
    """Type the command; returns when all components have said `ready`."""
    home.write(**components)
    terminal.type(shlex.join(map(str, home.command(*options))))
    for name in components:
        terminal.wait_for(rf"^{name} *\| (ready|size)")


def supervisor(terminal):
    (pid,) = terminal.foreground()
    return pid


def gone(terminal, pid, seconds):
    """Nothing is left below the server but the shell and the pane's reader."""
    vanish(terminal, seconds, f"trees.py|^{pid} ")


def vanish(terminal, seconds, words):
    """Wait until no process below the server is described so, and hold that to its time."""

    def left():
        return [line for line in map(describe, terminal.server.living()) if re.search(words, line)]

    since = time.monotonic()
    assert until(lambda: not left()), "\n".join(left())
    in_time(time.monotonic() - since, seconds)


def test_ctrl_c_stops_all_shows_the_last_words_and_gives_the_prompt_back_with_130(tmux, home):
    terminal = tmux()
    start(terminal, home, web=voice("lastwords"), daemon=tree("daemon"), session=tree("session"))
    pid = supervisor(terminal)
    terminal.keys("C-c")
    terminal.wait_for(r"^web +\| goodbye 49$")
    terminal.wait_for(r"^web +\| the end$")
    assert terminal.status() == 128 + signal.SIGINT
    gone(terminal, pid, 1)
    screen = terminal.screen()
    assert "Traceback" not in screen
    assert re.search(rf"^{re.escape(PROMPT)}echo status", screen, re.MULTILINE), (
        f"the prompt stands at a line's beginning:\n{screen}"
    )


@pytest.mark.parametrize(("key", "name"), [("C-c", "SIGINT"), ("C-\\", "SIGQUIT")])
def test_what_the_terminal_echoes_of_a_key_does_not_stand_before_our_word(key, name, tmux, home):
    terminal = tmux()
    start(terminal, home, web=tree("plain"))
    terminal.keys(key)
    terminal.status()
    assert re.search(rf"^orchestrate \| {name} received$", terminal.screen(), re.MULTILINE), terminal.screen()


def test_the_echo_of_ctrl_c_does_not_push_an_unfinished_line_into_the_next_row(tmux, home):
    """Only its last row could be erased then, and its beginning stood there for good."""
    terminal = tmux()
    start(terminal, home, web="echo ready; printf '%0300d' 7; exec sleep 1000")
    terminal.wait_for(r"^web +\| 0{40,}$")
    terminal.keys("C-c")
    terminal.wait_for(r"^orchestrate \| Complete$")
    terminal.status()
    assert len(re.findall(r"^web +\| 0{40}", terminal.screen(), re.MULTILINE)) == 1, terminal.screen()


def test_ctrl_c_twice_skips_the_grace(tmux, home):
    terminal = tmux()
    start(terminal, home, "-t", 60, clock=voice("clock"), deaf=tree("deaf"))
    pid = supervisor(terminal)
    terminal.keys("C-c", "C-c")
    terminal.wait_for(r"^clock +\| later$")
    assert describe(pid).split()[2:4] == ["state", "S"], "two within half a second count as one"
    since = time.monotonic()
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT
    in_time(time.monotonic() - since, 3)
    gone(terminal, pid, 1)


def comes_up_again(home):
    """At once: nobody is waited for."""
    again = home.up("--color", "never")
    again.wait_ready("web")
    assert "wait" not in again.messages
    again.signal(signal.SIGQUIT)
    again.wait()


@pytest.mark.parametrize("end", ["kill-session", "kill-pane", "kill-server"])
def test_nothing_is_left_when_the_terminal_goes(end, tmux, home):
    terminal = tmux()
    start(terminal, home, "-t", 2, web=tree("plain"), daemon=tree("daemon"), deaf=tree("deaf"), again=tree("family"))
    supervisor(terminal)
    terminal(end, *([] if end == "kill-server" else ["-t", "main"]))
    vanish(terminal, 4, "trees.py|Procfile")
    comes_up_again(home)


@pytest.mark.parametrize("end", ["kill-session", "kill-server"])
def test_nothing_is_left_when_the_terminal_goes_from_a_supervisor_that_was_stopped(end, tmux, home):
    """kill -STOP: nobody in it hears the hang-up. The shell's SIGCONT lets it, or its guardians see its end."""
    terminal = tmux()
    start(terminal, home, "-t", 2, web=tree("plain"), daemon=tree("daemon"), deaf=tree("deaf"))
    pid = supervisor(terminal)
    os.kill(pid, signal.SIGSTOP)
    terminal.wait_for(r"Stopped")
    terminal(end, *([] if end == "kill-server" else ["-t", "main"]))
    vanish(terminal, 4, "trees.py|Procfile")
    comes_up_again(home)


def test_ctrl_z_stops_the_supervisor_and_fg_loses_nothing(tmux, home):
    terminal = tmux()
    counter = home.path / "go"
    wait = f"until [ -e {counter} ]; do sleep 0.05; done"
    home.write(web=f"echo ready; {wait}; seq -f 'line %g' 500; {tree('plain')}")
    terminal.type(shlex.join(map(str, home.command())))
    terminal.wait_for(r"^web +\| ready")
    pid = supervisor(terminal)
    terminal.keys("C-z")
    terminal.wait_for(r"Stopped")
    assert until(lambda: describe(pid).split()[3] == "T"), describe(pid)
    counter.touch()
    assert until(lambda: [line for line in map(describe, terminal.server.living()) if "trees.py plain" in line]), (
        "the component goes on meanwhile"
    )
    before = len(terminal.bytes)
    terminal.type("fg")
    terminal.wait_for(r"^web +\| ready$(?s:.*)^web +\| ready$")
    wanted = [str(number) for number in range(1, 501)]  # the pane's bytes come by a pipe, later than its screen
    assert until(lambda: re.findall(r"^web +\| line (\d+)$", terminal.since(before), re.MULTILINE) == wanted)
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_a_stopped_supervisor_takes_term_when_it_is_continued(tmux, home):
    terminal = tmux()
    start(terminal, home, web=tree("plain"))
    pid = supervisor(terminal)
    terminal.keys("C-z")
    terminal.wait_for(r"Stopped")
    terminal.type("kill %1; fg")
    gone(terminal, pid, 5)
    assert terminal.status() == 128 + signal.SIGTERM


def test_the_window_of_a_component_is_the_terminal_less_the_prefix_and_follows_it(tmux, home):
    terminal = tmux(columns=100, rows=30)
    start(terminal, home, web=voice("size"), api=tree("plain"))
    terminal.wait_for(rf"^web +\| size {100 - PREFIX}x30$")
    terminal.resize(77, 20)
    terminal.wait_for(rf"^web +\| size {77 - PREFIX}x20$")
    terminal.resize(120, 40)
    terminal.wait_for(rf"^web +\| size {120 - PREFIX}x40$")
    terminal.resize(10, 10)
    terminal.wait_for(r"x10$")  # narrower than the prefix: a window there is, of some width
    terminal.resize(100, 30)
    terminal.wait_for(rf"^web +\| size {100 - PREFIX}x30$(?s:.*)size {100 - PREFIX}x30$")
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_each_prefix_has_a_color_of_its_own_and_the_childrens_colors_are_kept(tmux, home):
    terminal = tmux()
    start(terminal, home, web=voice("colored"), api=tree("plain"), worker=tree("plain"), beat=tree("plain"))
    screen = terminal.screen(colors=True)
    colors = {}
    for name in ("web", "api", "worker", "beat"):
        found = re.search(rf"^((?:\x1b\[[0-9;]*m)+){name} ", screen, re.MULTILINE)
        assert found, f"{name} without color:\n{screen!r}"
        colors[name] = found.group(1)
    assert len(set(colors.values())) == 4, colors
    assert re.search(r"\x1b\[31mred", screen), repr(screen)
    assert re.search(r"\x1b\[1;?.*38;5;42mgreen", screen), repr(screen)
    assert re.search(r"\x1b\[(0|39)m ?no color$", screen, re.MULTILINE), repr(screen)
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_no_color_draws_no_color_of_ours(tmux, home):
    terminal = tmux(NO_COLOR="1")
    start(terminal, home, web=tree("plain"), api=tree("family"))
    assert "\x1b[" not in terminal.screen(colors=True)
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT
    assert "\x1b[" not in terminal.screen(colors=True)


def test_the_terminal_is_left_as_it_was_found(tmux, home):
    terminal = tmux()
    terminal.type("stty -g | tr : _ | cksum | tee before; echo done")
    terminal.wait_for(r"^done$")
    for end in ("C-c", "C-\\"):
        start(terminal, home, web=tree("plain"))
        terminal.keys(end)
        terminal.status()
        terminal("clear-history", "-t", "main")
        terminal.type("clear; stty -g | tr : _ | cksum | cmp - before && echo the-same")
        terminal.wait_for(r"^the-same$")


def test_ctrl_c_reaches_a_pipeline_and_its_reader_sees_the_end(tmux, home):
    terminal = tmux()
    home.write(web=tree("plain"), daemon=tree("daemon"))
    command = shlex.join(map(str, home.command()))
    terminal.type(f"{command} | (trap '' INT; cat; echo the-reader-saw-the-end); echo ${{PIPESTATUS[0]}}-pipe")
    terminal.wait_for(r"^daemon +\| ready")
    terminal.keys("C-c")
    terminal.wait_for(r"^the-reader-saw-the-end$")
