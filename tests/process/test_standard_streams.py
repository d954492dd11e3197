"""Commands whose standard output or standard error is closed, or is a file on a full disk."""

import shlex

import pytest
from harness import Run, command_under_test, tree, until, voice

FULL = "orchestrate: cannot write to standard output: No space left on device\n"
CLOSED = [">&-", "2>&-", ">&- 2>&-"]
# Each prints something on standard output, and its status is 0.
COMMANDS = [
    "version",
    "--help",
    "logs --help",
    "help",
    "check",
    "env web",
    "graph",
    "up --dry-run",
    "init --print",
    "completion bash",
    "man",
    "export systemd --force",
    "doctor",
    "ls",
    "ps",
    "ps -a",
    "ps --json",
    "why web",
    "history",
    "logs",
    "screen web",
    "replay web --asciicast -",
    "start",
    "restart web",
    "stop other",
]
FEW = ["--help", "check", "ps", "logs", "restart web"]


def redirected(home, words, where):
    command = shlex.join(map(str, [*command_under_test(), *shlex.split(words)]))
    return Run(["bash", "-c", f"{command} {where}"], cwd=home.path)


@pytest.fixture
def system(home):
    """A system with a component that has printed something."""
    home.write(web=voice("slowly"), other=tree("plain"))
    run = home.up("--color", "never")
    run.wait_for(r"^web +\| line 0$")
    yield home
    run.stop()


def ended(home, where, commands):
    """The status of each command, and what it has printed on standard error."""
    found = {}
    for words in commands:
        run = redirected(home, words, where)
        found[words] = (run.wait(), run.err.decode())
    return found


@pytest.mark.parametrize(("where", "commands"), [(">&-", COMMANDS), ("2>&-", FEW), (">&- 2>&-", FEW)])
def test_a_closed_stream_is_as_dev_null(where, commands, system):
    assert ended(system, where, commands) == dict.fromkeys(commands, (0, ""))


def test_a_full_disk_under_stdout_is_reported_in_one_line(system):
    assert ended(system, "> /dev/full", COMMANDS) == dict.fromkeys(COMMANDS, (1, FULL))


def test_a_full_disk_under_both_streams_is_an_exit_status(system):
    assert ended(system, "> /dev/full 2>&1", FEW) == dict.fromkeys(FEW, (1, ""))


def test_a_full_disk_under_stderr_ends_no_command(system):
    assert ended(system, "2> /dev/full", FEW) == dict.fromkeys(FEW, (0, ""))
    assert ended(system, "2> /dev/full", ["stop nothing"]) == {"stop nothing": (2, "")}


def test_a_closed_reader_is_not_reported(system):
    assert ended(system, "| true", FEW) == dict.fromkeys(FEW, (0, ""))


@pytest.mark.parametrize("where", [*CLOSED, "<&- >&- 2>&-", "> /dev/full", "> /dev/full 2>&1"])
def test_the_system_starts_in_the_background(where, home):
    home.write(web="touch started; exec sleep 1000")
    up = redirected(home, "up -d", where)
    assert up.wait() == 0, str(up)
    assert until((home.path / "started").exists)
    told = up.err.decode()
    assert told == ("" if "2>" in where else "orchestrate: 1 component started\n")
    assert redirected(home, "down", "").wait() == 0
    assert up.survivors(2) == []


@pytest.mark.parametrize("where", [*CLOSED, "<&- >&- 2>&-", "2> /dev/full"])
def test_a_command_runs_in_the_environment_of_a_component(where, home):
    home.write(web="sleep 1000")
    run = redirected(home, "run web -- touch ran", where)
    assert (run.wait(), run.messages.strip()) == (0, "")
    assert (home.path / "ran").exists()


def test_a_change_is_carried_out_although_it_cannot_be_printed(system):
    assert ended(system, "> /dev/full", ["stop other"]) == {"stop other": (1, FULL)}
    states = redirected(system, "ps other", "")
    assert states.wait() == 0
    assert "stopped" in states.text
