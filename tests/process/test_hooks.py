"""Hooks: commands that run when a run of a component has failed, or has ended."""

import os
import re
import signal

import pytest
from definitions import STAY, Directory, component, ended, lines_of, step
from harness import until


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


TELL = (
    'echo "$ORCHESTRATE_EVENT $ORCHESTRATE_COMPONENT $ORCHESTRATE_INSTANCE status=$ORCHESTRATE_EXIT_STATUS'
    ' signal=$ORCHESTRATE_SIGNAL run=$ORCHESTRATE_RUN_NUMBER ($ORCHESTRATE_REASON)" >> told'
)
BOTH = (f"on_failure = '''{TELL}'''", f"after_exit = '''{TELL}'''")
NO_BACKOFF = 'restart = { policy = "on-failure", max = 2, backoff = [0, 0] }'


def told(here):
    return (here.path / "told").read_text().splitlines()


def test_hooks_are_told_what_happened_before_the_next_run(here):
    here.write(component("web", "echo run >> told; exit 7", *BOTH, NO_BACKOFF))
    ended(here.up(), 7)
    expected = []
    for run in (1, 2):
        expected += ["run"]
        expected += [
            f"{event} web web status=7 signal= run={run} (exited with status 7)" for event in ("failed", "exited")
        ]
    assert told(here) == expected


@pytest.mark.parametrize(
    ("command", "keys", "lines"),
    [
        ("exit 0", (), ["exited web web status=0 signal= run=1 (exited with status 0)"]),
        ("exit 3", ("success_exit_codes = [3]",), ["exited web web status=3 signal= run=1 (exited with status 3)"]),
        (
            "kill -USR1 $$",
            (),
            [f"{e} web web status=138 signal=SIGUSR1 run=1 (killed by SIGUSR1)" for e in ("failed", "exited")],
        ),
        (
            STAY,
            ('ready = { exec = "exit 1", retries = 1, interval = 0.01 }',),
            [rf"{e} web web status=\d+ signal=\w* run=1 \(did not get ready: .*\)" for e in ("failed", "exited")],
        ),
    ],
)
def test_whether_a_run_has_failed_is_judged_as_everywhere(here, command, keys, lines):
    here.write(component("web", command, *keys, *BOTH))
    here.up().wait()
    assert len(told(here)) == len(lines)
    for line, expected in zip(told(here), lines, strict=True):
        assert line == expected or re.fullmatch(expected, line), line


def test_a_program_that_does_not_exist_has_failed_too(here):
    here.write(
        '[components.web]\ncommand = ["./made-later"]\n' + "\n".join(BOTH) + "\n" + step("first", "true"),
    )
    here.up().wait()
    assert told(here)[0] == "failed web web status=127 signal= run=1 (command not found: ./made-later)"


def test_a_requested_stop_is_no_failure(here):
    here.write(component("web", f"trap 'exit 9' TERM; echo ready; {STAY.removeprefix('exec ')} & wait", *BOTH))
    run = here.up()
    run.wait_for("^web .*ready")
    run.stop()
    assert told(here) == ["exited web web status=9 signal= run=1 (stopped on request: exited with status 9)"]


def test_a_failed_initial_step_is_told_of(here):
    here.write(component("web", STAY) + step("migrate", "exit 4", *BOTH, 'unless = "exit 1"'))
    ended(here.up(), 4)
    assert told(here)[0] == "failed migrate migrate status=4 signal= run=1 (exited with status 4)"


def test_the_log_is_complete_by_then(here):
    here.write(component("web", "echo its last words; exit 1", 'on_failure = "cp $ORCHESTRATE_LOG copy"'))
    ended(here.up(), 1)
    assert "its last words" in (here.path / "copy").read_text()


def test_a_hook_that_fails_is_reported_and_holds_up_nothing(here):
    here.write(component("web", "exit 1", 'on_failure = "echo no mail here; exit 5"', NO_BACKOFF))
    run = ended(here.up(), 1)
    said = [line for line in lines_of(run, "orchestrate") if "on_failure" in line]
    assert said == ["web: on_failure failed: exited with status 5: no mail here"] * 2


def test_nothing_of_a_hook_is_left(here):
    here.write(
        component("web", "exit 1", f'after_exit = "setsid {STAY.removeprefix("exec ")} & (setsid sleep 1000 &)"')
    )
    ended(here.up(), 1)


def test_a_list_keeps_the_variables_for_its_shell(here):
    hook = """on_failure = ["sh", "-c", "echo $ORCHESTRATE_REASON in ${ORCHESTRATE_COMPONENT} > told"]"""
    here.write(component("web", "exit 3", hook))
    run = ended(here.up(), 3)
    assert (run.messages.count("is not set"), told(here)) == (0, ["exited with status 3 in web"])
    assert "echo ${ORCHESTRATE_REASON} in" in here.output("config")


def test_a_hook_that_hangs_is_ended_by_a_kill(here):
    """Its time is 10 s; `kill` and a second Ctrl-C do not wait for it."""
    hook = f'after_exit = "touch hangs; {STAY}"'
    here.write(component("web", "exit 1", hook, 'on_exit = "ignore"') + component("other", STAY))
    run = here.up()
    assert until((here.path / "hangs").exists)
    here.output("kill", "web")
    run.stop()


def test_after_exit_runs_if_the_supervisor_is_killed(here):
    here.write(component("web", f"echo ready; {STAY}", *BOTH))
    run = here.up()
    run.wait_ready("web")
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert run.survivors(20) == []
    assert told(here) == ["exited web web status= signal= run= (stopped, because the supervisor was killed)"]


def test_hooks_may_be_defaults(here):
    here.write("[defaults]\n" + "\n".join(BOTH) + "\n" + component("a", "exit 0") + step("s", "exit 0"))
    ended(here.up(), 0)
    assert [line.split(" ")[:2] for line in told(here)] == [["exited", "s"], ["exited", "a"]]


def test_the_bell_rings_on_a_terminal_when_something_fails(here):
    here.write(component("a", "exit 0", 'on_exit = "ignore"') + component("b", "exit 3"))
    run = here.up("--bell", terminal=True)
    assert run.wait() == 3
    rung = [line for line in bytes(run.out).split(b"\n") if b"\a" in line]
    assert len(rung) == 1, rung
    assert b"b exited with status 3" in rung[0]
    run = here.up(terminal=True)
    assert run.wait() == 3
    assert b"\a" not in run.out
    run = here.up("--bell")
    assert run.wait() == 3
    assert b"\a" not in run.out


HINTS = [
    (["ps"], 3, "no system is running in "),
    (["up", "nosuch"], 2, "unknown component 'nosuch'"),
    (["up", "-m", "web"], 2, ""),
    (["run"], 2, "nothing to run"),
    (["logs"], 1, "cannot read logs: no such directory: "),
]


@pytest.mark.parametrize(("words", "status", "message"), HINTS)
def test_a_hint_is_on_its_own_line(here, words, status, message):
    here.write(component("web", STAY))
    first, second = here.output(*words, status=status).splitlines()
    assert first.startswith(f"orchestrate: {message}")
    assert second.startswith("hint: ")
