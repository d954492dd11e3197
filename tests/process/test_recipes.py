"""The recipes run: each is started, used and stopped, with real parts, in a copy of its directory."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from harness import Run, command_under_test, environment, pump, until, watched

from orchestrator.cli import manual

ROOT = Path(manual.__file__).parents[2]
EXAMPLES = ROOT / "tests" / "examples"
POSTGRES = shutil.which("psql") and list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.fixture
def example():
    """Copy an example to where other users (postgres) may go too; start commands of ours there."""
    paths = []

    def copy(name):
        path = Path(tempfile.mkdtemp(prefix="recipe-")).resolve()
        path.chmod(0o755)
        paths.append(path)
        shutil.copytree(EXAMPLES / name, path, dirs_exist_ok=True)
        return path

    yield copy
    for path in paths:
        shutil.rmtree(path)


def start(path, *words, before=(), **env):
    command = [*before, *command_under_test(), *words, "--color", "never"]
    return Run(command, cwd=path, env=environment(PWD=str(path), **env))


def free_port():
    """A port that is free, and the next hundreds most likely too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return port if port < 65000 else free_port()


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as response:
        return response.read().decode()


def installed(name):
    """The directory of programs of an example's environment; made if it is missing."""
    made = subprocess.run([ROOT / "scripts" / "example-env", name], stdout=subprocess.PIPE, text=True, check=True)
    return f"{made.stdout.strip()}/bin"


@pytest.mark.scripts
@pytest.mark.skipif(not POSTGRES, reason="needs Debian's package postgresql")
@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs Debian's package redis-server")
def test_django_with_celery_redis_and_postgresql(example):
    path, base = example("django"), free_port()
    run = start(path, "-p", str(base), PATH=f"{installed('django')}:{os.environ['PATH']}")
    run.wait_for("^orchestrate +. all ready after", 120)
    web = f"http://127.0.0.1:{base + 300}"  # the fourth component
    assert get(f"{web}/register/ann") == "ann is user 1\n"
    assert get(f"{web}/register/bob") == "bob is user 2\n"
    run.wait_for("^worker +. .*registered bob")
    run.stop(60)
    assert re.search("^db +. .*database system is shut down", run.text, re.MULTILINE)


@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="needs node and npm")
def test_a_node_monorepo_with_npm_workspaces(example):
    path, base = example("node"), free_port()
    run = start(path, "-p", str(base))
    run.wait_for("^orchestrate +. all ready after", 120)
    assert get(f"http://127.0.0.1:{base + 100}/") == "we have 3 teas\n"
    run.wait_for("^api +. GET /")
    run.stop(60)


@pytest.mark.scripts
@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="needs Debian's packages nodejs and npm")
def test_fastapi_with_a_vite_front_end(example):
    path, base = example("fastapi"), free_port()
    # How this machine reaches the registry: through a proxy, with a certificate of its own.
    reach = {
        k: v for k, v in os.environ.items() if re.match("(?i)npm_config_|node_extra_ca|ssl_cert|https?_proxy|no_p", k)
    }
    ping = ["npm", "view", "vite", "version", "--fetch-retries=1", "--fetch-timeout=20000"]
    if subprocess.run(ping, env=environment(**reach), capture_output=True, check=False).returncode:
        pytest.skip("the registry of npm does not answer")
    run = start(path, "-p", str(base), PATH=f"{installed('fastapi')}:{os.environ['PATH']}", **reach)
    run.wait_for("^orchestrate +. all ready after", 300)  # npm ci fetches vite
    front = f"http://127.0.0.1:{base + 100}"
    assert json.loads(get(f"{front}/api/teas")) == ["assam", "sencha", "oolong"]
    assert "/@vite/client" in get(f"{front}/")
    assert "fetch(" in get(f"{front}/main.js")
    app = path / "app.py"
    app.write_text(app.read_text().replace('"oolong"', '"oolong", "matcha"'))

    def has_reloaded():
        try:
            return "matcha" in get(f"{front}/api/teas")
        except urllib.error.HTTPError:  # 500 of vite, while uvicorn does not listen
            return False

    assert until(has_reloaded, 60), str(run)
    (path / "front" / "main.js").write_text("// changed\n")
    run.wait_for(r"^front +. .*page reload main\.js", 60)
    run.stop(60)


@pytest.mark.skipif(not (shutil.which("puma") and shutil.which("ruby")), reason="needs ruby and puma")
def test_a_rails_style_bin_dev_with_rack(example):
    path, base = example("rack"), free_port()
    bin_directory = path / "path"
    bin_directory.mkdir()
    (bin_directory / "orchestrate").write_text(f'#!/bin/sh\nexec {" ".join(command_under_test())} "$@"\n')
    (bin_directory / "orchestrate").chmod(0o755)
    run = Run(
        ["bin/dev", "-p", str(base), "--color", "never"],
        cwd=path,
        env=environment(PATH=f"{bin_directory}:{os.environ['PATH']}"),
    )
    run.wait_for(r"^web +. .*Listening on http://127\.0\.0\.1", 60)
    run.wait_for("^css +. watching app/assets on a terminal$")
    assert get(f"http://127.0.0.1:{base}/green") == "tea: /green\n"
    run.stop(60)


def test_a_systemd_user_unit(example, tmp_path):
    """The command of the unit, with the socket of a manager; and systemd's own opinion of the unit, if it is here."""
    unit = (EXAMPLES / "systemd" / "app.service").read_text()
    assert unit in (manual.DIRECTORY / "recipe-systemd.md").read_text()
    path, base = example("systemd"), free_port()
    words = re.search(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)[1].split()
    told = []
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    watched.register(manager, 1, lambda: told.extend(manager.recv(4096).decode().split("\n")))
    try:
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
        run = Run([*command_under_test(), *words, "-p", str(base)], cwd=path, env=environment(**variables))
        assert pump(lambda: "READY=1" in told, 60), str(run)
        assert "orchestrate.toml" in get(f"http://127.0.0.1:{base}/")
        run.stop(60)
        assert "STOPPING=1" in told
    finally:
        watched.unregister(manager)
        manager.close()
    if shutil.which("systemd-analyze"):
        here = tmp_path / "app.service"
        here.write_text(unit.replace("%h/.local/bin/orchestrate", shutil.which("true")))
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", here],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "app.service" not in checked.stderr


def can_enter(path):
    command = ["unshare", "--mount", "--pid", "--fork", "true"]
    return os.getuid() == 0 and subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_pid_1_of_a_container(example, tmp_path):
    """A root file system in namespaces. PID 1 is orchestrate; SIGTERM stops all of it, daemons too."""
    if not can_enter(tmp_path):
        pytest.skip("needs root and namespaces")
    path, base = example("container"), free_port()
    # The checkout and its Python are outside the usual directories.
    tops = {
        Path(word).resolve().parts[1] for word in [*command_under_test(), str(ROOT), os.path.realpath("/proc/self/exe")]
    }
    run = start(path, "up", "-p", str(base), before=["./enter", str(tmp_path)], EXTRA=" ".join(sorted(tops - {"tmp"})))
    run.wait_for(r"^web +. Serving HTTP", 60)
    assert "Procfile" in get(f"http://127.0.0.1:{base}/")
    (first,) = [pid for pid in run.living() if f"\nNSpid:\t{pid}\t1\n" in Path(f"/proc/{pid}/status").read_text()]
    os.kill(first, signal.SIGTERM)
    assert run.wait(60) == 128 + signal.SIGTERM, str(run)
    assert run.survivors(5) == []
    assert (path / ".orchestrate" / "logs" / "web.log").exists()


@pytest.mark.airflow
@pytest.mark.skipif(not POSTGRES, reason="needs Debian's package postgresql")
def test_airflow_with_postgresql(example):
    from airflow_rest import installed

    path, web, db = example("airflow-postgresql"), free_port(), free_port()
    search_path = f"{installed('3.3.2').parent}:{os.environ['PATH']}"
    run = start(path, PATH=search_path, WEB_PORT=str(web), DB_PORT=str(db))
    run.wait_for("^orchestrate +. all ready after", 240)

    def healthy():
        found = json.loads(get(f"http://localhost:{web}/api/v2/monitor/health"))
        return all(found[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer"))

    assert until(healthy, 120, 0.5), str(run)
    assert run.text.index("database system is ready") < run.text.index("migrate exited with status 0")
    run.stop(90)
    assert re.search("^db +. .*database system is shut down", run.text, re.MULTILINE)
