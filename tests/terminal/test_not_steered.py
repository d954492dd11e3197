"""What a component prints, or calls itself, steers no terminal: nothing that is answered as if typed gets there."""

import os
import re
import shlex
import signal
import sys

import pytest
from attaching import attach, started
from harness import Run, command_under_test, environment, pump, tree
from programs.escapes import QUERIES

ALL = b" ".join(QUERIES.values())
SAY = f"import os\nos.write(1, {ALL!r})\nos.write(1, b'said')\n"
STAY = "import signal\nprint(); print('ready', flush=True)\nsignal.pause()\n"
WAYS = {
    "a line": SAY + "print(flush=True)\n" + STAY,
    "an unfinished line": f"import select\n{SAY}select.select([], [], [], 0.5)\n" + STAY,
    "a line that is redrawn": f"{SAY}os.write(1, b'\\r' + {ALL!r} + b'said\\r\\n')\n" + STAY,
    "a line too long": f"{SAY}print(flush=True)\nos.write(1, b'x' * 300000 + {ALL!r} + b'x' * 300000)\n" + STAY,
    "the last words of who fails": f"{SAY}print(flush=True)\n"
    "while not os.path.exists('done'): os.sched_yield()\nraise SystemExit(3)\n",
    "a prompt": f"{SAY}os.write(1, b'password: ')\nimport sys\nsys.stdin.readline()\n" + STAY,
}


def program(home, code):
    (home.path / "web.py").write_text(code)
    return shlex.join(["exec", sys.executable, "-S", "-E", str(home.path / "web.py")])


def shown_queries(run):
    return [name for name, sequence in QUERIES.items() if sequence in bytes(run.out)]


@pytest.mark.parametrize("color", ["always", "never"])
@pytest.mark.parametrize("way", WAYS)
def test_no_query_reaches_the_merged_screen(way, color, home):
    much = "until [ -e go ]; do sleep 0.01; done; seq 30000; touch done; exec sleep 600"  # else they are not said again
    home.write(web=program(home, WAYS[way]), other=much)
    run = home.up("--color", color, terminal=True)
    if way == "a prompt":
        run.wait_for(r'web is waiting for input at ".*password:')
    elif way == "the last words of who fails":
        run.wait_for("said")
        (home.path / "go").touch()
        run.wait_for(r"the last lines of web")
    else:
        run.wait_for(r"^web +\| ready")
    assert "said" in run.text
    if way != "the last words of who fails":
        run.signal(signal.SIGTERM)
    run.wait()
    assert shown_queries(run) == []


def test_no_query_is_in_what_a_second_terminal_is_told(home):
    home.write(web=program(home, WAYS["a line"]))
    run = home.up("--color", "never")
    run.wait_ready("web")
    for words in (["why", "web"], ["logs", "web"], ["NO_COLOR", "logs"], ["ps"], ["status"], ["attach"]):
        colors = environment(NO_COLOR="1") if words[0] == "NO_COLOR" else environment()
        words = [word for word in words if word != "NO_COLOR"]
        asked = Run([*command_under_test(), *words, "-C", home.path], terminal=True, env=colors)
        if words == ["attach"]:
            asked.wait_for("said")
            asked.signal(signal.SIGINT)
        asked.wait()
        assert words[0] in ("ps", "status") or "said" in asked.text, asked
        assert shown_queries(asked) == [], words
    run.stop()


def test_no_query_is_in_the_name_of_a_process_that_is_told(home):
    """It survived an earlier run, and calls itself so."""
    deaf = "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nprint('ready', flush=True)\n"
    home.write(web=program(home, f"{deaf}os.execv('/bin/sleep', [b'said' + {ALL!r} + b'\\nalso', '600'])\n"))
    first = home.up("--color", "never")
    first.wait_ready("web")
    first.kill_with_guardians()
    home.write(name="Next", again=tree("plain"))
    second = home.up("--color", "never", "--end-survivors", file="Next", terminal=True)
    second.wait_ready("again")
    assert re.search(r"^orchestrate:   web: \d+ \(said", second.text, re.MULTILINE), second
    assert "\nalso" not in second.text
    assert shown_queries(second) == []
    second.stop()
    assert first.survivors(1) == []


TOML = """
[components.web]
command = '''echo ready; read go; %s'''
on_exit = "ignore"
[components.other]
command = "sleep 600"
"""
ASK = r"printf '\033[c'"


def waiting(home, then):
    """A system whose `web` waits for a line, and then does this."""
    home.write(TOML % then, name="orchestrate.toml")
    run = started(home, "--color", "never", file="orchestrate.toml")
    run.wait_ready("web")
    return run


def sit(home, *options):
    """A terminal of the test's own, attached to web."""
    client = Run([*command_under_test(), "attach", "-C", home.path, "web", *options], terminal=True)
    client.wait_for(r"\[orchestrate: attached")
    return client


def test_an_answer_that_comes_when_the_component_has_gone_is_not_left_for_the_shell(home):
    run = waiting(home, ASK)
    client = sit(home)
    slave_fd = os.open(os.readlink(f"/proc/{client.pid}/fd/0"), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    os.write(client.terminal_fd, b"\r")
    assert pump(lambda: b"\x1b[5n" in client.out or client.returncode is not None, 60)
    assert b"\x1b[c" in client.out, client
    os.write(client.terminal_fd, b"\x1b[?1;2c\x1b[0n")
    assert client.wait() == 0
    os.write(client.terminal_fd, b"clean\n")
    assert os.read(slave_fd, 100) == b"clean\n"
    os.close(slave_fd)
    run.stop()


def test_a_terminal_that_answers_nothing_does_not_hold_the_end_up(home):
    run = waiting(home, ASK)
    client = sit(home)
    os.write(client.terminal_fd, b"\r")
    assert client.wait() == 0
    run.stop()


def test_who_looks_on_answers_nothing(home):
    """Both terminals are asked, and both answer; the component is told the writer's."""
    run = waiting(home, f"stty -icanon -echo; {ASK}; dd bs=64 count=1 2>/dev/null | od -An -c; read more")
    writer, viewer = sit(home), sit(home, "--read-only")
    os.write(writer.terminal_fd, b"\r")
    for client in (writer, viewer):
        assert pump(lambda client=client: b"\x1b[c" in client.out, 60), client
    os.write(viewer.terminal_fd, b"\x1b[?viewer;c")
    os.write(writer.terminal_fd, b"\x1b[?writer;c")
    for client in (writer, viewer):
        client.wait_for(r"033 +\[ +\? +w +r +i +t +e +r +; +c")
    run.stop()
    for client in (writer, viewer):
        client.wait()


def test_after_an_attached_program_that_asked_much_the_shell_is_as_it_was(home, tmux):
    """In a real terminal, which answers."""
    (home.path / "asks").write_bytes(ALL)
    run = waiting(home, "cat asks")
    terminal = tmux()
    attach(terminal, home, "web")
    terminal.keys("Enter")
    terminal.wait_for(r"^orchestrate: web exited with status 0$")
    terminal.type("echo the-shell-is-clean")
    terminal.wait_for(r"^prompt> echo the-shell-is-clean\nthe-shell-is-clean$")
    run.stop()
