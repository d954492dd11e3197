"""Components that do not start with the system, what may be missing, and initial steps that only some need."""

import json

import pytest
from definitions import STAY, Directory, component, step
from harness import until

SYSTEM = (
    component("db", STAY)
    + component("web", STAY, 'depends_on = { db = "ready" }')
    + component("cache", STAY)
    + component("admin", STAY, 'profiles = ["extra"]', 'depends_on = { cache = "ready", db = "ready" }')
)


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


def up(here, *words):
    run = here.up(*words)
    assert until((here.path / ".orchestrate" / "control.sock").exists), str(run)
    here.output("wait", "--ready")
    return run


def states(here):
    return {row["instance"]: row["state"] for row in map(json.loads, here.output("ps", "--json").splitlines())}


def down(here, run):
    here.output("down")
    assert (run.wait(), run.survivors(2)) == (0, []), str(run)


def test_start_adds_a_component_that_was_left_out_and_what_it_needs(here):
    here.write(SYSTEM)
    run = up(here, "web")
    assert states(here) == {"db": "running", "web": "running"}
    assert here.output("start", "admin").startswith("admin started (pid")
    assert states(here) == dict.fromkeys(["db", "web", "cache", "admin"], "running")
    run.wait_for(r"^admin +\| ready")
    here.output("wait", "--ready")
    assert "4 of 4 components ready" in here.output("status")
    told = here.output("start", "nothing", status=2)
    assert "unknown component 'nothing'" in told
    here.output("scale", "cache=2")
    down(here, run)
    stopped = [line.split("| ")[1].split()[0] for line in run.text.splitlines() if "stopped (" in line]
    assert stopped.index("admin") < stopped.index("db")


def test_scale_adds_it_too(here):
    here.write(SYSTEM)
    run = up(here, "db")
    here.output("scale", "web=2")
    assert states(here) == {"db": "running", "web.1": "running", "web.2": "running"}
    down(here, run)


def test_one_that_is_left_out_and_wrong_is_refused(here):
    here.write(component("db", STAY) + component("bad", "/no/such/program", 'profiles = ["x"]').replace("'''", '"'))
    run = up(here)
    here.write(component("db", STAY))  # what counts is what was read at the start
    assert "bad: command not found: /no/such/program" in here.output("start", "bad", status=2)
    assert states(here) == {"db": "running"}
    down(here, run)


def test_without_autostart_it_waits_for_a_request(here):
    here.write(
        component("db", STAY, "autostart = false")
        + component("tool", STAY, "autostart = false", 'depends_on = ["db"]')
        + component("web", STAY)
    )
    run = up(here)
    assert states(here) == {"db": "stopped", "tool": "stopped", "web": "running"}
    assert "tool is stopped: it was not started; `orchestrate start tool` starts it" in here.output("why", "tool")
    here.output("start", "tool")
    assert states(here) == {"db": "running", "tool": "running", "web": "running"}
    down(here, run)


@pytest.mark.parametrize(("words", "running"), [(["db"], {"db"}), (["tool"], {"db", "tool"}), (["-l", "db"], {"db"})])
def test_a_name_or_a_dependent_starts_it_nevertheless(here, words, running):
    here.write(component("db", STAY, "autostart = false") + component("tool", STAY, 'depends_on = ["db"]'))
    run = up(here, *words)
    assert {name for name, state in states(here).items() if state == "running"} == running
    down(here, run)


@pytest.mark.parametrize("detach", [True, False])
def test_a_system_in_which_nothing_starts_is_there(here, detach):
    here.write(component("a", STAY, "autostart = false") + component("b", STAY, "autostart = false"))
    if detach:
        assert here.output("up", "-d", "--wait") == ""
    else:
        run = up(here)
    assert here.output("status").startswith("stopped")
    here.output("start", "b")
    assert states(here) == {"a": "stopped", "b": "running"}
    here.output("down")
    assert detach or run.wait() == 0


def test_the_status_is_that_of_those_that_were_to_start(here):
    here.write(component("a", STAY, "autostart = false") + component("b", "true"))
    assert here.up().wait() == 0


# Dependencies that are not required

OPTIONAL = 'depends_on = { cache = { condition = "ready", required = false } }'


def test_what_is_not_required_is_waited_for_if_it_starts(here):
    here.write(component("cache", "exec sleep 1000", "ready = { delay = 1 }") + component("web", "echo up", OPTIONAL))
    run = here.up("--can-end", "web")
    assert until((here.path / ".orchestrate" / "control.sock").exists)
    assert states(here) == {"cache": "starting", "web": "waiting"}
    run.wait_for(r"web +\| up")
    assert "starts without" not in run.text
    run.stop()


@pytest.mark.parametrize(
    ("cache", "words", "told"),
    [
        (component("cache", "exit 3", "ready = { delay = 5 }", 'on_exit = "ignore"'), [], "which exited with status 3"),
        (component("cache", STAY, "autostart = false"), [], "which does not run"),
        (component("cache", STAY), ["web"], ""),
        (component("cache", STAY, 'profiles = ["x"]'), [], ""),
        (
            component("seed", "exit 4", 'on_exit = "ignore"')
            + component("cache", STAY, 'depends_on = { seed = "succeeded" }'),
            [],
            "which does not run",
        ),
    ],
)
def test_it_starts_without_what_is_not_required_and_does_not_come(here, cache, words, told):
    here.write(cache + component("web", "echo up; exec sleep 1000", OPTIONAL))
    run = here.up(*words)
    run.wait_for(r"web +\| up")
    assert (f"web starts without cache, {told}" in run.text) == bool(told)
    run.stop()


def test_a_start_does_not_start_what_is_not_required(here):
    here.write(component("cache", STAY) + component("web", STAY, OPTIONAL))
    run = up(here)
    here.output("stop")
    here.output("start", "web")
    assert states(here) == {"cache": "stopped", "web": "running"}
    down(here, run)


# Initial steps

STEPS = (
    step("migrate", "echo >migrated", 'for = ["web"]')
    + step("always", "echo >always")
    + component("web", "echo up; exec sleep 1000")
    + component("docs", "echo up; exec sleep 1000")
)


@pytest.mark.parametrize(
    ("words", "ran"),
    [
        ([], {"migrated", "always"}),
        (["web"], {"migrated", "always"}),
        (["docs"], {"always"}),
        (["-x", "web"], {"always"}),
        (["--no-init"], set()),
        (["--no-init", "web"], set()),
    ],
)
def test_only_the_steps_that_are_needed_run(here, words, ran):
    run = here.write(STEPS).up(*words)
    run.wait_for(r"\| up$")
    assert {name for name in ("migrated", "always") if (here.path / name).exists()} == ran
    run.stop()


def test_a_component_whose_step_did_not_run_is_not_added(here):
    here.write(STEPS)
    run = up(here, "docs")
    told = here.output("start", "web", status=2)
    assert "web needs the initial step migrate, which did not run\nhint: name it at `up`" in told
    assert states(here) == {"docs": "running"}
    down(here, run)
    run = up(here, "docs", "--no-init")
    here.output("start", "web")
    down(here, run)


def test_mistakes(here):
    text = STEPS.replace('["web"]', '["wbe"]') + component("x", STAY, 'depends_on = { y = { condition = "ready" } }')
    told = here.write(text).output("check", status=2)
    assert "init.migrate.for: 'wbe' is not a component; did you mean 'web'?" in told


def test_config_shows_them_as_they_are_written(here):
    here.write(STEPS + component("cache", STAY, "autostart = false") + component("x", STAY, OPTIONAL))
    shown = here.output("config")
    assert 'for = ["web"]' in shown
    assert "autostart = false" in shown
    assert "required = false" in shown
    assert here.write(shown).output("config") == shown
