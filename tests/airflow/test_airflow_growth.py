"""Signs that a set-up has been outgrown: facts in, the exact line out; and one line a day at most."""

import contextlib
import datetime
import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from airflow_fake import Fake
from airflow_rest import Airflow
from harness import until

from orchestrator.presets.airflow import growth, programs
from orchestrator.presets.airflow.growth import Load, Setup
from orchestrator.presets.airflow.inside import growth_look
from orchestrator.runtime.loop import Loop
from orchestrator.runtime.pressure import MACHINE, MemoryPressure

SQLITE = Setup(executor="LocalExecutor", sqlite=True, simple_login=True, web_port=8080)
POSTGRESQL = Setup(executor="LocalExecutor", sqlite=False, web_port=8080)
CELERY = Setup(executor="CeleryExecutor", sqlite=False, workers=2, concurrency=2, web_port=8080)
CALM = Load(schedulers=1, running=3, waiting=0, oldest=0.0, parallelism=32, worker_concurrency=16)


def load(**changes):
    return Load(**{field: getattr(CALM, field) for field in Load.__slots__} | changes)


@pytest.mark.parametrize(
    ("setup", "found", "lines"),
    [
        (SQLITE, CALM, []),
        (
            SQLITE,
            load(schedulers=2),
            [
                "2 schedulers share a SQLite file, which allows one writer at a time;"
                " `orchestrate airflow --with postgresql` uses PostgreSQL"
            ],
        ),
        (POSTGRESQL, load(schedulers=2, running=20), []),
        (
            SQLITE,
            load(running=8),
            [
                "8 tasks run at a time on SQLite, which allows one writer at a time;"
                " `orchestrate airflow --with postgresql` uses PostgreSQL"
            ],
        ),
        (POSTGRESQL, load(running=32, waiting=5, oldest=179.0), []),
        (POSTGRESQL, load(running=31, waiting=5, oldest=900.0), []),
        (
            POSTGRESQL,
            load(running=32, waiting=5, oldest=240.0),
            [
                "5 tasks wait for a slot, since 4 min: LocalExecutor runs 32, and no more at a time;"
                " `orchestrate airflow --executor celery --with redis` runs tasks in workers"
            ],
        ),
        (
            Setup(executor="SequentialExecutor", sqlite=True),
            load(running=1, waiting=1, oldest=200.0),
            [
                "1 task waits for a slot, since 3 min: SequentialExecutor runs 1, and no more at a time;"
                " `orchestrate airflow --executor LocalExecutor --with postgresql` runs several at a time"
            ],
        ),
        (
            CELERY,
            load(running=4, waiting=9, oldest=600.0),
            [
                "9 tasks wait for a slot, since 10 min: CeleryExecutor runs 4, and no more at a time;"
                " `orchestrate airflow join > worker.env` prepares a worker on another host"
            ],
        ),
        (CELERY, load(running=3, waiting=9, oldest=600.0), []),
    ],
)
def test_what_the_database_says(setup, found, lines):
    assert [sign.text for sign in growth.of_load(setup, found)] == lines


PRESSURE = "some avg10=40.00 avg60={} avg300=1.00 total=1\nfull avg10=0.00 avg60=90.00 avg300=0.00 total=0\n"


@pytest.mark.parametrize(
    ("setup", "report", "lines"),
    [
        (SQLITE, PRESSURE.format("4.99"), []),
        (SQLITE, "", []),
        (SQLITE, "some avg60=much", []),
        (
            SQLITE,
            PRESSURE.format("12.34"),
            [
                "memory is short: processes waited for it 12 % of the last minute;"
                " `orchestrate airflow --executor celery --with redis,postgresql` runs tasks in workers,"
                " which can be on another host"
            ],
        ),
        (
            CELERY,
            PRESSURE.format("50.00"),
            [
                "memory is short: processes waited for it 50 % of the last minute;"
                " `orchestrate airflow join > worker.env` prepares a worker on another host"
            ],
        ),
    ],
)
def test_what_memory_says(setup, report, lines):
    assert [sign.text for sign in growth.of_pressure(setup, report)] == lines


@pytest.mark.parametrize(
    ("setup", "peers", "lines"),
    [
        (SQLITE, ["127.0.0.1", "::1"], []),
        (
            POSTGRESQL,
            ["10.0.0.7"],
            [
                "10.0.0.7 uses the web port 8080 of this development set-up;"
                " `orchestrate airflow export systemd --whole` makes it a service"
            ],
        ),
        (
            SQLITE,
            ["10.0.0.8", "127.0.0.1", "10.0.0.7"],
            [
                "10.0.0.7 and 1 more use the web port 8080 of this development set-up;"
                " `orchestrate airflow export systemd --whole` makes it a service"
            ],
        ),
        (Setup(executor="LocalExecutor", sqlite=False, web_port=8080, is_service=True), ["10.0.0.7"], []),
        (Setup(executor="CeleryExecutor", sqlite=False, web_port=8080, serves_workers=True), ["10.0.0.7"], []),
    ],
)
def test_who_uses_the_web_port(setup, peers, lines):
    assert [sign.text for sign in growth.of_peers(setup, peers)] == lines


def test_another_sign_than_the_last_time_is_reported_if_there_is_one():
    both = growth.of_load(SQLITE, load(schedulers=2, running=8))
    assert growth.choose(both, "").kind is growth.SignKind.SCHEDULERS
    assert growth.choose(both, "schedulers").kind is growth.SignKind.PARALLELISM
    assert growth.choose(both[:1], "schedulers").kind is growth.SignKind.SCHEDULERS
    assert growth.choose([], "schedulers") is None


def test_what_is_no_load_is_none():
    for text in ("", "no such table: job", "[1]", '{"running": 1}'):
        assert growth.load_of(text) is None


# The look into the database


def stamp(seconds_ago):
    """As Airflow writes times into SQLite."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return str((now - datetime.timedelta(seconds=seconds_ago)).replace(tzinfo=None))


def fill(path, *, schedulers=(1.0,), tasks=()):
    """Give a SQLite file the columns of Airflow's that are looked at."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS job (job_type TEXT, state TEXT, latest_heartbeat TIMESTAMP)")
        connection.execute("CREATE TABLE IF NOT EXISTS task_instance (state TEXT, updated_at TIMESTAMP)")
        for ago in schedulers:
            connection.execute("INSERT INTO job VALUES ('SchedulerJob', 'running', ?)", (stamp(ago),))
        connection.execute("INSERT INTO job VALUES ('TriggererJob', 'running', ?)", (stamp(0),))
        for state, ago in tasks:
            connection.execute("INSERT INTO task_instance VALUES (?, ?)", (state, stamp(ago)))


def test_the_look_counts_what_is_in_the_database(tmp_path):
    tasks = [("running", 900), ("restarting", 5), ("queued", 30), ("scheduled", 200), ("success", 9000), (None, 1)]
    fill(tmp_path / "airflow.db", schedulers=(1, 30, 61, 300), tasks=tasks)
    (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 5 # few\n")
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CELERY__WORKER_CONCURRENCY": "3"}
    words = programs.command(sys.executable, "growth_look", str(tmp_path / "airflow.cfg"), "0")
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=60)
    found = growth.load_of(ran.stdout)
    assert (found.schedulers, found.running, found.waiting) == (2, 2, 2)
    assert 200 <= found.oldest < 260
    assert (found.parallelism, found.worker_concurrency) == (5, 3)


def test_a_scheduler_that_has_not_reported_since_the_start_does_not_count(tmp_path):
    fill(tmp_path / "airflow.db", schedulers=(10, 2))
    with growth_look.database(f"sqlite:///{tmp_path}/airflow.db") as query:
        now = datetime.datetime.now(datetime.timezone.utc).timestamp()
        assert growth_look.look(query, now, now - 5)["schedulers"] == 1
        assert growth_look.look(query, now, 0)["schedulers"] == 2


def test_a_database_that_cannot_be_read_is_no_sign(tmp_path):
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    words = programs.command(sys.executable, "growth_look", str(tmp_path / "airflow.cfg"), "0")
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, "unable to open database file\n")


# Pressure


@pytest.mark.skipif(not MACHINE.exists(), reason="this kernel does not report memory pressure")
def test_the_kernel_is_asked_to_tell_of_pressure():
    loop = Loop()
    watch = MemoryPressure(loop, lambda report: None, [MACHINE])
    assert watch.is_watched
    watch.close()
    loop.close()


def test_without_pressure_files_nothing_is_watched(tmp_path):
    loop = Loop()
    watch = MemoryPressure(loop, lambda report: None, [tmp_path / "none"])
    assert not watch.is_watched
    watch.close()
    loop.close()


HUNGRY = """
import mmap, pathlib, random, sys
pathlib.Path(sys.argv[1], "cgroup.procs").write_text("0")
with open(sys.argv[2], "w+b") as file:
    file.truncate(200 << 20)
    memory = mmap.mmap(file.fileno(), 200 << 20)
    while True:
        memory[random.randrange(200 << 20)] = 1
"""


@contextlib.contextmanager
def little_memory():
    """A control group with 15 MB, of version 1 or 2."""
    for top, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(top) / f"orchestrate-tests-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(15 << 20))
                yield group
                return
        finally:
            assert until(lambda group=group: not (group / "cgroup.procs").read_text(), 10)
            group.rmdir()
    pytest.skip("no control group in which memory can be limited")


# A whole start


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path)


LINE = r"^orchestrate +\| 9 tasks run at a time on SQLite, .*uses PostgreSQL$"


def busy(fake):
    fake.home.mkdir()
    fill(fake.home / "airflow.db", tasks=[("running", 5)] * 9)


def test_a_line_is_printed_once_a_day(fake):
    busy(fake)
    run = fake.ready()
    run.wait_for(LINE)
    run.stop()
    path = fake.home / ".orchestrate" / "airflow-growth.json"
    record = json.loads(path.read_text())
    assert record["sign"] == "parallelism"

    again = fake.ready()
    with urllib.request.urlopen(f"http://127.0.0.1:{port_of(again)}/again", timeout=30):
        again.wait_for("GET /again")
    again.stop()
    assert "SQLite, which" not in again.text

    path.write_text(json.dumps({**record, "time": record["time"] - growth.DAY - 1}))
    third = fake.ready()
    third.wait_for(LINE)
    third.stop()


def port_of(run):
    return run.text.rpartition("| http://localhost:")[2].partition("/")[0]


def test_tasks_that_wait_for_a_slot_are_noticed(fake):
    fake.home.mkdir()
    fill(fake.home / "airflow.db", tasks=[("running", 5), ("scheduled", 250), ("queued", 30)])
    run = fake.ready(AIRFLOW__CORE__PARALLELISM="1")
    run.wait_for(
        r"^orchestrate +\| 2 tasks wait for a slot, since 4 min: LocalExecutor runs 1, and no more at a time;"
        r" `orchestrate airflow --executor celery --with redis,postgresql` runs tasks in workers$"
    )
    run.stop()


@pytest.mark.airflow
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_real_tasks_that_wait_for_a_slot_are_noticed(tmp_path):
    """Tasks of five minutes and one slot: those that wait are noticed after the scheduler has printed something, which
    it does when the first one ends. For a moment that leaves a slot."""
    airflow = Airflow("3.3.2", tmp_path, AIRFLOW__CORE__PARALLELISM="1")
    run = airflow.start()
    rest = airflow.wait_ready(run)
    for _ in range(3):
        rest.trigger("sleeper")
    run.wait_for(
        r"^orchestrate +\| [12] tasks? waits? for a slot, since \d+ min: LocalExecutor runs 1, and no more", 700
    )
    run.stop(60)


def test_a_home_that_cannot_be_written_is_no_reason_to_repeat(fake):
    """The record is a directory here, which also root cannot write to."""
    busy(fake)
    (fake.home / ".orchestrate").mkdir(mode=0o700)
    (fake.home / ".orchestrate" / "airflow-growth.json").mkdir()
    run = fake.ready()
    run.wait_for(LINE)
    assert fake.ask("restart", "scheduler").returncode == 0
    run.wait_for("scheduler is ready again")
    run.stop()
    assert run.text.count("SQLite, which") == 1


@pytest.mark.exhaustive
@pytest.mark.skipif(not MACHINE.exists(), reason="this kernel does not report memory pressure")
def test_memory_pressure_is_noticed(fake, tmp_path):
    """The kernel reports it: this fake Airflow is silent, so that nothing else makes us look."""
    run = fake.ready()
    with little_memory() as group:
        words = [sys.executable, "-c", HUNGRY, group]
        hungry = [subprocess.Popen([*map(str, words), str(tmp_path / f"file{number}")]) for number in range(3)]
        try:
            run.wait_for(r"^orchestrate +\| memory is short: processes waited for it \d+ % of the last minute; ", 90)
        finally:
            for process in hungry:
                process.kill()
                process.wait()
    run.stop()


def test_a_client_on_another_host_is_noticed(fake, network):
    """The head's own clients are no sign; a connection from another host is."""
    hosts = network("head", "visitor")
    run = fake.start_on(hosts["head"])
    run.wait_for(r"Do not use this in production!$")
    port = port_of(run)
    reached = f"http://head:{port}/from-visitor"
    program = f"import urllib.request as u; u.urlopen({reached!r}, timeout=30).read()"
    line = rf"^orchestrate +\| {hosts['visitor'].address} uses the web port {port} of this development set-up"

    def visit():
        assert hosts["visitor"].ask(sys.executable, "-c", program).returncode == 0
        return "of this development set-up" in run.text

    assert until(visit, 30, 0.5), str(run)
    run.wait_for(line)
    run.stop()
    assert hosts["head"].left() == []
