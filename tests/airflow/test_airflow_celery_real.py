"""Real Celery under a real Airflow: Redis, PostgreSQL, workers and Flower, a DAG on the worker, and a warm shutdown."""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest
from airflow_rest import STOP, Airflow
from harness import command_under_test, environment, until

from orchestrator.presets.airflow import servers
from orchestrator.runtime.home import Home

MISSING = [name for name in servers.NAMES if not servers._find(name, Home(Path("/nonexistent")), os.defpath)]
pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture
def home():
    """An AIRFLOW_HOME that the user who runs PostgreSQL for root can enter; pytest's directories are private."""
    path = Path(tempfile.mkdtemp(prefix="orchestrate-celery-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)  # a failed test still runs it


def command_lines(run):
    """The command lines of all processes below a run."""
    lines = []
    for pid in run.living():
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return lines


def ask(airflow, action, *words):
    """What a command in a second terminal prints."""
    command = [*command_under_test(), "airflow", action, "--home", airflow.home, *words]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=120).stdout


def test_3_3_2_runs_a_dag_on_a_worker_and_waits_for_a_task_when_it_stops(home):
    airflow = Airflow("3.3.2", home)
    options = ("--executor", "celery", "--with", "redis,postgresql", "--flower")
    run = airflow.start(*options, "--concurrency", "2", "--worker-grace", "3")
    rest = airflow.wait_ready(run)
    assert "Created a PostgreSQL database in" in run.text
    assert re.search(r"worker +\| .*worker\.1@\S+ ready\.", run.text)
    flower = re.search(r"\| Flower: (http://127\.0\.0\.1:\d+)/$", run.text, re.M)[1]
    with urllib.request.urlopen(f"{flower}/healthcheck", timeout=30) as answer:
        assert answer.status == 200
    secret = json.loads((home / ".orchestrate" / "airflow-servers.json").read_text())
    for server in secret.values():
        assert server["password"] not in run.text
        assert not any(server["password"] in line for line in command_lines(run)), "others can read those"
    for path in (home / "postgresql", home / "postgresql" / "data", home / "redis"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700

    told = ask(airflow, "info", "--json")
    assert [(w["queues"], w["running"]) for w in json.loads(told)["workers"]] == [(["default"], 0)]
    assert re.search(r"^workers +worker\.1@\S+ \(default; 0 tasks\)$", ask(airflow, "info"), re.M)
    assert "sqlite" not in ask(airflow, "run", "--", "config", "get-value", "database", "sql_alchemy_conn")

    dag_run = rest.trigger("three")
    assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
    done = r"^worker +\| .*Task execute_workload\[\S+\] succeeded"
    assert until(lambda: len(re.findall(done, run.text, re.M)) == 3, 30), run
    rest.trigger("sleeper")
    assert until(lambda: any("sleep 300.25" in line for line in command_lines(run)), 90), run
    run.stop(STOP + 30)
    assert re.search(r"^worker +\| 1 task is still running \(pid \d+\); ending it in 3 s$", run.text, re.M)
    stopped = re.findall(r"^orchestrate +\| (\S+) stopped", run.text, re.M)
    assert stopped.index("worker") < stopped.index("api-server"), "running tasks report through the api-server"
    assert set(stopped[-2:]) == {"redis", "postgresql"}, "all others use them"
    assert "database system is shut down" in run.text
    assert not (home / "postgresql" / "data" / "postmaster.pid").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["2.6.3", "2.11.2"])
def test_older_versions_run_a_dag_on_their_workers(home, version):
    airflow = Airflow(version, home)
    run = airflow.start("--executor", "celery", "--with", "redis,postgresql", "--concurrency", "1")
    rest = airflow.wait_ready(run)
    ask(airflow, "scale", "worker=2")
    ask(airflow, "wait", "--ready", "worker.2")
    nodes = [worker["node"].partition("@")[0] for worker in json.loads(ask(airflow, "info", "--json"))["workers"]]
    assert nodes == ["worker.1", "worker.2"]
    dag_run = rest.trigger("three")
    assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
    done = r"^worker\.[12] +\| .*Task \S+execute_command\[\S+\] succeeded"
    assert until(lambda: len(re.findall(done, run.text, re.M)) == 3, 30), run
    run.stop(STOP + 60)
