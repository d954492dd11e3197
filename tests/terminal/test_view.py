"""The full-screen view, in a real terminal: its screens in three sizes, its keys, and what it leaves behind."""

import os
import random
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
from attaching import flags, started
from harness import PATIENCE, Run, command_under_test, environment, pump, until
from terminal import PROMPT

pytest.importorskip("pyte")
pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")

SYSTEM = """\
[components.web]
command = "printf '\\\\033[32mready\\\\033[m to serve 名前\\n'; exec sleep 1000"
tags = ["front"]
[components.api]
command = "exec sleep 1000"
depends_on = { db = "ready" }
[components.db]
command = "exec sleep 1000"
ready = { tcp = 1 }
[components.ask]
command = "printf 'Password: '; read it; echo \\"got $it\\"; exec sleep 1000"
[components.job]
command = "echo working; exit 3"
on_exit = "ignore"
"""


@pytest.fixture
def system(home):
    home.write(SYSTEM, name="orchestrate.toml")
    run = started(home, file="orchestrate.toml")
    run.wait_for(r"ask is waiting for input")
    run.wait_for(r"job exited with status 3")
    yield run
    run.stop()


def type_ui(terminal, home, *options):
    terminal.type(shlex.join(map(str, [*command_under_test(), "ui", "-C", home.path, *options])))


def open_view(terminal, home, *options):
    type_ui(terminal, home, *options)
    terminal.wait_for(r"^ orchestrate\.toml")


def view_pid(terminal):
    (pid,) = terminal.foreground()
    return pid


def screen(terminal, *shown):
    """The screen once it shows these, with what no two runs have in common replaced."""
    for pattern in shown:
        terminal.wait_for(pattern)
    text = re.sub(r"pid \d+", "pid N", terminal.screen())
    text = re.sub(r" +[▁▂▃▄▅▆▇█]+ +(?=5\d00)", lambda match: " " * len(match.group()), text)
    return re.sub(r"(?: +\d+\.\d%| {5,6})(?: +\d+\.\d[MG])?(?=│|$)", lambda m: " " * len(m.group()), text, flags=re.M)


def test_the_list_is_drawn_before_the_imports_that_take_long(system, home):
    command = [sys.executable, "-X", "importtime", "-m", "orchestrator", "ui", "-C", home.path]
    view = Run(command, terminal=True, columns=100, env=environment(TERM="xterm-256color"))
    view.wait_for("pyte.screens$")
    before, *_ = view.text.partition("web  ")
    assert "orchestrator.ui.view" in before
    assert not re.search(r"\b(pyte|blessed|orchestrator\.model\.spec|orchestrator\.process\.usage)$", before, re.M)
    view.signal(signal.SIGTERM)
    assert view.wait() == -signal.SIGTERM


def body(text):
    return [line.rstrip() for line in text.split("\n")]


def beside(left, right=""):
    return f"{left:<39}│{right}"


def test_a_wide_screen_has_list_and_terminal(system, home, tmux):
    terminal = tmux(columns=100, rows=12)
    open_view(terminal, home)
    assert body(screen(terminal, "ready to serve", r"✗ job", r"5000 .*M│")) == [
        " orchestrate.toml  2/5 ready  failed     web  running  pid N",
        beside("  NAME  OUTPUT   RST  PORT   CPU    MEM", "ready to serve 名前"),
        beside("▌● web                5000"),
        beside(" ○ api  waiting for db ready"),
        beside(" ◐ db   starting"),
        beside(" ? ask  asks Password:"),
        beside(" ✗ job  failed: exited with status 3"),
        *[beside("")] * 4,
        " ask waits for input: p  ? help  q quit  Enter attach  r restart  s stop/start  l log  m merged",
    ]
    terminal.keys("p")
    assert "Password:" in screen(terminal, r"ask  asks Password:  pid N|│Password:")
    terminal.keys("q")
    terminal.wait_for(rf"^{PROMPT.strip()}$")
    assert terminal.status() == 0


def test_a_narrow_screen_shows_one_of_both(system, home, tmux):
    terminal = tmux(columns=60, rows=12)
    open_view(terminal, home)
    assert body(screen(terminal, r"✗ job", r"5000 .*M$")) == [
        " orchestrate.toml  2/5 ready  failed",
        "  NAME                       OUTPUT   RST  PORT   CPU    MEM",
        "▌● web                                     5000",
        " ○ api  waiting for db ready",
        " ◐ db   starting",
        " ? ask  asks Password:",
        " ✗ job  failed: exited with status 3",
        *[""] * 4,
        " ask waits for input: p  ? help  q quit  Enter attach",
    ]
    terminal.keys("t")
    terminal.wait_for("^ready to serve")
    terminal.keys("Tab", "y")
    terminal.wait_for("^ there is nothing to copy$")
    terminal.keys("?")
    terminal.wait_for("^  j k ↓ ↑ +select, or scroll if the pane has the$\n^ +focus$")
    terminal.keys("Escape", "w")
    terminal.wait_for("^web is ")
    terminal.keys("Escape")
    terminal.wait_for("^▌● web")
    terminal.keys("Tab")
    assert body(screen(terminal, "^ready to serve")) == [
        " web  running  pid N",
        "ready to serve 名前",
        *[""] * 9,
        " ask waits for input: p  ? help  q quit  Enter attach",
    ]
    terminal.resize(38, 9)
    terminal.wait_for("^too small: 38x9, needs 40x10$")
    terminal.resize(120, 20)
    terminal.wait_for("│ready to serve 名前$")
    terminal.keys("q")
    assert terminal.status() == 0


def test_a_long_explanation_is_shown_from_its_beginning(home, tmux):
    job = "[components.job]\ncommand = 'for i in 1 2 3 4 5; do seq -s _ 40; done; exit 3'\non_exit = 'ignore'\n"
    home.write(f"{job}[components.web]\ncommand = 'exec sleep 1000'\n", name="orchestrate.toml")
    run = started(home, file="orchestrate.toml")
    run.wait_for("job exited with status 3")
    terminal = tmux(columns=40, rows=10)
    open_view(terminal, home)
    terminal.keys("w")
    terminal.wait_for(r"^ job  why .*\njob failed at ")
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


def test_a_big_screen_gives_the_component_a_big_terminal(home, tmux):
    size = "while :; do stty size; read it; done"
    home.write(f"web: {size}\n")
    run = started(home)
    terminal = tmux(columns=300, rows=100)
    type_ui(terminal, home)
    terminal.wait_for(r"│\d+ \d+")
    (columns,) = [len(line) - line.index("│") - 1 for line in terminal.screen().split("\n")[2:3]] or [0]
    ask = [*command_under_test(), "send", "-C", home.path, "web", r"\r"]
    os.spawnv(os.P_WAIT, ask[0], list(map(str, ask)))
    wide = terminal.wait_for(r"│98 (\d+)")
    assert int(wide.group(1)) > 240 >= columns
    terminal.keys("q")
    assert terminal.status() == 0
    os.spawnv(os.P_WAIT, ask[0], list(map(str, ask)))
    assert pump(lambda: len(re.findall(r"^web +\| 40 120$", run.text, re.M)) == 2, PATIENCE)  # its usual size again
    run.stop()


def test_keys_change_the_system_and_say_what_they_did(system, home, tmux):
    terminal = tmux(columns=120, rows=20)
    open_view(terminal, home)
    terminal.wait_for("ready to serve")
    terminal.keys("r")
    terminal.wait_for(r"^ web restarted \(pid \d+\)$")
    terminal.keys("s")
    terminal.wait_for(r"^ web stopped$")
    terminal.wait_for(r"▌○ web +stopped")
    terminal.keys("s")
    terminal.wait_for(r"^ web started \(pid \d+\)$")
    terminal.keys("K")
    terminal.wait_for(r"^ kill web without a grace period\? y kills, any other key cancels$")
    terminal.keys("n")
    terminal.wait_for(r"^ web was not killed$")
    terminal.keys("+")
    terminal.wait_for(r"^ web has 2 instances$")
    terminal.wait_for(r"● web\.2 ")
    terminal.keys("-")
    terminal.wait_for(r"^ web has 1 instance$")
    terminal.wait_for(r"▌● web  ")
    terminal.keys("-")
    terminal.wait_for(r"^ web has one instance; `orchestrate scale web=0` removes it")
    terminal.keys("2", "s")
    terminal.wait_for(r"^ api stopped$")
    terminal.keys("5", "K")
    terminal.wait_for(r"^ kill job without a grace period\?")
    terminal.keys("y")
    terminal.wait_for(r"^ job was not running$")
    terminal.keys("5", "w")
    terminal.wait_for(r"│job failed at \S+: it exited with status 3")
    terminal.wait_for(r"│    working$")
    terminal.keys("e")
    terminal.wait_for(r"│\d\d:\d\d:\d\d  web  ")
    terminal.keys("1", "w")
    terminal.wait_for(r"│web restarted at \S+ because start was requested in the view by ")
    terminal.keys("5")
    terminal.keys("x")
    terminal.wait_for(r"^ no command on 'x'; \? shows all keys")
    terminal.keys("?")
    terminal.wait_for(r"│  j k ")
    terminal.keys("q", "m")
    terminal.wait_for(r"│orchestrate \| ")
    terminal.keys("/")
    terminal.wait_for("^ search:")
    terminal.type("serve")
    terminal.wait_for(r"^ match 1 of \d+ for 'serve', from the end")
    terminal.keys("Tab", "l", "/")
    terminal.wait_for("^ search:")
    terminal.type("working")
    terminal.wait_for(r"^ match 1 of 1 for 'working', from the end")
    terminal.keys("Tab", "/")
    terminal.type("none like it")
    terminal.wait_for("^ nothing matches; Esc shows all")
    terminal.keys("r")
    terminal.wait_for("^ [a-z]+ is hidden by the filter; Esc shows all$")
    terminal.keys("Escape")
    terminal.wait_for(r"^  NAME  ")
    terminal.keys("/")
    terminal.type("ask")
    terminal.wait_for(r"^  /ask ")
    terminal.keys("Escape")
    terminal.wait_for(r"^  NAME  ")
    terminal.keys("q")
    assert terminal.status() == 0
    assert "Traceback" not in terminal.screen()


def test_attach_from_the_view_and_back(system, home, tmux):
    terminal = tmux(columns=100, rows=14)
    open_view(terminal, home)
    terminal.wait_for("waits for input: p")
    terminal.keys("p", "Enter")
    terminal.wait_for(r"^\[orchestrate: attached to ask: it gets all keys, Ctrl-C too; Ctrl-\\ d returns to the view\]")
    terminal.type("secret")
    terminal.wait_for("got secret")
    terminal.keys("C-\\", "d")
    terminal.wait_for("^ detached from ask$")
    terminal.wait_for("│.*got secret|got secret$")
    terminal.keys("q")
    assert terminal.status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_leaves_the_terminal_in_order(system, home, tmux, number):
    terminal = tmux()
    before = flags(terminal)
    open_view(terminal, home)
    assert flags(terminal) != before
    os.kill(view_pid(terminal), number)
    assert terminal.status() == 128 + number
    assert flags(terminal) == before
    modes = terminal("display-message", "-p", "-t", "main", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
    assert modes == "0 0 1\n"


def test_after_ctrl_s_the_terminal_is_restored_too(home, tmux):
    home.write("web: while :; do echo tick; sleep 0.1; done\n")
    run = started(home)
    terminal = tmux()
    before = flags(terminal)
    type_ui(terminal, home)
    terminal.wait_for("│tick$")
    terminal.keys("C-s", "j", "q")
    assert terminal.status() == 0
    assert flags(terminal) == before
    modes = terminal("display-message", "-p", "-t", "main", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
    assert modes == "0 0 1\n"
    run.stop()


def test_stopped_and_continued(system, home, tmux):
    terminal = tmux()
    before = flags(terminal)
    open_view(terminal, home)
    terminal.keys("C-z")
    terminal.wait_for("Stopped")
    assert until(lambda: flags(terminal) == before)
    terminal.type("fg")
    terminal.wait_for(r"^ orchestrate\.toml")
    terminal.keys("C-c")
    assert terminal.status() == 0


def test_without_a_system_the_view_is_not_opened(home, tmux):
    home.write("web: exec sleep 1000\n")
    terminal = tmux(columns=120)
    type_ui(terminal, home)
    terminal.wait_for(r"^orchestrate: no system is running in ")
    assert terminal.status() == 3


def test_a_suspended_system_is_named_until_it_is_resumed(home, tmux):
    home.write("web: exec sleep 1000\n")
    run = started(home)
    run.wait_for("1 component started")
    terminal = tmux(columns=120)
    run.signal(signal.SIGSTOP)
    type_ui(terminal, home)
    suspended = rf"the system is suspended \(pid {run.pid}\), as after Ctrl-Z; type fg there, or kill -CONT {run.pid}"
    terminal.wait_for(rf"^ orchestrate  connecting …(.*\n)+ {suspended}$")
    run.signal(signal.SIGCONT)
    terminal.wait_for(r"^▌● web(.*\n)+ \? help")
    run.signal(signal.SIGSTOP)
    terminal.keys("r")
    terminal.wait_for(rf"^ {suspended}$")
    run.signal(signal.SIGCONT)
    terminal.wait_for(r"^ web restarted \(pid \d+\)$")
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


@pytest.mark.parametrize("key", ["Enter", "j"])
def test_any_key_reports_a_suspended_system_and_the_view_remains_usable(home, tmux, key):
    home.write("web: exec sleep 1000\n")
    run = started(home)
    run.wait_for("1 component started")
    terminal = tmux(columns=120)
    type_ui(terminal, home)
    terminal.wait_for(r"^▌● web(.*\n)+ \? help")
    run.signal(signal.SIGSTOP)
    terminal.keys(key)
    suspended = rf"the system is suspended \(pid {run.pid}\), as after Ctrl-Z; type fg there, or kill -CONT {run.pid}"
    terminal.wait_for(rf"^ \S+  suspended .*\n(.*\n)*▌● web(.*\n)+ {suspended}$")
    terminal.keys("?")
    terminal.wait_for(rf"│  w +why it is(.*\n)+ {suspended}$")
    terminal.keys("Escape")
    run.signal(signal.SIGCONT)
    terminal.wait_for(r"^ \S+  1/1 ready .*\n(.*\n)*▌● web(.*\n)+ \? help")
    run.signal(signal.SIGSTOP)
    terminal.keys(key)
    terminal.wait_for(rf"^ {suspended}$")
    os.kill(view_pid(terminal), signal.SIGTERM)
    terminal.wait_for(rf"^{PROMPT.strip()}$")
    assert terminal.status() == 128 + signal.SIGTERM
    run.signal(signal.SIGCONT)
    run.stop()


def test_output_shows_that_the_system_was_suspended(home, tmux):
    home.write("web: while :; do echo tick; sleep 0.2; done\n")
    run = started(home)
    run.wait_for("tick")
    terminal = tmux(columns=120)
    type_ui(terminal, home)
    terminal.wait_for(r"^▌● web .*│tick(.*\n)+ \? help")
    run.signal(signal.SIGSTOP)
    terminal.wait_for(rf"^ the system is suspended \(pid {run.pid}\)")
    run.signal(signal.SIGCONT)
    terminal.wait_for(r"^ \S+  1/1 ready .*\n(.*\n)*▌● web(.*\n)+ \? help")
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


def viewed(home, tmux):
    """A system of one component, and a terminal that shows its view."""
    home.write("web: exec sleep 1000\n")
    run = started(home)
    terminal = tmux()
    type_ui(terminal, home)
    terminal.wait_for("● web")
    return run, terminal


def test_the_end_of_the_system_ends_the_view(home, tmux):
    run, terminal = viewed(home, tmux)
    terminal.keys("g")
    terminal.wait_for("^ no component has a tag$")
    run.stop()
    terminal.wait_for("^orchestrate: the system has exited: it stopped at [0-9:]+ because the supervisor received")
    assert terminal.status() == 0


def test_a_killed_supervisor_is_named_as_the_cause(home, tmux):
    run, terminal = viewed(home, tmux)
    run.signal(signal.SIGKILL)
    terminal.wait_for("^orchestrate: the system has exited: the supervisor was killed after [0-9:]+$")
    assert terminal.status() == 0


def test_ctrl_c_in_a_component_that_ends_the_system_is_named_as_the_cause(home, tmux):
    home.write("web: exec sleep 1000\n")
    started(home)
    terminal = tmux(columns=120)
    type_ui(terminal, home)
    terminal.wait_for("● web")
    terminal.keys("Enter")
    terminal.wait_for(r"attached to web: it gets all keys, Ctrl-C too; ")
    terminal.keys("C-c")
    terminal.wait_for("^orchestrate: the system has exited: it stopped at [0-9:]+ because web ")
    terminal.wait_for("^hint: `orchestrate why` explains it$")
    assert terminal.status() == 0


@pytest.mark.parametrize(
    ("before", "columns", "why"),
    [
        ("", 39, "the view needs a terminal of at least 40x10, and this one has 39x30"),
        ("TERM=dumb ", 100, "the view cannot use a terminal of type 'dumb'"),
    ],
)
def test_a_terminal_that_cannot_show_it_gets_the_stream(system, home, tmux, before, columns, why):
    terminal = tmux(columns=columns)
    terminal.type(before + shlex.join(map(str, [*command_under_test(), "ui", "-C", home.path])))
    terminal.wait_for(r"web +\| ready to serve")
    assert f"{why}; showing the merged stream".replace(" ", "") in re.sub(r"\s", "", terminal.screen())
    terminal.keys("C-c")
    assert terminal.status() == 130


def switches(pid):
    """How often each thread of a process was woken up."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M).group(1))


def test_a_silent_system_wakes_the_view_up_never(home, tmux):
    home.write("web: echo hello; exec sleep 1000\n")
    run = started(home)
    terminal = tmux()
    type_ui(terminal, home)
    terminal.wait_for("│hello")
    pid = view_pid(terminal)

    def rests():
        before = switches(pid)
        return not pump(lambda: switches(pid) != before, 2.5)

    assert until(rests, PATIENCE, interval=0.01)  # the last sample was taken
    before = switches(pid)
    pump(lambda: switches(pid) != before, 10)
    assert switches(pid) == before
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


KEYS = [*"jkrstlme/nNp+-fgyzM?123x", *"Enter Tab Escape Up Down PageUp PageDown Home End BSpace".split()]
OUT = ("Escape", "C-\\", "d", "Escape")  # of a text that is typed, of an attach session, of a question


def test_random_keys_and_bytes_do_not_end_it(system, home, tmux):
    chosen = random.Random(22)
    terminal = tmux(columns=90, rows=20)
    open_view(terminal, home)
    pid = view_pid(terminal)
    for _ in range(25):
        terminal.keys(*(chosen.choice(KEYS) for _ in range(12)), *OUT)
        assert Path(f"/proc/{pid}").exists(), terminal.screen()
    for _ in range(5):
        some = [byte for byte in chosen.choices(range(32, 256), k=100) if byte != ord("q")]
        terminal("send-keys", "-t", "main", "-H", *(f"{byte:02x}" for byte in some))
        terminal.keys(*OUT)
        assert Path(f"/proc/{pid}").exists(), terminal.screen()

    def shows_view():
        terminal.keys(*OUT, "X")  # the answer to X follows those to all keys before it
        return until(lambda: "no command on 'X'" in terminal.screen(), 2)

    assert until(shows_view, interval=0.1)
    assert view_pid(terminal) == pid
    terminal.keys("C-c")
    assert terminal.status() == 0


def test_a_missing_pyte_is_said_in_a_line(system, home, tmux, tmp_path_factory):
    path = tmp_path_factory.mktemp("path")
    (path / "sitecustomize.py").write_text("import sys\nsys.modules['pyte'] = None\n")
    terminal = tmux(PYTHONPATH=str(path))
    type_ui(terminal, home)
    terminal.wait_for(
        r"^orchestrate: cannot open the view: pyte is not installed(;|\nhint:) run `pip install 'orchestrate\[ui\]'`"
    )
    assert terminal.status() == 1
