"""Real Airflow on set-ups that people really have: an own airflow.cfg, a project directory, proxies, certificates."""

import base64
import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
from airflow_rest import READY, SETTINGS, STOP, Airflow, installed
from harness import Run, environment

from orchestrator.presets.airflow import programs

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

NAME = "airflow.example.com"
DAG = """
import datetime
try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

with DAG("project", schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False):
    @task
    def read():
        import project_library
        with open("data.csv") as file:
            assert file.read() == project_library.EXPECTED
    read()
"""


class Project:
    """A project directory: a short airflow.cfg with relative paths, a library, data, and AIRFLOW_HOME in it."""

    def __init__(self, version, directory, config=""):
        self.directory = directory
        self.airflow = Airflow(version, directory / "af")
        self.write("dags/project.py", DAG)
        self.write("lib/project_library.py", "EXPECTED = 'a,b'\n")
        self.write("data.csv", "a,b")
        core = "dags_folder = dags\nload_examples = False\ndags_are_paused_at_creation = False\nparallelism = 4\n"
        self.write("airflow.cfg", f"[core]\n{core}{config}")
        self.files = self.listing()

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def listing(self):
        return sorted(path.name for path in self.directory.iterdir() if path.name != "af")

    def start(self, **variables):
        command = self.airflow.command_line()
        where = command.index("--home")
        del command[where : where + 2]
        fixed = {"AIRFLOW_HOME": "af", "AIRFLOW_CONFIG": "airflow.cfg", "PYTHONPATH": "lib"}
        if self.airflow.version[0] == "2":
            fixed["AIRFLOW__API__AUTH_BACKENDS"] = SETTINGS["AIRFLOW__API__AUTH_BACKENDS"]
        return Run(command, env=environment(**fixed | variables), cwd=self.directory)

    def check(self, run):
        """Run a DAG that needs the directory, and see that nothing is written there."""
        rest = self.airflow.wait_ready(run)
        dag_run = rest.trigger("project")
        assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
        assert self.listing() == self.files
        return rest


def test_a_project_behind_a_reverse_proxy_and_a_proxy_runs_its_dag(tmp_path):
    project = Project("3.3.2", tmp_path, f"[api]\nbase_url = https://{NAME}/af\nworkers = 2\n")
    run = project.start(HTTP_PROXY="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")
    rest = project.check(run)
    assert re.search(
        rf"^orchestrate +\| Tasks call {rest.url.replace('127.0.0.1', 'localhost')}/execution/, not "
        rf"https://{NAME}/af/execution/; to change that, set \[core\] execution_api_server_url$",
        run.text,
        re.MULTILINE,
    )
    assert "HTTP_PROXY is set: added localhost to NO_PROXY" in run.text
    assert "[api_auth] jwt_secret, [api] secret_key and [core] fernet_key are not configured" in run.text
    listed = subprocess.run(
        project.airflow.arguments("run", "--", "config", "get-value", "core", "dags_folder"),
        env=environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert listed.stdout.splitlines()[-1] == str(tmp_path / "dags"), "in a second terminal too"
    run.stop(STOP)
    assert project.listing() == project.files
    assert (tmp_path / "af" / ".orchestrate" / "airflow-secrets.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["2.11.2", "2.6.3", "3.1.8", "3.0.6"])
def test_a_project_on_other_versions(tmp_path, version):
    project = Project(version, tmp_path)
    run = project.start(HTTP_PROXY="http://127.0.0.1:9")
    project.check(run)
    run.stop(STOP)
    assert project.listing() == project.files


@pytest.mark.exhaustive
def test_a_home_of_2_runs_its_dag_on_3_with_several_api_workers(tmp_path):
    project = Project("2.11.2", tmp_path)
    (tmp_path / "airflow.cfg").unlink()  # the whole file that 2.11.2 writes, in which the api-server has 4 workers
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": "dags", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    settings["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "False"
    project.files.remove("airflow.cfg")
    run = project.start(**settings, AIRFLOW_CONFIG="af/airflow.cfg")
    project.check(run)
    run.stop(STOP)
    assert "workers = 4" in (tmp_path / "af" / "airflow.cfg").read_text()
    project.airflow = Airflow("3.3.2", tmp_path / "af")
    run = project.start(**settings, AIRFLOW_CONFIG="af/airflow.cfg")
    project.check(run)
    assert "[api_auth] jwt_secret is not configured: using generated values from" in run.text
    run.stop(STOP)


@pytest.mark.exhaustive
def test_certificates_that_tasks_do_not_accept_are_named_and_others_work(tmp_path):
    def made(name):
        (tmp_path / name).mkdir()
        program = Path(__file__).parent.parent / "programs" / "certificate.py"
        subprocess.run([installed("3.3.2").with_name("python"), program, tmp_path / name, name], check=True, timeout=60)
        return f"ssl_cert = {tmp_path}/{name}/cert.pem\nssl_key = {tmp_path}/{name}/key.pem\n"

    project = Project("3.3.2", tmp_path, f"[api]\n{made(NAME)}")
    run = project.start()
    run.wait_for(
        rf"\| waiting for scheduler: a task's call of https://localhost:\d+/execution/: the certificate is for {NAME},"
        rf" not localhost; set \[core\] execution_api_server_url = https://{NAME}:\d+/execution/$",
        READY,
    )
    assert "Airflow is ready" not in run.text
    run.stop(STOP)
    made("localhost")
    files = {"AIRFLOW__API__SSL_CERT": "cert.pem", "AIRFLOW__API__SSL_KEY": "key.pem"}
    run = project.start(**{name: str(tmp_path / "localhost" / file) for name, file in files.items()})
    run.wait_for(r"\| Airflow is ready$", READY)
    run.wait_for(r"\| https://localhost:\d+/$")
    run.stop(STOP)


@pytest.mark.parametrize("version", [pytest.param(v, marks=pytest.mark.exhaustive) for v in ("3.3.2", "2.11.2")])
def test_no_fernet_key_is_generated_if_rows_are_encrypted_with_another(tmp_path, version):
    (tmp_path / "airflow.cfg").write_text("[core]\nload_examples = False\n")
    store = tmp_path / "airflow-secrets.env"

    def run(**more):
        command = programs.command(installed(version).with_name("python"), "prepare", tmp_path / "report.json", "0")
        variables = environment(AIRFLOW_HOME=str(tmp_path), **more)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=180, check=False)

    def prepare(**more):
        done = run(**more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, dict(line.split("=", 1) for line in store.read_text().splitlines()[1:])

    said, first = prepare()
    assert "encrypted" not in said
    assert "AIRFLOW__CORE__FERNET_KEY" in first
    assert prepare()[1] == first, "generated once"
    variables = environment(AIRFLOW_HOME=str(tmp_path), **first)
    command = [installed(version), "variables", "set", "color", "blue"]
    subprocess.run(command, env=variables, capture_output=True, timeout=120, check=True)
    database = sqlite3.connect(tmp_path / "airflow.db")
    assert database.execute("SELECT is_encrypted FROM variable").fetchone() == (1,)
    database.close()
    locked = "variable color" if version[0] == "3" else r"connection \w+ and \d+ more"  # 2.x makes connections
    fault = rf"\[core\] fernet_key does not decrypt {locked}; set it to the key that encrypted it"
    keys = [(None, ""), (base64.urlsafe_b64encode(bytes(32)).decode(), fault)]
    if version[0] == "3":
        keys.append(("no key", fault))
    else:  # 2.x uses the key in its migration
        done = run(AIRFLOW__CORE__FERNET_KEY="no key")
        assert done.returncode == 1
        assert "cannot prepare Airflow: AirflowException: Could not create Fernet object" in done.stdout
    for key, expected in keys:
        prepare(AIRFLOW__CORE__FERNET_KEY=key)
        reported = json.loads((tmp_path / "report.json").read_text())["key_fault"]
        assert re.fullmatch(expected, reported), reported

    os.unlink(store)
    said, second = prepare()
    assert "[core] fernet_key is not configured, and the database contains encrypted" in said
    assert "AIRFLOW__CORE__FERNET_KEY" not in second
    assert first.keys() - second.keys() == {"AIRFLOW__CORE__FERNET_KEY"}
