"""The unfinished line on a real terminal, which counts columns and wraps rows in its own way."""

import os
import re
import shutil
import signal

import pytest
from harness import command_under_test, until

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux")

# Terminals disagree about the columns of these: vowel signs of Devanagari, an emoji sequence, a flag.
ODD = [
    "नमस्ते दुनिया कैसे हो किताब की स्थिति ",
    "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦 ",
    "🇩🇪🇩🇪🇩🇪🇩🇪 ❤️❤️ ",
    "日本語のとても長い質問 ",
]

WAIT = "until [ -e go ]; do sleep 0.05; done"


def up(terminal, home):
    words = " ".join(map(str, command_under_test()))
    terminal.type(f"clear; {words} up -f {home.path}/Procfile --on-exit ignore")


def rows_of(terminal, name):
    return [row for row in terminal.screen().split("\n") if row.startswith(name)]


@pytest.mark.parametrize("text", [*ODD, "a question with many words ", "x"], ids=range(6))
@pytest.mark.parametrize("columns", [60, 61])
def test_a_line_that_fills_the_window_leaves_no_copies(text, columns, home, tmux):
    (home.path / "long").write_text(text * 9)
    home.write(web="cat long; exec sleep 1000", api=f"{WAIT}; seq 1 20; echo end; exec sleep 1000")
    terminal = tmux(columns=columns, rows=40)
    up(terminal, home)
    terminal.wait_for("^web ")
    (home.path / "go").touch()
    terminal.wait_for(r"^api +\| end")
    terminal.wait_for(r"end\n(.*\n)*?web +\| " + re.escape(text.split()[0][:1]))
    assert len(rows_of(terminal, "web")) == 1, terminal.screen()
    assert [row.split()[-1] for row in rows_of(terminal, "api")] == [*map(str, range(1, 21)), "end"]
    terminal.keys("C-c")
    terminal.status()


def test_a_joiner_at_the_end_takes_no_character_of_the_next_row(home, tmux):
    """tmux joins within what it reads at once, so it is suspended until the line was drawn several times."""
    api = f"{WAIT}; for i in 1 2 3; do echo $i; sleep 0.3; done; touch done; exec sleep 1000"
    home.write(web="printf 'abc 👩\u200d'; exec sleep 1000", api=api)
    terminal = tmux(columns=60, rows=20)
    up(terminal, home)
    terminal.wait_for(r"^web +\| abc 👩")
    os.kill(terminal.server.pid, signal.SIGSTOP)
    (home.path / "go").touch()
    assert until((home.path / "done").exists)
    os.kill(terminal.server.pid, signal.SIGCONT)
    terminal.wait_for(r"^api +\| 3$")
    terminal.wait_for(r"^web +\| abc 👩")
    assert len(rows_of(terminal, "web")) == 1, terminal.screen()
    terminal.keys("C-c")
    terminal.status()


@pytest.mark.parametrize("columns", [70, 50, 47, 36, 30])
def test_a_narrower_window_leaves_no_copies(columns, home, tmux):
    """There are rows above: tmux moves as many into its history as the line takes more, and nobody can erase there."""
    home.write(
        web="seq 5; printf 'a long question with quite a few words, %s' and-with-a-long-end; exec sleep 1000",
        api=f"{WAIT}; echo hello; exec sleep 1000",
    )
    terminal = tmux(columns=80, rows=20)
    up(terminal, home)
    terminal.wait_for("and-with-a-long-end")
    terminal.resize(columns, rows=20)
    terminal.wait_for(r"^web +\| a long q")
    (home.path / "go").touch()
    terminal.wait_for(r"^api +\| hello\nweb +\| a long q")
    assert terminal.screen().count("a long q") == 1, terminal.screen()
    assert "question" not in terminal.screen().partition("hello")[0], terminal.screen()
    terminal.resize(100, rows=20)
    terminal.wait_for(r"and-with-a-long-end$")
    assert terminal.screen().count("a long q") == 1, terminal.screen()
    terminal.keys("C-c")
    terminal.status()


def test_a_bar_that_fills_its_window_is_shown_to_its_end(home, tmux):
    home.write(web='printf "%s" "$(seq -s= $(stty size | cut -d" " -f2) | tr -d 0-9 | cut -c4-)99%"; exec sleep 1000')
    terminal = tmux(columns=60, rows=20)
    up(terminal, home)
    terminal.wait_for(r"^web +\| =+99%$")
    terminal.keys("C-c")
    terminal.status()
    assert len(re.findall(r"=99%", terminal.screen())) == 1
