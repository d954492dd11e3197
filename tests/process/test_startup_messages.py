"""What the screen says of a start: how many components were started, and when all of them were ready."""

import re
import signal

import pytest
from harness import tree

OURS = r"^orchestrate +\| "


def ours(run):
    """Our own lines, without the prefix."""
    return [line.partition(" | ")[2] for line in run.text.splitlines() if line.startswith("orchestrate ")]


def test_three_silent_components_do_not_show_an_empty_screen(home):
    run = home.write(a="exec sleep 600", b="exec sleep 600", c="exec sleep 600").up()
    run.wait_for(OURS + "3 components started$")
    run.stop()
    assert "ready after" not in run.text, "nobody has looked whether they are"
    assert ours(run)[0] == "3 components started"


def test_all_are_ready_after_a_time_if_any_has_a_probe(home):
    home.write(
        "[components.db]\ncommand = \"sleep 0.5; echo listening; exec sleep 600\"\nready = { log = 'listening' }\n"
        "[components.web]\ncommand = 'exec sleep 600'\nreplicas = 2\n"
        "[components.web.depends_on]\ndb = 'ready'\n",
        name="orchestrate.toml",
    )
    run = home.up(file="orchestrate.toml")
    run.wait_for(OURS + r"all ready after \d+\.\d s$")
    run.stop()
    started = next(i for i, line in enumerate(ours(run)) if line == "2 components started (3 instances)")
    assert re.fullmatch(r"all ready after [0-9.]+ s", ours(run)[started + 1])
    seconds = float(re.search(r"ready after ([\d.]+) s", run.text).group(1))
    assert 0.5 <= seconds < 10
    assert run.text.index("listening") < run.text.index("2 components started")


def test_both_are_said_once_whatever_is_restarted_later(home):
    home.write(
        "[components.web]\ncommand = \"echo up; sleep 0.3; exit 3\"\nready = { log = 'up' }\n"
        "restart = { policy = 'always', max = 3, backoff = [0.1, 0.1] }\n",
        name="orchestrate.toml",
    )
    run = home.up(file="orchestrate.toml")
    run.wait()
    assert run.text.count("1 component started") == 1
    assert run.text.count("all ready after") == 1


def test_what_could_not_be_started_is_not_counted_as_started(home):
    home.write(
        "[components.web]\ncommand = ['./web']\non_exit = 'ignore'\n[components.api]\ncommand = 'exec sleep 600'\n",
        name="orchestrate.toml",
    )
    (home.path / "web").write_bytes(b"\x7fELF")  # no program of this machine's
    (home.path / "web").chmod(0o755)
    run = home.up(file="orchestrate.toml")
    run.wait_for(OURS + "1 component started")
    run.wait_for("web did not start|web exited with status")
    run.signal(signal.SIGTERM)
    run.wait()


@pytest.mark.parametrize(("status", "red"), [(3, True), (0, False)])
def test_the_line_of_a_failure_is_red_on_a_terminal_and_reported_once(status, red, home):
    run = home.write(web=f"echo why; exit {status}", api=tree("plain")).up(terminal=True, columns=120)
    assert run.wait() == (status or 1)
    words = rb"web exited with status %d after \d\.\d s" % status
    assert len(re.findall(words, run.out)) == 1
    assert bool(re.search(rb"\x1b\[31m" + words + rb"\x1b\[m", run.out)) is red
    assert ("the last lines of web" in run.text) is red
    assert not re.search(rb"\x1b\[3\dmstopping api because web exited", run.out)


def test_a_warning_is_yellow_on_a_terminal_and_nothing_is_colored_elsewhere(home):
    run = home.write(web="echo ready; printf 'name? '; read it; exec cat").up(terminal=True, columns=120)
    run.wait_for("web is waiting for input")
    assert re.search(rb'\x1b\[33mweb is waiting for input at "name\?"[^\x1b]*\x1b\[m', run.out), bytes(run.out[-500:])
    run.stop()
    log = (home.path / ".orchestrate" / "logs" / "orchestrate.log").read_bytes()
    assert b"web is waiting for input" in log
    assert b"\x1b" not in log


def test_without_colors_a_failure_is_plain(home):
    run = home.write(web="exit 3").up("--color", "never", terminal=True)
    run.wait()
    assert b"\x1b[31m" not in run.out
