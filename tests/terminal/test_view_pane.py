"""What the pane and the list of the view show in real tmux: recorded programs, the mouse, many components, the
clipboard, and programs that are attached to inside the view."""

import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest
from attaching import flags, started
from harness import command_under_test, until
from lateness import in_time

pytest.importorskip("pyte")
pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")

from orchestrator.terminal.emulator import Emulator  # noqa: E402

SCREENS = Path(__file__).parent.parent / "programs" / "screens"
SHOW = "stty raw -echo; printf ready; dd bs=1 count=1 2>/dev/null >&2; printf '\\033c'; cat {file}; exec cat"


def view(terminal, home, *options):
    terminal.type(shlex.join(map(str, [*command_under_test(), "ui", "-C", home.path, *options])))
    terminal.wait_for(r"^ (Procfile|orchestrate\.toml) ")


def ask(home, *words):
    """Run a command of ours until it exits."""
    command = list(map(str, [*command_under_test(), words[0], "-C", home.path, *words[1:]]))
    assert os.spawnv(os.P_WAIT, command[0], command) == 0, words


def drawn(terminal, columns, rows):
    """The cells of tmux's screen, as its own capture describes them, and its cursor: column, row, whether it is shown.

    tmux does not print the background of blanks that were erased.
    """
    text = terminal("capture-pane", "-p", "-e", "-N", "-t", "main")
    emulator = Emulator(columns, rows + 1)
    emulator.feed(b"\x1b)0" + text.replace("\n", "\r\n").encode())
    cells = [[cell._replace(bg="") if cell.data == " " else cell for cell in emulator.row(n)] for n in range(rows)]
    x, y, shown = terminal("display-message", "-p", "-t", "main", "#{cursor_x} #{cursor_y} #{cursor_flag}").split()
    return cells, (min(int(x), columns - 1), int(y), shown == "1")


def mouse(terminal, button, column, row, end="M"):
    """Send what a terminal sends for a click or a turn of the wheel, in the encoding that the view has requested."""
    assert terminal("display-message", "-p", "-t", "main", "#{mouse_standard_flag} #{mouse_sgr_flag}") == "1 1\n"
    report = f"\x1b[<{button};{column};{row}{end}".encode()
    terminal("send-keys", "-t", "main", "-H", *(f"{byte:02x}" for byte in report))


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (300, 100)])
def test_recorded_programs_look_in_the_pane_as_in_tmux(home, tmux, columns, rows):
    recorded = {path.stem: path for path in sorted(SCREENS.glob("*.bin"))}
    assert len(recorded) >= 7
    home.write(**{name: SHOW.format(file=path) for name, path in recorded.items()})
    run = started(home)
    for name in recorded:
        run.wait_for(rf"{name} is waiting for input")
    terminal = tmux(columns=columns, rows=rows)
    view(terminal, home)
    left = terminal.wait_for(r"│ready").string.split("\n")[2].index("│") + 1
    height = rows - 2
    alone = tmux(columns=columns - left, rows=height)
    alone("set", "-g", "status", "off")
    for number, (name, path) in enumerate(recorded.items(), 1):
        terminal.keys(str(number))
        terminal.wait_for(rf"^ Procfile .* {name}  asks ready  pid \d+\n.*│ready")
        ask(home, "send", name, "x")
        alone("respawn-pane", "-k", "-t", "main", f"stty raw -echo; cat {path}; tmux wait-for -S shown; exec cat")
        alone("wait-for", "shown")
        cells, (x, y, is_shown) = drawn(alone, columns - left, height)
        expected = cells, (x + left, y + 1, is_shown) if is_shown else None

        def shown():
            cells, cursor = drawn(terminal, columns, rows)
            return [row[left:] for row in cells[1:-1]], cursor if cursor[2] else None

        assert until(lambda: shown() == expected, interval=0.1), f"{name}: {terminal.screen()}\n{alone.screen()}"  # noqa: B023
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


MOUSED = """\
web: i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; done; exec sleep 1000
api: echo this is api; exec sleep 1000
db: exec sleep 1000
"""


def test_the_mouse_selects_and_scrolls_until_it_is_turned_off(home, tmux):
    home.write(MOUSED)
    run = started(home)
    run.wait_for("line 100$")
    terminal = tmux(columns=100, rows=12)
    view(terminal, home)
    terminal.wait_for("^▌. web .*")
    mouse(terminal, 0, 5, 4)
    mouse(terminal, 0, 5, 4, "m")
    terminal.wait_for("^▌. api .*\n(.*\n)*.*│|│this is api$")
    terminal.wait_for("│this is api$")
    mouse(terminal, 65, 5, 4)
    terminal.wait_for("^▌. db ")
    mouse(terminal, 64, 5, 4)
    mouse(terminal, 64, 5, 4)
    terminal.wait_for("^▌. web ")
    terminal.wait_for("│line 100$")
    mouse(terminal, 64, 70, 5)
    terminal.wait_for("^ Procfile .* web  log .*  3 lines below$")
    terminal.wait_for("│line 97$")
    mouse(terminal, 65, 70, 5)
    terminal.wait_for("│line 100$")
    mouse(terminal, 0, 70, 5)
    terminal.wait_for(r"search  n N next")  # the pane has the focus
    terminal.keys("M")
    terminal.wait_for("^ the terminal selects text with the mouse; M turns the view's mouse on")
    assert terminal("display-message", "-p", "-t", "main", "#{mouse_any_flag}") == "0\n"
    terminal.keys("M")
    terminal.wait_for("^ the view uses the mouse")
    mouse(terminal, 0, 5, 5)
    terminal.wait_for("^▌. db ")
    mouse(terminal, 0, 5, 2)  # the heads of the columns
    mouse(terminal, 0, 5, 1)
    terminal.keys("x")
    terminal.wait_for("^ no command on 'x'")
    assert "▌● db" in terminal.screen()
    terminal.keys("q")
    assert terminal.status() == 0
    assert terminal("display-message", "-p", "-t", "main", "#{mouse_any_flag}") == "0\n"
    run.stop()


def test_two_hundred_components_scroll(home, tmux):
    home.write("".join(f"c{n:03}: exec sleep 1000\n" for n in range(1, 201)))
    run = started(home)
    terminal = tmux(columns=100, rows=30)
    view(terminal, home)
    terminal.wait_for(r"^ Procfile  200/200 ready")
    begun = time.monotonic()
    for number in range(2, 42):
        terminal.keys("j")
        terminal.wait_for(f"^▌● c{number:03} ")
    in_time(time.monotonic() - begun, 40 * 0.1)  # tmux takes a part of it; scripts/bench view measures the view alone
    terminal("send-keys", "-t", "main", "-N", "159", "j")
    terminal.wait_for("^▌● c200 ")
    rows = terminal.screen().split("\n")
    assert [re.search(r"c\d+", row).group() for row in rows[2:29]] == [f"c{n:03}" for n in range(174, 201)]
    terminal.keys("PageUp")
    terminal.wait_for("^▌● c174 ")
    terminal.keys("Home")
    terminal.wait_for("^▌● c001 ")
    terminal.keys("End", "k")
    terminal.wait_for("^▌● c199 ")
    terminal.keys("/", "1", "5", "Enter")
    terminal.wait_for("^  /15 ")
    assert re.findall(r"c\d+", "\n".join(row[:20] for row in terminal.screen().split("\n")[2:])) == [
        "c015", "c115", *(f"c{n}" for n in range(150, 160))
    ]  # fmt: skip
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


def test_y_copies_the_pane_with_osc_52(home, tmux):
    home.write("web: printf 'first \\033[31mred\\033[m\\n名前 third\\n'; exec sleep 1000\nnothing: exec sleep 1000\n")
    run = started(home)
    terminal = tmux(columns=100, rows=12)
    terminal("set", "-s", "set-clipboard", "on")
    view(terminal, home)
    terminal.wait_for("│名前 third$")
    terminal.keys("2")
    terminal.wait_for(r"nothing  running  pid \d+\n.*│$")
    terminal.keys("y")
    terminal.wait_for("^ there is nothing to copy$")
    terminal.keys("1")
    terminal.wait_for("│名前 third$")
    assert b"\x1b]52;" not in terminal.bytes
    terminal.keys("y")
    terminal.wait_for("^ copied 2 lines to the clipboard of the terminal$")
    assert until(lambda: terminal("show-buffer", check=False)), "tmux takes it if set-clipboard is on"
    assert terminal("show-buffer") == "first red\n名前 third"
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


def test_zoom_shows_the_pane_alone(home, tmux):
    home.write("web: while stty size; do read it; done\n")
    run = started(home)
    terminal = tmux(columns=100, rows=12)
    view(terminal, home)
    terminal.wait_for(r"│\d+ \d+$")
    terminal.keys("z")
    terminal.wait_for("^ z or Esc ends the zoom$")
    assert "│" not in terminal.screen()
    ask(home, "send", "web", r"\r")
    terminal.wait_for("^11 100$")
    terminal.keys("Escape")
    terminal.wait_for("^▌. web")
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


@pytest.mark.skipif(not shutil.which("vim"), reason="no vim here")
def test_vim_in_the_view_can_be_attached_to_and_follows_the_size(home, tmux):
    (home.path / "text").write_text("one\ntwo\n")
    home.write("edit: exec vim -u NONE -i NONE -N text\n")
    run = started(home)
    terminal = tmux(columns=100, rows=14)
    before = flags(terminal)
    view(terminal, home)
    terminal.wait_for("│one$")
    terminal.wait_for("│~$")
    terminal.resize(120, 20)
    terminal.wait_for(r"(│~\n.*){14}")
    terminal.keys("a")
    terminal.wait_for(r"^one$")
    terminal.keys("i", "z", "e", "r", "o", "Enter", "Escape")
    terminal.wait_for("^zero$")
    terminal.type(":w")
    assert until(lambda: (home.path / "text").read_text() == "zero\none\ntwo\n")
    terminal.keys("C-\\", "d")
    terminal.wait_for("^ detached from edit$")
    terminal.wait_for("│zero$")
    terminal.keys("q")
    assert terminal.status() == 0
    assert flags(terminal) == before
    run.stop()


def test_a_log_is_scrolled_and_searched(home, tmux):
    numbered = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; exec sleep 1000"
    home.write(web=numbered)
    run = started(home)
    run.wait_for("line 3000$")
    terminal = tmux(columns=100, rows=12)
    view(terminal, home)
    terminal.wait_for("│line 3000$")
    terminal.keys("l", "Home")
    terminal.wait_for("│line 1$")
    terminal.keys("/")
    terminal.type("line 29")
    terminal.wait_for(r"^ match 1 of 111 for 'line 29', from the end$")
    terminal.wait_for("│line 2999$")
    terminal.keys("n")
    terminal.wait_for(r"^ match 2 of 111 for")
    terminal.keys("n", "N")
    terminal.wait_for(r"^ match 2 of 111 for")
    shown = terminal("capture-pane", "-p", "-e", "-t", "main")
    assert re.search("\x1b\\[7m(\x1b\\[39m)?line 29\x1b\\[0m", shown), shown
    terminal.keys("End")
    terminal.wait_for("│line 3000$")
    terminal.keys("q")
    assert terminal.status() == 0
    run.stop()


NOISE = r"""
import os, random, sys
chosen = random.Random(int(sys.argv[1]))
parts = [b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b", b"\r\n", b"\x1b[?1049h", b"\x1b[?1000h", b"\x1b[2J", b"\x1b[99;99H",
         b"\x9b", "\u65e5\u672c".encode(), b"\xe2\x80\xae", b"e\xcc\x81", b"\t", b"\x0e", b"\x1b[?7l", b"\x1bc"]
while True:
    text = b"".join(chosen.choice(parts) + chosen.randbytes(chosen.randrange(6)) for _ in range(300))
    os.write(1, text + b"\x18\x1b\\\r\n")
    if not sys.stdin.readline():
        break
"""


def test_random_output_stays_in_the_pane(home, tmux):
    (home.path / "noise.py").write_text(NOISE)
    home.write(noise=f"stty -echo; exec {sys.executable} noise.py 22", web="exec sleep 1000")
    run = started(home)
    terminal = tmux(columns=100, rows=16)
    view(terminal, home)
    terminal.wait_for("^▌. noise")
    separator = terminal.wait_for("│").string.split("\n")[5].index("│")
    for _ in range(15):
        size = len(terminal.bytes)
        ask(home, "send", "noise", r"\r")
        assert until(lambda: len(terminal.bytes) > size)  # noqa: B023
        cells, _ = drawn(terminal, 100, 16)
        assert {row[separator].data for row in cells[1:-1]} == {"│"}, terminal.screen()
        left = ["".join(cell.data for cell in row[:separator]).rstrip() for row in cells]
        assert re.match(r"▌. noise", left[2]), terminal.screen()
        assert re.match(r" ● web", left[3]), terminal.screen()
        assert left[4:15] == [""] * 11, terminal.screen()
        assert left[15].startswith(" ? help") or " waits for input: p" in left[15], terminal.screen()
    terminal.keys("q")
    assert terminal.status() == 0
    assert "Traceback" not in terminal.screen()
    run.stop()


REDRAWS = """\
import os
for count in range(1000):
    rows = (f"\\033[{row};1Hrow {row} of {count}\\033[K" for row in range(1, 13))
    os.write(1, "".join(rows).encode())
os.write(1, b"\\033[14;1Hall is drawn")
while True:
    os.read(0, 1)
"""


def test_output_that_moves_the_cursor_is_emulated_to_its_end(home, tmux):
    """It cannot be cut to the last screenful, takes many frames, and nothing else happens meanwhile."""
    (home.path / "redraws.py").write_text(REDRAWS)
    home.write(f"web: read x; exec {sys.executable} redraws.py\n")
    run = started(home)
    run.wait_for("web is waiting for input")
    terminal = tmux(columns=100, rows=20)
    view(terminal, home)
    terminal.wait_for(r"[?▌] ?. web  asks|web  waits for input")
    ask(home, "send", "web", "\n")
    terminal.wait_for(r"│all is drawn")
    assert "row 7 of 999" in terminal.screen()
    terminal.keys("q")
    run.stop()


FAULTY = """\
import sys
if "ui" in sys.argv:
    from orchestrator.ui.navigation import Navigation
    Navigation.zoom = lambda self: 1 / 0
"""


def test_after_a_fault_of_ours_the_terminal_is_in_order(home, tmux, tmp_path_factory):
    path = tmp_path_factory.mktemp("path")
    (path / "sitecustomize.py").write_text(FAULTY)
    home.write("web: exec sleep 1000\n")
    run = started(home)
    terminal = tmux(PYTHONPATH=os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH")))))
    before = flags(terminal)
    view(terminal, home)
    terminal.keys("z")
    terminal.wait_for("^ZeroDivisionError")
    assert terminal.status() == 1
    assert flags(terminal) == before
    modes = terminal("display-message", "-p", "-t", "main", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
    assert modes == "0 0 1\n"
    run.stop()
