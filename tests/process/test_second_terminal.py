"""Commands from a second terminal, about a system that runs in the first."""

import json
import os
import re
import signal
import socket

import pytest
from definitions import STAY, Directory
from harness import pump, stat_of, tree, until

from orchestrator.model.control import StopRequest, decode_reply
from orchestrator.process.procfs import is_zombie
from orchestrator.runtime.unix_socket import short_path

NOT_RUNNING, USAGE, NOT_READY = 3, 2, 4

SYSTEM = f"""
[components.db]
command = '''{STAY}'''
[components.web]
command = '''{STAY}'''
depends_on = {{ db = "ready" }}
"""


class Place(Directory):
    """A directory with an orchestrate.toml, the system in it, and commands of a second terminal."""

    def up(self, text=SYSTEM, *words, ready=("db", "web")):
        run = self.write(text).run("up", "--color", "never", *words)
        assert until((self.path / ".orchestrate" / "control.sock").exists), str(run)
        run.wait_ready(*ready)
        return run

    def ask(self, *words, status=0):
        """Its output once it has ended: stdout, or where it failed the message."""
        run = self.run(*words)
        assert run.wait() == status, str(run)
        return run.err.decode() if status and not run.text else run.text

    def rows(self, *words, status=0):
        return {row["instance"]: row for row in map(json.loads, self.ask(*words, "--json", status=status).splitlines())}

    def states(self):
        return {name: row["state"] for name, row in self.rows("ps").items()}


@pytest.fixture
def here(tmp_path):
    return Place(tmp_path)


def down(here, run):
    here.ask("down")
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)


COMMANDS = [["ps"], ["stop"], ["restart"], ["kill"], ["signal", "HUP", "a"], ["send", "a", "b"], ["why"], ["events"],
            ["wait"], ["status"], ["down"]]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_if_nothing_runs_a_line_and_a_hint_say_so_with_status_3(here, words):
    line, hint = here.ask(*words, status=NOT_RUNNING).splitlines()
    assert line == f"orchestrate: no system is running in {here.path}"
    assert "orchestrate up" in hint


def test_ps_tells_state_pid_and_what_the_tree_uses(here):
    run = here.up()
    rows = here.rows("ps")
    assert {name: row["state"] for name, row in rows.items()} == {"db": "running", "web": "running"}
    for row in rows.values():
        assert str(row["pid"]) in "".join(line for _, line in run.guardians())
        assert row["memory"] > 100_000
        assert row["cpu"] >= 0
        assert row["started"] <= row["ready_since"]
    heads, *lines = here.ask("ps", "w*").splitlines()
    assert heads.split()[:5] == ["NAME", "STATE", "SINCE", "RESTARTS", "PID"]
    assert [line.split()[0] for line in lines] == ["web"]
    down(here, run)


def test_stop_ends_components_and_the_system_stays_until_down(here):
    run = here.up()
    assert here.ask("stop", "web") == "web stopped\n"
    assert here.states() == {"db": "running", "web": "stopped"}
    assert here.rows("ps")["web"]["last_exit"] == "killed by SIGTERM"
    here.ask("stop")
    assert here.states() == {"db": "stopped", "web": "stopped"}
    assert run.guardians() == []
    assert here.ask("stop") == "db stopped\nweb stopped\n"  # as docker compose has it: there is nothing to do
    down(here, run)
    assert not (here.path / ".orchestrate" / "control.sock").exists()


@pytest.mark.parametrize("code", [0, 7])
def test_what_somebody_has_stopped_was_not_stopped_for_the_end_of_another(code, here):
    job = f"until test -e go; do sleep 0.05; done; exit {code}"
    text = f"[components.db]\ncommand = '''{STAY}'''\n[components.job]\ncommand = 'echo ready; {job}'\n"
    run = here.up(text, ready=("db", "job"))
    here.ask("stop", "db")
    (here.path / "go").touch()
    assert run.wait() == code


def test_start_starts_what_is_needed_too_dependencies_first(here):
    run = here.up()
    here.ask("stop")
    before = len(run.text)
    here.ask("start", "web")
    assert set(here.states().values()) == {"running"}
    rows = here.rows("ps")
    assert rows["db"]["started"] < rows["web"]["started"]
    assert until(lambda: sorted(re.findall(r"^(\w+) +\| ready", run.text[before:], re.M)) == ["db", "web"])
    assert rows["web"]["restarts"] == 1
    down(here, run)


def test_start_of_what_runs_changes_nothing(here):
    run = here.up()
    before = here.rows("ps")
    here.ask("start")
    assert {n: r["pid"] for n, r in here.rows("ps").items()} == {n: r["pid"] for n, r in before.items()}
    down(here, run)


def test_restart_stops_in_reverse_and_overlaps_nothing(here):
    run = here.up()
    events = here.listening("events", "--json")
    pids = {name: row["pid"] for name, row in here.rows("ps").items()}
    here.ask("restart")
    rows = here.rows("ps")
    assert all(rows[name]["state"] == "running" and rows[name]["pid"] != pids[name] for name in pids)
    down(here, run)
    events.wait()
    seen = [(row.get("instance"), row["state"]) for row in map(json.loads, events.text.splitlines())]
    order = [seen.index((name, state)) for name, state in (
        ("web", "stopping"), ("web", "waiting"), ("db", "stopping"), ("db", "waiting"), ("db", "running"),
        ("web", "running"),
    )]  # fmt: skip
    assert order == sorted(order), seen
    assert seen[-1] == (None, "stopped")


def test_kill_asks_nobody_and_the_system_stays(here):
    run = here.up(f"[components.deaf]\ncommand = '''{tree('deaf')}'''\nstop = {{ timeout = 60 }}\n", ready=["deaf"])
    here.ask("kill", "deaf")
    assert here.rows("ps")["deaf"]["last_exit"] == "killed by SIGKILL"
    down(here, run)


def test_contradictory_requests_get_true_answers(here):
    system = SYSTEM + f"[components.deaf]\ncommand = '''{tree('deaf')}'''\nstop = {{ timeout = 8 }}\n"
    run = here.up(system, ready=["db", "web", "deaf"])
    stop = here.listening("stop", "deaf")
    start = here.listening("start", "deaf")  # a stop is under way: it becomes a restart
    assert here.states()["deaf"] == "stopping"
    here.ask("kill", "deaf")  # the last word
    assert (stop.wait(), start.wait()) == (0, 1)
    assert "a stop was requested meanwhile" in start.err.decode()
    assert here.states()["deaf"] == "stopped"

    here.ask("start", "deaf")
    stop, start = here.listening("stop", "deaf"), here.listening("start", "deaf")
    pid = here.rows("ps")["deaf"]["pid"]
    run_of = {name: row["guardian"] for name, row in here.rows("ps").items()}
    assert run_of["deaf"]
    here.run("signal", "KILL", "deaf").wait()
    assert (stop.wait(), start.wait()) == (0, 0)
    assert here.rows("ps")["deaf"]["pid"] not in (pid, None)
    here.ask("kill", "deaf")
    down(here, run)


def test_a_stop_takes_back_a_start_that_waits_for_what_it_needs(here):
    slow = SYSTEM.replace(f"command = '''{STAY}'''", "command = 'exec sleep 1000'\nready = { log = 'never' }", 1)
    run = here.up(slow, ready=[])
    assert "web is waiting for db ready" in here.ask("why", "web")
    assert "no line yet that matches 'never'" in here.ask("why", "db")
    start = here.listening("start", "web")
    here.ask("stop", "web")
    assert start.wait() == 1
    assert "a stop was requested meanwhile" in start.err.decode()
    assert "web is stopped, as requested; it was never started" in here.ask("why", "web")
    down(here, run)


def test_a_client_during_an_initial_step_gets_a_true_answer(here):
    run = here.up("[init.migrate]\ncommand = 'echo ready; exec sleep 1000'\n" + SYSTEM, ready=["migrate"])
    assert json.loads(here.ask("status", "--json"))["step"] == "migrate"
    assert "migrate" in here.ask("ps")
    for verb in ("start", "stop", "restart", "kill"):
        assert "before the initial step migrate has succeeded" in here.ask(verb, "web", status=USAGE)
    waiting = here.listening("wait", "--ready")
    here.ask("down")
    assert waiting.wait() == 1
    assert "the system ended first" in waiting.err.decode()
    assert run.wait() == 0


def test_a_client_during_the_stop_gets_a_true_answer(here):
    run = here.up(f"[components.deaf]\ncommand = '''{tree('deaf')}'''\nstop = {{ timeout = 60 }}\n", ready=["deaf"])
    first, second = here.listening("down"), here.listening("down")
    assert here.ask("status").startswith("stopping")
    assert "is being stopped" in here.ask("start", "deaf", status=1)
    stop = here.listening("stop", "deaf")
    here.ask("kill", "deaf")
    assert [one.wait() for one in (first, second, stop)] == [0, 0, 0]
    assert run.wait() == 0


def test_why_is_a_sentence_however_it_ended(here):
    lost = '[components.lost]\ncommand = ["./gone"]\non_exit = "ignore"\ndepends_on = { seed = "completed" }\n'
    seed = '[components.seed]\ncommand = "kill -KILL $$"\non_exit = "ignore"\n'
    run = here.up(SYSTEM + seed + lost)
    run.wait_for(r"lost did not start: .*")
    assert re.search(r"^seed failed at .*: it was killed by SIGKILL after \d\.\d s", here.ask("why", "seed"), re.M)
    why = here.ask("why", "lost")
    assert re.search(r"^lost failed at \S+: it did not start: command not found: ./gone$", why, re.M), why
    here.ask("stop", "web")
    why = here.ask("why", "web")
    assert re.search(r"^web stopped at \S+ because 'orchestrate stop web' was run by \S+ \(pid \d+\)$", why, re.M), why
    down(here, run)


def test_who_asks_a_system_that_stands_still_is_told_why_no_answer_comes(here):
    """After Ctrl-Z in its terminal, for example. Nothing is lost: the answer comes when it goes on."""
    run = here.up()
    run.signal(signal.SIGSTOP)
    assert until(lambda: stat_of(run.pid)[1] == "T")
    asked = [here.run(*words) for words in (["ps"], ["attach"], ["down"])]
    for one in asked:
        one.wait_for(
            rf"^orchestrate: the system is suspended \(pid {run.pid}\), as after Ctrl-Z, .* kill -CONT {run.pid}$"
        )
    run.signal(signal.SIGCONT)
    assert run.wait() == 0
    assert [one.wait() for one in asked] == [0, 0, 0]


def test_down_returns_when_the_supervisor_has_gone(here):
    run = here.up()
    asked = here.run("down")
    assert (asked.wait(), run.wait()) == (0, 0)
    assert run.exited_at <= asked.exited_at + 0.05  # two reapers report: the order of two reports may be a little off
    here.up().stop()  # the home is free at once


def test_wait_ready_and_exit(here):
    job = "[components.job]\ncommand = 'echo ready; read x; exit $x'\non_exit = 'ignore'\n"
    run = here.up(SYSTEM + job, ready=["db", "web", "job"])
    here.ask("wait")
    assert "no exit within 0 s" in here.ask("wait", "--exit", "web", "--timeout", "0", status=NOT_READY)
    ending = here.listening("wait", "--exit", "job")
    here.ask("send", "job", r"7\r")
    assert ending.wait() == 7
    assert "job exited with status 7" in here.ask("wait", "--ready", status=1)
    why = here.ask("why", "job")
    assert re.search(r"^job failed at \S+: it exited with status 7", why)
    assert "    ready" in why
    whole = here.listening("wait", "--exit")
    down(here, run)
    assert whole.wait() == 0


def test_ctrl_c_ends_only_the_client(here):
    run = here.up()
    for words in (["wait", "--exit"], ["events"]):
        client = here.listening(*words)
        client.signal(signal.SIGINT)
        assert client.wait() == -signal.SIGINT
    assert set(here.states().values()) == {"running"}
    down(here, run)


def test_a_signal_reaches_the_component_and_a_wrong_one_nobody(here):
    system = "[components.web]\ncommand = '''trap \"echo heard\" USR1; echo ready; while :; do sleep 1; done'''\n"
    run = here.up(system, ready=["web"])
    here.ask("signal", "USR1", "web")
    run.wait_for(r"^web +\| heard")
    assert "not a signal" in here.ask("signal", "USR9", "web", status=USAGE)
    assert "unknown component 'wbe'\nhint: there are: web" in here.ask("stop", "wbe", status=USAGE)
    down(here, run)


def test_start_without_a_running_instance_starts_only_what_is_named(here):
    (here.path / "Procfile").write_text(f"web: {STAY}\nother: {STAY}\n")
    run = here.run("start", "--color", "never", "web")
    run.wait_ready("web")
    assert here.states() == {"web": "running"}
    down(here, run)


def test_a_restart_that_somebody_waits_for_survives_a_failing_command(here):
    system = (
        "[components.frail]\ncommand = '''test ! -e gone || exit 5; echo ready; exec sleep 1000'''\non_exit='ignore'\n"
    )
    run = here.up(system + SYSTEM, ready=["frail", "db", "web"])
    (here.path / "gone").touch()
    here.ask("restart", "frail")  # it was started, as was asked for
    assert here.ask("wait", "--exit", "frail", status=5) == ""
    assert pump(lambda: "exited with status 5" in run.text, 10)
    down(here, run)


ONE_SHOT = """
[components.db]
command = 'echo db >>order; exec sleep 1000'
ready = { delay = 0.2 }
[components.migrate]
command = 'echo migrate >>order'
depends_on = { db = "ready" }
[components.web]
command = 'echo web >>order; echo ready; exec sleep 1000'
depends_on = { migrate = "succeeded" }
"""


@pytest.mark.parametrize(
    ("requests", "again"),
    [
        ("stop; start", "db migrate web"),
        ("stop; start web", "db migrate web"),
        ("stop db web; start web", "db migrate web"),  # the database may be another one now
        ("stop migrate web; start web", "migrate web"),
        ("restart", "db migrate web"),
        ("restart web", "web"),
        ("stop web; start web", "web"),
        ("restart migrate web", "migrate web"),
    ],
)
def test_what_is_started_again_has_not_succeeded_yet(here, requests, again):
    run = here.up(ONE_SHOT, ready=["web"])
    order = here.path / "order"
    assert order.read_text().split() == ["db", "migrate", "web"]
    order.write_text("")
    for request in requests.split(";"):
        here.ask(*request.split())
    here.ask("wait", "--ready", "web")
    assert order.read_text().split() == again.split()
    down(here, run)


def test_a_start_waits_for_nothing_that_cannot_happen(here):
    system = """
    [components.migrate]
    command = 'test ! -e bad'
    on_exit = "ignore"
    [components.other]
    command = 'exec sleep 1000'
    [components.web]
    command = 'echo ready; exec sleep 1000'
    depends_on = { migrate = "succeeded" }
    """
    run = here.up(system, ready=["web"])
    here.ask("stop")
    (here.path / "bad").touch()
    told = here.ask("start", "web", status=1)
    assert "web is not started: it needs migrate succeeded, which exited with status 1" in told
    assert "web is not started" in here.ask("wait", "--ready", "web", status=1)
    (here.path / "bad").unlink()
    here.ask("start", "web")
    assert here.states()["web"] == "running"
    down(here, run)


def test_events_of_one_component_only(here):
    run = here.up()
    events = here.listening("events", "web")
    here.ask("restart", "db")
    here.ask("stop", "web")
    down(here, run)
    assert events.wait() == 0
    assert {line.split()[1] for line in events.text.splitlines()} == {"web", "the"}


def test_events_say_why_one_ended_and_not_an_exit_that_was_none(here):
    """A component that fails its liveness probe is stopped: it was killed by SIGTERM, and has exited with no status."""
    alive = 'alive = { exec = "test ! -e dead", interval = 0.02, retries = 1 }'
    run = here.up(f"[components.web]\ncommand = '''{STAY}'''\n{alive}\nrestart = {{ backoff = [0, 0] }}", ready=["web"])
    events = here.listening("events")
    (here.path / "dead").touch()
    assert pump(
        lambda: re.search(r"web stopping → restarting \(failed its liveness probe once: `test ! -e dead`", events.text),
        10,
    )
    (here.path / "dead").unlink()
    down(here, run)


@pytest.mark.parametrize("first", ["the request", "the death"])
def test_a_stop_that_a_killed_guardian_did_not_read_reaches_its_tree(first, here):
    """Both happen while the supervisor stands still. Its grace period of 600 s is never waited for."""
    text = (
        "[components.web]\ncommand = 'echo ready; exec sleep 1000'\nstop = { timeout = 600 }\n"
        "[components.other]\ncommand = 'echo ready; exec sleep 1001'\n"
    )
    run = here.up(text, "--on-exit", "ignore", ready=("web", "other"))
    guardian = run.guardian_of("sleep 1000")
    with socket.socket(socket.AF_UNIX) as client, short_path(here.path / ".orchestrate" / "control.sock") as name:
        client.connect(name)
        here.ask("ps")  # whose connection came later: the supervisor has accepted both
        run.signal(signal.SIGSTOP)
        if first == "the death":
            os.kill(guardian, signal.SIGKILL)
        client.sendall(StopRequest(("web",)).encode())
        if first == "the request":
            os.kill(guardian, signal.SIGKILL)
        assert until(lambda: is_zombie(guardian))
        run.signal(signal.SIGCONT)
        client.settimeout(30)
        reply = decode_reply(client.makefile("rb").readline())
    assert reply.ok, reply
    run.wait_for("web stopped")
    run.stop()
