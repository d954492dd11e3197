"""`join` and `worker` with a real Airflow: two hosts with their own networks and names, see hosts.py."""

import os
import re
import stat
from pathlib import Path

import pytest
from airflow_rest import DAGS, READY, STOP, Airflow, Rest

from orchestrator.presets.airflow import join_file, servers
from orchestrator.runtime.home import Home

MISSING = [name for name in servers.NAMES if not servers._find(name, Home(Path("/nonexistent")), os.defpath)]
pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


class Second:
    """The second host, and what a worker's command prints there."""

    def __init__(self, airflow, host):
        self._airflow, self.host = airflow, host

    def words(self, action, *words):
        return [*self._airflow.arguments()[:-4], action, "--home", "/mnt/airflow", *words]

    def check(self, **changes):
        """The lines of the check, and its exit status."""
        words = self.words("worker", "--env", "/mnt/worker.env", "--airflow", self._airflow.command, "--check")
        ran = self.host.ask(*words, env={**self._airflow.settings, **changes})
        return re.findall(r"^check +\| (?!hint)(.*)$", ran.stdout, re.M), ran.returncode


def test_3_3_2_runs_a_dag_on_another_host(network, tmp_path):
    hosts = network("first", "second")
    first, second = hosts["first"], hosts["second"]
    airflow = Airflow("3.3.2", first.home / "airflow")
    there = Second(airflow, second)
    options = ("--executor", "celery", "--with", "redis,postgresql", "--workers", "0", "--listen", first.address)
    run = first.start(*airflow.arguments(*options), env=airflow.settings)
    run.wait_for(r"\| Airflow is ready$", READY)

    made = first.ask(
        "sh", "-c", f"umask 0; {' '.join(map(str, airflow.arguments()[:-4]))} join --home /mnt/airflow > f"
    )
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE((first.directory / "f").stat().st_mode) == 0o600
    os.rename(first.directory / "f", second.directory / "worker.env")
    joined = join_file.read(second.directory / "worker.env")
    assert (joined.host, joined.airflow) == ("first", "3.3.2")
    assert {name for name in joined.variables if "DATABASE" in name or "JWT" in name} == set(), "a worker needs neither"
    assert [name for name, value in joined.variables.items() if "127.0.0.1" in value] == []

    (second.directory / "dags").mkdir()
    (second.directory / "dags" / "three.py").write_text("# another one")
    missing = sorted({file.name for file in DAGS.glob("*.py")} - {"three.py"})
    wrong = {"AIRFLOW__CORE__DAGS_FOLDER": "/mnt/dags", "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/proc/none"}
    assert there.check(**wrong) == (
        [
            "cannot start worker: cannot write logs to /proc/none as uid 0: no such file or directory",
            "cannot start worker: DAG files differ from those of the first host: three.py",
            f"cannot start worker: DAG files of the first host are missing here: {', '.join(missing)}",
        ],
        1,
    )

    words = there.words("worker", "--env", "/mnt/worker.env", "--airflow", airflow.command, "--concurrency", 2)
    worker = second.start(*words, env=airflow.settings)
    worker.wait_for(r"\| The worker is ready$", READY)
    assert "This host is ready for workers of first" in worker.text
    named = first.ask(*there.words("info")).stdout
    assert re.search(r"^workers +worker\.1@second \(default; 0 tasks\)$", named, re.M), named

    rest = Rest(airflow, "http://127.0.0.1:8080")
    airflow.home = first.directory / "airflow"
    with first.network():
        dag_run = rest.trigger("three")
        assert rest.to_the_end(dag_run) == "success", rest.tasks(dag_run)
        tasks = rest.get(f"{dag_run}/taskInstances")[1]["task_instances"]
        assert {task["hostname"] for task in tasks} == {"second"}
        log = rest.get(f"{dag_run}/taskInstances/{tasks[0]['task_id']}/logs/1")
    assert "http://second:8793/log/" in str(log), "the first host shows the logs of the second"

    secrets = [value for name, value in joined.variables.items() if name.endswith("_KEY")]
    secrets += re.findall(r":(\w{40,})@", joined.variables[join_file.BROKER] + joined.variables[join_file.RESULTS])
    assert len(secrets) == 4
    seen = [worker.text, run.text, made.stderr, *second.processes().values(), *first.processes().values()]
    assert not [secret for secret in secrets if any(secret in text for text in seen)]

    worker.stop(STOP + 30)
    assert second.left() == []
    run.stop(STOP + 30)
    assert first.left() == []
