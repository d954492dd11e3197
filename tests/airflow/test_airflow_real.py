"""Real Airflow, end to end: it boots, runs a DAG, is stopped, and nothing is left."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import stat
import subprocess

import pytest
from airflow_rest import DAGS, READY, STOP, Airflow, Rest, installed, leader, processes, url_in
from harness import describe, until
from terminal import Tmux

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def assert_private(airflow):
    name = (
        "standalone_admin_password.txt" if airflow.version[0] == "2" else "simple_auth_manager_passwords.json.generated"
    )
    assert mode(airflow.home / name) == 0o600
    assert mode(airflow.home / "airflow.cfg") == 0o600


@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
def test_3_3_2_in_tmux_from_the_first_start_to_ctrl_c(tmp_path):
    airflow = Airflow("3.3.2", tmp_path / "home")
    terminal = Tmux(tmp_path, columns=160, rows=50, **airflow.settings)
    terminal.type(shlex.join(map(str, airflow.command_line())))
    terminal.wait_for(r"^orchestrate +\| Airflow is ready$", READY)
    terminal.wait_for(r"^orchestrate +\| Login with username: admin  password: \w{16}$")
    screen, colored = terminal.screen(), terminal.screen(colors=True)
    assert (
        screen.index("Checking database is initialized")
        < screen.index("Database ready")
        < screen.index("Airflow is ready")
    )
    assert airflow.password() in screen, "the password that is shown is the one that is kept"
    assert "Airflow Standalone is for development purposes only. Do not use this in production!" in screen
    assert_private(airflow)
    for name, color in {"scheduler": 34, "api-server": 35, "dag-processor": 33, "triggerer": 36}.items():
        assert re.search(rf"^(\x1b\[[0-9;]*m)*\x1b\[{color}m{name} +\| ", colored, re.MULTILINE), (
            f"{name} in its own color:\n{colored}"
        )
    assert re.search(r"\x1b\[[0-9;]*m\[?\x1b?\[?[0-9;]*m?info", colored), "the components' own colors are kept"

    rest = Rest(airflow, url_in(screen))
    run = rest.trigger("three")
    assert rest.to_the_end(run) == "success", rest.tasks(run)
    assert rest.tasks(run) == {"first": "success", "second": "success", "third": "success"}

    (pid,) = terminal.foreground()
    terminal.keys("C-c")
    terminal.wait_for(r"\| Complete$", STOP)
    assert terminal.status() == 128 + signal.SIGINT
    assert until(lambda: not [line for line in processes(terminal.server.pid).values() if "airflow" in line], 2)
    screen = terminal.screen()
    assert re.search(r"\| Shutting down components\n(.*\n)*orchestrate +\| Complete\n", screen)
    stopped = re.findall(r"^orchestrate +\| (\S+) stopped", screen, re.MULTILINE)
    assert sorted(stopped) == sorted(airflow.components)
    assert stopped.index("scheduler") < stopped.index("api-server"), "running tasks report through the api-server"
    assert not os.path.exists(f"/proc/{pid}"), describe(pid)
    log = (airflow.home / ".orchestrate" / "logs" / "orchestrate.log").read_text()
    assert "Login with username: admin" in log
    assert airflow.password() not in log
    assert terminal.end() == []


@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
def test_3_3_2_in_the_view(tmp_path):
    pytest.importorskip("pyte")
    airflow = Airflow("3.3.2", tmp_path / "home")
    terminal = Tmux(tmp_path, columns=120, rows=30, ORCHESTRATE_STATUS="auto", **airflow.settings)
    terminal.type(shlex.join(map(str, airflow.command_line("--ui"))))
    terminal.wait_for(r"^ Airflow +4/4 ready +scheduler  ready", READY)
    for number, name in enumerate(("scheduler", "api-server", "dag-processor", "triggerer"), 1):
        terminal.keys(str(number))
        terminal.wait_for(rf"^ Airflow +4/4 ready +{name}  ready  pid \d+\n.*│ *\S")
    terminal.keys("m")
    terminal.wait_for(r"│orchestrate +\| Airflow is ready$|│orchestrate +\| .*standalone is for", READY)
    terminal.keys("u")
    terminal.wait_for(r"^orchestrate +\| [\d,]+ lines while the view was open")
    terminal.wait_for(r"^● scheduler ● api-server ● dag-processor ● triggerer · u view")
    terminal.keys("u")
    terminal.wait_for(r"^ Airflow +4/4 ready")
    terminal.keys("q", "s")
    terminal.wait_for(r"\| Complete$", STOP)
    assert terminal.status() == 0
    assert until(lambda: not [line for line in processes(terminal.server.pid).values() if "airflow" in line], 2)
    assert terminal.end() == []


def test_2_6_3_runs_a_dag_and_leaves_nothing_in_the_working_directory(tmp_path):
    airflow = Airflow("2.6.3", tmp_path / "home")
    airflow.home.mkdir()
    run = airflow.start()
    rest = airflow.wait_ready(run)
    assert f"password: in {airflow.home}/standalone_admin_password.txt" in run.text
    assert airflow.password() not in run.text, "a password is shown on a terminal only"
    assert_private(airflow)
    dag_run = rest.trigger("three")
    assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
    run.stop(STOP)
    assert not list(airflow.home.glob("*.pid"))
    assert not list(airflow.home.glob("gunicorn*"))


MORE_VERSIONS = ("3.2.2", "3.1.8", "2.11.2", "2.10.5", "2.9.3", "2.8.4", "2.7.3")  # most without a lock file


@pytest.mark.parametrize("version", ["3.0.6", *(pytest.param(v, marks=pytest.mark.exhaustive) for v in MORE_VERSIONS)])
def test_other_versions_accept_the_login_run_a_dag_and_start_again(tmp_path, version):
    dags = tmp_path / "home" / "dags"
    dags.mkdir(parents=True)
    shutil.copy(DAGS / "three.py", dags)
    airflow = Airflow(version, tmp_path / "home", AIRFLOW__CORE__DAGS_FOLDER=str(dags))
    run = airflow.start()
    rest = airflow.wait_ready(run)
    assert "Looking for new DAG files every 10 s: [" in run.text
    assert f"password: in {airflow.home}/" in run.text
    assert airflow.password() not in run.text
    assert_private(airflow)
    dag_run = rest.trigger("three")
    assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
    assert set(rest.tasks(dag_run).values()) == {"success"}
    shutil.copy(DAGS / "sleeper.py", dags)
    rest.wait_for_dag("sleeper")
    run.stop(STOP)
    warm = airflow.start()
    airflow.wait_ready(warm)
    assert "Database ready: nothing has changed since the last start" in warm.text
    warm.stop(STOP)


def test_a_home_of_2_11_2_is_copied_for_3_3_2_and_then_refused_to_an_older_one(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    older, newer = Airflow("2.11.2", home), Airflow("3.3.2", home)
    run = older.start("--only", "triggerer")
    run.wait_for(r"\| Database ready$", READY)
    run.wait_for(r"\| Airflow is ready$", READY)
    run.stop(STOP)
    run = newer.start("--only", "triggerer")
    copy = home / "airflow.db.before-3.3.2"
    run.wait_for(rf"^airflow +\| Copied the database to {copy} before Airflow 3.3.2 changes its schema$", READY)
    run.wait_for(r"\| Airflow is ready$", READY)
    run.stop(STOP)
    assert mode(copy) == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT username FROM ab_user").fetchall() == [("admin",)]
    run = older.start()
    assert run.wait() == 1
    assert f"cannot start Airflow 2.11.2: Airflow 3.3.2 has used {home}\nhint: name another home" in run.messages
    (home / ".orchestrate" / "airflow.json").unlink()  # as if `airflow standalone` had used it
    run = older.start()
    assert run.wait(READY) == 1
    assert "the database has the schema of another Airflow (revision " in run.text
    assert "which 2.11.2 does not know" in run.text
    assert not list(home.glob("airflow.db.before-2*"))


def test_a_component_that_cannot_start_ends_the_start_at_its_second_exit(warm_3):
    run = Airflow("3.3.2", warm_3.home, AIRFLOW__CORE__PARALLELISM="-1").start()
    assert run.wait(READY) == 1
    assert len(re.findall(r"\| scheduler exited with status 1 after", run.text)) == 2
    assert "giving up on scheduler: it exited 2 times in the same way before it was ready" in run.text
    assert "parallelism" in run.text.lower()
    assert run.survivors(1) == []


def test_what_keeps_3_3_2_from_starting_is_told_in_one_line(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    database, passwords = home / "airflow.db", home / "simple_auth_manager_passwords.json.generated"

    def refused(said, **settings):
        run = Airflow("3.3.2", home, **settings).start("--wait-for-database", "0")
        assert run.wait(READY) == 1
        lines = re.findall(r"^airflow +\| (cannot prepare Airflow: .*)$", run.text, re.MULTILINE)
        assert lines == [f"cannot prepare Airflow: {said}"]
        assert "Traceback" not in run.text

    database.write_text("not what a database begins with")
    refused(f"the SQLite file {database} is damaged: file is not a database")
    database.unlink()
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        refused(f"the SQLite file {database} is locked by pid {os.getpid()}")
    refused(
        "the database needs the Python package mysqlclient, which is not in "
        f"{os.path.dirname(os.path.dirname(installed('3.3.2')))}",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="mysql://airflow:s3cr3t@127.0.0.1:1/airflow",
    )
    refused(
        "[core] simple_auth_manager_users = boss: 'boss' is not NAME:ROLE",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="boss",
    )
    refused(
        "[core] executor = LocalExecuter: unknown executor 'LocalExecuter'", AIRFLOW__CORE__EXECUTOR="LocalExecuter"
    )
    passwords.write_text("secret")
    refused(f"the password file {passwords} is not a JSON object of users and passwords")


def test_a_component_that_is_killed_comes_back(warm_3):
    run = warm_3.start("--color", "always")
    rest = warm_3.wait_ready(run)
    before, _ = rest.heartbeat("scheduler")
    first = leader(run, "scheduler")
    os.kill(first, signal.SIGKILL)
    run.wait_for(r"\| scheduler killed by SIGKILL after \d")
    run.wait_for(r"\| starting scheduler again in 1\.\d s$")
    run.wait_for(r"\| scheduler is ready again$", READY)
    assert leader(run, "scheduler") != first
    after, status = rest.heartbeat("scheduler")
    assert (after > before, status) == (True, "healthy")
    assert f"{first} " not in "".join(map(describe, run.living()))
    run.stop(STOP)


def test_what_others_are_told_while_it_runs(warm_3):
    run = warm_3.start()
    run.wait_for(r"^orchestrate +\| Airflow 3\.3\.2 ")
    second = warm_3.start()
    assert second.wait() == 75
    assert f"another orchestrate holds {warm_3.home} (pid {run.pid}, since " in second.messages
    assert "orchestrate airflow --airflow" in second.messages
    assert "scheduler" not in second.messages

    rest = warm_3.wait_ready(run)
    told = json.loads(ask(warm_3, "info", "--json"))
    assert (told["version"], told["home"], told["pid"]) == ("3.3.2", str(warm_3.home), run.pid)
    assert told["url"].replace("localhost", "127.0.0.1") == f"{rest.url}/"
    assert (told["executor"], told["database"]) == ("LocalExecutor", f"sqlite:///{warm_3.home}/airflow.db")
    assert ask(warm_3, "password") == warm_3.password() + "\n"
    run.stop(STOP)


def ask(airflow, *words):
    return subprocess.run(airflow.arguments(*words), capture_output=True, text=True, timeout=60, check=True).stdout


def test_bytes_that_are_no_text_disturb_nobody(warm_3):
    config = warm_3.home / "config"
    config.mkdir()
    (config / "airflow_local_settings.py").write_text("import os\nos.write(1, b'caf\\xe9 \\xff\\xfe end\\n')\n")
    try:
        run = warm_3.start()
        warm_3.wait_ready(run)
        assert b"caf\xe9 \xff\xfe end" in run.out
        run.stop(STOP)
    finally:
        shutil.rmtree(config)


@pytest.fixture(scope="session")
def warm_3(tmp_path_factory):
    """A home of 3.3.2 for the tests of this file; the first start on it is a cold one."""
    home = tmp_path_factory.mktemp("warm") / "home"
    home.mkdir()
    return Airflow("3.3.2", home)
