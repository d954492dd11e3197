"""--wait, --on-exit, --exit-code-from, and the one block on who ended the system."""

import re
import signal

import pytest
from definitions import Directory
from harness import until


def lines(run):
    return [line.partition("| ")[2] for line in run.text.splitlines() if line.startswith("orchestrate")]


def test_what_is_not_ready_in_time_is_stopped(home):
    home.write(
        "[components.web]\ncommand = 'echo up; exec sleep 60'\nready = { log = 'never' }\n", name="orchestrate.toml"
    )
    run = home.up("--wait=0.3", file="orchestrate.toml")
    assert run.wait() == 4
    assert "not ready within 0.3 s" in lines(run)
    assert any(line.startswith("waiting for web: ") for line in lines(run))
    assert run.survivors(2) == []
    why = Directory(home.path).output("why")
    assert re.search(r"because it was not ready within 0\.3 s, waiting for web: .*never", why), why


def test_what_is_ready_in_time_goes_on(home):
    home.write(
        "[components.web]\ncommand = 'echo up; sleep 1; echo later; exec sleep 60'\nready = { log = 'up' }\n",
        name="orchestrate.toml",
    )
    run = home.up("--wait", "0.9", file="orchestrate.toml")
    run.wait_for("later")
    assert "not ready" not in run.text
    run.signal(signal.SIGTERM)
    assert run.wait() == -signal.SIGTERM


@pytest.mark.parametrize("before", [("--wait",), ("--wait=30",), ("--wait", "30")])
def test_detached_it_returns_when_all_is_ready(home, before):
    gate = home.path / "gate"
    command = f"until [ -e {gate} ]; do sleep 0.05; done; echo up; exec sleep 60"
    home.write(f"[components.web]\ncommand = '{command}'\nready = {{ log = 'up' }}\n", name="orchestrate.toml")
    run = home.up("-d", *before, file="orchestrate.toml")
    log = home.path / ".orchestrate" / "state.json"
    assert until(log.exists)
    assert run.returncode is None
    gate.touch()
    assert run.wait() == 0
    down(home)


def test_detached_and_late_it_runs_on(home):
    home.write(
        "[components.web]\ncommand = 'echo up; exec sleep 60'\nready = { log = 'never' }\n", name="orchestrate.toml"
    )
    run = home.up("-d", "--wait=0.8", file="orchestrate.toml")
    assert run.wait() == 4
    assert "not ready within 0.8 s; the system keeps running" in run.err.decode()
    down(home)


def down(home):
    from harness import Run, command_under_test

    assert Run([*command_under_test(), "down", "-C", home.path]).wait() == 0


def test_on_exit_for_all(home):
    home.write(web="echo one; exit 3", api="sleep 0.3; echo two")
    run = home.up("--on-exit", "ignore")
    assert run.wait() == 3
    assert "two" in run.text


def test_the_exit_code_of_one(home):
    home.write(
        "[components.web]\ncommand = 'trap \"exit 5\" TERM; echo up; while :; do sleep 0.05; done'\n"
        "[components.job]\ncommand = 'sleep 0.2; exit 7'\non_exit = 'ignore'\n",
        name="orchestrate.toml",
    )
    run = home.up("--exit-code-from", "job", file="orchestrate.toml")
    assert run.wait() == 7
    run = home.up("--exit-code-from", "web", "--on-exit", "stop", file="orchestrate.toml")
    assert run.wait() == 5
    run = home.up("--exit-code-from", "wbe", file="orchestrate.toml")
    assert run.wait() == 2
    assert "invalid --exit-code-from: unknown component 'wbe'" in run.err.decode()


def test_the_block_on_who_ended_the_system(home):
    home.write(
        "[components.web]\ncommand = 'exec sleep 60'\n[components.api]\ncommand = 'exec sleep 60'\n"
        "[components.job]\ncommand = 'seq -f \"line %g\" 40; exit 3'\n"
        "restart = { policy = 'on-failure', max = 2, backoff = [0.1, 0.1] }\non_exit = 'stop'\n",
        name="orchestrate.toml",
    )
    run = home.up("--quiet", "job", file="orchestrate.toml")
    assert run.wait() == 3
    told = lines(run)
    assert len([line for line in told if "exited with status 3" in line]) == 2, "each exit is reported once"
    at = len(told) - told[::-1].index("the last lines of job:") - 1
    assert told[at + 1 : at + 16] == [f"    line {number}" for number in range(26, 41)]
    assert told[at + 16] == "stopping web, api because job exited (it was started 2 times)"
    assert told[at + 17] == "Shutting down components"


@pytest.mark.parametrize("status", [0, 3])
def test_a_component_that_can_end_does_not_stop_the_system(home, status):
    home.write(release=f"exit {status}", web="sleep 0.3; echo two; exit 0")
    run = home.up("--can-end", "rel*", "--on-exit", "stop")
    assert run.wait() == min(status, 1)
    assert "two" in run.text
    run = home.up("--can-end", "nothere")
    assert run.wait() == 2


def test_a_one_shot_that_stops_the_system_gets_a_hint(home):
    home.write(release="true", web="exec sleep 1000")
    run = home.up()
    assert run.wait() == 1
    assert 'hint: if release may end before the others, use `--can-end release`, or on_exit = "ignore"' in lines(run)
    run = home.write(release="exit 3", web="exec sleep 1000").up()
    assert run.wait() == 3
    assert "--can-end" not in run.text
    home.write(
        "[components.release]\ncommand = 'true'\non_exit = 'stop'\n[components.web]\ncommand = 'exec sleep 1000'\n",
        name="orchestrate.toml",
    )
    run = home.up(file="orchestrate.toml")
    assert run.wait() == 1
    assert "--can-end" not in run.text


def test_the_exit_code_of_any_instance(home):
    home.write(web='test "$PS" = web.1 && exec sleep 1000; sleep 0.2; exit 7', other="exec sleep 1000")
    run = home.up("-m", "web=2", "--on-exit", "ignore", "--exit-code-from", "web")
    assert run.wait() == 7, str(run)


PROBED = '[components.web]\ncommand = "%s"\nready = { log = "nothing" }\n'
SECOND = '[components.api]\ncommand = "exec sleep 1000"\n'


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (PROBED % "true", 0),
        (PROBED % "exit 3", 3),
        (PROBED % "sleep 0.2; exit 3" + SECOND, 3),
        (PROBED % "sleep 0.2" + SECOND, 1),
        ('[init.step]\ncommand = "exit 4"\n' + SECOND, 4),
    ],
)
def test_what_shuts_down_is_complete_at_the_end(text, status, home):
    home.write(text, name="orchestrate.toml")
    run = home.up(file="orchestrate.toml")
    assert run.wait() == status
    is_shut_down = "Shutting down components" in lines(run) or status == 0
    assert is_shut_down is (status != 4), "a failed step leaves nothing to stop"
    assert (lines(run)[-1] == "Complete") is is_shut_down, run.text
