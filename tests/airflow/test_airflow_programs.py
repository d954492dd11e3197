"""The programs of inside/: how Airflow's interpreter loads them, and the names that they share with the package."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
from airflow_reports import REPORTS
from harness import environment

from orchestrator.presets.airflow import facts, generated_secrets, join_file, preparation, programs, workers
from orchestrator.presets.airflow.inside import (
    airflow_report,
    celery_call,
    executors,
    host_checks,
    join_report,
    missing_secrets,
)

INSIDE = Path(programs.__file__).parent / "inside"
COMMAND = """
import sys

def main():
    import prepare, celery_worker
    print(sys.argv, prepare.__file__, celery_worker.__file__, "orchestrate_inside.airflow_command" in sys.modules)
    return 7
"""


def run(tmp_path, *words):
    command = programs.command(sys.executable, *words)
    env = environment(PYTHONPATH=str(tmp_path))
    return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)


def test_a_plugin_with_the_name_of_a_program_is_the_users(tmp_path):
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "__init__.py").write_text("")
    (tmp_path / "airflow" / "__main__.py").write_text(COMMAND)
    for name in ("prepare.py", "celery_worker.py"):
        (tmp_path / name).write_text("")
    ended = run(tmp_path, "airflow_command", "/v/bin/airflow", "scheduler")
    shown = f"['/v/bin/airflow', 'scheduler'] {tmp_path}/prepare.py {tmp_path}/celery_worker.py True\n"
    assert (ended.stdout, ended.returncode) == (shown, 7), ended.stderr


def test_the_exit_status_is_that_of_main_and_what_it_printed_is_not_lost(tmp_path):
    ended = run(tmp_path, "growth_look", str(tmp_path / "none.cfg"), "0")
    assert (ended.stdout, ended.returncode) == ("unable to open database file\n", 1), ended.stderr


def test_each_program_has_a_main_and_can_be_loaded_without_airflow():
    found = [path.stem for path in INSIDE.glob("*.py") if "def main(arguments: list[str])" in path.read_text()]
    assert len(found) == 10
    code = f"from runpy import run_path; load = run_path({str(INSIDE / '__main__.py')!r})['load']\n"
    code += "".join(f"assert callable(load({name!r}).main)\n" for name in found)
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (facts.AirflowReport, airflow_report.PreparationReport),
        (join_file.JoinReport, join_report.JoinSettings),
        (workers.CeleryWorker, celery_call.RespondingWorker),
    ],
)
def test_a_report_has_the_same_keys_on_both_sides(ours, theirs):
    assert get_type_hints(ours) == get_type_hints(theirs)
    assert ours.__total__ == theirs.__total__


def test_what_both_sides_call_by_name_has_one_name():
    assert preparation.OWN_BROKER == executors.OWN_BROKER
    assert generated_secrets.FILE == missing_secrets.SECRETS_FILE
    expected = json.loads(join_file.JoinFile("first", "3.3.2", "3.11", {}, {}, {}).expected())
    assert expected.keys() == get_type_hints(host_checks.FirstHost).keys()
    for report in REPORTS.values():
        assert report.keys() <= get_type_hints(facts.AirflowReport).keys()
