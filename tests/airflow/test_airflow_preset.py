"""The whole preset, fast: with a fake Airflow that has what the preparation needs, and components like Airflow's."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_fake import FAKE, Fake
from airflow_rest import free_port
from harness import Run, command_under_test

NAMES = ("scheduler", "api-server", "dag-processor", "triggerer")


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path)


def order_of(run, *words):
    """The words, in the order of their lines."""
    return sorted(words, key=run.text.index)


def test_a_first_start_prepares_then_starts_all_and_ends_in_order(fake):
    run = fake.ready()
    expected = ["Checking database is initialized", "Database ready", "Airflow 3.3.2 (", "Airflow is ready"]
    assert order_of(run, *expected) == expected
    assert re.search(
        rf"^orchestrate +\| Airflow 3.3.2 \({fake.bin}/airflow\), home {fake.home}, LocalExecutor, sqlite:///{fake.home}/airflow.db$",
        run.text,
        re.M,
    )
    for name in NAMES:
        assert re.search(
            rf"^{name} +\|  {name}  started with executor LocalExecutor in {os.getcwd()}$",
            run.text,
            re.M,
        )
    run.signal(signal.SIGINT)
    assert run.wait() == -signal.SIGINT
    assert run.survivors(1) == []
    stopped = re.findall(r"^orchestrate +\| (\S+) stopped \(exited with status 0\)$", run.text, re.M)
    assert sorted(stopped) == sorted(NAMES)
    assert stopped.index("scheduler") < stopped.index("api-server"), "which it reports to"
    assert run.text.index("scheduler says goodbye") < run.text.index("api-server says goodbye")
    assert run.text.rstrip().endswith("| Complete")


def test_polling_ends_when_all_are_ready_and_the_execution_api_is_warm(fake):
    run = fake.ready()
    asked = re.findall(r"^api-server +\| GET (\S+)$", run.text, re.M)
    assert "/execution/health" in asked
    as_a_task = "/execution/dag-runs/count?dag_id=orchestrate"
    assert set(asked) == {"/api/v2/monitor/health", "/execution/health", as_a_task}
    assert asked.count(as_a_task) == 1
    run.stop()
    assert len(re.findall(r"\| GET ", run.text)) == len(asked)


def test_the_second_start_needs_no_helper_until_something_has_changed(fake):
    fake.ready().stop()
    warm = fake.ready()
    assert "Database ready: nothing has changed since the last start" in warm.text
    assert "Checking database" not in warm.text
    warm.stop()
    for change in (
        lambda: {"AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor"},
        lambda: (fake.home / "airflow.cfg").write_text("[core]\nexecutor = LocalExecutor\n") and {},
        lambda: (fake.packages / "more.dist-info").mkdir() or {},
        lambda: (fake.home / "airflow.db").unlink() or {},
        lambda: fake.password_file.unlink() or {},
    ):
        run = fake.ready(**change())
        assert "Checking database is initialized" in run.text
        run.stop()


def test_a_home_that_a_newer_airflow_has_used_is_refused(fake):
    fake.ready().stop()
    record = (fake.home / ".orchestrate" / "airflow.json").read_text()
    (fake.packages / "apache_airflow-3.3.2.dist-info").rename(fake.packages / "apache_airflow-3.1.8.dist-info")
    refused = fake.start(FAKE_VERSION="3.1.8")
    assert refused.wait() == 1
    assert f"cannot start Airflow 3.1.8: Airflow 3.3.2 has used {fake.home}\nhint: name another" in refused.messages
    assert "name another home with --home DIR; " in refused.messages
    assert "Checking database" not in refused.text
    assert (fake.home / ".orchestrate" / "airflow.json").read_text() == record
    fake.ready("--home", fake.home.parent / "other", FAKE_VERSION="3.1.8").stop()
    (fake.packages / "apache_airflow-3.1.8.dist-info").rename(fake.packages / "apache_airflow-3.4.0.dist-info")
    fake.ready(FAKE_VERSION="3.4.0").stop()


def test_a_stale_row_is_not_taken_for_readiness(fake):
    fake.home.mkdir()
    for name in NAMES:
        (fake.home / f"{name.replace('-', '_')}.beat").write_text("2026-01-01T00:00:00+00:00")
    run = fake.start("--only", "api-server,scheduler", FAKE_STALE="scheduler")
    run.wait_for(r"\| waiting for scheduler: .*: scheduler/latest_scheduler_heartbeat is older than this start$")
    assert "Airflow is ready" not in run.text
    run.stop()


def test_the_password_is_private_and_shown_on_a_terminal_only(fake):
    run = fake.ready()
    assert f"Login with username: admin  password: in {fake.password_file}" in run.text
    run.stop()
    assert re.fullmatch(r"[a-zA-Z0-9]{16}", fake.password)
    assert stat.S_IMODE(fake.password_file.stat().st_mode) == 0o600
    shown = fake.ready(terminal=True)
    assert f"Login with username: admin  password: {fake.password}" in shown.text
    shown.stop()
    for log in (fake.home / ".orchestrate" / "logs").iterdir():
        assert fake.password.encode() not in log.read_bytes()


def test_detached_the_banner_comes_last_without_the_password(fake):
    port = free_port()
    up = fake.start("-d", "--wait", "--port", port, terminal=True)
    assert up.wait() == 0
    lines = up.text.strip().splitlines()
    assert lines[-4:] == [
        "orchestrate: Airflow is ready",
        f"orchestrate: http://localhost:{port}/",
        f"orchestrate: Login with username: admin  password: in {fake.password_file}",
        "orchestrate: Airflow Standalone is for development purposes only. Do not use this in production!",
    ]
    assert fake.password not in up.text
    assert fake.ask("down").returncode == 0
    assert up.survivors(10) == []


def test_a_banner_that_was_scrolled_away_is_shown_once_more(fake):
    run = fake.ready(terminal=True, FAKE_FLOOD="triggerer")
    run.wait_for("flood 499: ")
    run.wait_for(r"flood 499: [^\n]*\n(.*\n)*.*Airflow is ready\n.*http://localhost")
    run.stop()
    assert run.text.count("Airflow is ready") == 2
    quiet = fake.ready(FAKE_FLOOD="triggerer")
    quiet.wait_for("flood 499: ")
    quiet.stop()
    assert quiet.text.count("Airflow is ready") == 1, "a file or pipe scrolls nothing away"


def test_a_password_that_is_there_is_kept_and_made_private(fake):
    fake.home.mkdir()
    fake.password_file.write_text('{"admin": "mine"}')
    fake.password_file.chmod(0o644)
    fake.ready().stop()
    assert fake.password == "mine"
    assert stat.S_IMODE(fake.password_file.stat().st_mode) == 0o600
    assert fake.ask("password").stdout == "mine\n"


def test_a_link_in_place_of_the_password_file_ends_the_start_and_is_not_followed(fake, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text('{"admin": "elsewhere"}')
    fake.home.mkdir(exist_ok=True)
    fake.password_file.symlink_to(outside)
    run = fake.start()
    assert run.wait() == 1
    assert f"cannot prepare Airflow: refusing to use {fake.password_file}: it is a symlink; move it away" in run.text
    assert "Traceback" not in run.messages
    assert outside.read_text() == '{"admin": "elsewhere"}'


def test_a_link_that_takes_the_place_of_the_password_file_later_is_not_read(fake, tmp_path):
    fake.ready().stop()
    fake.password_file.rename(tmp_path / "outside")
    fake.password_file.symlink_to(tmp_path / "outside")
    said = fake.ask("password")
    assert (said.returncode, said.stdout) == (1, "")


def test_every_user_gets_a_password_before_airflow_prints_one(fake):
    fake.ready(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="bob:viewer,ann:admin").stop()
    assert sorted(json.loads(fake.password_file.read_text())) == ["ann", "bob"]


def test_what_is_not_local_is_forced_and_said(fake):
    run = fake.ready(AIRFLOW__CORE__EXECUTOR="KubernetesExecutor", AIRFLOW__CORE__AUTH_MANAGER="no.such.Manager")
    assert "Forcing executor to LocalExecutor: KubernetesExecutor is not local" in run.text
    assert "Forcing auth manager to SimpleAuthManager: no module no.such.Manager" in run.text
    assert "scheduler  started with executor LocalExecutor" in run.text
    run.stop()


@pytest.mark.parametrize(
    ("executor", "said", "hint"),
    [
        ("LocalExecuter", "unknown executor 'LocalExecuter'", "did you mean LocalExecutor?"),
        ("celeryexecutor", "unknown executor 'celeryexecutor'", "did you mean CeleryExecutor?"),
        (
            "LocalExecutor,Kubernetesexecutor",
            "unknown executor 'Kubernetesexecutor'",
            "did you mean KubernetesExecutor?",
        ),
        ("Zyzzyva", "unknown executor 'Zyzzyva'", "there are LocalExecutor, SequentialExecutor, "),
        ("our.executors.GridExecutor", "cannot use it: ", "set AIRFLOW__CORE__EXECUTOR=LocalExecutor "),
        (
            "LocalExecutor,KubernetesExecutor",
            "cannot use KubernetesExecutor: No module named 'airflow.providers'",
            "pip install apache-airflow-providers-cncf-kubernetes",
        ),
    ],
)
def test_an_executor_that_is_not_known_is_refused(fake, executor, said, hint):
    run = fake.start(AIRFLOW__CORE__EXECUTOR=executor)
    assert run.wait() == 1
    assert f"cannot prepare Airflow: [core] executor = {executor}: {said}" in run.text
    assert hint in run.text
    assert "Forcing" not in run.text


def test_an_executor_without_workers_beside_a_local_one_is_reported(fake):
    run = fake.ready(AIRFLOW__CORE__EXECUTOR="LocalExecutor, fast:airflow.executors.executor_loader.CeleryExecutor")
    assert "| CeleryExecutor has no worker here: its tasks stay queued unless one runs elsewhere" in run.text
    assert "Forcing" not in run.text
    run.stop()
    warm = fake.ready(AIRFLOW__CORE__EXECUTOR="LocalExecutor, fast:airflow.executors.executor_loader.CeleryExecutor")
    assert "CeleryExecutor has no worker here" in warm.text
    warm.stop()


def test_who_is_waited_for_is_said_in_words(fake):
    run = fake.start("--only", "api-server,scheduler", FAKE_MUTE="scheduler")
    run.wait_for(r"\| waiting for scheduler: no line yet about its start$")
    run.stop()


def test_on_one_processor_they_start_one_after_another_beside_the_api_server(fake, tmp_path):
    os.mkfifo(tmp_path / "gate")
    run = fake.start(on_one_processor=True, FAKE_SLOW="scheduler", FAKE_GATE=str(tmp_path / "gate"))
    run.wait_for(r"\| waiting for scheduler: no line yet about its start; dag-processor, triggerer: its turn$")
    assert "api-server  started" in run.text
    assert "dag-processor  started" not in run.text
    why = [*command_under_test(), "why", "triggerer", "--home", fake.home]
    assert (
        "is waiting for its turn" in subprocess.run(why, capture_output=True, text=True, timeout=60, check=True).stdout
    )
    (tmp_path / "gate").write_text("go\n")
    run.wait_for(r"Airflow is ready$")
    expected = ["Adopting or resetting", "dag-processor  started", "Starting the Dag", "triggerer  started"]
    assert order_of(run, *expected) == expected
    run.stop()


def test_nobody_gives_way_to_one_that_dies(fake):
    run = fake.start("--only", "scheduler,triggerer", on_one_processor=True, FAKE_DYING="scheduler")
    run.wait_for("triggerer  started")
    assert run.text.count("about to die") < 3, "after 15 s, which is what it gives a silent one, it would be 4"
    run.stop()


def test_a_failed_migration_shows_its_output_and_stops_the_start(fake):
    run = fake.start(FAKE_BROKEN="1")
    assert run.wait() == 1
    assert re.search(r"^airflow +\| cannot prepare Airflow: RuntimeError: the migration failed$", run.text, re.M)
    assert "Traceback" not in run.text
    traceback = fake.home / ".orchestrate" / "airflow-report.json.traceback"
    assert f"hint: the traceback is in {traceback}" in run.text
    assert traceback.read_text().endswith("RuntimeError: the migration failed\n")
    assert "orchestrate   | airflow exited with status 1" in run.text
    assert "scheduler  started" not in run.text


def test_a_user_without_a_role_and_a_password_file_that_is_not_json_are_told_in_a_line(fake):
    run = fake.start(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="admin:admin,boss")
    assert run.wait() == 1
    assert (
        "cannot prepare Airflow: [core] simple_auth_manager_users = admin:admin,boss: 'boss' is not NAME:" in run.text
    )
    assert "for example boss:admin" in run.text
    assert "Database ready" not in run.text
    for content in ("secret", "[1]", '"admin"', "\xff"):
        fake.password_file.write_text(content, encoding="latin-1")
        run = fake.start()
        assert run.wait() == 1
        assert f"cannot prepare Airflow: the password file {fake.password_file} is not a JSON object" in run.text
        assert "Traceback" not in run.text
        assert fake.password_file.read_text(encoding="latin-1") == content


ELSEWHERE = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow:s3cr3t@db/airflow"}


def test_a_database_that_comes_up_later_is_waited_for(fake, tmp_path):
    fake.home.mkdir()
    (fake.home / "down").touch()
    run = fake.start("--wait-for-database", "60", **ELSEWHERE)
    run.wait_for(
        r"^airflow +\| waiting for the database, up to 60 s: cannot connect to the database .*: Connection refused$"
    )
    (fake.home / "down").unlink()
    run.wait_for(r"^airflow +\| the database answers after \d+ s$")
    run.wait_for(r"Airflow is ready$")
    run.stop()


def test_a_warm_start_with_a_server_asks_it_for_the_schema_and_imports_no_airflow(fake):
    fake.ready(**ELSEWHERE).stop()
    record = (fake.home / ".orchestrate" / "airflow.json").read_text()
    assert "s3cr3t" not in record
    warm = fake.ready(FAKE_BROKEN="1", **ELSEWHERE)  # a migration would fail
    assert "Database ready: nothing has changed since the last start" in warm.text
    assert "Checking database" not in warm.text
    warm.stop()
    other = {name: f"{url}2" for name, url in ELSEWHERE.items()}
    with contextlib.closing(sqlite3.connect(fake.home / "airflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'abd'")
        connection.commit()
    for changed in (ELSEWHERE, other):
        run = fake.ready(**changed)
        assert "Checking database is initialized" in run.text
        run.stop()


def test_a_database_that_stays_away_ends_the_start_with_one_line(fake):
    fake.home.mkdir()
    (fake.home / "down").touch()
    run = fake.start("--wait-for-database", "0", **ELSEWHERE)
    assert run.wait() == 1
    assert re.search(r"^airflow +\| cannot prepare Airflow: cannot connect to the database .*refused$", run.text, re.M)
    assert "Traceback" not in run.text
    refused = fake.ask("--wait-for-database", "soon")
    assert refused.returncode == 2
    assert "--wait-for-database" in refused.stderr


def test_a_component_that_ends_with_0_twice_before_it_is_ready_is_given_up_and_the_status_is_1(fake):
    run = fake.start("--only", "triggerer,api-server", FAKE_DYING="triggerer")
    run.wait_for(r"\| triggerer exited with status 0 after 0\.\d s$")
    run.wait_for(r"\| starting triggerer again in 1\.\d s$")
    assert run.wait(60) == 1
    assert len(re.findall(r"\| starting triggerer again in ", run.text)) == 1
    assert re.search(
        r"\| giving up on triggerer: it exited 2 times in the same way before it was ready\n"
        r"(orchestrate +\| .*\n)*"
        r"orchestrate +\| stopping api-server because triggerer exited \(it was started 2 times\)\n"
        r"orchestrate +\| Shutting down components",
        run.text,
    )
    assert run.survivors(1) == []


def test_a_killed_component_comes_back(fake):
    run = fake.ready()
    os.kill(next(pid for pid in run.living() if "airflow triggerer" in cmdline(pid)), signal.SIGKILL)
    run.wait_for(r"\| triggerer killed by SIGKILL after ")
    run.wait_for(r"\| triggerer is ready again$")
    run.stop()


def cmdline(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_info_before_while_and_after(fake):
    told = json.loads(fake.ask("info", "--json", AIRFLOW__API__PORT="9191").stdout)
    assert (told["version"], told["url"], told["pid"]) == ("3.3.2", "http://localhost:9191/", None)
    assert not (fake.home / "airflow.db").exists(), "nothing is prepared for somebody who only asks"
    assert "the first start of `orchestrate airflow` makes one" in fake.ask("password").stderr
    port = free_port()
    run = fake.ready("--port", port)
    told = json.loads(fake.ask("info", "--json").stdout)
    assert (told["url"], told["pid"], told["components"]) == (f"http://localhost:{port}/", run.pid, list(NAMES))
    assert f"tasks talk to http://localhost:{port}/execution/" in run.text
    run.stop()
    assert re.search(r"^executor +LocalExecutor$", fake.ask("info").stdout, re.M)
    told = json.loads(fake.ask("info", "--json", "--except", "triggerer", "--port", "9191", "--bind", "::1").stdout)
    assert (told["url"], told["components"]) == ("http://[::1]:9191/", ["scheduler", "api-server", "dag-processor"])
    run = fake.ready("--only", "scheduler,api-server")
    assert json.loads(fake.ask("info", "--json").stdout)["components"] == ["scheduler", "api-server"], "what runs"
    run.stop()


def test_the_second_terminal_from_any_directory_without_airflow_on_path(fake, tmp_path):
    def ask(*words, **changes):
        command = [*command_under_test(), "airflow", *words]
        variables = fake.variables(**changes)
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=variables, check=False
        )

    port = free_port()
    run = fake.ready("--port", port, AIRFLOW__CORE__EXECUTOR="KubernetesExecutor")
    rows = {row["instance"]: row for row in map(json.loads, ask("ps", "--json").stdout.splitlines())}
    assert rows.keys() == set(NAMES)
    assert "triggerer is ready" in ask("why", "triggerer").stdout
    assert ask("restart", "triggerer").stdout.startswith("triggerer restarted")
    assert ask("start", "triggerer").returncode == 0
    assert "Airflow is ready" in ask("logs", "orchestrate").stdout
    assert json.loads(ask("info", "--json").stdout)["command"] == str(fake.bin / "airflow")
    assert ask("password").stdout == f"{fake.password}\n"
    found = ask("password", AIRFLOW_HOME=None, HOME=str(tmp_path))
    assert found.stdout == f"{fake.password}\n", "the only one that runs"
    assert "using" in found.stderr
    shown = ask("run", "--", "print-configuration").stdout
    assert f"execution_api_server_url = http://localhost:{port}/execution/" in shown
    assert "executor = LocalExecutor" in shown
    plain = [*command_under_test(), "status"]
    said = subprocess.run(
        plain, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=fake.variables(), check=True
    )
    assert "4 of 4" in said.stdout
    assert f"using the one in {fake.home}" in said.stderr
    assert ask("down").returncode == 0
    assert run.wait() == 0
    refused = ask("ps")
    assert (refused.returncode, refused.stderr) == (
        3,
        f"orchestrate: no Airflow is running in {fake.home}\n"
        "hint: start it with `orchestrate airflow`, or name its home with --home\n",
    )
    assert "cannot find Airflow" in ask("info", PATH="/usr/bin:/bin").stderr
    assert ask("run").stderr.startswith("orchestrate: cannot find Airflow")


def test_airflows_own_command_gets_what_options_of_the_start_said(fake):
    run = fake.ready("--executor", "SequentialExecutor", "--only", "scheduler")
    assert "scheduler  started with executor SequentialExecutor" in run.text
    assert "executor = SequentialExecutor" in fake.ask("run", "--", "print-configuration").stdout
    run.stop()


def test_airflows_own_command_runs_without_a_running_system(fake):
    shown = fake.ask("run", "--port", "9191", "--", "print-configuration")
    assert "execution_api_server_url = http://localhost:9191/execution/" in shown.stdout
    assert "nothing to run\nhint: write what Airflow's own command gets" in fake.ask("run").stderr


def test_a_port_that_is_taken_is_said_before_anything_starts(fake):
    port = str(free_port())
    run = fake.ready("--port", port)
    second = Fake(fake.bin.parent.parent / "second")
    refused = second.ask("--port", port)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert re.search(
        rf"^orchestrate: cannot start Airflow: port {port} of api-server is taken by pid \d+ \(.* api-server\)$",
        refused.stderr,
        re.M,
    )
    assert "--any-port" in refused.stderr
    other = second.ready("--port", port)
    assert re.search(rf"\| Port {port} is taken: api-server gets \d+$", other.text, re.M)
    other.stop()
    run.stop()


def test_a_live_webserver_on_the_home_is_said(fake):
    fake.home.mkdir()
    other = Run(
        [sys.executable, "-c", "import sys, signal; print('up', flush=True); signal.pause()", "airflow", "webserver"]
    )
    other.wait_for("up")
    (fake.home / "airflow-webserver.pid").write_text(f"{other.pid}\n")
    refused = fake.ask()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"runs already as pid {other.pid} (" in refused.stderr
    fake.ready("--only", "scheduler").stop()  # which can run beside it
    other.signal(signal.SIGKILL)
    other.wait()
    fake.ready().stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--only", "webserver"],
            "cannot choose webserver: Airflow 3.3.2 has no such component\nhint: it has scheduler, api-server",
        ),
        (["--except", "shceduler"], "argument --except: 'shceduler' is not a component of Airflow"),
        (["--only", ""], "argument --only: no component is named"),
        (["--port", "0"], "invalid --port '0': expected 1 to 65535"),
        (["--only", "triggerer", "--except", "triggerer"], "--only and --except leave no component"),
        (["inof"], "unknown command 'inof'\nhint: did you mean 'info'?"),
        (["--executer", "x"], "unrecognized option '--executer'"),
        (["--any-prot", "x"], "unrecognized option '--any-prot'\nhint: did you mean '--any-port'?"),
        (["-e", ".env"], "unrecognized option '-e'\nhint: see `orchestrate airflow --help`"),
        (["-f", "x.toml"], "unrecognized option '-f'\nhint: see `orchestrate airflow --help`"),
        (["info", "--exept=x"], "unrecognized option '--exept'\nhint: did you mean '--except'?"),
    ],
)
def test_bad_input_is_one_clear_line(fake, options, words):
    refused = fake.ask(*options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("orchestrate: ")
    assert words in refused.stderr
    _, *hint = refused.stderr.splitlines()
    assert all(line.startswith("hint: ") for line in hint), refused.stderr


SECRETS = ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__CORE__FERNET_KEY")


def environment_of(run, name):
    (pid,) = [pid for pid in run.living() if f"airflow {name}" in cmdline(pid)]
    pairs = (pair.partition(b"=") for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    return {name.decode(): value.decode() for name, _, value in pairs}


def test_secrets_that_are_not_configured_are_generated_once_and_the_same_for_all(fake):
    fake.home.mkdir()
    (fake.home / "airflow.cfg").write_text("[core]\nexecutor = LocalExecutor\n[api_auth]\njwt_secret =\n")
    run = fake.ready()
    path = fake.home / ".orchestrate" / "airflow-secrets.env"
    (line,) = re.findall(r"^orchestrate +\| (\[api_auth\] .*)$", run.text, re.M)
    assert line == (
        "[api_auth] jwt_secret, [api] secret_key and [core] fernet_key are not configured:"
        f" using generated values from {path}"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = dict(row.split("=", 1) for row in path.read_text().splitlines()[1:])
    assert kept.keys() == set(SECRETS)
    assert len(set(kept.values())) == 3
    for name in NAMES:
        assert kept.items() <= environment_of(run, name).items()
    shown = fake.ask("run", "--", "print-configuration", "api_auth.jwt_secret").stdout
    assert shown == f"api_auth.jwt_secret = {kept[SECRETS[0]]}\n", "the same in a second terminal"
    run.stop()
    assert not any(secret in run.text for secret in kept.values())

    warm = fake.ready(AIRFLOW__CORE__FERNET_KEY="mine")
    assert "[api_auth] jwt_secret and [api] secret_key are not configured" in warm.text
    assert environment_of(warm, "scheduler")[SECRETS[2]] == "mine", "what is configured counts"
    assert environment_of(warm, "scheduler")[SECRETS[0]] == kept[SECRETS[0]], "generated once"
    warm.stop()
    warm = fake.ready(AIRFLOW__CORE__FERNET_KEY="mine")
    assert "Database ready: nothing has changed since the last start" in warm.text
    assert environment_of(warm, "scheduler")[SECRETS[0]] == kept[SECRETS[0]]
    warm.stop()
    path.unlink()
    cold = fake.ready(AIRFLOW__CORE__FERNET_KEY="mine")
    assert "Checking database is initialized" in cold.text, "lost secrets are generated again"
    assert environment_of(cold, "scheduler")[SECRETS[0]] not in ("", kept[SECRETS[0]])
    cold.stop()


def test_secrets_by_a_command_or_an_earlier_name_or_a_key_pair_are_configured(fake, tmp_path):
    fake.home.mkdir()
    (fake.home / "airflow.cfg").write_text(
        "[api_auth]\njwt_private_key_path = /k\n[core]\nfernet_key_cmd = cat /f\n[webserver]\nsecret_key = s\n"
    )
    run = fake.ready("--only", "triggerer")
    assert "using generated values" not in run.text
    assert not (fake.home / ".orchestrate" / "airflow-secrets.env").exists()
    run.stop()


def test_a_definition_has_generated_secrets_by_their_file(fake):
    fake.home.mkdir()
    (fake.home / "airflow.cfg").write_text("[core]\nexecutor = LocalExecutor\n")
    run = fake.ready()
    kept = environment_of(run, "scheduler")
    run.stop()
    definition = fake.home / "orchestrate.toml"
    definition.write_text(
        f'[airflow]\nhome = "."\nairflow = "{fake.bin}/airflow"\nany_port = true\nport = {free_port()}\n'
        '[components.scheduler]\nenv_file = ["more.env"]\n'
    )
    (fake.home / "more.env").write_text("MORE=yes\n")
    command = [*command_under_test(), "config", "-f", definition]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, env=fake.variables(), check=True).stdout
    assert f"{fake.home}/.orchestrate/airflow-secrets.env" in shown
    assert not any(kept[name] in shown for name in SECRETS)
    run = Run([*command_under_test(), "up", "-f", definition], env=fake.variables())
    run.wait_for(r"Airflow is ready$")
    found = environment_of(run, "scheduler")
    assert found["MORE"] == "yes"
    assert {name: found[name] for name in SECRETS} == {name: kept[name] for name in SECRETS}
    run.stop()


def test_in_a_project_directory_relative_paths_lead_there_also_from_elsewhere(fake, tmp_path):
    project = tmp_path / "project"
    (project / "lib").mkdir(parents=True)
    (project / "airflow.cfg").write_text("[core]\ndags_folder = dags\n")
    changes = {"AIRFLOW_HOME": "af", "AIRFLOW_CONFIG": "airflow.cfg", "PYTHONPATH": f"{FAKE}:lib"}
    command = [*command_under_test(), "airflow", "--airflow", fake.bin / "airflow"]
    run = Run(
        [*command, "--any-port", "--port", str(free_port())], env=fake.variables(**changes), cwd=project, columns=140
    )
    run.wait_for(r"Airflow is ready$")
    assert f"the DAG folder {project}/dags does not exist" in run.text
    assert f"scheduler  started with executor LocalExecutor in {project}\n" in run.text.replace("\r", "")
    found = environment_of(run, "scheduler")
    assert found["AIRFLOW_HOME"] == f"{project}/af"
    assert found["AIRFLOW__CORE__DAGS_FOLDER"] == f"{project}/dags"
    assert found["PYTHONPATH"] == f"{FAKE}:{project}/lib"
    shown = subprocess.run(
        [*command, "run", "--", "print-configuration", "core.dags_folder"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=fake.variables(AIRFLOW_HOME=str(project / "af")),
        check=True,
    ).stdout
    assert shown == f"core.dags_folder = {project}/dags\n"
    run.stop()
    assert sorted(path.name for path in project.iterdir()) == ["af", "airflow.cfg", "lib"]


def test_a_start_in_which_tasks_cannot_call_is_not_ready_and_says_why(fake):
    url = "http://127.0.0.2:1/execution/"
    run = fake.start("--wait", "20", AIRFLOW__CORE__EXECUTION_API_SERVER_URL=url)
    run.wait_for(
        rf"\| waiting for scheduler: a task's call of {url}: .*[Cc]onnection refused.*execution_api_server_url$"
    )
    assert run.wait(60) == 4
    assert "Airflow is ready" not in run.text


def test_behind_a_reverse_proxy_and_with_a_proxy_tasks_call_directly(fake):
    port = free_port()
    run = fake.ready(
        "--port", port, AIRFLOW__API__BASE_URL="https://airflow.example.com/", HTTP_PROXY="http://127.0.0.2:1"
    )
    assert (
        f"Tasks call http://localhost:{port}/execution/, not https://airflow.example.com/execution/;"
        " to change that, set [core] execution_api_server_url"
    ) in run.text
    assert "HTTP_PROXY is set: added localhost to NO_PROXY, so that tasks reach the api-server" in run.text
    assert environment_of(run, "triggerer")["no_proxy"] == "localhost"
    run.stop()
