"""Keys typed at the terminal of `up`: never echoed, never left for the shell, and the terminal is given back."""

import os
import re
import shlex
import signal
import termios
import time
from pathlib import Path

import pytest
from harness import pump, tree, until, voice
from lateness import in_time

# A shell that restores no modes by itself, nor dies of the signals that its whole group gets.
TELLING = 'trap : INT QUIT HUP; "$@"; stty -a; read line; echo "[$line]"'
HINT = r"keys do not reach components here \(u view, r restart, \? keys\); orchestrate attach web"


def modes(run):
    """Those of its terminal, as they compare."""
    attributes = termios.tcgetattr(run.terminal_fd)
    return [*attributes[:6], [c if isinstance(c, int) else c[0] for c in attributes[6]]]


def is_quiet(run):
    return not termios.tcgetattr(run.terminal_fd)[3] & (termios.ECHO | termios.ICANON)


def start(home, *options, before=(), **components):
    run = home.write(**components).up("--color", "never", *options, terminal=True, before=before)
    for name in components:
        run.wait_for(rf"^{name} *\| ready")
    return run


def press(run, keys):
    os.write(run.terminal_fd, keys)


def test_what_is_typed_is_not_echoed_and_one_hint_a_minute_says_where_to_type(home):
    run = start(home, web="echo ready; stty -echo; printf 'Password: '; read it; exec cat")
    run.wait_for("Password:")
    for key in b"hidden2\x04\x16\x1b":
        press(run, bytes([key]))
    run.wait_for(HINT)
    press(run, b"\x1b[A\x1b[200~more secrets\x1b[201~" + "é".encode())
    run.signal(signal.SIGTERM)
    run.wait()
    assert "hidden2" not in run.text
    assert "secrets" not in run.text
    assert len(re.findall(HINT, run.text)) == 1


def test_enter_adds_a_blank_line(home):
    run = start(home, web=tree("plain"), api="echo ready; until [ -e go ]; do sleep 0.05; done; echo went; exec cat")
    press(run, b"\r\r\n")
    assert pump(lambda: run.text.endswith("\n\n\n\n"), 10), run.text
    (home.path / "go").touch()
    run.wait_for(r"\n\n\n\napi +\| went")
    assert "keys" not in run.text
    run.stop()


def test_answers_and_reports_of_the_terminal_are_no_keys(home):
    run = start(home, web=tree("plain"))
    for report in (b"\x1b[?62;22c", b"\x1b[12;40R", b"\x1b]11;rgb:0000/0000/0000\x1b\\", b"\x1b[I", b"\x1b[<0;3;4M"):
        press(run, report)
    press(run, b"\x1b]10;rgb:ffff")
    press(run, b"/ffff/ffff\x07")
    press(run, b"\r")
    assert pump(lambda: run.text.endswith("\n\n"), 10)
    assert "keys" not in run.text
    run.stop()


@pytest.mark.parametrize("end", ["exit", "SIGTERM", "SIGQUIT", "SIGHUP", "ctrl-c", "ctrl-\\"])
def test_the_terminal_is_given_back_and_nothing_typed_is_left_in_it(end, home):
    run = home.write(web="echo ready; until [ -e go ]; do sleep 0.05; done; exit 3").up(
        "--color", "never", terminal=True, before=["sh", "-c", TELLING, "sh"]
    )
    before = modes(run)
    run.wait_for(r"^web +\| ready")
    assert until(lambda: is_quiet(run))
    press(run, b"echo stolen\n")
    (supervisor,) = [pid for pid in run.living() if "orchestrate" in cmdline(pid)][1:2]
    if end == "exit":
        (home.path / "go").touch()
    elif end.startswith("SIG"):
        os.kill(supervisor, getattr(signal, end))
    else:
        press(run, {"ctrl-c": b"\x03", "ctrl-\\": b"\x1c"}[end])
    run.wait_for(r"^speed")
    assert modes(run) == before
    press(run, b"mine\n")
    run.wait_for(r"^\[mine\]$")
    run.wait()


def test_a_shell_does_not_run_what_was_typed_before_the_system_ended(tmux, home):
    terminal = tmux()
    go = home.path / "go"
    home.write(web=f"echo ready; until [ -e {go} ]; do sleep 0.05; done; exit 3")
    terminal.type(shlex.join(map(str, home.command())))
    terminal.wait_for(r"^web +\| ready")
    for number in range(20):
        terminal.type(f"touch stolen{number}")
        if number == 10:
            go.touch()
    assert terminal.status() in (0, 3)
    terminal.type("touch mine")
    directories = home.path, Path(terminal.path)
    assert until(lambda: any((directory / "mine").exists() for directory in directories))
    for directory in directories:
        assert not list(directory.glob("stolen[0-9]")), "typed at up, run by the shell"


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again(tmux, home):
    terminal = tmux()
    home.write(web=tree("plain"))
    terminal.type(shlex.join(map(str, home.command())))
    terminal.wait_for(r"^web +\| ready")
    for number in range(2):
        terminal.keys("C-z")
        terminal.wait_for("Stopped")
        terminal("clear-history", "-t", "main")
        terminal.type("stty -a | grep -o ' [-]*echo '; clear")
        terminal.type("stty -a | grep -wo '[-]*icanon'")
        terminal.wait_for(r"^icanon")
        terminal.type("clear; fg")
        assert until(lambda: not terminal.is_shell_in_front())
        terminal.keys("s", "e", "c", "Enter")
        if number == 0:
            terminal.wait_for("keys do not reach components here")
        assert "sec" not in terminal.screen()
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_in_the_background_the_terminal_is_left_alone_and_fg_takes_it(tmux, home):
    terminal = tmux()
    home.write(web=tree("plain"))
    terminal.type(shlex.join(map(str, home.command())) + " &")
    terminal.wait_for(r"web +\| ready")
    terminal.type("stty -a | grep -wo '[-]*icanon'")
    terminal.wait_for(r"^icanon")
    terminal.type("fg")
    assert until(lambda: not terminal.is_shell_in_front())
    terminal.type("first")  # no signal has told us of the fg: this line shows that we are in front
    terminal.wait_for("keys do not reach components here")
    terminal.type("secret")
    terminal.keys("C-z")
    terminal.wait_for("Stopped")
    terminal.type("bg")
    terminal.type("stty -a | grep -wo '[-]*icanon'; echo here")
    terminal.wait_for(r"^icanon\nhere")
    assert "secret" not in terminal.screen()
    terminal.type("kill %1; wait")
    terminal.wait_for(r"^orchestrate \| Complete")


def test_a_guardian_gives_the_terminal_back_when_the_supervisor_is_killed(home):
    run = home.write(web=tree("deaf"), api=tree("plain")).up(
        "--color", "never", "-t", "2", terminal=True, before=["sh", "-c", TELLING.replace("stty -a; ", ""), "sh"]
    )
    before = modes(run)
    run.wait_ready("web", "api")
    assert until(lambda: is_quiet(run))
    supervisor = next(pid for pid in run.living() if pid != run.pid and "orchestrate" in cmdline(pid))
    os.kill(supervisor, signal.SIGKILL)
    since = time.monotonic()
    assert until(lambda: modes(run) == before)
    in_time(time.monotonic() - since, 1)
    press(run, b"mine\n")
    run.wait_for(r"^\[mine\]$")
    run.wait()
    assert run.survivors(5) == []


def cmdline(pid):
    """Return the command line of a process; empty if it has exited."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_a_guardian_leaves_a_terminal_alone_that_another_job_has_made_quiet(tmux, home):
    """The killed supervisor had been stopped by Ctrl-Z; another one is in front."""
    terminal = tmux()
    other = home.path / "other"
    other.mkdir()
    (other / "Procfile").write_text(f"api: {tree('plain')}\n")
    home.write(web=tree("plain"))
    terminal.type(shlex.join(map(str, home.command())))
    terminal.wait_for(r"^web +\| ready")
    (first,) = terminal.foreground()
    terminal.keys("C-z")
    terminal.wait_for("Stopped")
    terminal.type(f"clear; cd {other}; " + shlex.join(map(str, home.command()[:1])))
    terminal.wait_for(r"^api +\| ready")
    os.kill(first, signal.SIGKILL)
    assert until(lambda: not [line for line in map(cmdline, terminal.server.living()) if str(home.path) + "/P" in line])
    terminal.keys("s", "e", "c")
    terminal.wait_for("keys do not reach components here")
    assert not re.search("^sec", terminal.screen(), re.MULTILINE)
    terminal.keys("C-c")
    assert terminal.status() == 128 + signal.SIGINT


def test_keys_are_left_alone_where_standard_output_is_no_terminal(home):
    """In `orchestrate | less` they are for less."""
    command = shlex.join(map(str, home.command("--color", "never")))
    home.write(web=voice("slowly"))
    from harness import Run

    run = Run(["sh", "-c", f"{command} | cat"], terminal=True, cwd=home.path)
    run.wait_for(r"^web +\| line 5\s")
    assert not is_quiet(run)
    press(run, b"\x03")
    run.wait()
    assert run.survivors(3) == []


def test_ctrl_z_without_a_shell_that_could_continue_it_does_nothing(home):
    """An orphaned process group: the default action of SIGTSTP does not stop it."""
    run = start(home, web=tree("plain"))
    press(run, b"\x1a")
    press(run, b"\r")
    assert pump(lambda: run.text.endswith("\n\n") and is_quiet(run), 10), run.text
    run.stop()
