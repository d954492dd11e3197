"""The record of a start, written by a real system: `why` during and after it, and whatever befalls the files."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from definitions import STAY, Directory, component
from harness import until

from orchestrator.control import reports
from orchestrator.history import record, start_times
from orchestrator.history.record import RecordKind
from orchestrator.history.recorder import Recorder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

CRASHING = component(
    "db",
    "echo ready; until test -e die; do sleep 0.05; done; rm die; echo 'no space'; exit 3",
    'ready = { log = "ready" }',
    'restart = { policy = "on-failure", backoff = [0.1, 1] }',
) + component("web", STAY, 'depends_on = { db = { condition = "ready", restart = true } }')


class Place(Directory):
    @property
    def history(self):
        return self.path / ".orchestrate" / "history"

    def begin(self, text, *ready):
        run = self.write(text).up()
        run.wait_ready(*ready)
        return run

    def events(self, start=1):
        return record.read(self.history, start).events

    def crash(self, run):
        (self.path / "die").touch()
        run.wait_for(r"(?s)^web +\| ready.*^web +\| ready")

    def why(self, *words, status=0):
        return self.output("why", *words, status=status)


@pytest.fixture
def here(tmp_path):
    return Place(tmp_path)


def test_the_last_output_keeps_its_indentation():
    recent = b"Traceback (most recent call last):\r\n  File x\r\n    \x1b[31my()\x1b[m\r\n"
    assert reports.last_lines(recent) == ["Traceback (most recent call last):", "  File x", "    y()"]


def test_after_a_crash_and_restart_why_names_the_dependency(here):
    run = here.begin(CRASHING, "db", "web")
    assert "desired state" in here.why()
    here.crash(run)
    expected = (
        r"web restarted at \S+ because db restarted \(depends_on, restart = true\)\n"
        r"db restarted at \S+ because it exited with status 3 at \S+ after \d+\.\d s\n"
        r"db's last output before that:\n    ready\n    no space\n"
    )
    assert re.search(r"\Aweb is running; it was restarted once.*\n" + expected, here.why("web")), here.why("web")
    assert re.search(r"^web is running", here.why(), re.M)  # nobody requested that restart
    (row,) = map(json.loads, here.why("web", "--json").splitlines())
    assert [step["text"].split()[0] for step in row["chain"]] == ["web", "db", "db's"]
    assert row["chain"][2]["lines"] == ["ready", "no space"]
    run.stop()
    (past,) = map(json.loads, here.why("web", "--json").splitlines())
    assert past.keys() == {*row, "start"}
    after = here.why("web", "--start", "-1")
    expected = (
        r"web stopped at \S+ because the system stopped\n"
        r"the system stopped at \S+ because the supervisor received SIGTERM "
        rf"from '.+' of \S+ \(pid {os.getpid()}\b.*\)\n"
    )
    assert re.fullmatch(expected, after), after


def test_a_restart_names_the_user_the_process_and_the_terminal(here):
    run = here.begin(CRASHING, "db", "web")
    asked = here.run("restart", "db", terminal=True, env={"TMUX_PANE": "%42"})
    assert asked.wait() == 0
    why = here.why("web")
    who = rf"by \S+ \(pid {asked.pid}, pts/\d+, tmux pane %42\)"
    line = rf"^db restarted at \S+ because 'orchestrate restart db' was run {who}$"
    assert re.search(line, why, re.M), why
    assert "desired state" in here.why()  # it was requested
    run.stop()


def test_a_scale_during_a_restart_is_not_its_cause(here):
    slow = "trap 'until test -e go; do sleep 0.05; done; exit' TERM; echo ready; while :; do sleep 0.05; done"
    run = here.begin(component("web", slow, 'ready = { log = "ready" }'), "web")
    restart = here.listening("restart", "web")
    run.wait_for("restarting web")
    scale = here.listening("scale", "web=2")
    run.wait_for("scaling web to 2")
    (here.path / "go").touch()
    assert (restart.wait(), scale.wait()) == (0, 0)
    assert re.search(r"^web\.1 restarted at \S+ because 'orchestrate restart web' was run", here.why("web.1"), re.M)
    run.stop()


def test_a_signal_that_was_requested_is_no_riddle(here):
    run = here.begin(CRASHING, "db", "web")
    here.output("signal", "KILL", "db")
    run.wait_for(r"(?s)^web +\| ready.*^web +\| ready")
    assert re.search(r"^db restarted at \S+ because 'orchestrate signal KILL db' was run by ", here.why("web"), re.M)
    os.kill(json.loads(here.output("ps", "db", "--json"))["pid"], signal.SIGKILL)
    unknown = r"^db restarted at \S+ because it was killed by SIGKILL at .* \(orchestrate did not send that signal\)$"
    assert until(lambda: re.search(unknown, here.why("db"), re.M))
    run.wait_for(r"(?s)(^web +\| ready.*){3}")
    why = here.why()
    assert why.count("\ndb restarted at ") == 1, why  # two chains join there
    run.stop()


def test_what_is_typed_is_not_recorded(here):
    run = here.begin(CRASHING, "db", "web")
    here.output("send", "web", "hunter2")
    run.stop()
    assert [e.verb for e in here.events() if e.kind is RecordKind.REQUEST] == ["send"]
    assert b"hunter2" not in record.path_of(here.history, 1).read_bytes()


def test_no_secret_gets_into_the_record(here):
    """What is printed, what a probe answers, and the command lines of those who ask."""
    text = component(
        "web",
        "echo token $API_TOKEN; exec sleep 1000",
        'alive = { exec = "test -e alive || ! echo it is $API_TOKEN", interval = 0.05, retries = 1 }',
        "restart = { max = 2, backoff = [0, 0] }",
    )
    (here.path / "alive").touch()
    run = here.write(text, dot_env="API_TOKEN=hunter2hunter2\n").up()
    run.wait_for("token hunter2hunter2")
    (here.path / "alive").unlink()
    run.wait_for(r"it is hunter2hunter2")
    (here.path / "alive").touch()
    run.wait_for(r"(?s)web is running again")
    sender = "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGTERM)"
    words = ["hunter2hunter2", "--password", "swordfish", "--api-key=swordfish", "http://me:swordfish@host/"]
    subprocess.run([sys.executable, "-c", sender, str(run.pid), *words], check=True)
    run.wait()
    data = record.path_of(here.history, 1).read_bytes()
    assert b"hunter2" not in data
    assert b"swordfish" not in data
    assert data.count(b"it is ********") > 1
    assert re.search(r"from '.*\*{8} --password \*{8} --api-key=\*{8} http://me:\*{8}@host/'", here.why())


def test_after_the_end_why_answers_from_the_record_also_of_an_earlier_start(here):
    run = here.begin(component("web", "echo ready; read x; echo out of memory; exit 7"), "web")
    here.output("send", "web", r"\r")
    assert run.wait() == 7
    why = here.why()
    expected = (
        r"the system exited with status 7 at \S+ after .*\n"
        r"the system stopped at \S+ because web exited with status 7 at .*\n"
        r"web's last output before that:\n(    .*\n)*    out of memory\n"
    )
    assert re.fullmatch(expected, why), why
    second = here.begin(component("other", STAY), "other")
    second.stop()
    assert "received SIGTERM" in here.why()
    assert re.search(r"^web failed at \S+: it exited with status 7", here.why("web", "--start", "-2"))
    assert here.why("web", "--start", "1") == here.why("web", "--start", "-2")
    assert "expected -1 to -2" in here.why("--start", "-3", status=2)
    assert "unknown component 'web' in the record of start 2\nhint: there are: other" in here.why("web", status=2)
    heads, *lines = here.output("ps", "--all").splitlines()
    assert heads.split()[:2] == ["NAME", "STATE"]
    assert [line.split()[:2] for line in lines] == [["other", "stopped"]]
    assert here.run("ps").wait() == 3


def test_last_exit_of_the_previous_run(here):
    run = here.begin(CRASHING, "db", "web")
    here.crash(run)
    (db,) = (row for row in map(json.loads, here.output("ps", "--json").splitlines()) if row["instance"] == "db")
    assert (db["state"], db["last_exit"]) == ("ready", "exited with status 3")
    run.stop()


# Faults


def is_answered(here, *names):
    """All commands that read the record give an answer in lines."""
    for words in (["why"], ["why", "--json"], ["ps", "--all"], *(["why", name] for name in names)):
        run = here.run(*words)
        assert run.wait() == 0, str(run)
        assert run.text.strip(), str(run)
        assert "Traceback" not in run.messages


@pytest.mark.parametrize("who", ["supervisor", "guardians", "both"])
def test_a_sigkill_loses_nothing_that_happened_before(who, here):
    run = here.begin(CRASHING + "stop = { timeout = 600 }\n", "db", "web")  # no grace period has to pass
    here.crash(run)
    if who == "supervisor":
        run.signal(signal.SIGKILL)
        run.wait()
    elif who == "both":
        run.kill_with_guardians()
    else:
        for pid, _ in run.guardians():
            os.kill(pid, signal.SIGKILL)
        run.wait_for(r"lost its guardian")
        assert until(lambda: re.search(r"^db restarted at \S+ because it lost its guardian$", here.why("db"), re.M))
        run.stop()
    assert run.survivors(20) == [] if who != "both" else True
    is_answered(here, "web", "db")
    if who != "guardians":
        assert "db restarted" in here.why("web")
        assert "the supervisor was killed after" in here.why()
        assert "\nhow web ended is not recorded: the supervisor was killed after " in here.why("web")
    run.end()


def test_a_clock_that_is_set_back_reorders_nothing(here, tmp_path):
    times = iter([5000.0, 5001.0, 1400.0, 1401.0])
    directory = tmp_path / ".orchestrate" / "history"
    directory.mkdir(parents=True)
    recorder = Recorder(directory, {}, pytest.fail, now=lambda: next(times), uptime=lambda: 0.0)
    for phase, before in (("starting", "down"), ("ready", "starting")):
        recorder.append(RecordKind.CHANGE, instance="web", phase=phase, before=before, state=phase, run=1)
    recorder.append(RecordKind.END, reason="with status 0")
    recorder.close()
    assert [e.kind.value for e in here.events()] == ["start", "change", "change", "end"]
    is_answered(here, "web")


def test_two_starts_in_one_second_have_two_records(tmp_path):
    for _ in range(2):
        Recorder(tmp_path, {}, pytest.fail, now=lambda: 1000.0).close()
    assert record.numbers(tmp_path) == [1, 2]


def test_only_so_many_starts_and_bytes_are_kept(tmp_path):
    for _ in range(5):
        recorder = Recorder(tmp_path, {"title": "T"}, pytest.fail, starts=3, size=20_000)
        for number in range(500):
            recorder.append(RecordKind.CHANGE, instance=f"web.{number % 2}", phase="ready", state="ready", run=number)
        recorder.append(RecordKind.STOP, reason="enough")
        recorder.close()
    assert record.numbers(tmp_path) == [3, 4, 5]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * 20_000
    found = record.read(tmp_path, 5)
    assert (found.facts["title"], found.skipped) == ("T", 0)
    assert [e.run for e in found.events if e.kind is RecordKind.CHANGE][-2:] == [498, 499]


def test_a_record_that_lost_its_older_half_knows_how_the_system_started(tmp_path):
    recorder = Recorder(tmp_path, {"format": 1, "components": [{"name": "db"}, {"name": "web"}]}, print, size=8000)
    clock = iter(range(1000))
    recorder._uptime, recorder._began = lambda: float(next(clock)), 0.0
    for run in range(1, 100):
        for name in ("db", "web") if run == 1 else ("db",):
            for phase, before in (("starting", "down"), ("up", "starting"), ("ready", "up"), ("down", "ready")):
                recorder.append(RecordKind.CHANGE, instance=name, run=run, phase=phase, before=before, exit="x")
    found = record.read(tmp_path, 1)
    assert len(found.events) < 200
    db, web = start_times.of_record(found)
    assert (db.started, db.up, db.ready, db.ended) == (0.0, 1.0, 2.0, 3.0)
    assert (web.started, web.ready) == (4.0, 6.0)


def test_a_full_disk_loses_events_and_says_how_many(tmp_path):
    """/dev/full refuses each write (null(4)); the file replaces it once there is space."""
    lost = []
    recorder = Recorder(tmp_path, {}, lost.append)
    file_fd, full_fd = recorder._fd, os.open("/dev/full", os.O_WRONLY)
    recorder._fd = full_fd
    recorder.append(RecordKind.READY)
    recorder.append(RecordKind.READY)
    recorder._fd = file_fd
    os.close(full_fd)
    recorder.append(RecordKind.STOP)
    recorder.close()
    assert [(e.kind, e.count) for e in record.read(tmp_path, 1).events] == [
        (RecordKind.START, 0), (RecordKind.GAP, 2), (RecordKind.STOP, 0)
    ]  # fmt: skip
    assert len(lost) == 1
    assert "no space left on device" in lost[0]


def test_an_outline_has_all_but_changes_and_probes_and_the_last_lines(tmp_path):
    recorder = Recorder(tmp_path, {}, lost=print)
    for number in range(20):
        recorder.append(RecordKind.CHANGE, instance="web", lines=('"kind":"end"', str(number)))
        recorder.append(RecordKind.REQUEST, verb='"kind":"change"')
    recorder.append(RecordKind.END, reason="with status 0")
    recorder.close()
    whole, outline = record.read(tmp_path, 1), record.read_outline(tmp_path, 1)
    kept = [event for event in whole.events if event.kind is not RecordKind.CHANGE or event.number == 40]
    assert list(outline.events) == kept


def test_a_line_that_is_cut_off_takes_no_other_with_it(tmp_path, monkeypatch):
    """A disk that fills up takes the beginning of a line."""
    lost = []
    recorder = Recorder(tmp_path, {}, lost.append)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:9]))
        recorder.append(RecordKind.READY)
    recorder.append(RecordKind.STOP)
    recorder.close()
    found = record.read(tmp_path, 1)
    assert ([e.kind for e in found.events], found.skipped) == ([RecordKind.START, RecordKind.GAP, RecordKind.STOP], 1)
    assert len(lost) == 1


@pytest.mark.parametrize("make", [lambda path: path.write_text(""), lambda path: path.symlink_to("/nowhere")])
def test_a_directory_that_cannot_be_used_costs_the_record_alone(make, here):
    (here.path / ".orchestrate").mkdir(mode=0o700)
    make(here.history)
    run = here.begin(component("web", STAY), "web")
    run.wait_for(r"cannot record what happens: .*$")
    assert here.why("web").startswith("web is ready") or here.why("web").startswith("web is running")
    run.stop()


def test_a_read_only_home_costs_the_record_alone(here):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = here.path / "mount"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system")
    try:
        there = Place(place)
        run = there.begin(re.sub(r"\bdie\b", f"{here.path}/die", CRASHING), "db", "web")
        size = record.path_of(there.history, 1).stat().st_size
        bind = ["mount", "--bind", str(there.history), str(there.history)]
        subprocess.run(bind, check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(there.history)], check=True)
        (here.path / "die").touch()
        run.wait_for(r"(?s)^web +\| ready.*^web +\| ready")
        is_answered(there, "web")
        run.stop()
        assert record.path_of(there.history, 1).stat().st_size >= size
    finally:
        subprocess.run(["umount", "-R", "-l", str(place)], check=True)


def test_a_removed_socket_is_no_killed_supervisor(here):
    run = here.begin(component("web", STAY), "web")
    assert here.why("--start", "-1") == "the system is running\n"
    (here.path / ".orchestrate" / "control.sock").unlink()
    pid = rf"\(pid {run.pid}\)"
    line = rf"the system is running {pid}, but its control socket was removed.*; `kill {run.pid}` stops it\n"
    assert re.fullmatch(line, here.why())
    assert f" running without its control socket (pid {run.pid}) " in here.output("history")
    assert re.search("^web +running ", here.output("ps", "-a"), re.M)
    run.kill_with_guardians()
    run.end()
    assert here.why().startswith("the system did not exit cleanly: the supervisor was killed after ")


@pytest.mark.parametrize("what", ["control.sock", "."])
def test_commands_that_cannot_reach_a_running_system_say_so_and_down_stops_it(what, here):
    run = here.begin(component("web", STAY), "web")
    pid, path = run.pid, here.path / ".orchestrate" / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    cannot = f"cannot reach the system in {here.path} (pid {pid}): its control socket was removed"
    for words in (("status",), ("ps",), ("start",), ("wait",)):
        said = here.output(*words, status=1)
        assert said == f"orchestrate: {cannot}\nhint: run `orchestrate down` or `kill {pid}` to stop it\n"
    held = f"cannot start: another orchestrate holds {here.path} (pid {pid}), whose control socket was removed"
    assert held in here.output("up", status=75)
    rows = [json.loads(line) for line in here.output("ls", "--json").splitlines()]
    (row,) = (row for row in rows if row["home"] == str(here.path))
    assert (row["pid"], row["state"]) == (pid, None)
    down = here.run("down")
    assert (down.wait(), down.err.decode()) == (0, f"orchestrate: {cannot}; sending SIGTERM to it\n")
    assert (run.wait(), run.survivors(2)) == (-signal.SIGTERM, [])
    assert "no system is running in" in here.output("status", status=3)


def test_a_home_copied_elsewhere_and_damaged_still_answers(here, tmp_path_factory):
    run = here.begin(CRASHING, "db", "web")
    here.crash(run)
    run.kill_with_guardians()
    run.end()
    there = Place(tmp_path_factory.mktemp("copy") / "home")
    shutil.copytree(here.path, there.path, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
    is_answered(there, "web")
    path = record.path_of(there.history, 1)
    whole = path.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        b"\0" * 512 + whole[700:],
        b"",
        b"garbage\n",
        whole[: whole.index(b"\n") - 9],
    ):
        path.write_bytes(content)
        run = there.run("why")
        assert run.wait() == 0, str(run)
        is_known = b'"kind":"change"' in content
        assert ("nothing is known of start 1" in run.text) is not is_known
        assert ("record is empty or damaged" in there.output("history")) is not is_known
    path.write_bytes(b'{"number":1,"kind":"start","facts":{"format":99}}\n')
    expected = r"orchestrate: cannot read \S+: a newer orchestrate wrote it \(format 99, expected 1\)\nhint: [^\n]*\n"
    assert re.search(expected, there.why(status=1))


@pytest.mark.parametrize("facts", ['{"format":0}', '{"format":99}', '{"format":"1"}', "{}", "7"])
def test_a_record_of_another_version_is_refused_in_one_line(facts, here):
    here.history.mkdir(parents=True)
    (here.path / "orchestrate.toml").write_text(component("web", STAY))
    record.path_of(here.history, 1).write_text(f'{{"number":1,"kind":"start","facts":{facts}}}\n')
    for words in (["why"], ["why", "web"], ["ps", "--all"], ["graph", "--times"], ["history", "--diff"]):
        run = here.run(*words)
        assert run.wait() == 1, str(run)
        assert re.search(r"^orchestrate: cannot read \S+: an? (newer|older) orchestrate wrote it", run.messages, re.M)
        assert "Traceback" not in run.messages
    assert "orchestrate wrote it" in here.output("history")


def test_a_cleaned_home_gets_its_record_again(here):
    run = here.begin(CRASHING, "db", "web")
    shutil.rmtree(here.history)
    here.crash(run)
    run.stop()
    assert "db" in {e.instance for e in here.events()}


def test_nothing_is_written_for_output_or_while_idle(here):
    run = here.begin(component("web", f"echo ready; read x; seq 20000; {STAY}"), "web")
    size = record.path_of(here.history, 1).stat().st_size
    here.output("send", "web", r"\r")
    run.wait_for(r"\| 20000$")
    assert here.output("ps") != ""
    grown = [e.kind for e in here.events() if e.kind not in (RecordKind.START, RecordKind.CHANGE, RecordKind.READY)]
    assert grown == [RecordKind.REQUEST]
    assert record.path_of(here.history, 1).stat().st_size < size + 1000
    run.stop()


def test_no_history_is_kept_if_none_is_wanted(here):
    run = here.write(component("web", STAY)).up("--history", "0")
    run.wait_ready("web")
    assert here.why("web").startswith("web is")
    run.stop()
    assert not here.history.exists()
    assert "no system is running" in here.why(status=3)
