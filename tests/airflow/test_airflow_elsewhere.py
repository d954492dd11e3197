"""Real Airflow in other surroundings: on PostgreSQL, and in the same environment as orchestrate."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from airflow_rest import READY, STOP, Airflow, free_port, installed, processes
from harness import Run, environment, until

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


class Postgres:
    """A server of its own on a free port, with one database; as user postgres where we are root, which it refuses."""

    def __init__(self, password=None):
        self.directory = Path(tempfile.mkdtemp(prefix="orchestrate-pg-"))
        self.port = free_port()
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        else:
            self._as = []
        self.data = self.directory / "data"
        self._do("initdb", "-D", self.data, "-U", "airflow", "-A", "trust", "--no-sync")
        self.start()
        self._do("createdb", "-h", self.directory, "-p", self.port, "-U", "airflow", "airflow")
        self.url = f"postgresql+psycopg2://airflow:s3cr3t@127.0.0.1:{self.port}/airflow"
        if password:
            self.sql(f"ALTER ROLE airflow PASSWORD '{password}'")
            self.stop()
            (self.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
            self.start()

    def sql(self, statement):
        self._do("psql", "-h", self.directory, "-p", self.port, "-U", "airflow", "-c", statement, "airflow")

    def start(self):
        options = ["-k", self.directory, "-p", self.port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        self.server = Run([*self._as, PROGRAMS[0] / "postgres", "-D", self.data, *options], env=environment())
        assert until(
            lambda: self._do("pg_isready", "-h", self.directory, "-p", self.port, check=False) == 0, interval=0.1
        )

    def stop(self):
        self.server.signal(signal.SIGINT)  # fast shutdown
        self.server.wait()

    def _do(self, program, *arguments, check=True):
        command = [*self._as, PROGRAMS[0] / program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, env=environment(), cwd="/", timeout=60, check=False)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.returncode

    def end(self):
        self.stop()
        shutil.rmtree(self.directory)


@pytest.fixture
def postgres():
    server = Postgres()
    yield server
    server.end()


@pytest.mark.skipif(not PROGRAMS, reason="no PostgreSQL here: apt install postgresql")
def test_2_11_2_with_the_local_executor_on_postgresql(postgres, tmp_path):
    settings = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url, "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
    airflow = Airflow("2.11.2", tmp_path, **settings)
    run = airflow.start()
    rest = airflow.wait_ready(run)
    assert f"LocalExecutor, postgresql+psycopg2://airflow:***@127.0.0.1:{postgres.port}/airflow" in run.text
    assert "s3cr3t" not in run.messages
    assert any("LocalExecutor" in line for line in processes(run.pid).values())
    dag_run = rest.trigger("three")
    assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
    run.stop(STOP)
    record = (tmp_path / ".orchestrate" / "airflow.json").read_text()
    assert "s3cr3t" not in record
    warm = airflow.start("--only", "triggerer")
    warm.wait_for(r"^orchestrate +\| Database ready: nothing has changed since the last start$", READY)
    assert "Checking database" not in warm.text
    warm.stop(STOP)
    postgres.sql("UPDATE alembic_version SET version_num = 'abc'")
    changed = airflow.start("--only", "triggerer")
    assert changed.wait(READY) == 1
    assert "Checking database is initialized" in changed.text
    assert "the database has the schema of another Airflow (revision abc), which 2.11.2 does not know" in changed.text


@pytest.mark.skipif(not PROGRAMS, reason="no PostgreSQL here: apt install postgresql")
def test_2_11_2_waits_for_postgresql_and_names_what_is_wrong_with_it(tmp_path):
    server = Postgres(password="s3cr3t")
    try:
        server.stop()
        airflow = Airflow("2.11.2", tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=server.url)
        run = airflow.start("--only", "triggerer", "--wait-for-database", "120")
        run.wait_for(
            r"^airflow +\| waiting for the database, up to 120 s: cannot connect to the database .*refused", 60
        )
        server.start()
        run.wait_for(r"^airflow +\| the database answers after \d+ s$", 60)
        run.wait_for(r"^airflow +\| Database ready$", 60)
        run.stop(STOP)
        for url, said in (
            (server.url.replace("s3cr3t", "wr0ng"), 'password authentication failed for user "airflow"'),
            (f"{server.url}2", 'database "airflow2" does not exist'),
            (server.url.replace("psycopg2", "asyncpg"), "needs the Python package asyncpg, which is not in"),
        ):
            airflow = Airflow("2.11.2", tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url)
            run = airflow.start()
            assert run.wait(60) == 1
            (line,) = re.findall(r"^airflow +\| (cannot prepare Airflow: .*)$", run.text, re.MULTILINE)
            assert said in line
            assert "Traceback" not in run.text
            assert "s3cr3t" not in run.text
            assert "wr0ng" not in run.text
    finally:
        server.end()


def test_3_3_2_in_the_environment_of_orchestrate_itself(tmp_path):
    airflow = Airflow("3.3.2", tmp_path / "home")
    airflow.home.mkdir()
    both = one_environment(tmp_path / "both", installed("3.3.2").parent.parent)
    variables = environment(**airflow.settings, PATH="/usr/bin:/bin", AIRFLOW_HOME=str(airflow.home))
    run = Run(
        [both / "bin" / "orchestrate", "airflow", "--port", str(free_port()), "--any-port"], env=variables, cwd=tmp_path
    )
    airflow.wait_ready(run)
    assert f"Airflow 3.3.2 ({both}/bin/airflow), home {airflow.home}" in run.text, "the command beside our interpreter"
    assert not list(tmp_path.glob("gunicorn*"))
    run.stop(STOP)


def one_environment(path, airflow):
    """A virtual environment that has both: orchestrate's packages and those of an environment with Airflow."""
    python = Path(os.path.realpath(airflow / "bin" / "python"))
    subprocess.run([python, "-m", "venv", "--without-pip", path], check=True, timeout=60)
    ours = sysconfig.get_path("purelib")
    theirs = next((airflow / "lib").glob("python3*/site-packages"))
    checkout = Path(__file__).parent.parent.parent
    packages = next((path / "lib").glob("python3*/site-packages"))
    assert packages.parent.name == f"python3.{sys.version_info.minor}", "one Python for both"
    (packages / "both.pth").write_text(f"{theirs}\n{checkout}\n{ours}\n")
    for name, module in (("airflow", "airflow.__main__"), ("orchestrate", "orchestrator.__main__")):
        script = path / "bin" / name
        script.write_text(f"#!{path}/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    return path
