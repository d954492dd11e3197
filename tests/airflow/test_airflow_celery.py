"""Celery in the Airflow preset: components, servers, the checks before a start."""

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from airflow_fake import Fake
from airflow_reports import facts
from test_airflow_plan import PROGRAMS, REQUEST

import orchestrator
from orchestrator.cli import airflow_faults
from orchestrator.model.errors import ConfigError, UsageError
from orchestrator.model.spec import Condition, Dependency, ExecProbe, LogProbe
from orchestrator.presets.airflow import (
    components,
    network,
    programs,
    servers,
    workers,
)
from orchestrator.presets.airflow.inside import celery_call, celery_worker, fernet, server_run
from orchestrator.runtime.home import Home

NONE = frozenset()


def celery(version="3.3.2", **options):
    return facts(version, options, executor="CeleryExecutor")


def made(found, wanted=workers.DEFAULT, own=None, **request):
    names = components.names(found, NONE, NONE, wanted, frozenset(own.found) if own else NONE)
    complete = replace(REQUEST, wanted=wanted, servers=own, **request)
    return {c.name: c for c in components.components(found, names, complete, network.ports(found, None))}


def own_servers(tmp_path):
    (tmp_path / ".orchestrate").mkdir(mode=0o700, exist_ok=True)
    found = {"redis": servers.BackendServer("r3d", 6380), "postgresql": servers.BackendServer("p0st", 5433)}
    programs = {"redis": "/bin/redis-server", "postgresql": "/pg/bin"}
    return servers.BackendServers(Home(tmp_path), "/v/bin/python", programs, found)


def test_a_worker_stops_warm_then_cold_and_before_the_api_server():
    found = made(celery(), workers.Wanted(concurrency=2, queues="default,big", grace=90))
    worker = found["worker"]
    command = ("/v/bin/python", "/o/worker.py", "/r", "90", "/v/bin/airflow", "celery", "worker")
    assert worker.argv == (*command, "--concurrency", "2", "--queues", "default,big")
    assert [(step.signal, step.wait) for step in worker.stop.steps] == [(signal.SIGTERM, 90.0), (signal.SIGQUIT, 5.0)]
    assert worker.stop_before == ("api-server",)
    log, ping = worker.ready
    assert isinstance(log, LogProbe)
    assert isinstance(ping, ExecProbe)
    assert ping.argv == (*PROGRAMS.call, "ping")


def test_several_workers_differ_in_nothing_but_their_number():
    found = made(celery("2.11.2"), workers.Wanted(count=2))
    first, second = found["worker.1"], found["worker.2"]
    assert first.argv == second.argv
    assert (first.component, second.component) == ("worker", "worker")
    assert (first.environment["PS"], second.environment["PS"]) == ("worker.1", "worker.2")
    assert first.stop_before == ()


@pytest.mark.parametrize(
    ("environ", "instance", "first"),
    [
        ({"PS": "worker.1", "ORCHESTRATE_INSTANCE": "worker"}, "worker.1", True),
        ({"PS": "worker.2", "ORCHESTRATE_INSTANCE": "worker.2"}, "worker.2", False),
        ({"ORCHESTRATE_INSTANCE": "worker"}, "worker", True),
        ({}, "worker.1", True),
    ],
)
def test_each_worker_has_a_node_name_and_the_first_serves_logs(environ, instance, first):
    assert celery_worker.node(environ) == f"{instance}@{os.uname().nodename}"
    assert celery_worker.is_first(environ) is first


def test_celery_itself_gets_the_node_name(tmp_path):
    """Some versions of the provider ask other workers if Airflow gets it, and then run no task."""
    (tmp_path / "celery.py").write_text("class Celery:\n    def worker_main(self, argv):\n        return argv\n")
    code = (
        "import celery; from orchestrator.presets.airflow.inside import celery_worker;"
        "celery_worker.name_worker('w@h'); print(celery.Celery().worker_main(['worker']))"
    )
    search_path = os.pathsep.join((str(tmp_path), str(Path(orchestrator.__file__).parent.parent)))
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, env={"PYTHONPATH": search_path}, capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("['worker', '--hostname', 'w@h']\n", "")


def test_a_warm_shutdown_reports_what_it_waits_for():
    assert celery_worker.in_words(1, ["pid 7"], 60) == "1 task is still running (pid 7); ending it in 60 s"
    assert celery_worker.in_words(3, [], 5) == "3 tasks are still running; ending them in 5 s"


def test_the_log_server_is_the_workers():
    found = celery()
    names = components.names(found, NONE, NONE)
    assert network.in_words(network.Use.WORKER_LOG, found) == "the log server of worker"
    without = components.names(found, NONE, frozenset({"worker"}))
    ports = network.ports(found, None)
    assert network.Use.WORKER_LOG in network.listeners(found, ports, names, None)
    assert network.Use.WORKER_LOG not in network.listeners(found, ports, without, None)
    told = components.notes(found, "airflow", ports, ports, worker_runs=False)
    assert "CeleryExecutor has no worker here: its tasks stay queued unless one runs elsewhere" in told


def test_flower_listens_on_this_machine_unless_it_has_a_login():
    found = made(celery(), workers.Wanted(flower=True))["flower"]
    assert found.argv == ("/v/bin/airflow", "celery", "flower", "--hostname", "127.0.0.1", "--port", "5555")
    assert found.ready[0].url == "http://127.0.0.1:5555/healthcheck"
    options = {"celery.flower_host": "0.0.0.0", "celery.flower_basic_auth": "ann:pw", "celery.flower_url_prefix": "/f"}
    exposed = facts("3.3.2", options, executor="CeleryExecutor")
    assert exposed.flower_address == "0.0.0.0"
    assert network.flower_url(exposed, network.ports(exposed, None)) == "http://127.0.0.1:5555/f"
    assert "pw" not in repr(exposed), "the login is a secret"


def test_redis_and_flower_need_celery():
    with pytest.raises(UsageError, match="cannot start redis for --with: LocalExecutor does not use it"):
        components.names(facts("3.3.2"), NONE, NONE, own_servers=frozenset({"redis"}))
    with pytest.raises(UsageError, match="cannot start flower: LocalExecutor does not use Celery"):
        components.names(facts("3.3.2"), NONE, NONE, workers.Wanted(flower=True))
    assert "postgresql" in components.names(facts("3.3.2"), NONE, NONE, own_servers=frozenset({"postgresql"}))


def test_all_depends_on_the_servers_and_postgresql_stops_with_a_fast_shutdown(tmp_path):
    own = own_servers(tmp_path)
    found = made(celery(), own=own, environment={"PATH": "/bin", **own.variables})
    assert [*found][:2] == ["postgresql", "redis"]
    needs = (Dependency("postgresql", Condition.READY), Dependency("redis", Condition.READY))
    assert {c.depends_on for name, c in found.items() if name not in own.found} == {needs}
    postgresql = found["postgresql"]
    assert [step.signal for step in postgresql.stop.steps] == [signal.SIGINT, signal.SIGQUIT]
    assert postgresql.ready[0].argv[-1] == "SELECT 1"
    for server in (postgresql, found["redis"]):
        shown = repr(server)
        assert "p0st" not in shown, "passwords are in files only"
        assert "r3d" not in shown
    url = "postgresql+psycopg2://airflow:p0st@127.0.0.1:5433/airflow"
    assert found["worker"].environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == url
    assert found["worker"].environment["AIRFLOW__CELERY__BROKER_URL"] == "redis://:r3d@127.0.0.1:6380/0"


def test_passwords_and_ports_are_kept_in_private_files(tmp_path):
    own = own_servers(tmp_path)
    own.save()
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(written) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    again = servers._choose(frozenset(servers.NAMES), Home(tmp_path))
    assert {name: one.password for name, one in again.items()} == {"redis": "r3d", "postgresql": "p0st"}
    (own.home.state_dir / "airflow-servers.json").unlink()
    first, second = (servers._choose(frozenset(servers.NAMES), Home(tmp_path)) for _ in range(2))
    assert {n: one.port for n, one in first.items()} == {n: one.port for n, one in second.items()}
    assert all(one.port in servers.PORTS for one in first.values())
    assert first["redis"].port != first["postgresql"].port
    assert servers.stored(own.home) == own.variables


def test_a_server_that_is_configured_elsewhere_is_not_started(tmp_path):
    config = "[database]\nsql_alchemy_conn = postgresql://db/af\n[celery]\nbroker_url = redis://redis:6379/0\n"
    both = frozenset(servers.NAMES)
    assert servers.configured(both, {}, config) == {"postgresql": "[database] sql_alchemy_conn"}
    assert servers.configured(both, {servers.BROKER_URL: "redis://b"}, "") == {"redis": "[celery] broker_url"}
    assert servers.configured(both, {servers.DATABASE_URL: "sqlite:////h/airflow.db"}, "") == {}
    (tmp_path / ".orchestrate").mkdir()
    with pytest.raises(ConfigError) as caught:
        servers.prepare(frozenset({"redis"}), Home(tmp_path), "python", {"PATH": "/nowhere"}, {"redis": "[celery] x"})
    assert caught.value.problems == [
        "cannot start redis for --with: [celery] x is configured",
        "cannot start redis: redis-server is not installed (Debian: redis-server, Fedora: valkey, Homebrew: redis)",
    ]


@pytest.mark.parametrize(
    ("environ", "config", "url"),
    [
        ({celery_call.URL: "redis://a"}, "", "redis://a"),
        ({}, "[celery]\nbroker_url = redis://:p%%40@b\n", "redis://:p%40@b"),
        ({celery_call.URL: "redis://a"}, "[celery]\nssl_active = True\n", ""),
        ({celery_call.URL: "sentinel://a"}, "[celery_broker_transport_options]\nmaster_name = m\n", ""),
        ({"AIRFLOW__CELERY__BROKER_URL_CMD": "cat url"}, "", ""),
        ({}, "[celery]\nbroker_url = $BROKER\n", ""),
    ],
)
def test_airflow_is_imported_for_a_broker_only_if_its_url_does_not_say_all(tmp_path, environ, config, url):
    (tmp_path / "airflow.cfg").write_text(config)
    assert celery_call.simple_url({"AIRFLOW_HOME": str(tmp_path), **environ}) == url


class Control:
    """Stands for `app.control` of Celery: what a ping to nodes is answered; keeps what was asked."""

    def __init__(self, *answering):
        self.control, self.answering, self.asked = self, answering, {}

    def inspect(self, **asked):
        self.asked = asked
        return self

    def ping(self):
        return {node: {"ok": "pong"} for node in self.answering} or None


def test_the_nodes_that_answer_are_those_that_the_broker_sees():
    control = Control("worker.1@here", "worker.1@there")
    assert celery_call.seen(control, ["worker.1@here", "worker.2@here"]) == ["worker.1@here"]
    assert control.asked == {"destination": ["worker.1@here", "worker.2@here"], "timeout": 5.0, "limit": 2}
    assert celery_call.seen(Control(), ["worker.1@here"]) == []


def test_the_key_of_each_row_is_tried():
    cipher = pytest.importorskip("cryptography.fernet").Fernet
    keys = [cipher.generate_key().decode() for _ in range(3)]
    rows = [("connection a", keys[0]), ("connection a", keys[0]), ("variable b", keys[1])]
    rows = [(name, cipher(key.encode()).encrypt(b"secret").decode()) for name, key in rows]
    assert fernet.locked(rows, f"{keys[0]},{keys[1]}") == ""
    assert fernet.locked(rows, keys[0]) == "variable b"
    assert fernet.locked(rows, keys[2]) == "connection a and 1 more"
    assert fernet.locked(rows, "not a key") == "connection a and 1 more"
    assert fernet.locked([("variable b", "damaged")], keys[0]) == "variable b"
    assert fernet.locked([], "not a key") == ""


def test_all_workers_are_asked_for_their_queues_and_those_for_their_tasks():
    class Busy(Control):
        def active_queues(self):
            assert "destination" not in self.asked
            return {node: [{"name": "default"}] for node in self.answering} or None

        def active(self):
            assert self.asked["destination"] == list(self.answering)
            return {"worker.1@a": ["task"]}

    row = {"queues": ["default"], "running": 0}
    assert celery_call.workers(Busy("worker.1@b", "worker.1@a")) == [
        {**row, "node": "worker.1@a", "host": "a", "running": 1},
        {**row, "node": "worker.1@b", "host": "b"},
    ]
    assert celery_call.workers(Busy()) == []


ROW = {"instance": "worker.2", "component": "worker", "state": "ready", "reason": "worker.2 is ready"}


def test_why_says_that_a_worker_is_up_and_not_seen():
    host = os.uname().nodename
    assert airflow_faults.node("worker") == f"worker.1@{host}"
    name = airflow_faults.node("worker.2")
    assert name == f"worker.2@{host}"
    assert airflow_faults.with_fault(ROW, "") == ROW
    unseen = airflow_faults.with_fault(ROW, airflow_faults.unseen(name, ""))
    assert unseen["reason"] == (
        f"worker.2 is up here, but the broker does not see it: {name} does not answer a ping over the broker"
    )
    refusal = "cannot reach the broker: Error 113 connecting to head:6379"
    assert airflow_faults.unseen(name, refusal) == f"the broker does not see it: {refusal}"


def test_only_components_that_are_ready_are_looked_at(tmp_path):
    """No record of Airflow is in this home, so whatever was asked would fail."""
    rows = ({**ROW, "state": "starting"}, {**ROW, "component": "web"})
    assert airflow_faults.looked_at(Home(tmp_path), rows) == rows
    assert airflow_faults.looked_at(Home(tmp_path), (ROW,)) == (ROW,)


def test_a_wrong_fernet_key_is_the_fault_of_what_decrypts():
    three, two = replace(celery(), key_fault="it"), replace(celery("2.11.2"), key_fault="it")
    names = ("scheduler", "api-server", "webserver", "worker", "triggerer")
    assert [name for name in names if airflow_faults.key_fault(three, name)] == ["api-server"]
    assert [name for name in names if airflow_faults.key_fault(two, name)] == ["scheduler", "webserver", "worker"]
    assert not airflow_faults.key_fault(celery(), "api-server")


def test_the_checks_before_a_start_give_one_line_for_each_problem(tmp_path):
    fake = Fake(tmp_path)
    run = fake.start("--executor", "celery")
    assert run.wait() == 1
    assert "cannot prepare Airflow: cannot use CeleryExecutor: No module named 'airflow.providers'" in run.text
    assert "-m pip install apache-airflow-providers-celery" in run.text
    assert "cannot use CeleryExecutor: the database is SQLite, which workers cannot share" in run.text
    assert "hint: start one with --with postgresql, or set [database] sql_alchemy_conn" in run.text
    assert "Forcing" not in run.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--with", "postgres"], "argument --with: unknown server 'postgres'; did you mean postgresql?"),
        (["--workers", "many"], "invalid --workers 'many': expected 0 to 1000"),
        (["--concurrency", "0"], "invalid --concurrency '0': expected 1 to 10000"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, words, said):
    ended = Fake(tmp_path).ask(*words)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_redis_is_asked_as_a_client_does(tmp_path):
    """A Redis that has lost its password, or never had one, is not ours."""
    config = tmp_path / "redis.conf"
    config.write_text("port 1\nrequirepass x\n")
    command = programs.command(sys.executable, "server_run", "redis-ping", str(config))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stdout) == (1, "cannot ask Redis: Connection refused\n")


def test_the_settings_of_postgresql_keep_it_on_this_machine(tmp_path):
    words = server_run.command(json.loads(own_servers(tmp_path).settings))
    assert words[:3] == ["/pg/bin/postgres", "-D", str(Path(tmp_path) / "postgresql" / "data")]
    assert "listen_addresses=127.0.0.1" in words
    assert "unix_socket_directories=" in words
