"""How many calls of our own functions the most frequent events cost, counted by a profile hook in the supervisor.

A budget limits what a reader walks through to follow one event, and its cost. Bookkeeping of the loop is not counted,
nor are comprehensions. A budget is raised only with a reason in the commit.
"""

import json
import subprocess
import sys
from pathlib import Path

import harness

PROFILED = Path(__file__).parent.parent / "programs" / "profiled.py"

# One line: multiplexer; the attached terminal, prompts and queries, which see it first; log and index; painter; screen.
LINE_CALLS, LINE_FILES = 35, 13
# One state change, from the event to the decision what follows: functions, not properties. Actions, listeners and
# messages are walks of their own.
CHANGE_FUNCTIONS, CHANGE_FILES = 15, 5
APART = (
    "supervisor/launcher.py:perform",
    "supervisor/streams.py:changed",
    "supervisor/startup_progress.py:changed",
    "supervisor/supervisor.py:tell",
    "cli/start_recording.py:guarded",
    "control/handler.py:_changed",
)
LARGEST_CHANGE_FUNCTIONS, LARGEST_CHANGE_FILES = 21, 7  # if an instance ends, or all are ready
# Six state changes, the end of one run and the start of another: its terminal, painter, prompts, log and index. Each
# change is recorded in the history, and shown to watchers and to whoever waits. A busy machine takes more turns of the
# loop: 740 calls usually, 800 at most. Two files mask secrets in what is recorded.
RESTART_CALLS, RESTART_FILES = 850, 71


class Profile:
    """A system whose supervisor records its calls."""

    def __init__(self, path, definition):
        self.file = path / "calls"
        (path / "orchestrate.toml").write_text(definition)
        self.run = harness.Run(
            [sys.executable, PROFILED, self.file, "up", "-f", path / "orchestrate.toml", "--home", path], cwd=path
        )

    def turns(self):
        """The calls of each turn of the loop, as (depth, name)."""
        for line in self.file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                _, calls = json.loads(line)
                yield [call for call in calls if not call[1].startswith("runtime/loop.py:") and "<" not in call[1]]

    def between(self, first, last):
        """The calls from the turn in which `first` is called to the one in which `last` is."""
        found = []
        for calls in self.turns():
            if found or first in names(calls):
                found += calls
            if found and last in names(calls):
                break
        return found


def names(calls):
    return [name for _, name in calls]


def within(calls, root, apart=()):
    """For each call of `root`, the calls that it makes at any depth, without those of `root` again and of `apart`."""
    found, inner = [], []
    for depth, name in calls:
        inner = [(at, into) for at, into in inner if at < depth]
        into = inner[-1][1] if inner else None
        if name == root:
            into = []
            found.append(into)
        elif name in apart:
            into = None
        if into is not None:
            into.append(name)
        inner.append((depth, into))
    return found


def files(calls):
    return {name.partition(":")[0] for name in calls}


def test_one_line_from_the_terminal_to_screen_and_log(tmp_path):
    talks = "import time\nfor n in range(30):\n    print('line', n, flush=True)\n    time.sleep(0.1)\ntime.sleep(60)"
    command = json.dumps(["python3", "-c", talks])
    system = Profile(
        tmp_path, f"[components.web]\ncommand = {command}\n[components.other]\ncommand = 'exec sleep 60'\n"
    )
    system.run.wait_for("line 29")
    system.run.stop()
    lines = [calls for calls in map(names, system.turns()) if "output/log_file.py:write" in calls and len(calls) < 100]
    typical = sorted(lines, key=len)[len(lines) // 2]
    assert "output/console.py:_write_out" in typical, "it has reached the screen"
    assert "output/log_file.py:_append" in typical, "and the log"
    assert len(typical) <= LINE_CALLS, "\n".join(typical)
    assert len(files(typical)) <= LINE_FILES, sorted(files(typical))


def test_a_restart_from_the_request_to_the_reply(tmp_path):
    definition = "[components.db]\ncommand = 'exec sleep 60'\n[components.web]\ncommand = 'exec sleep 60'\n"
    system = Profile(tmp_path, definition)
    system.run.wait_for("2 components started")
    subprocess.run([*harness.command_under_test(), "restart", "web", "--home", tmp_path], check=True)
    system.run.stop()
    calls = system.between("control/server.py:_take_line", "control/server.py:_gone")
    assert len(calls) <= RESTART_CALLS
    assert len(files(names(calls))) <= RESTART_FILES
    changes = within(calls, "supervisor/supervisor.py:_carry_out", APART)
    walks = [{name for name in change if ":." not in name} for change in changes]
    walks = [walk for walk in walks if "supervisor/supervisor.py:_changed" in walk]
    assert len(walks) >= 5, "stopping, down, starting, running, ready"
    plain = min(walks, key=lambda walk: (len(files(walk)), len(walk)))
    assert len(plain) <= CHANGE_FUNCTIONS, sorted(plain)
    assert len(files(plain)) <= CHANGE_FILES, sorted(plain)
    for walk in walks:
        assert len(walk) <= LARGEST_CHANGE_FUNCTIONS, sorted(walk)
        assert len(files(walk)) <= LARGEST_CHANGE_FILES, sorted(walk)
