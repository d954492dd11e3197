"""The examples run: each in a copy, from its first start to a stop that leaves nothing."""

import json
import os
import re
import shutil
import socket
import tempfile
import urllib.request
from pathlib import Path

import pytest
from harness import Run, command_under_test, environment, until

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example():
    """Copy an example to where other users (postgres) may go too, and start commands of ours in it."""
    paths = []

    def copy(name):
        path = Path(tempfile.mkdtemp(prefix="example-")).resolve()
        path.chmod(0o755)
        paths.append(path)
        shutil.copytree(EXAMPLES / name, path, dirs_exist_ok=True)
        return path

    yield copy
    for path in paths:
        shutil.rmtree(path)


def start(path, *words, **env):
    return Run([*command_under_test(), *words, "--color", "never"], cwd=path, env=environment(PWD=str(path), **env))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        return response.read().decode()


def test_a_web_application_with_postgresql_and_a_migration(example):
    if not shutil.which("psql") or not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("needs Debian's package postgresql")
    path, port = example("shop"), free_port()
    for visit in (1, 2):
        run = start(path, "-p", str(port - 200), GREETING="welcome")  # web is the third: its PORT is base + 200
        run.wait_for("^web +. listening on http://127.0.0.1", 120)
        assert get(f"http://127.0.0.1:{port}/") == f"welcome, visit {visit}\n"
        assert ("initdb is skipped" in run.text) == (visit == 2)
        assert (
            run.text.index("ready to accept")
            < run.text.index("migrate exited with status 0")
            < run.text.index("listening on http")
        )
        run.stop(60)
        assert re.search("^db +. .*database system is shut down", run.text, re.MULTILINE)


def test_a_procfile_of_the_foreman_family(example):
    path, port = example("family"), free_port()
    run = start(path, "start", "-m", "worker=2,clock=0", "-p", str(port))
    run.wait_for("^worker.1 +. worker worker.1 takes from mail, urgent at amqp://broker.example.org:5672$")
    run.wait_for("^worker.2 +. worker worker.2 takes from")
    run.wait_for(f"^web +. Serving HTTP on 127.0.0.1 port {port}")
    assert "Procfile" in get(f"http://127.0.0.1:{port}/")
    run.stop()
    assert "clock" not in run.text


@pytest.mark.airflow
def test_airflow_without_the_preset(example):
    from airflow_rest import installed

    path, port = example("airflow"), free_port()
    search_path = f"{installed('3.3.2').parent}:{os.environ['PATH']}"
    run = start(path, PATH=search_path, WEB_PORT=str(port))
    health = f"http://localhost:{port}/api/v2/monitor/health"

    def healthy():
        try:
            found = json.loads(get(health))
        except OSError:
            assert run.returncode is None, str(run)
            return False
        return all(
            found[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )

    run.wait_for("^orchestrate|^api +. ", 120)
    assert until(healthy, 120, 0.5), str(run)
    run.stop(60)


@pytest.mark.airflow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "version", ["3.3.2", *(pytest.param(old, marks=pytest.mark.exhaustive) for old in ("2.6.3", "2.11.2"))]
)
def test_airflow_beside_the_services_that_its_dags_use(example, version):
    from airflow_rest import installed

    path, web, api, mail = example("orders"), free_port(), free_port(), free_port()
    variables = {
        "PATH": f"{installed(version).parent}:{os.environ['PATH']}",
        "WEB_PORT": str(web),
        "API_PORT": str(api),
        "MAIL_PORT": str(mail),
        **{f"AIRFLOW__LOGGING__{name}_LOG_SERVER_PORT": str(free_port()) for name in ("WORKER", "TRIGGER")},
    }
    run = start(path, **variables)
    run.wait_for("Airflow is ready$", 180)
    run.wait_for(r"^mail +. Subject: 2 orders$", 120)
    run.wait_for(r"^mail +. 3 x tea$")
    assert re.search(r'^orders-api +. .*"GET /orders', run.text, re.MULTILINE)
    command = [*command_under_test(), "airflow", "--home", "home", "run", "--", "dags", "list", "-o", "plain"]
    listed = Run(command, cwd=path, env=environment(PWD=str(path), **variables))
    assert listed.wait(120) == 0, str(listed)
    assert re.search("^orders ", listed.text, re.MULTILINE), str(listed)
    for words in (("ps",), ("airflow", "ps", "--home", "home")):
        shown = Run([*command_under_test(), *words], cwd=path, env=environment())
        assert shown.wait() == 0
        assert re.search(rf"^(api-server|webserver) +ready .* {web} ", shown.text, re.MULTILINE), str(shown)
    run.stop(60)
