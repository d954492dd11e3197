"""Restarts of real systems: who comes back, whom it takes along, and in which order."""

import os
import re
import shutil
import signal

import pytest
from definitions import STAY, Directory, component, ended
from harness import children, leader_among

RESTART = 'restart = { policy = "on-failure", backoff = [0, 0] }'


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


def needs(name, condition="ready"):
    return f'depends_on = {{ {name} = {{ condition = "{condition}", restart = true }} }}'


def crashes_once(more=STAY):
    """Fails in its first run once somebody writes into `crash`; stays in the second."""
    return f"if mkdir ran; then echo serving; read go < crash; exit 3; else echo serving; {more}; fi"


def test_who_wants_it_is_restarted_with_it_dependents_first_down_and_last_up(here):
    os.mkfifo(here.path / "crash")
    text = component("db", crashes_once(), RESTART, 'ready = { log = "serving" }')
    text += component("api", f"echo api up; {STAY}", needs("db"))
    text += component("web", f"echo web up; {STAY}", needs("api"))
    text += component("free", f"echo free up; {STAY}", 'depends_on = { db = "ready" }')
    run = here.write(text).up()
    run.wait_ready("web", "free")
    (here.path / "crash").write_text("now\n")
    run.wait_for(r"^orchestrate +\| restarting with it: api, web$")
    run.wait_for(r"web up(?s:.*)web up")
    assert len(re.findall("free up", run.text)) == 1, "who does not want it stays"
    order = re.findall(r"^\w+ +\| (serving|api up|web up|\w+ stopped)", run.text, re.MULTILINE)
    assert [word for word in order if word not in ("serving",)][-4:] == [
        "web stopped",
        "api stopped",
        "api up",
        "web up",
    ]
    assert run.text.rindex("serving") < run.text.rindex("api up")
    run.wait_for(r"^web +\| ready$(?s:.*)^web +\| ready$")
    run.stop()


def test_a_stop_in_the_middle_of_it_is_a_stop(here):
    """web has gone and waits for db, whose backoff is long: nothing of it comes back."""
    text = component(
        "db", "if mkdir ran; then sleep 0.2; exit 3; fi; exec sleep 100", RESTART.replace("[0, 0]", "[60, 60]")
    )
    text += component("web", STAY, needs("db", "started"))
    run = here.write(text).up()
    run.wait_for("web stopped")
    run.stop()


def test_who_is_given_up_is_not_followed(here):
    until_web_is_up = "until rm up 2>&-; do sleep 0.05; done; exit 3"
    text = component("db", until_web_is_up, RESTART.replace("}", ", max = 2 }"), 'on_exit = "ignore"')
    text += component("web", f"echo web up; touch up; {STAY}", needs("db", "started"))
    run = here.write(text).up()
    run.wait_for("^orchestrate +. giving up on db: it ended 2 times within 300 s; `orchestrate start db` tries again$")
    run.wait_for("web up(?s:.*)web up")
    run.stop()
    assert len(re.findall("web up", run.text)) == 2, "once for each time that db was there"


def test_a_home_that_is_cleaned_while_the_system_runs_stops_no_restart(here):
    """`git clean -fdx` in another terminal: no guardian could take its lock any more."""
    text = component("web", STAY, 'restart = { policy = "always", backoff = [0.01, 0.01] }')
    run = here.write(text).up()
    run.wait_ready("web")
    shutil.rmtree(here.path / ".orchestrate")
    leader = leader_among(children(run.guardian_of("trees.py")))
    os.kill(leader, signal.SIGKILL)
    run.wait_for("web is running again")
    assert f"{here.path}/.orchestrate was removed: " in run.text
    assert (here.path / ".orchestrate").stat().st_mode & 0o777 == 0o700
    run.stop()


SAME = 'restart = { policy = "always", max = 4, backoff = [0.01, 0.01], same_exits = 2 }'
READY = 'ready = { log = "serving" }'


def test_a_start_that_fails_twice_in_the_same_way_is_given_up(here):
    text = component("web", "echo pid $$: no module named celery; exit 3", SAME, READY, 'on_exit = "stop"')
    run = ended(here.write(text + component("db", STAY)).up(), 3)
    assert len(re.findall(r"^web +\| pid ", run.text, re.MULTILINE)) == 2
    assert re.search(
        r"giving up on web: it exited 2 times in the same way before it was ready\n"
        r"orchestrate +\| the last lines of web:\n"
        r"orchestrate +\|     pid \d+: no module named celery\n"
        r"orchestrate +\| stopping db because web exited \(it was started 2 times\)\n",
        run.text,
    ), run.text


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("mkdir a && exit 3; mkdir b && exit 4; mkdir c && exit 3; exit 4", READY),  # each time another status
        ("echo x >> n; echo failed for reason $(wc -l < n | tr 1234 abcd); exit 3", READY),
        ("echo serving; sleep 0.3; exit 3", READY),  # once ready it is another matter
        ("exit 3", ""),  # without a probe it is ready as soon as it runs
    ],
)
def test_exits_that_differ_or_follow_readiness_are_counted_by_max(here, command, more):
    run = here.write(component("web", command, SAME, more)).up()
    run.wait()
    assert "giving up on web: it ended 4 times within 300 s" in run.text


def test_what_a_signal_of_ours_or_a_probe_ended_is_not_the_same_exit(here):
    hangs = f"echo waiting; {STAY}"
    probe = 'ready = { exec = "exit 1", interval = 0.01, retries = 1 }'
    run = here.write(component("web", hangs, SAME, probe)).up()
    run.wait()
    assert "giving up on web: it ended 4 times within 300 s" in run.text


def test_giving_up_on_one_component_does_not_stop_the_system_unless_on_exit_says_so(here):
    frail = ("exit 3", RESTART.replace("}", ", max = 2 }"))
    run = here.write(component("frail", *frail) + component("web", STAY)).up()
    run.wait_for("giving up on frail: .* tries again$")
    why = here.output("why", "frail").splitlines()
    assert why[0].startswith("frail failed at ")
    assert why[1] == (
        "orchestrate gave up on frail because it ended 2 times within 300 s; `orchestrate start frail` tries again"
    )
    run.stop()
    run = here.write(component("frail", *frail, 'on_exit = "stop"') + component("web", STAY)).up()
    assert run.wait() == 3, str(run)
    run = here.write(component("frail", *frail) + component("web", STAY)).up("--on-exit", "stop")
    assert run.wait() == 3, str(run)


def test_restarts_can_be_unlimited(here):
    """More than `max` would allow by default; then it stays up."""
    command = "echo x >>starts; test $(wc -l <starts) -gt 12 || exit 3; echo up; exec sleep 1000"
    for limit in ("0", '"unlimited"'):
        restart = RESTART.replace("}", f", max = {limit} }}")
        (here.path / "starts").unlink(missing_ok=True)
        run = here.write(component("web", command, restart)).up()
        run.wait_for(r"^web +\| up$")
        assert "giving up" not in run.text
        run.stop()
