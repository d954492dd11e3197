"""Airflow over REST, the same for 2.x and 3.x: health, trigger, state. And where to find a real one to run."""

import base64
import json
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from harness import Run, children, command_under_test, environment, leader_among, until

CHECKOUT = Path(__file__).parent.parent.parent
DAGS = Path(__file__).parent.parent / "dags"
READY = 240.0  # seconds: a machine that other work keeps busy
STOP = 30.0
WEB = {"2": "webserver", "3": "api-server"}

SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
}

_environments = {}


def installed(version):
    """The airflow command of a pinned version; installed where it is missing."""
    if version not in _environments:
        made = subprocess.run(
            [CHECKOUT / "scripts" / "airflow-env", version],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=1200,
        )
        if made.returncode != 0:
            pytest.fail(f"scripts/airflow-env {version}: exit status {made.returncode}")
        _environments[version] = Path(made.stdout.strip()) / "bin" / "airflow"
    return _environments[version]


class Airflow:
    """One AIRFLOW_HOME of one version, and what is started on it."""

    def __init__(self, version, home, **settings):
        self.version, self.home = version, home
        self.command = installed(version)
        self.web = WEB[version[0]]
        self.components = ["scheduler", self.web, "triggerer", *(["dag-processor"] if version[0] == "3" else [])]
        self.settings = {**SETTINGS, **settings}
        if version[0] == "3":
            del self.settings["AIRFLOW__API__AUTH_BACKENDS"]

    def arguments(self, *options):
        return [*command_under_test(), "airflow", "--airflow", self.command, "--home", self.home, *options]

    def command_line(self, *options):
        """To start it on free ports: one of its own for the web, so that two starts at once do not choose the same."""
        return self.arguments("--port", free_port(), "--any-port", *options)

    def start(self, *options, terminal=False, env=(), **run):
        """Start it on free ports."""
        variables = environment(**self.settings, **dict(env))
        return Run(
            self.command_line(*options),
            terminal=terminal,
            columns=160,
            rows=40,
            env=variables,
            cwd=self.home,
            **run,
        )

    def wait_ready(self, run, timeout=READY):
        """Wait for the banner; then the REST interface that it names."""
        run.wait_for(r"\| Airflow is ready$", timeout)
        run.wait_for(r"Do not use this in production!$")
        return Rest(self, url_in(run.text))

    def password(self):
        if self.version[0] == "2":
            return (self.home / "standalone_admin_password.txt").read_text().strip()
        return json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())["admin"]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def url_in(text):
    """The last URL of a banner in a screen's text."""
    return re.findall(r"\| Airflow is ready\s*\n\S*orchestrate *\| *(http://\S+)/", text)[-1]


class Rest:
    def __init__(self, airflow, url):
        self.airflow, self.url = airflow, url.replace("localhost", "127.0.0.1")
        self._v3 = airflow.version[0] == "3"
        self._token = None

    def get(self, path, data=None, login=True):
        """(status, JSON) of a request; status 0 and words where nobody answers. Slow answers are waited for."""
        headers = {"Content-Type": "application/json"}
        if login:
            headers["Authorization"] = self._login()
        body = None if data is None else json.dumps(data).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=60) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")
        except OSError as error:
            return 0, str(error)

    def _login(self):
        if not self._v3:
            return "Basic " + base64.b64encode(f"admin:{self.airflow.password()}".encode()).decode()
        if self._token is None:
            _, answer = self.get("/auth/token", {"username": "admin", "password": self.airflow.password()}, login=False)
            self._token = "Bearer " + answer["access_token"]
        return self._token

    def health(self):
        return self.get("/api/v2/monitor/health" if self._v3 else "/health", login=False)

    def heartbeat(self, name):
        """The latest heartbeat of a component and its status."""
        _, health = self.health()
        key = name.replace("-", "_")
        return health[key][f"latest_{key}_heartbeat"], health[key]["status"]

    @property
    def _api(self):
        return "/api/v2" if self._v3 else "/api/v1"

    def wait_for_dag(self, dag, timeout=90):
        """Wait until the DAG's file has been seen."""
        assert until(lambda: self.get(f"{self._api}/dags/{dag}")[0] == 200, timeout, 0.5), self.get(
            f"{self._api}/dags/{dag}"
        )

    def trigger(self, dag, timeout=90):
        """Wait for the DAG and trigger it; the path of its run."""
        self.wait_for_dag(dag, timeout)
        status, run = self.get(f"{self._api}/dags/{dag}/dagRuns", {"logical_date": None} if self._v3 else {})
        assert status in (200, 201), run
        return f"{self._api}/dags/{dag}/dagRuns/{urllib.parse.quote(run['dag_run_id'])}"

    def state(self, run):
        return self.get(run)[1]["state"]

    def to_the_end(self, run, timeout=180):
        """Wait until a run has ended; how."""
        return until(lambda: (state := self.state(run)) in ("success", "failed") and state, timeout, 0.5)

    def tasks(self, run):
        return {task["task_id"]: task["state"] for task in self.get(f"{run}/taskInstances")[1]["task_instances"]}


def processes(root):
    """The command lines below a process, by pid."""
    from programs.reaper import descendants

    found = {}
    for pid in descendants(root):
        try:
            found[pid] = (
                Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            )
        except OSError:
            continue
    return found


def leader(run, name):
    """The pid of a component's own process: a guardian's child that is called so. uvicorn changes its title."""
    title = re.compile(rf"airflow {name.replace('-', '[-_]')}\b")
    for guardian, command in run.guardians():
        if title.search(command):
            return leader_among(children(guardian))
    raise AssertionError(f"no {name}: {processes(run.pid)}\n{run}")
