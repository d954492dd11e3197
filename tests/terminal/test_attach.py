"""attach: a user's terminal at a component's, in a real one (tmux), with real programs."""

import os
import re
import shlex
import shutil
import signal
import sys
import termios
import tty

import pytest
from attaching import DETACH, SHELL, attach, attach_quietly, detach, flags, log, python, started
from facts import PATIENCE
from harness import Run, command_under_test, pump, unread, until
from terminal import PROMPT

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")

PDB = """
import time
for number in range(1000):
    input(f"number {number}\\n")
    total = number + 40
    if number == 1: breakpoint()
    total += 1
    print("total is", total, flush=True)
"""
TICKS = "import select\nfor n in range(10**6): print('tick', n, flush=True); select.select([], [], [], 0.05)"


def test_a_debugger_is_noticed_stepped_through_and_left(home, tmux):
    """breakpoint() in a server under load: one notice, attach, step, continue, detach, and it goes on."""
    home.write(web=python(home, "app.py", PDB), load=python(home, "load.py", TICKS))
    system = started(home)
    system.wait_for(r"^web  *\| number 0")
    terminal = tmux()
    attach(terminal, home, "web")
    terminal.wait_for(r"^number 0")
    terminal.keys("Enter")
    terminal.wait_for(r"^total is 41\nnumber 1")
    detach(terminal, "web")
    attach(terminal, home, "web")
    terminal.keys("Enter", *DETACH)
    system.wait_for(r'^orchestrate \| web is waiting for input at "\(Pdb\)"; answer it with: orchestrate attach web$')
    terminal.type("clear")
    attach(terminal, home, "web")
    if sys.version_info >= (3, 13):  # there it stands at the call, before that after it
        terminal.wait_for(r"^-> if number == 1: breakpoint\(\)\n\(Pdb\)")
        terminal.type("n")
    terminal.wait_for(r"^-> total \+= 1\n\(Pdb\)")
    terminal.type("p total * 1000")
    terminal.wait_for("^41000$")
    terminal.type("n")
    terminal.wait_for(r"^-> print\(.*\n\(Pdb\)")
    ticks = len(re.findall("tick", system.text))
    assert pump(lambda: len(re.findall("tick", system.text)) > ticks + 3, 20)
    terminal.type("c")
    terminal.wait_for(r"^total is 42\nnumber 2")
    detach(terminal, "web")
    assert system.text.count('web is waiting for input at "(Pdb)"') == 1
    assert b"total is 42" in log(home, "web")
    assert "total is 42" not in system.text  # held back, and said so
    assert re.search(r"orchestrate \| a terminal is attached to web; its output is hidden here", system.text)
    system.wait_for(r"^orchestrate \| the terminal has detached from web; \d+ lines were hidden$")
    assert re.search(rb"a terminal is attached to web\n(.*\n)*.* has detached from web\n", log(home, "orchestrate"))
    system.stop()


def test_a_shell_has_its_keys(home, tmux):
    """Ctrl-C, Ctrl-Z, readline and the size of the window are the component's, not ours."""
    home.write(sh=SHELL)
    system = started(home)
    system.wait_for(r'^orchestrate \| sh is waiting for input at "inner>"')
    terminal = tmux(columns=90, rows=20)
    attach(terminal, home, "sh")
    terminal.wait_for("^inner>")
    terminal.type("(echo be''gun; exec sleep 1000)")
    terminal.wait_for("^begun$")
    terminal.keys("C-z")
    terminal.wait_for(r"Stopped .*\n+inner>")
    terminal.type("fg")
    terminal.wait_for(r"^inner> fg\n.*exec sleep 1000 *\)$")
    terminal.keys("C-c")
    terminal.type("kill -0 %1 || echo it has g''one")
    terminal.wait_for("^it has gone")
    terminal.keys("C-a")  # nothing on the line yet
    terminal("send-keys", "-t", "main", "-l", "ho world")
    terminal.keys("C-a")
    terminal.type("ec")
    terminal.wait_for("^bash: echo: command|^inner> echo world\nworld")
    terminal.type("stty size")
    terminal.wait_for("^20 90$")
    terminal.resize(70, 25)
    terminal.type("stty size")
    terminal.wait_for("^25 70$")
    detach(terminal, "sh")
    assert system.returncode is None
    system.signal(signal.SIGQUIT)
    assert system.wait() == 131


@pytest.mark.skipif(not shutil.which("vim"), reason="no vim here")
def test_an_editor_draws_itself_for_who_attaches_and_goes_away_again(home, tmux):
    (home.path / "text").write_text("first line\nsecond line\n")
    home.write(vim="exec vim -u NONE -N text")
    system = started(home, terminal=True, columns=100, rows=30)
    terminal = tmux(columns=100 - len("orchestrate | "), rows=30)
    for _ in range(2):
        attach_quietly(terminal, home, "vim")
        terminal.wait_for(r"^first line\nsecond line\n(more\n)?~")
        terminal.resize(60, 15)
        terminal.keys("G", "o", "m", "o", "r", "e", "Escape")
        terminal.wait_for(r"^second line\n(.*\n)*more\n")
        terminal.keys(*DETACH)
        terminal.wait_for(rf"^orchestrate: detached from vim\n{PROMPT.strip()}")
        assert "~\n~" not in terminal("capture-pane", "-p", "-t", "main")
        terminal.resize(100 - len("orchestrate | "), 30)
        terminal.type("clear")
    attach_quietly(terminal, home, "vim")
    terminal.wait_for("^~")
    terminal.type(":wq")
    terminal.wait_for("^orchestrate: vim exited with status 0")
    assert (home.path / "text").read_text() == "first line\nsecond line\nmore\nmore\n"
    assert terminal.status() == 0
    assert system.wait() == 0


@pytest.mark.parametrize(
    ("command", "sign", "again"),
    [
        ("exec htop", r"^ *PID\W*USER", r"^F1Help"),
        ("exec top -d 1000", r"^ +PID USER", r"^top - "),
    ],
    ids=["htop", "top"],
)
def test_a_full_screen_program_draws_itself_and_takes_keys(home, tmux, command, sign, again):
    if not shutil.which(command.split()[1]):
        pytest.skip("not installed")
    home.write(view=command)
    system = started(home)
    terminal = tmux()
    for size in ((100, 30), (80, 20)):
        terminal.resize(*size)
        attach_quietly(terminal, home, "view")
        terminal.wait_for(sign)
        terminal.wait_for(again)
        terminal.keys(*DETACH)
        terminal.wait_for("^orchestrate: detached from view")
        terminal.type("clear")
    assert "is waiting for input" not in system.text
    attach_quietly(terminal, home, "view")
    terminal.wait_for(sign)
    terminal.keys("q")
    terminal.wait_for("^orchestrate: view exited with status 0")
    system.wait()


def at_a_shell(home, tmux):
    """A system, a terminal that is attached to a shell in it, and its modes before that."""
    home.write(sh=SHELL)
    system = started(home)
    terminal = tmux()
    before = flags(terminal)
    attach(terminal, home, "sh")
    terminal.wait_for("^inner>")
    return system, terminal, before


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE],
)
def test_the_terminal_is_restored_whatever_signal_ends_us(home, tmux, number):
    system, terminal, before = at_a_shell(home, tmux)
    (pid,) = terminal.foreground()
    terminal.type("printf '\\033[?1049h\\033[?25l\\033[?1h'; echo in the alternate screen")
    terminal.wait_for("^in the alternate screen")
    assert (
        terminal("display-message", "-p", "-t", "main", "#{alternate_on}#{cursor_flag}#{keypad_cursor_flag}") == "101\n"
    )
    os.kill(pid, number)
    terminal.wait_for(r"; echo in the alternate screen\n(.*\n)*prompt>$")
    assert terminal.status() == 128 + number
    assert until(lambda: flags(terminal) == before), "the shell has its terminal again, once it stands at its prompt"
    assert (
        terminal("display-message", "-p", "-t", "main", "#{alternate_on}#{cursor_flag}#{keypad_cursor_flag}") == "010\n"
    )
    system.signal(signal.SIGQUIT)
    system.wait()


ASKS = """
import os, select, tty
tty.setraw(0)
fifo = os.open("fifo", os.O_RDWR)
answers = open("answers", "wb", 0)
while True:
    for fd in select.select([0, fifo], [], [])[0]:
        if fd == fifo:
            os.read(fifo, 1)
            os.write(1, b"\\x1b[5n\\x1b[3;4H\\x1b[6n")
        else:
            answers.write(os.read(0, 1000))
"""


def test_a_query_is_answered_by_us_or_by_the_writer_but_never_twice(home, tmux):
    """Without a writer by us; by its terminal (tmux) while there is one, which has the size of another."""
    os.mkfifo(home.path / "fifo")
    home.write(web=python(home, "asks.py", ASKS))
    system = started(home)

    def answers(count):
        """Ask once more; the answers so far, once that one has come."""
        (home.path / "fifo").write_text("?")
        assert until(lambda: given().count(b"\x1b[3;4R") >= count)
        return given().count(b"\x1b[3;4R")

    def given():
        return (home.path / "answers").read_bytes()

    assert until((home.path / "answers").exists)
    assert answers(1) == 1
    looks_on = tmux()
    attach(looks_on, home, "web", "--read-only")
    assert answers(2) == 2
    writer = tmux()
    attach(writer, home, "web")
    assert answers(3) == 3
    detach(writer, "web")
    assert answers(4) == 4
    assert given() == b"\x1b[0n\x1b[3;4R" * 4
    looks_on.keys("C-c")
    system.stop()


CROSSTERM = (
    "import os, select, tty\n"
    "tty.setraw(0)\n"
    "def ask(query):\n"
    "    os.write(1, query)\n"
    "    answer = os.read(0, 100) if select.select([0], [], [], 5)[0] else b'nothing'\n"
    "    os.write(1, repr(answer).encode() + b'\\r\\n')\n"
    "ask(b'\\x1b[6n')\n"
    "ask(b'\\x1b]11;?\\x1b\\\\\\x1b[c')\n"
)


def test_a_program_that_asks_its_terminal_goes_on(home):
    """As crossterm does, which ends with an error without an answer."""
    home.write(web=python(home, "asks.py", CROSSTERM))
    system = home.up(terminal=True, columns=100, rows=30)
    system.wait_for(r"b'\\x1b\[1;1R'")
    system.wait_for(r"b'\\x1b\]11;rgb:0000/0000/0000\\x1b\\\\\\x1b\[\?62;22c'")
    assert system.wait() == 0


def test_a_query_is_answered_also_if_the_terminal_is_set_up_after_it(home):
    home.write(web="printf '\\033[5n'; stty raw -echo; exec cat -v")
    system = home.up(terminal=True, columns=100, rows=30)
    system.wait_for(r"\^\[\[0n")
    system.stop()


def test_a_query_that_is_only_printed_is_not_answered(home):
    """The answer would be echoed, and read by whoever reads the next line."""
    home.write(web="printf 'logged \\033[5n\\033[c\\n'; sleep 1; stty raw -echo; timeout 1 cat -v; echo the end")
    system = home.up(terminal=True, columns=100, rows=30)
    system.wait_for("^web.*the end")
    assert "^[" not in system.text
    system.wait()


KEYS = {  # what the component switches on, and how the terminal sends Ctrl-\\ and d then
    "kitty": ("\\033[>1u", b"\x1b[92;5u", b"d"),
    "kitty, everything": ("\\033[=31u", b"\x1b[92:124;133:1u\x1b[92:124;133:3u", b"\x1b[100:68:100;129:1;100u"),
    "modifyOtherKeys": ("\\033[>4;2m", b"\x1b[27;5;92~", b"d"),
    "modifyOtherKeys, CSI u": ("\\033[>4;2m\\033[>4;1f", b"\x1b[92;5u", b"\x1b[100;1u"),
}


def attached(home, *options):
    """A client at `keys`, on a terminal that is only a pty: it sends any bytes."""
    client = Run([*command_under_test(), "attach", "-C", home.path, "keys", *options], terminal=True)
    client.wait_for(r"attached to keys")
    client.wait_for("^ready")
    return client


def press(client, *pieces):
    """Each piece arrives by itself: the terminal's input queue is empty before the next one."""
    for piece in pieces:
        os.write(client.terminal_fd, piece)
        assert until(lambda: unread_input(client) == 0, interval=0.005)


def unread_input(client):
    try:
        slave = os.open(os.readlink(f"/proc/{client.pid}/fd/0"), os.O_RDONLY | os.O_NOCTTY)
    except FileNotFoundError:  # it has read the last key and exited
        return 0
    try:
        return unread(slave)
    finally:
        os.close(slave)


@pytest.mark.parametrize("name", KEYS)
def test_the_detach_keys_are_found_in_the_encoding_of_the_component(home, name):
    on, first, second = KEYS[name]
    home.write(keys=f"stty raw -echo; printf '{on}ready\\r\\n'; exec cat -v")
    system = started(home)
    client = attached(home)
    press(client, b"x", first, b"y")
    escaped = re.escape("x" + first.decode().replace("\x1b", "^[") + "y")
    client.wait_for(escaped)  # the prefix and another key are passed on as they came
    press(client, first)
    client.wait_for(escaped + re.escape(first.decode().replace("\x1b", "^[")))  # alone, after a second
    press(client, first + second)
    assert client.wait() == 0
    client = attached(home)
    press(client, *(bytes([byte]) for byte in first + second))
    assert client.wait() == 0, "one byte at a time"
    client = attached(home, "--read-only")
    press(client, b"\x1b[99;5u")
    assert client.wait() == 0, "Ctrl-C ends a read-only attach"
    client = attached(home, "--detach-keys", "ctrl-p,q")
    press(client, b"\x1b[112;5u", b"\x1b[113;1u")
    assert client.wait() == 0
    system.stop()


def test_a_release_that_follows_the_detach_keys_is_not_typed_into_the_shell(home):
    home.write(keys="stty raw -echo; printf '\\033[=3uready\\r\\n'; exec cat -v")
    system = started(home)
    client = attached(home)
    slave = os.open(os.readlink(f"/proc/{client.pid}/fd/0"), os.O_RDWR | os.O_NOCTTY)
    press(client, b"\x1b[92;5:1u\x1b[92;5:3u", b"\x1b[100;1:1u")
    assert until(lambda: client.out.endswith(b"\x1b[5n")), "it waits for what is on its way"
    os.write(client.terminal_fd, b"\x1b[100;1:3u\x1b[0n")
    assert client.wait() == 0
    tty.setraw(slave, termios.TCSANOW)  # else only whole lines count
    assert unread(slave) == 0
    os.close(slave)
    system.stop()


SWITCHED = (
    "\\033[=5u\\033[>4;2m\\033[?2031h\\033[?2048h\\033[?2004h\\033[?1003h\\033[?1006h\\033[?1h\\033=\\033[4h\\033[?25l"
    "\\033[?7l\\033[2;5r\\033[5;1H\\033]8;;http://host/\\007\\033[31m\\033(0\\033[3g\\033]2;of the component\\007lqk"
)
FLAGS = "wrap insert origin cursor keypad keypad_cursor mouse_all mouse_sgr".split()
STATE = " ".join(
    [*(f"#{{{flag}_flag}}" for flag in FLAGS), "#{scroll_region_upper}-#{scroll_region_lower}", "#{pane_title}"]
)


@pytest.mark.parametrize("end", ["keys", "SIGTERM", "SIGHUP", "the component", "the supervisor"])
@pytest.mark.parametrize("screen", ["", "\\033[?1049h"], ids=["main", "alternate"])
def test_the_terminal_is_in_no_mode_afterwards(home, tmux, screen, end):
    """As tmux knows it, and, for what tmux does not know, by what it was sent."""
    home.write(sh=SHELL)
    system = started(home)
    terminal = tmux()
    state = lambda: terminal("display-message", "-p", "-t", "main", STATE)  # noqa: E731
    before = state()
    attach(terminal, home, "sh")
    terminal.wait_for("^inner>")
    (pid,) = terminal.foreground()
    terminal.type(
        f"PS1=; printf '{screen}{SWITCHED}'; cat"
        if end != "the component"
        else f"PS1=; printf '{screen}{SWITCHED}'; read x; exit 0"
    )
    assert until(lambda: "1-4" in state() and "of the component" in state()), state()
    mark = len(terminal.bytes)
    if end == "keys":
        terminal.keys(*DETACH)
    elif end == "the component":
        terminal.keys("Enter")
    elif end == "the supervisor":
        system.signal(signal.SIGKILL)
    else:
        os.kill(pid, getattr(signal, end))
    assert pump(lambda: PROMPT.encode() in terminal.bytes[mark:], 30)
    terminal.type("clear")
    terminal.type("printf 'lqk\\tx\\n'")
    terminal.wait_for("^lqk     x$")
    assert state() == before
    after = bytes(terminal.bytes[mark:])
    for sequence in (b"\x1b[=0u", b"\x1b[>4m", b"\x1b[?2031l", b"\x1b[?2048l", b"\x1b]8;;\x1b\\", b"\x1b[?2004l"):
        assert sequence in after
    assert terminal("display-message", "-p", "-t", "main", "#{alternate_on}") == "0\n"
    if end == "the supervisor":
        assert system.survivors(30) == []
    elif end != "the component":
        system.signal(signal.SIGQUIT)
    system.wait()


def test_the_terminal_is_restored_when_the_supervisor_is_killed(home, tmux):
    system, terminal, before = at_a_shell(home, tmux)
    assert flags(terminal) != before
    system.signal(signal.SIGKILL)
    terminal.wait_for("^orchestrate: lost sh: the supervisor has gone")
    assert terminal.status() == 1
    assert until(lambda: flags(terminal) == before), "the shell has its terminal again, once it stands at its prompt"
    assert system.survivors(30) == []


def test_stopped_and_continued_by_the_shell(home, tmux):
    """SIGTSTP: the shell has its terminal, `fg` draws the component's again."""
    system, terminal, before = at_a_shell(home, tmux)
    raw = flags(terminal)
    (pid,) = terminal.foreground()
    os.kill(pid, signal.SIGTSTP)
    terminal.wait_for(r"Stopped\b(.*\n)+prompt>$")
    assert flags(terminal)[:4] != raw[:4]
    terminal.type("clear; fg")
    terminal.wait_for("^inner>")
    assert until(lambda: flags(terminal)[:4] == raw[:4])
    terminal.type("echo still he''re")
    terminal.wait_for("^still here")
    detach(terminal, "sh")
    assert until(lambda: flags(terminal) == before), "the shell has its terminal again, once it stands at its prompt"
    system.signal(signal.SIGQUIT)
    system.wait()


def test_one_types_and_others_look_on(home, tmux):
    home.write(sh=SHELL)
    system = started(home)
    first, second, third = tmux(columns=100), tmux(columns=90), tmux(columns=80)
    attach(first, home, "sh")
    first.wait_for("^inner>")
    attach(second, home, "sh")
    second.wait_for(r"another terminal has the keyboard")
    second.wait_for("^inner>")
    second.type("echo ne''ver")
    attach(third, home, "sh", "--read-only")
    third.type("echo ne''ver")
    first.type("stty size; echo ev''er")
    for terminal in (first, second, third):
        terminal.wait_for(r"^30 100\never\n")
        assert "never" not in terminal.screen()
    detach(first, "sh")
    second.wait_for(r"\[orchestrate: the keyboard is yours now\]")
    second.type("stty size; echo now it is mi''ne")
    third.wait_for(r"^30 90\nnow it is mine")
    first.type("clear")
    attach(first, home, "sh", "--take-over")
    second.wait_for(r"the keyboard was taken over")
    first.type("stty size; echo back to m''e")
    third.wait_for(r"^30 100\nback to me")
    third.keys("C-c")
    third.wait_for("^orchestrate: detached from sh")
    system.signal(signal.SIGQUIT)
    system.wait()


@pytest.mark.parametrize("screen", ["", "printf '\\033[?1049h';"])
def test_a_smaller_terminal_that_looks_on_is_told_the_size(home, tmux, screen):
    home.write(sh=f"{screen} {SHELL}")
    system = started(home)
    writer, viewer, bigger = tmux(columns=100, rows=30), tmux(columns=95, rows=12), tmux(columns=120, rows=40)
    attach_quietly(writer, home, "sh")
    writer.wait_for("^inner>")
    attach_quietly(viewer, home, "sh", "-r")
    note = "the terminal of sh is {}, yours only {}: the text may look wrong here"
    viewer.wait_for(rf"^\[orchestrate: {note.format('100x30', '95x12')}\]$")
    viewer.keys("C-c")
    attach_quietly(bigger, home, "sh", "-r")
    assert pump(lambda: b"you are looking on" in bigger.bytes, PATIENCE)
    assert not pump(lambda: "may look wrong" in bigger.screen(), 1)
    bigger.keys("C-c")
    bigger.wait_for("^orchestrate: detached from sh")
    attach_quietly(bigger, home, "sh", "--take-over")
    writer.wait_for(note.format("120x40", "100x30"))
    system.signal(signal.SIGQUIT)
    system.wait()


def test_a_viewer_that_never_reads_harms_nobody(home, tmux):
    home.write(flood="exec yes", sh=SHELL)
    system = started(home, "--quiet", "flood")
    stalled = tmux()
    attach_quietly(stalled, home, "flood")
    stalled.wait_for(r"^y\ny\ny")
    (pid,) = stalled.foreground()
    os.kill(pid, signal.SIGSTOP)
    terminal = tmux()
    attach_quietly(terminal, home, "flood", "--read-only")
    terminal.wait_for(r"^y\ny\ny")
    terminal.keys(*DETACH)
    terminal.wait_for("^orchestrate: detached from flood")
    attach(terminal, home, "sh")
    terminal.type("echo as ev''er")
    terminal.wait_for("^as ever")
    with open(f"/proc/{system.pid}/statm") as file:
        assert int(file.read().split()[1]) * 4096 < 200 * 2**20
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGTERM)
    detach(terminal, "sh")
    system.signal(signal.SIGQUIT)
    system.wait()


def test_what_is_not_there_is_said(home, tmux):
    terminal = tmux()
    attach_quietly(terminal, home, "web")
    terminal.wait_for("^orchestrate: no system is running in")
    assert terminal.status() == 3
    home.write(web="exec sleep 1000", worker="exec sleep 1000")
    system = started(home, "--no-tty", "worker")
    for name, words in (
        ("wbe", "cannot attach to 'wbe': choose one of web, worker"),
        ("worker", "it has no terminal"),
    ):
        attach_quietly(terminal, home, name)
        terminal.wait_for(words)
    attach_quietly(terminal, home, "web", "--detach-keys", "F1")
    terminal.wait_for(
        "^orchestrate: invalid detach keys 'F1': unknown key 'F1'; expected a character, or ctrl- and one of"
    )
    assert terminal.status() == 2
    piped = Run([*command_under_test(), "attach", "-C", home.path, "web"])
    assert piped.wait() == 2
    assert "are not a terminal" in piped.messages
    attach(terminal, home, "web", "--detach-keys", "ctrl-p,q")
    terminal.keys("C-p", "q")
    terminal.wait_for("^orchestrate: detached from web")
    assert terminal.status() == 0
    system.stop()


def test_the_end_of_the_component_is_its_status(home, tmux):
    home.write(sh=SHELL)
    system = started(home)
    terminal = tmux()
    attach(terminal, home, "sh")
    terminal.wait_for("^inner>")
    terminal.type("exit 7")
    terminal.wait_for("^orchestrate: sh exited with status 7")
    assert terminal.status() == 7
    assert system.wait() == 7


def test_a_restart_is_told_to_who_is_attached_in_one_line(home, tmux):
    home.write(
        f'[components.sh]\ncommand = {SHELL!r}\nrestart = {{ policy = "on-failure", backoff = [0.1, 0.1], max = 2 }}\n',
        name="orchestrate.toml",
    )
    system = started(home, file="orchestrate.toml")
    writer, viewer = tmux(), tmux()
    attach(writer, home, "sh")
    attach(viewer, home, "sh", "--read-only")
    for terminal in (writer, viewer):
        terminal.wait_for("^inner>")
    writer.type("exit 7")
    for terminal in (writer, viewer):
        terminal.wait_for(
            r"^\[orchestrate: sh exited with status 7 after [\d.]+ s; started again \(pid \d+\)\]\ninner>"
        )
        assert terminal.screen().count("[orchestrate: ") == 2 + (terminal is viewer)
    restarted = Run([*command_under_test(), "restart", "-C", home.path, "sh"])
    for terminal in (writer, viewer):
        terminal.wait_for(
            r"^\[orchestrate: sh was killed by SIGKILL after [\d.]+ s; started again \(pid \d+\)\]\ninner>"
        )
    assert restarted.wait() == 0, str(restarted)
    writer.type("echo still the wri''ter")
    viewer.wait_for("^still the writer")
    viewer.keys("C-c")
    system.signal(signal.SIGQUIT)
    system.wait()


def test_a_long_pause_before_a_restart_is_told(home, tmux):
    restart = 'restart = { policy = "on-failure", backoff = [60, 60] }'
    home.write(f"[components.sh]\ncommand = {SHELL!r}\n{restart}\n", name="orchestrate.toml")
    system = started(home, file="orchestrate.toml")
    terminal = tmux()
    attach(terminal, home, "sh")
    terminal.wait_for("^inner>")
    terminal.type("exit 7")
    terminal.wait_for(r"^\[orchestrate: sh exited with status 7 after [\d.]+ s; starting it again in [3-9]\d s\]$")
    assert Run([*command_under_test(), "start", "-C", home.path, "sh"]).wait() == 0
    terminal.wait_for(r"^\[orchestrate: sh started \(pid \d+\)\]\ninner>")
    system.signal(signal.SIGQUIT)
    system.wait()


def test_without_a_name_the_merged_stream_is_shown_again(home, tmux):
    home.write(one=python(home, "one.py", TICKS), two="echo second; exec sleep 1000")
    system = started(home)
    system.wait_for("tick 5")
    terminal = tmux()
    terminal.type(shlex.join(map(str, [*command_under_test(), "attach", "-C", home.path])))
    terminal.wait_for(r"^one +\| tick \d+")
    terminal.keys("C-c")
    assert terminal.status() == 130
    terminal = tmux()
    terminal.type(shlex.join(map(str, [*command_under_test(), "attach", "--utc", "--no-prefix", "-C", home.path])))
    terminal.wait_for(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z tick \d+$")
    terminal.keys("C-c")
    assert terminal.status() == 130
    terminal = tmux()
    terminal.type(shlex.join(map(str, [*command_under_test(), "attach", "-C", home.path])))
    terminal.wait_for(r"^one +\| tick \d+")
    system.stop()
    terminal.wait_for(r"^orchestrate \| Complete|^orchestrate \| two stopped")
    assert terminal.status() == 0


def test_the_merged_stream_begins_with_the_present_start(home):
    home.write(web="echo ready; exec sleep 1000")
    command = [*command_under_test(), "attach", "-C", home.path]
    for _ in range(2):
        system = started(home)
        system.wait_for("1 component started")
        stream = Run(command)
        stream.wait_for("1 component started")
        system.stop()
        assert stream.wait() == 0
        assert stream.text.count("1 component started") == stream.text.count("Complete") == 1
        assert stream.text.count("| ready") == 1


def test_a_detached_instance_is_looked_at_by_several_and_lives_on(home, tmux):
    """`up -d`, then the merged stream in three terminals, and one at a component's: each leaves in its own way."""
    home.write(one=python(home, "one.py", TICKS), sh=SHELL)
    up = home.up("-d", "-t", "1")  # an interactive shell ignores SIGTERM
    assert up.wait() == 0
    merged = shlex.join(map(str, [*command_under_test(), "attach", "-C", home.path]))
    leaves, killed, stays = viewers = tmux(), tmux(), tmux()
    for viewer in viewers:
        viewer.type(merged)
        viewer.wait_for(r"^orchestrate: the merged stream; Ctrl-C leaves it, and the system runs on\n")
        viewer.wait_for(r"^one +\| tick \d+\n(.*\n)*one +\| tick")
    leaves.keys("C-c")
    assert leaves.status() == 130
    (pid,) = killed.foreground()
    os.kill(pid, signal.SIGKILL)
    assert killed.status() == 128 + signal.SIGKILL
    leaves.type("clear")
    attach(leaves, home, "sh")
    leaves.wait_for("^inner>")
    leaves.type("stty size; echo in a detached in''stance")
    leaves.wait_for(r"^30 100\nin a detached instance")
    stays.wait_for(r"^orchestrate \| a terminal is attached to sh")
    detach(leaves, "sh")
    killed.type("clear; " + merged)
    for viewer in (killed, stays):
        viewer.wait_for(r"^orchestrate \| the terminal has detached from sh")
        last = int(re.findall(r"^one +\| tick (\d+)$", viewer.screen(), re.M)[-1])
        viewer.wait_for(rf"^one +\| tick {last + 5}$")
    assert Run([*command_under_test(), "down", "-C", home.path]).wait() == 0
    for viewer in (killed, stays):
        viewer.wait_for(r"^orchestrate \| Complete")
        assert viewer.status() == 0
    ticks = [int(number) for number in re.findall(r"^one +\| tick (\d+)$", stays.screen(), re.M)]
    assert ticks == list(range(ticks[0], ticks[-1] + 1))
    assert up.survivors(5) == []


def test_what_is_typed_and_not_echoed_is_nowhere(home, tmux):
    code = "import getpass; print(len(getpass.getpass()), 'characters', flush=True); input()"
    home.write(web=python(home, "ask.py", code))
    system = started(home)
    system.wait_for(r'web is waiting for input at "Password:"; answer it with: orchestrate attach web')
    terminal = tmux()
    attach(terminal, home, "web")
    terminal.type("correct horse")
    terminal.wait_for("^13 characters")
    detach(terminal, "web")
    system.stop()
    for path in (home.path / ".orchestrate").rglob("*"):
        assert not path.is_file() or b"correct horse" not in path.read_bytes()
    assert "correct horse" not in system.messages + terminal.screen()
