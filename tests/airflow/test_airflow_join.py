"""Workers on other hosts: the file of `join`, the addresses in it, and the checks before a worker starts."""

import json
import os
import shutil
import stat
import subprocess
from dataclasses import replace

import pytest
from airflow_fake import Fake
from airflow_reports import facts
from harness import Run, command_under_test, environment
from test_airflow_celery import own_servers
from test_airflow_plan import REQUEST

from orchestrator.cli.commands import airflow_info, airflow_join
from orchestrator.model.errors import ConfigError, UsageError
from orchestrator.presets.airflow import (
    addresses,
    components,
    join_file,
    network,
    preconditions,
    servers,
    workers,
)
from orchestrator.presets.airflow.inside import (
    dag_files,
    host_answers,
    host_checks,
    join_report,
    server_checks,
    server_run,
)
from orchestrator.presets.airflow.inside.problems import Problems, secrets_of
from orchestrator.presets.airflow.installation import Installation
from orchestrator.presets.airflow.join_file import JoinFile
from orchestrator.presets.airflow.options import AirflowOptions
from orchestrator.presets.airflow.worker_preset import WorkerPreset
from orchestrator.runtime.home import Home

VARIABLES = {
    join_file.BROKER: "redis://:r=d#%40'@10.0.0.1:6379/0",
    join_file.RESULTS: "db+postgresql+psycopg2://airflow:p0st@10.0.0.1:5432/airflow",
    join_file.EXECUTION_API: "http://10.0.0.1:8080/execution/",
    "AIRFLOW__CORE__FERNET_KEY": "f3rnet==",
}
JOIN = JoinFile("first", "3.3.2", "3.11", {"apache-airflow-providers-celery": "3.24.0"}, {"a.py": "ab"}, VARIABLES)
EXPECTED = json.loads(JOIN.expected())


def written(path, text=None, mode=0o600):
    path.write_text(JOIN.text() if text is None else text)
    path.chmod(mode)
    return path


def found(check, *arguments):
    """The problems that a check finds, and their hints."""
    problems = Problems()
    check(*arguments, problems)
    return problems.found


# Addresses


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://:pw@127.0.0.1:6379/0", "is 127.0.0.1"),
        ("redis://localhost/0", "is localhost"),
        ("redis://:pw@[::1]:6379/0", "is ::1"),
        ("redis://127.0.1.1", "is 127.0.1.1"),
        ("redis:///0", "names no host"),
        ("amqp://", "names no host"),
        ("redis://0.0.0.0:1/0", "is 0.0.0.0"),
        ("redis+socket:///run/redis.sock", "is a socket or file of this host"),
        ("db+sqlite:////srv/results.db", "is a socket or file of this host"),
        ("sqlite:////srv/airflow.db", "is a socket or file of this host"),
        ("memory://", "is a queue in memory of this host"),
        ("postgresql://ann@/af?host=/run/postgresql", "is the unix socket /run/postgresql"),
        ("postgresql+psycopg2:///af", "names no host"),
        ("mysql://root@db/af?unix_socket=/run/mysqld.sock", "is the unix socket /run/mysqld.sock"),
        ("postgresql://db1,localhost:5433/af", "is localhost"),
        ("sentinel://10.0.0.1:26379;sentinel://localhost:26379", "is localhost"),
        ("http://127.0.0.1:8080/execution/", "is 127.0.0.1"),
        ("http://[::ffff:127.0.0.1]:8080/execution/", "is ::ffff:127.0.0.1"),
        ("redis://:pw@10.0.0.1:6379/0", ""),
        ("redis://:pw@127.0.0.1:6379@redis.example:6379/0", ""),
        ("sqs://", ""),
        ("db+postgresql+psycopg2://airflow:localhost@db.example/airflow", ""),
        ("sentinel://10.0.0.1:26379;sentinel://10.0.0.2:26379", ""),
        ("http://[fd00::1]:8080/execution/", ""),
    ],
)
def test_an_address_of_one_host_only_is_recognized(url, fault):
    assert addresses.fault(url) == fault


def test_what_another_host_cannot_use_is_refused_with_its_setting_and_without_its_password():
    local = {**VARIABLES, join_file.BROKER: "redis://:s3cret@localhost:6379/0?password=s3cret"}
    (line,) = join_file.unreachable(local).values()
    assert line == (
        "cannot join: another host cannot use [celery] broker_url = redis://:***@localhost:6379/0: it is localhost;"
        " set AIRFLOW__CELERY__BROKER_URL"
    )
    assert join_file.unreachable(VARIABLES) == {}


@pytest.mark.parametrize(
    ("url", "example"),
    [
        ("redis://:pw@localhost:6379/0", "redis://USER:PASSWORD@ADDRESS:6379/0"),
        ("amqp://localhost", "amqp://ADDRESS/"),
        ("db+sqlite:////srv/a.db", "db+postgresql+psycopg2://USER:PASSWORD@ADDRESS:5432/NAME"),
        ("redis+socket:///run/r.sock", "redis://:PASSWORD@ADDRESS:6379/0"),
        ("postgresql://ann:pw@/af?host=/run", "postgresql://USER:PASSWORD@ADDRESS/af"),
    ],
)
def test_the_hint_shows_what_the_address_may_look_like(url, example):
    assert addresses.example(url) == example


@pytest.mark.parametrize(
    ("version", "options", "given", "address"),
    [
        ("3.3.2", {}, {}, None),
        ("3.3.2", {"api.host": "127.0.0.1"}, {}, "10.0.0.1"),
        ("3.3.2", {"api.host": "10.9.9.9"}, {}, None),
        ("2.11.2", {"webserver.web_server_host": "127.0.0.1"}, {}, None),  # its workers do not call the webserver
        ("3.3.2", {"api.host": "127.0.0.1"}, {"bind": "0.0.0.0"}, "0.0.0.0"),
    ],
)
def test_the_api_server_listens_for_workers(version, options, given, address):
    asked = AirflowOptions(listen="10.0.0.1", **given)
    assert asked.address(facts(version, options, executor="CeleryExecutor")) == address


def test_listening_for_workers_is_refused_if_there_are_none_or_they_are_kept_out():
    asked = AirflowOptions(listen="10.0.0.1")
    with pytest.raises(UsageError, match=r"cannot listen on 10\.0\.0\.1 for workers: LocalExecutor has none"):
        asked.names(facts("3.3.2"))
    celery = facts("3.3.2", executor="CeleryExecutor")
    with pytest.raises(UsageError, match=r"--bind 127\.0\.0\.1 keeps them from the api-server"):
        replace(asked, bind="127.0.0.1").names(celery)
    assert "worker" in asked.names(celery)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "0.0.0.0", "::"])
def test_listening_needs_an_address_that_others_can_use(address):
    with pytest.raises(UsageError, match="expected an address of this host that other hosts reach"):
        preconditions.refuse_listening(address)


def test_a_name_of_this_host_that_is_a_loopback_address_here_is_refused():
    with pytest.raises(UsageError, match=r"invalid --listen 'first': on this host that is 127\.0\.1\.1"):
        preconditions.refuse_listening("first", {"first": ["127.0.1.1"]}.__getitem__)


def test_listening_needs_an_address_of_this_host():
    with pytest.raises(ConfigError, match=r"cannot use --listen 192\.0\.2\.7: it is not an address of this host"):
        preconditions.refuse_listening("192.0.2.7")


def test_the_servers_listen_for_other_hosts_only_on_request(tmp_path):
    alone, shared = own_servers(tmp_path), replace(own_servers(tmp_path), listen="10.0.0.1")
    for own, bind, listening in (
        (alone, "bind 127.0.0.1", "listen_addresses=127.0.0.1"),
        (shared, "bind 127.0.0.1 10.0.0.1", "listen_addresses=127.0.0.1,10.0.0.1"),
    ):
        own.save()
        assert bind in servers.redis_config(own.home).read_text().splitlines()
        assert listening in server_run.command(json.loads(own.settings))
    assert shared.variables == alone.variables, "on this host nothing changes"
    assert not [word for word in server_run.command(json.loads(alone.settings)) if word.startswith("hba_file")]


def test_ports_are_chosen_for_an_address_that_this_host_does_not_have(tmp_path):
    """`export` and `config` show a start that may be on another host."""
    (tmp_path / ".orchestrate").mkdir()
    chosen = servers._choose(frozenset(servers.NAMES), Home(tmp_path), "192.0.2.7")
    assert sorted(chosen) == sorted(servers.NAMES)


def test_postgresql_lets_other_hosts_into_one_database_with_a_password(tmp_path):
    settings = json.loads(replace(own_servers(tmp_path), listen="10.0.0.1").settings)
    (tmp_path / "postgresql").mkdir()
    server_run.write_access_file(settings)
    file = tmp_path / "postgresql" / "data.hba"
    assert f"hba_file={file}" in server_run.command(settings)
    rules = [line.split() for line in file.read_text().splitlines() if not line.startswith("#")]
    assert rules == [
        ["host", "all", "all", "127.0.0.1/32", "scram-sha-256"],
        ["host", "airflow", "airflow", "all", "scram-sha-256"],
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "listen_addresses=127.0.0.1" in server_run.command(settings, for_others=False), "not during the preparation"


def known(options=(), *, changes=(), url="http://localhost:8080", listen="", pid=0):
    """What is known of a first host with Airflow 3."""
    celery = facts("3.3.2", dict(options), executor="CeleryExecutor")
    return airflow_info.Known(celery, "airflow", url, (), dict(changes), pid, listen)


LOCAL_URL = {join_file.EXECUTION_API: "http://localhost:8080/execution/"}


@pytest.mark.parametrize(
    ("first", "listen", "url"),
    [
        (known(changes=LOCAL_URL), "10.0.0.1", "http://10.0.0.1:8080/execution/"),
        (known(url="https://localhost:8443/af"), "10.0.0.1", "https://10.0.0.1:8443/af/execution/"),
        (known(), "fd00::1", "http://[fd00::1]:8080/execution/"),
        (
            known({"core.execution_api_server_url": "https://api.example/execution/"}),
            "",
            "https://api.example/execution/",
        ),
        (known({"api.base_url": "https://airflow.example/af"}), "", "https://airflow.example/af/execution/"),
        (known({"api.host": "10.0.0.9"}, url="http://10.0.0.9:8080"), "", "http://10.0.0.9:8080/execution/"),
        (known(changes={"AIRFLOW__API__HOST": "10.0.0.1"}), "10.0.0.1", "http://10.0.0.1:8080/execution/"),
    ],
)
def test_tasks_of_other_hosts_reach_the_execution_api_by_an_address(first, listen, url):
    assert airflow_join._execution_api(first, listen) == url


@pytest.mark.parametrize(
    ("first", "listen"),
    [
        (known(), ""),
        (known(changes={"AIRFLOW__API__HOST": "127.0.0.1"}), "10.0.0.1"),  # --bind: it does not listen there
        (known({"api.host": "localhost", "api.base_url": "http://localhost:8080"}), ""),
    ],
)
def test_an_api_server_that_others_do_not_reach_is_not_given_to_them(first, listen):
    assert addresses.fault(airflow_join._execution_api(first, listen))


def test_own_servers_get_the_address_that_they_listen_on(tmp_path):
    own = own_servers(tmp_path)
    own.save()
    mine = {**own.variables, "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    problems = []
    found = airflow_join._own_servers(mine, own.home, known(listen="10.0.0.1", pid=7), "", problems)
    assert found[servers.BROKER_URL] == "redis://:r3d@10.0.0.1:6380/0"
    assert found[servers.DATABASE_URL] == "postgresql+psycopg2://airflow:p0st@10.0.0.1:5433/airflow"
    assert problems == []
    six = airflow_join._own_servers(mine, own.home, known(), "fd00::1", problems)
    assert six[servers.BROKER_URL] == "redis://:r3d@[fd00::1]:6380/0"
    assert airflow_join._own_servers(mine, own.home, known(pid=7), "10.0.0.1", problems) == {}
    assert sorted(problems) == [
        "cannot join: postgresql listens on 127.0.0.1 only ([celery] result_backend)",
        "cannot join: postgresql listens on 127.0.0.1 only ([database] sql_alchemy_conn)",
        "cannot join: redis listens on 127.0.0.1 only ([celery] broker_url)",
    ]
    other = {servers.BROKER_URL: "redis://127.0.0.1:6379/0"}  # on this host, and not ours
    assert airflow_join._own_servers(other, own.home, known(listen="10.0.0.1"), "", []) == {}


# The file


def test_the_file_is_read_as_it_was_written_and_shows_no_secret(tmp_path):
    assert join_file.read(written(tmp_path / "worker.env")) == JOIN
    for secret in ("r=d", "p0st", "f3rnet"):
        assert secret not in repr(JOIN)
        assert secret not in JOIN.expected(), "the check reads this from a file; it needs no secrets"


def test_a_value_of_several_lines_is_refused():
    variables = {**VARIABLES, "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__SENTINEL_KWARGS": "a\nb"}
    broken = replace(JOIN, variables=variables)
    with pytest.raises(ConfigError, match=r"\[celery_broker_transport_options\] sentinel_kwargs .* several lines"):
        broken.text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("ORCHESTRATE_JOIN=1", "ORCHESTRATE_JOIN=9"), "f:3: format 9 is of another version of orchestrate"),
        (("ORCHESTRATE_AIRFLOW_VERSION=3.3.2", "ORCHESTRATE_AIRFLOW_VERSION=new"), "f:5: ORCHESTRATE_AIRFLOW_VERSION"),
        (('{"a.py": "ab"}', "{"), "f:8: ORCHESTRATE_DAG_FILES: expected a JSON object of texts"),
        (('{"a.py": "ab"}', '{"a.py": 1}'), "f:8: ORCHESTRATE_DAG_FILES: expected a JSON object of texts"),
        (("@10.0.0.1:6379", "@127.0.0.1:6379"), "f:9: AIRFLOW__CELERY__BROKER_URL: another host cannot use this URL"),
        (("http://10.0.0.1:8080", "10.0.0.1"), "f:11: AIRFLOW__CORE__EXECUTION_API_SERVER_URL: expected a URL"),
        (("ORCHESTRATE_JOIN=1", "ORCHESTRATE_JOIN=1\nwhat is this"), "f:4: expected NAME=VALUE"),
        (("ORCHESTRATE_JOIN=1", "ORCHESTRATE_JOIN=1\nORCHESTRATE_JOIN=1"), "f:4: ORCHESTRATE_JOIN is set twice"),
        (("AIRFLOW__CELERY__RESULT_BACKEND=", "X="), "f: AIRFLOW__CELERY__RESULT_BACKEND is missing"),
        (("ORCHESTRATE_JOIN=1", ""), "f: not a file of `orchestrate airflow join`"),
    ],
)
def test_a_damaged_file_is_refused_with_the_line(change, problem):
    with pytest.raises(ConfigError) as caught:
        join_file.parse(JOIN.text().replace(*change), "f")
    assert caught.value.problems[0].startswith(problem)
    assert "p0st" not in str(caught.value)


def test_all_mistakes_are_reported_at_once():
    text = JOIN.text().replace("AIRFLOW__CELERY", "?").replace("@10.0.0.1", "@localhost")
    with pytest.raises(ConfigError) as caught:
        join_file.parse(text, "f")
    assert len(caught.value.problems) == 4  # two lines, two variables


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    path = written(tmp_path / "worker.env", mode=mode)
    with pytest.raises(ConfigError, match=rf"other users can read its secrets \(mode {mode:04o}\)") as caught:
        join_file.read(path)
    assert caught.value.hint == f"make it yours alone: chmod 600 {path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path):
    path = written(tmp_path / "worker.env")
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="it belongs to uid 12345, who could change it"):
        join_file.read(path)


def test_what_is_not_a_file_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="it is not a regular file"):
        join_file.read(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no such file or directory") as caught:
        join_file.read(tmp_path / "none")
    assert "orchestrate airflow join" in caught.value.hint
    (tmp_path / "latin").write_bytes(b"ORCHESTRATE_JOIN=1\nX=\xff\n")
    (tmp_path / "latin").chmod(0o600)
    with pytest.raises(ConfigError, match="latin:2: it is not UTF-8 text"):
        join_file.read(tmp_path / "latin")


# The checks


def test_versions_are_compared_with_a_line_for_each():
    here = {"apache-airflow": "3.3.1", "apache-airflow-providers-ftp": "1.0"}
    problems = found(host_checks.check_versions, EXPECTED, here, "3.12")
    assert [text for text, _ in problems] == [
        "apache-airflow 3.3.1 here, 3.3.2 on first",
        "apache-airflow-providers-celery is not installed; first has 3.24.0",
        "Python 3.12 here, 3.11 on first",
    ]
    assert problems[0][1].endswith("apache-airflow==3.3.2 apache-airflow-providers-celery==3.24.0")
    same = {"apache-airflow": "3.3.2", "apache-airflow-providers-celery": "3.24.0"}
    assert found(host_checks.check_versions, EXPECTED, same, "3.11") == []


def test_many_different_providers_do_not_fill_the_screen():
    expected = {**EXPECTED, "providers": {f"p{number}": "1" for number in range(40)}}
    problems = found(host_checks.check_versions, expected, {"apache-airflow": "3.3.2"}, "3.11")
    assert len(problems) == host_checks.SHOWN + 1
    assert problems[-1][0] == "30 more packages differ from those on first"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.9, None),
        (-4.9, None),
        (60.2, "the clock of this host is 60 s ahead of that of first"),
        (-7, "the clock of this host is 7 s behind that of first"),
    ],
)
def test_clocks_may_differ_by_five_seconds(seconds, text):
    assert [said for said, _ in found(server_checks.check_clock, seconds, "first")] == ([text] if text else [])


def test_the_time_of_an_http_answer_has_whole_seconds():
    date = "Sun, 29 Nov 2026 18:00:00 GMT"
    assert server_checks.ahead(date, 1795975200.5 + 60) == pytest.approx(60)
    assert server_checks.ahead("", 1.0) == 0.0
    assert server_checks.ahead("yesterday", 1.0) == 0.0


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b'{"status": "healthy"}', ""),
        (200, b"<html>", "status 200: that is not the execution API"),
        (404, b'{"detail": "Not Found"}', "status 404: that is not the execution API"),
    ],
)
def test_another_server_is_not_taken_for_the_execution_api(status, body, fault):
    assert server_checks.not_the_api(status, body) == fault


def test_dag_files_are_compared_by_content(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        (folder / "sub").mkdir(parents=True)
        (folder / "same.py").write_text("same")
        (folder / "sub" / "query.sql").write_text("select 1")
    (there / "gone.py").write_text("x")
    (here / "new.py").write_text("x")
    (here / "sub" / "query.sql").write_text("select 2")
    for ignored in (".git/config", "__pycache__/a.py", "same.pyc", ".hidden.py"):
        path = here / ignored
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (here / "sub" / "loop").symlink_to(here)
    expected = dag_files.digests(str(there))
    assert sorted(expected) == ["gone.py", "same.py", "sub/query.sql"]
    assert [text for text, _ in found(host_checks.check_dags, str(here), expected)] == [
        "DAG files differ from those of the first host: sub/query.sql",
        "DAG files of the first host are missing here: gone.py",
        "DAG files are here only: new.py",
    ]
    assert found(host_checks.check_dags, str(there), expected) == []
    ((text, _),) = found(host_checks.check_dags, str(tmp_path / "none"), expected)
    assert text == f"cannot read the DAG folder {tmp_path / 'none'}: no such file or directory"
    assert found(host_checks.check_dags, str(tmp_path / "none"), {}) == [], "there are none on the first host"


def test_a_line_names_only_some_of_many_files():
    (line,) = dag_files.differences({f"{number:02}.py": "a" for number in range(20)}, {})
    assert line.endswith("06.py, 07.py and 12 more")


def test_logs_must_be_writable_and_readable(tmp_path):
    assert found(host_checks.check_logs, str(tmp_path / "logs")) == []
    assert list((tmp_path / "logs").iterdir()) == []
    (tmp_path / "file").write_text("")
    ((text, _),) = found(host_checks.check_logs, str(tmp_path / "file"))
    assert text.startswith(f"cannot write logs to {tmp_path / 'file'} as uid {os.geteuid()}: ")


def test_a_umask_that_takes_the_owners_access_is_named(tmp_path):
    before = os.umask(0o277)
    try:
        ((text, hint),) = found(host_checks.check_logs, str(tmp_path))
    finally:
        os.umask(before)
    assert (text, hint) == (f"cannot write logs to {tmp_path}: umask 0277 takes the owner's access", "use umask 0022")


def first_host(method, *, host, port, word):
    """The answer of the first host, on this one."""
    return host_answers.handlers("/none")[method](None, host=host, port=port, word=word)


def nobody(method, **_):
    """The first host does not answer."""
    return None


def test_the_log_server_needs_its_port_and_the_host_a_name():
    with host_checks.listener(0) as holder:
        port = holder.getsockname()[1]
        ((taken, _),) = found(host_checks.check_log_server, port, "second", "first", nobody)
    ((nameless, _),) = found(host_checks.check_log_server, port, "localhost.localdomain", "first", nobody)
    assert taken == f"port {port} of the log server: address already in use"
    assert nameless == "this host is called localhost, and first asks for logs by name"
    assert found(host_checks.check_log_server, port, "second", "first", nobody) == []


def test_the_first_host_connects_to_the_log_server_by_name():
    with host_checks.listener(0) as free:
        port = free.getsockname()[1]
    problems = Problems()
    assert host_checks.check_log_server(port, "127.0.0.1", "first", first_host, problems)
    assert problems.found == []
    with host_checks.listener(port):
        pass  # it is free again

    def elsewhere(method, *, host, port, word):
        return first_host(method, host=host, port=port, word="another")

    ((text, hint),) = found(host_checks.check_log_server, port, "127.0.0.1", "first", elsewhere)
    start = f"first does not reach the log server of this host at 127.0.0.1:{port}"
    assert text == f"{start}: another program or host answers there"
    assert "let first resolve the name 127.0.0.1 to this host" in hint
    assert first_host(host_answers.REACH, host="127.0.0.1", port=port, word="x") == {"fault": "connection refused"}


def test_the_first_host_reports_its_dag_files_of_now(tmp_path):
    answers = host_answers.handlers(str(tmp_path / "dags"))
    assert answers[host_answers.DAGS](None) == {"fault": "no such file or directory"}
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "a.py").write_text("a")
    assert answers[host_answers.DAGS](None) == {"files": dag_files.digests(str(tmp_path / "dags"))}


@pytest.mark.parametrize(
    ("answers", "answer"),
    [
        ([{"orchestrate@first": {"fault": ""}}], {"fault": ""}),
        (
            [{"orchestrate@first": {"error": "KeyError('x')"}}],
            None,
        ),  # of an orchestrate that does not know the question
        ([{"worker.1@first": {"ok": "pong"}}], None),
        (None, None),
        ([], None),
    ],
)
def test_only_the_answer_of_the_first_host_counts(answers, answer):
    class Control:
        def broadcast(self, method, *, arguments, destination, **_):
            assert (method, arguments, destination) == ("question", {"a": 1}, ["orchestrate@first"])
            return answers

    class App:
        control = Control()

    assert host_answers.ask(App(), "first", "question", a=1) == answer


def test_the_first_host_answers_if_it_listens_for_others():
    celery = facts("3.3.2", {"core.dags_folder": "~/dags"}, executor="CeleryExecutor")
    request = replace(REQUEST, programs=replace(REQUEST.programs, answers=("/v/bin/python", "/o/answers.py")))
    for listens in (True, False):
        names = components.names(celery, frozenset(), frozenset(), listens=listens)
        made = {c.name: c for c in components.components(celery, names, request, network.ports(celery, None))}
        assert ("hosts" in made) is listens
        if listens:
            assert made["hosts"].argv == ("/v/bin/python", "/o/answers.py", os.path.expanduser("~/dags"))


def test_no_exception_brings_a_password_into_a_message():
    environ = {**VARIABLES, "OTHER_KEY": "other-value", "AIRFLOW__API__PORT": "808080"}
    hidden = secrets_of({**environ, join_file.DATABASE: "postgresql://ann:s3cret/pw@db/af"})
    assert hidden == {"r=d#%40'", "s3cret/pw", "f3rnet=="}
    problems = Problems(hidden)
    problems.add_server("the database", ValueError("cannot parse 'postgresql://ann:s3cret/pw@db/af'"))
    assert problems.found[0][0] == "the database does not answer: cannot parse 'postgresql://ann:***@db/af'"


def test_a_missing_driver_is_named():
    problems = Problems()
    try:
        raise RuntimeError("no driver") from ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")
    except RuntimeError as error:
        problems.add_server("the database", error)
    ((text, hint),) = problems.found
    assert text.startswith("the database needs the Python package psycopg2-binary, which is not in ")
    assert hint.endswith(" -m pip install 'psycopg2-binary'")


def test_a_hint_that_problems_share_is_printed_once(capsys):
    problems = Problems()
    for text, hint in (("a", "do x"), ("b", "do x"), ("c", ""), ("d", "do y")):
        problems.add(text, hint)
    problems.print()
    said = capsys.readouterr().out.splitlines()
    start = "cannot start worker: "
    assert said == [f"{start}a", f"{start}b", "hint: do x", f"{start}c", f"{start}d", "hint: do y"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [('[{"a":1}]', '[ {"a": 1} ]', True), ("x", "x", True), ("x", "y", False), ("1", "2", False)],
)
def test_json_that_is_only_spaced_otherwise_is_not_a_change(one, other, same):
    assert join_report.is_same(one, other) is same


# The worker's system


def worker_preset(given=(), **more):
    environment = {"PATH": "/bin", **dict(given)}
    return WorkerPreset(
        Installation("/v/bin/airflow", "/v/bin/python"), environment, JOIN, workers.DEFAULT, "/", **more
    )


def test_the_settings_of_the_first_host_count_before_those_of_this_one(tmp_path):
    home = Home(tmp_path)
    home.make()
    given = {
        join_file.BROKER: "redis://other",
        "AIRFLOW__CORE__FERNET_KEY_CMD": "cat key",
        "AIRFLOW__CORE__DAGS_FOLDER": "/srv/dags",
    }
    system, _ = worker_preset(given).make(home)
    (step,) = system.init
    assert step.environment[join_file.BROKER] == VARIABLES[join_file.BROKER]
    assert "AIRFLOW__CORE__FERNET_KEY_CMD" not in step.environment
    assert step.environment["AIRFLOW__CORE__DAGS_FOLDER"] == "/srv/dags", "this host's own"
    assert step.environment["AIRFLOW_HOME"] == str(tmp_path)
    assert not any(secret in word for word in step.argv for secret in ("p0st", "f3rnet", "r=d"))
    assert stat.S_IMODE((home.state_dir / "airflow-join.json").stat().st_mode) == 0o600


def test_a_host_without_workers_is_refused(tmp_path):
    home = Home(tmp_path)
    home.make()
    none = worker_preset()
    none.wanted = workers.Wanted(count=0)
    with pytest.raises(UsageError, match="invalid --workers 0"):
        none.make(home)


# The commands


def test_join_prints_no_secrets_on_a_terminal():
    run = Run([*command_under_test(), "airflow", "join"], terminal=True, columns=120)
    assert run.wait() == 2
    assert "orchestrate: cannot print secrets on a terminal" in run.text
    assert "hint: write a file: orchestrate airflow join > worker.env" in run.text


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["worker"], 2, "cannot start worker: no --env FILE names the first host's settings"),
        (["worker", "--env", "none"], 2, "cannot read none: no such file or directory"),
        (["worker", "--env", "worker.env", "--workers", "x"], 2, "invalid --workers 'x'"),
        (["export", "systemd", "--env", "worker.env"], 2, "--env FILE is for the unit of a host of workers"),
        (["export", "compose", "--image", "x", "--env", "worker.env"], 2, "--env FILE is for the unit of a host"),
        (["export", "systemd", "--whole", "--env", "none"], 2, "/none: no such file or directory"),
        (["join", "--listen", "localhost"], 2, "invalid --listen 'localhost'"),
        (["join", "--with", "redis", "--home", "h"], 1, "the servers of --with do not exist yet"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(tmp_path, words, status, said):
    written(tmp_path / "worker.env")
    command = [*command_under_test(), "airflow", *words]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_unit_of_a_host_of_workers_runs_them_and_waits_for_the_first_host(tmp_path):
    fake = Fake(tmp_path)
    path = written(tmp_path / "worker.env")
    out = tmp_path / "units"
    unit_words = ["export", "systemd", out, "--whole", "--system"]
    words = [*unit_words, "--env", path, "--workers", "2", "--worker-grace", "90"]
    ended = fake.ask(*map(str, words))
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in out.iterdir()) == [
        "EXPORT-NOTES.txt",
        "airflow-worker.env",
        "airflow-worker.service",
    ]
    unit = (out / "airflow-worker.service").read_text()
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert f" airflow worker --env {path} --airflow {fake.bin}/airflow --worker-grace 90 --workers 2" in start
    assert (out / "airflow-worker.env").read_text() == f"AIRFLOW_HOME='{fake.home}'\n"
    assert {"StartLimitIntervalSec=0", "RestartSec=30", "TimeoutStopSec=125"} <= set(unit.splitlines())
    if shutil.which("systemd-analyze"):
        verify = ["systemd-analyze", "verify", "--man=no", out / "airflow-worker.service"]
        checked = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
        assert checked.stdout + checked.stderr == ""
    for secret in ("r=d", "p0st", "f3rnet"):
        assert secret not in unit


def test_an_executor_without_workers_has_nothing_to_join(tmp_path):
    ended = Fake(tmp_path).ask("join")
    assert ended.returncode == 1
    assert "cannot join: LocalExecutor runs tasks on this host only" in ended.stderr
    assert "hint: start Airflow with --executor celery" in ended.stderr
    assert "AIRFLOW__" not in ended.stdout
