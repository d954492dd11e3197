"""The emulator beside tmux: what each makes of the output of recorded programs, wherever it is cut."""

import random
import shutil
from pathlib import Path

import pytest
from terminal import Tmux

from orchestrator.terminal.emulator import Emulator

RECORDED = sorted((Path(__file__).parent.parent / "programs" / "screens").glob("*.bin"))


def shown(data, columns, lines):
    emulator = Emulator(columns, lines)
    emulator.feed(data)
    return emulator


@pytest.fixture
def pane(tmp_path):
    if shutil.which("tmux") is None:
        pytest.skip("no tmux")
    tmux = Tmux(tmp_path, columns=80, rows=24)
    tmux("set", "-g", "status", "off")
    tmux("set", "-g", "default-terminal", "xterm-256color")

    def show(data):
        (tmp_path / "data").write_bytes(data)
        tmux(
            "respawn-pane", "-k", "-t", "main", f"stty raw -echo; cat {tmp_path}/data; tmux wait-for -S shown; exec cat"
        )
        tmux("wait-for", "shown")
        text = tmux("capture-pane", "-p", "-e", "-N", "-t", "main")
        x, y, alternate, visible = tmux(
            "display-message", "-p", "-t", "main", "#{cursor_x} #{cursor_y} #{alternate_on} #{cursor_flag}"
        ).split()
        emulator = shown(b"\x1b)0" + text.replace("\n", "\r\n").encode(), 80, 25)
        rows = [emulator.row(number) for number in range(24)]
        return rows, (min(int(x), 79), int(y), alternate == "1", visible == "1")

    yield show
    assert tmux.end() == []


def without_background(row):
    """tmux does not print the background of blanks that were erased."""
    return [cell._replace(bg="") if cell.data == " " else cell for cell in row]


def test_recorded_programs_look_as_in_tmux_wherever_they_are_cut(pane):
    chosen = random.Random(22)
    assert [path.stem for path in RECORDED] == ["docker", "htop", "less", "npm", "tqdm", "vim-quit", "vim"]
    for path in RECORDED:
        data = path.read_bytes()
        for cut in (*sorted(chosen.choices(range(1, len(data)), k=10)), len(data)):
            rows, rest = pane(data[:cut])
            screen = shown(data[:cut], 80, 24).screen()
            assert list(map(without_background, screen.rows)) == list(map(without_background, rows)), (path.stem, cut)
            assert (screen.x, screen.y, screen.is_alternate, screen.is_cursor_visible) == rest, (path.stem, cut)
