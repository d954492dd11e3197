"""scripts/airflow_release.py with the pinned pip, on a package index of the test's own."""

import http.server
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
MAKE_PIP = '. "$scripts/common.sh"; make_venv pip 3.10- install_lock "$locks/pip.txt"; echo "$venv"'
RELEASES = {  # version: Requires-Python and the times of upload, as the index has them
    "2.5.3": ("~=3.7", ["2023-04-01T10:00:00Z"]),
    "2.6.3": ("~=3.7", ["2023-07-10T20:48:27Z", "2023-07-10T23:49:14Z"]),
    "2.7.3": ("<3.12,~=3.8", ["2023-11-06T05:43:57Z"]),
    "3.0.5": ("!=3.13,>=3.9", ["2025-08-20T10:00:00Z"]),
    "3.0.6": ("!=3.13,>=3.9", ["2025-08-29T15:56:11Z"]),
    "3.1.0": ("!=3.14,>=3.10", [None]),
    "3.2.0rc1": ("!=3.15,>=3.10", ["2026-04-01T10:00:00Z"]),
    "3.9.0": (">=3.8,<3.10", ["2026-04-01T10:00:00Z"]),
}

pytestmark = pytest.mark.airflow


class Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        files = []
        for version, (requires, uploaded) in RELEASES.items():
            for number, time in enumerate(uploaded, 1):
                name = f"apache_airflow-{version}-{number}-py3-none-any.whl"
                files.append({"filename": name, "url": name, "hashes": {}, "requires-python": requires})
                if time is not None:
                    files[-1]["upload-time"] = time
        page = {"meta": {"api-version": "1.1"}, "name": "apache-airflow", "files": files}
        self.send_response(200 if self.path == "/simple/apache-airflow/" else 404)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.end_headers()
        self.wfile.write(json.dumps(page).encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def index():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def ask(index):
    made = subprocess.run(
        ["sh", "-c", MAKE_PIP],
        env={**os.environ, "scripts": str(SCRIPTS), "me": "test"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr

    def ask(version, url=index):
        alone = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        command = [f"{made.stdout.strip()}/bin/python", "-I", SCRIPTS / "airflow_release.py", version]
        environment = {**alone, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": url, "PIP_RETRIES": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert len(done.stdout.splitlines()) == 1
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout.strip()

    return ask


def test_the_range_of_pythons_and_the_day_after_the_last_upload(ask):
    assert ask("2.6.3") == (0, "3.10-3.11 2023-07-11")  # without an upper bound: not 3.12, which is younger
    assert ask("2.7.3") == (0, "3.10-3.11 2023-11-07")
    assert ask("3.0.6") == (0, "3.10-3.12 2025-08-30")
    assert ask("3.2.0rc1") == (0, "3.10-3.14 2026-04-02")


def test_what_cannot_be_installed_is_refused_in_one_line(ask):
    assert ask("3.0.9") == (2, "unknown Airflow version '3.0.9': the package index has 3.0.5, 3.0.6")
    assert ask("4.0") == (2, "unknown Airflow version '4.0': the package index has 2.6.3, 2.7.3, 3.0.6, 3.1.0, 3.9.0")
    assert ask("2.5.3") == (2, "Airflow 2.5.3 is not supported: use 2.6 or later")
    assert ask("3.x") == (2, "invalid Airflow version '3.x': expected one such as 3.3.2")
    assert ask("3.9.0") == (
        2,
        "cannot install Airflow 3.9.0: it needs Python >=3.8,<3.10, and orchestrate 3.10 or later",
    )
    assert ask("3.1.0")[0] == 2
    assert "does not tell when a file was uploaded; use a version with a lock file" in ask("3.1.0")[1]


def test_an_index_that_is_empty_or_unreachable_is_named(ask, index):
    for url in (f"{index}/none", "http://127.0.0.1:9/simple"):
        assert ask("3.3.2", url) == (
            2,
            "unknown Airflow version '3.3.2': the package index has no Airflow, or cannot be reached",
        )
