"""A real Airflow in a real systemd: what `orchestrate airflow export systemd` writes starts, is ready, and stops."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from airflow_rest import READY, installed
from booted import machine_or_skip
from harness import command_under_test, environment, until
from test_airflow_celery_real import MISSING

pytestmark = [pytest.mark.airflow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]
VERSION = "3.3.2"
HEALTH = "http://127.0.0.1:8080/api/v2/monitor/health"
ASK = f"import urllib.request as u; print(u.urlopen({HEALTH!r}, timeout=60).read().decode())"


@pytest.fixture
def place():
    """A directory that the user who runs PostgreSQL for root can enter; pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="orchestrate-booted-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)  # a failed test still runs it


@pytest.fixture
def machine(tmp_path, place):
    yield from machine_or_skip(tmp_path, place)


@pytest.fixture
def exported(place, machine):
    """Export with these options, and install it; how to run a command about it."""
    home = place / "airflow"
    home.mkdir()
    keys = {section: base64.urlsafe_b64encode(os.urandom(32)).decode() for section in ("core", "api", "api_auth")}
    (home / "airflow.cfg").write_text(
        f"[core]\nload_examples = False\nparallelism = 4\nfernet_key = {keys['core']}\n"
        f"[api]\nsecret_key = {keys['api']}\n[api_auth]\njwt_secret = {keys['api_auth']}\n"
    )
    about = [*command_under_test(), "airflow"]

    def export(*options):
        words = ["export", "systemd", place / "out", "--system", "--home", home, "--airflow", installed(VERSION)]
        ran = subprocess.run(
            [*map(str, about), *map(str, words), *options],
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=READY,
        )
        assert ran.returncode == 0, ran.stderr
        machine.install(*(place / "out").glob("*.service"), *(place / "out").glob("*.target"))
        return lambda *words: machine.ask(*about, *words, "--home", home)

    return export


def is_healthy(machine):
    answer = machine.ask(installed(VERSION).with_name("python"), "-c", ASK).stdout
    return answer.count('"status":"healthy"') >= 3


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_whole_of_airflow_with_celery_is_one_unit(machine, exported):
    ask = exported("--whole", "--executor", "celery", "--with", "redis,postgresql")
    machine.control("start", "airflow.service", timeout=READY)
    assert machine.show("airflow.service", "ActiveState") == "active", machine.journal()
    assert is_healthy(machine)
    workers = json.loads(ask("info", "--json").stdout)["workers"]
    assert [worker["node"] for worker in workers] == ["worker.1@booted"]
    machine.control("stop", "airflow.service", timeout=READY)
    assert machine.show("airflow.service", "Result") == "success", machine.journal("-u", "airflow")
    assert until(lambda: not machine.processes(), 20), machine.processes()


def test_each_component_of_airflow_is_a_unit(machine, exported):
    exported()
    machine.control("start", "airflow.target", timeout=READY)
    for name in ("scheduler", "api-server", "dag-processor", "triggerer"):
        assert machine.show(f"airflow-{name}.service", "ActiveState") == "active", machine.journal()
    assert until(lambda: is_healthy(machine), READY, 2), machine.journal()
    machine.control("stop", "airflow.target", timeout=READY)
    assert until(lambda: not machine.processes(), 60), machine.processes()
