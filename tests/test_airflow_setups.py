"""Real Airflow on set-ups that people really have: an own airflow.cfg, a project directory, proxies, certificates."""

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest
from airflow_rest import installed
from harness import environment

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

HELPER = Path(__file__).parent.parent / "orchestrator" / "presets" / "airflow" / "helper.py"


@pytest.mark.parametrize("version", [pytest.param(v, marks=pytest.mark.exhaustive) for v in ("3.3.2", "2.11.2")])
def test_no_fernet_key_is_generated_if_rows_are_encrypted_with_another(tmp_path, version):
    (tmp_path / "airflow.cfg").write_text("[core]\nload_examples = False\n")
    store = tmp_path / "airflow-secrets.env"

    def prepare():
        command = [installed(version).with_name("python"), HELPER, tmp_path / "report.json", "0"]
        variables = environment(AIRFLOW_HOME=str(tmp_path))
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=180, check=False)
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

    os.unlink(store)
    said, second = prepare()
    assert "[core] fernet_key is not configured, and the database contains encrypted" in said
    assert "AIRFLOW__CORE__FERNET_KEY" not in second
    assert first.keys() - second.keys() == {"AIRFLOW__CORE__FERNET_KEY"}
