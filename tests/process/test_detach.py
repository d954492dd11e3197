"""`up -d`, and what becomes of a system whose terminal goes."""

import os
import signal

import pytest
from definitions import STAY, Directory
from harness import Run, command_under_test, environment, until


class Place(Directory):
    def ask(self, *words, status=0):
        run = self.run(*words)
        assert run.wait() == status, str(run)
        return run.messages


@pytest.fixture
def here(tmp_path):
    return Place(tmp_path)


def test_detached_it_stands_without_the_terminal_until_down(here):
    (here.path / "Procfile").write_text(f"web: {STAY}\n")
    up = here.run("up", "-d", terminal=True)
    assert up.wait() == 0
    assert here.ask("status").startswith("running")
    up.close_fd(up.terminal_fd)  # the terminal goes: no hang-up reaches it
    assert "web" in here.ask("ps")
    assert "ready" in (here.path / ".orchestrate" / "logs" / "web.log").read_text()
    assert here.ask("start").startswith("web is already running (pid ")
    here.ask("stop")
    assert "cannot send SIGHUP: web is not running" in here.ask("signal", "HUP", "web", status=1)
    assert here.ask("kill").strip() == "web was not running"
    assert here.ask("start").startswith("web started (pid ")
    assert here.ask("kill").strip() == "web killed"
    here.ask("down")
    assert up.survivors(1) == []


def test_with_ui_it_reports_that_the_view_is_not_opened(here):
    here.write(f"[components.web]\ncommand = '{STAY}'\n")
    said = here.ask("up", "-d", "--ui")
    assert "orchestrate: the view is not opened with -d; open it with: orchestrate ui\n" in said
    assert "merged stream" not in said
    here.ask("down")


def test_a_failure_at_the_start_reaches_the_terminal_with_the_last_words_and_the_status(here):
    (here.path / "Procfile").write_text(f"web: {STAY}\nbad: echo my last words; exit 4\n")
    up = here.run("up", "-d")
    assert up.wait() == 4
    said = up.err.decode()
    assert "bad exited with status 4" in said
    assert "my last words" in said
    assert up.survivors(1) == []
    here.ask("status", status=3)


RESTARTED = "command = 'exit 7'\nrestart = { policy = 'always', max = %s, backoff = [0.1, 0.1] }\n"
ALWAYS = RESTARTED % "'unlimited'"


def test_a_component_that_restarts_again_and_again_does_not_hold_it_up(here):
    here.write(f"[components.web]\ncommand = '{STAY}'\n[components.bad]\n{ALWAYS}")
    here.ask("up", "-d")
    here.ask("down")


def test_it_does_not_wait_for_what_has_failed_for_good(here):
    here.write(
        f"[components.db]\ncommand = '{STAY}'\n"
        f"[components.web]\ncommand = '{STAY}'\ndepends_on = {{ bad = 'ready' }}\n"
        f"[components.bad]\nready = {{ log = 'up' }}\n{RESTARTED % 2}"
    )
    said = here.ask("up", "-d", "--wait", status=1)
    assert "cannot become ready: web is not started: it needs bad ready, which exited with status 7" in said
    assert "; the system keeps running\nhint: see `orchestrate why`" in said
    assert "web is not started" in here.ask("wait", "--exit", "web", status=1)
    here.ask("down")


def test_a_home_that_is_held_and_a_wrong_definition_are_told(here):
    (here.path / "Procfile").write_text(f"web: {STAY}\n")
    assert here.run("up", "-d").wait() == 0
    assert "another orchestrate holds" in here.ask("up", "-d", status=75)
    here.ask("down")
    (here.path / "Procfile").write_text("what is this\n")
    assert "Procfile:1" in here.ask("up", "-d", status=2)


def test_an_interrupt_while_it_starts_takes_the_start_back(here):
    (here.path / "orchestrate.toml").write_text(
        "[init.slow]\ncommand = 'exec sleep 1000'\n[components.web]\ncommand = 'x'\n"
    )
    up = here.run("up", "-d")
    assert until((here.path / ".orchestrate" / "control.sock").exists)
    here.ask("status")
    up.signal(signal.SIGINT)
    assert up.wait() == -signal.SIGINT
    assert up.survivors(3) == []


@pytest.mark.parametrize("words", [["--on-hangup", "detach"], []], ids=["detach", "stop"])
def test_a_terminal_that_goes(here, words):
    (here.path / "Procfile").write_text(f"web: {STAY}\n")
    up = here.run("up", "--color", "never", *words, terminal=True)
    up.wait_ready("web")
    up.close_fd(up.terminal_fd)
    if words:
        here.ask("send", "web", r"typed\r")  # its echo is written to a terminal that is gone
        assert "web" in here.ask("ps")
        here.ask("down")
        assert (up.wait(), up.survivors(1)) == (0, [])
    else:
        assert (up.wait(), up.survivors(1)) == (-signal.SIGHUP, [])


def test_with_on_hangup_detach_a_reader_that_goes_does_not_matter_either(here):
    (here.path / "Procfile").write_text(f"web: {STAY}\n")
    up = here.run("up", "--on-hangup", "detach")
    up.wait_ready("web")
    up.close_fd(up.out_fd)
    here.ask("restart", "web")  # which is told, into a closed pipe
    here.ask("down")
    assert up.wait() == 0


def test_nohup_is_understood(here):
    (here.path / "Procfile").write_text(f"web: {STAY}\n")
    up = Run(["nohup", *command_under_test(), "up"], cwd=here.path, env=environment())
    up.wait_ready("web")
    os.kill(up.pid, signal.SIGHUP)
    assert here.ask("status").startswith("running")
    here.ask("down")
    assert up.wait() == 0
