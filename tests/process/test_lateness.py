"""What is only late is tried again, and everything else fails at once."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
from lateness import in_time

tries = []

def test_late_twice(tmp_path):
    (tmp_path / "anew").mkdir()
    tries.append(1)
    in_time(0.1 if len(tries) < 3 else 0.0, 0.1)

def test_always_late():
    in_time(3, 2)

def test_wrong(record_property):
    tries.append(1)
    assert len(tries) > 4
"""


def test_a_test_that_is_late_is_tried_again_and_one_that_is_wrong_is_not(tmp_path):
    (tmp_path / "test_times.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "lateness", "-p", "no:cacheprovider", "test_times.py"]
    support = str(Path(__file__).parent.parent / "support")
    path = os.pathsep.join([support, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[0].startswith(".FF "), done.stdout + done.stderr
    assert done.stdout.count("test_times.py::test_late_twice: ") == 2
    assert done.stdout.count("test_times.py::test_always_late: ") == 2
    assert "test_times.py::test_wrong: " not in done.stdout
