"""The record that spares the preparation, which holds as long as nothing has changed, and parts of the preparation."""

import contextlib
import json
import os
import sqlite3
import stat
import types
from dataclasses import replace
from pathlib import Path

import pytest
from airflow_reports import facts

from orchestrator.presets.airflow import base_environment, cache, paths
from orchestrator.presets.airflow.inside import configuration, database, diagnosis, login, private_files
from orchestrator.presets.airflow.installation import Installation
from orchestrator.presets.airflow.login import read_password

ENVIRONMENT = {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "LANG": "C.UTF-8", "DATA": "/d"}


class Place:
    """An installation, a home with a database, and facts about them."""

    def __init__(self, path):
        self.packages = path / "v" / "lib" / "python3.11" / "site-packages"
        (self.packages / "apache_airflow-2.6.3.dist-info").mkdir(parents=True)
        self.installation = Installation(f"{path}/v/bin/airflow", f"{path}/v/bin/python")
        self.config, self.database, self.path = path / "airflow.cfg", path / "airflow.db", path / "airflow.json"
        self.config.write_text("[core]\ndags_folder = $DATA/dags\n")
        with sqlite3.connect(self.database) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES ('abc')")
            connection.execute("CREATE TABLE ab_user (username TEXT)")
            connection.execute("INSERT INTO ab_user VALUES ('admin')")
        connection.close()
        self.facts = facts("2.6.3", config_file=str(self.config), sqlite_file=str(self.database))

    def sql(self, statement):
        with sqlite3.connect(self.database) as connection:
            connection.execute(statement)
        connection.close()

    def write(self, *, valid=True):
        this_start = {"url": "http://localhost:8080", "components": ("scheduler",)}
        cache.write(self.path, self.facts, self.installation, ENVIRONMENT, valid=valid, **this_start)

    def read(self, environment=ENVIRONMENT):
        return cache.read(self.path, self.installation, environment)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_stamp_holds_while_nothing_has_changed(place):
    assert place.read() is None
    place.write()
    assert place.read() == place.facts
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert place.read({**ENVIRONMENT, "LANG": "de_DE", "TERM": "dumb"}) == place.facts, "nothing of Airflow's"


@pytest.mark.parametrize(
    "change",
    [
        lambda place: place.config.write_text("[core]\n"),
        lambda place: place.config.unlink(),
        lambda place: place.database.unlink(),
        lambda place: place.sql("UPDATE alembic_version SET version_num = 'abd'"),
        lambda place: place.sql("DROP TABLE alembic_version"),
        lambda place: place.sql("DELETE FROM ab_user"),
        lambda place: (place.packages / "apache_airflow_providers_fab-1.0.dist-info").mkdir(),
        lambda place: place.path.write_text("{"),
        lambda place: place.path.write_text(json.dumps({**json.loads(place.path.read_text()), "format": 0})),
        lambda place: setattr(place, "installation", replace(place.installation, command="/other/airflow")),
    ],
)
def test_any_change_asks_the_helper_again(place, change):
    place.write()
    change(place)
    assert place.read() is None


@pytest.mark.parametrize(
    "changed", [{"AIRFLOW__CORE__LOAD_EXAMPLES": "True"}, {"AIRFLOW__X__Y": "1"}, {"DATA": "/e"}, {"PYTHONPATH": "/p"}]
)
def test_so_does_the_environment_that_airflow_reads(place, changed):
    place.write()
    assert place.read({**ENVIRONMENT, **changed}) is None


def test_what_was_changed_meanwhile_or_is_kept_elsewhere_is_not_stamped(place):
    place.write(valid=False)
    assert place.read() is None
    place.facts = replace(place.facts, stampable=False)
    place.write()
    assert place.read() is None
    assert cache.load(place.path)["url"] == "http://localhost:8080", "but `info` finds it"


def test_passwords(tmp_path):
    text, document = tmp_path / "text", tmp_path / "json"
    text.write_text("secret\n")
    document.write_text('{"admin": "other"}\n')
    two, three = facts("2.6.3"), facts("3.3.2")
    assert read_password(replace(two, password_file=str(text))) == "secret"
    assert read_password(replace(three, password_file=str(document))) == "other"
    assert read_password(replace(three, password_file=str(document), user="bob")) == ""
    assert read_password(replace(three, password_file=str(text))) == ""
    assert read_password(replace(two, password_file=str(tmp_path / "none"))) == ""
    assert read_password(replace(two, login="open")) == ""


def test_relative_paths_mean_the_same_in_every_process_and_directory(tmp_path):
    given = {
        "PATH": "/usr/bin",
        "PYTHONPATH": "lib:/abs:",
        "AIRFLOW_CONFIG": "conf/airflow.cfg",
        "AIRFLOW_HOME": "somewhere",
        "AIRFLOW__CORE__PLUGINS_FOLDER": "../plugins",
    }
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "airflow.cfg").write_text(
        "[core]\ndags_folder = dags  # ours\nplugins_folder = other\n[database]\nsql_alchemy_conn = sqlite:///x/a.db\n"
    )
    installation = Installation("/v/bin/airflow", "/v/bin/python")
    made = base_environment.prepared(given, installation, Path("/h"), str(tmp_path))
    assert made == {
        "PATH": "/v/bin:/usr/bin",
        "PYTHONPATH": f"{tmp_path}/lib:/abs:{tmp_path}",
        "AIRFLOW_CONFIG": f"{tmp_path}/conf/airflow.cfg",
        "AIRFLOW_HOME": "/h",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{tmp_path}/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{tmp_path.parent}/plugins",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/x/a.db",
    }
    assert base_environment.prepared(made, installation, Path("/h"), "/elsewhere") == made, "absolute paths stay"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sqlite:///a.db", "sqlite:////p/a.db"),
        ("sqlite:///./a.db?timeout=5", "sqlite:////p/a.db?timeout=5"),
        ("sqlite:///../b/a.db", "sqlite:////b/a.db"),
        ("sqlite:////a.db", None),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///~/a.db", None),
        ("sqlite:///{AIRFLOW_HOME}/a.db", None),
        ("sqlite:///$HOME/a.db", None),
        ("postgresql://u:p@h/db", None),
        ("", None),
    ],
)
def test_a_relative_sqlite_file(value, expected):
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    assert paths.absolute({name: value}, "", "/p") == ({} if expected is None else {name: expected})


def test_paths_in_a_configuration_that_cannot_be_read_are_left_to_airflow():
    assert paths.absolute({}, "dags_folder = x\n", "/p") == {}
    assert paths.absolute({}, "[core]\ndags_folder = $PROJECT/dags\nplugins_folder =\n", "/p") == {}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////h/airflow.db", "sqlite:////h/airflow.db"),
        ("postgresql+psycopg2://u:p@w@h:5432/d?sslpassword=x", "postgresql+psycopg2://u:***@h:5432/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("sqlite:////h/airflow.db\n", "sqlite:////h/airflow.db"),  # of a _CMD option
        ("mysql://h/d", "mysql://h/d"),
    ],
)
def test_a_database_is_shown_without_its_password(url, shown):
    assert configuration.mask(url) == shown


class Conf:
    sensitive_config_values = {("database", "sql_alchemy_conn"), ("api_auth", "jwt_secret")}


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ("[api_auth]\njwt_secret = x\n", {}, False),
        ("[database]\nsql_alchemy_conn_cmd = cat /x\n", {}, True),
        ("[database]\nsql_alchemy_conn_secret =\n", {}, False),
        ("[api_auth]\njwt_secret_secret = path\n", {}, True),
        ("", {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "path"}, True),
        ("", {"AIRFLOW__API_AUTH__JWT_SECRET": "x"}, False),
    ],
)
def test_options_from_a_command_or_a_secrets_backend_are_noticed(tmp_path, config, environment, expected):
    path = tmp_path / "airflow.cfg"
    path.write_text(config)
    assert configuration.from_elsewhere(Conf, str(path), environment) is expected


def test_passwords_are_made_only_for_those_who_have_none(tmp_path, capsys):
    path = tmp_path / "passwords"
    before = os.umask(0)
    try:
        login.seed_passwords(str(path), ["admin"])
    finally:
        os.umask(before)
    first = json.loads(path.read_text())["admin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    login.seed_passwords(str(path), ["admin", "bob"])
    assert sorted(json.loads(path.read_text())) == ["admin", "bob"]
    assert json.loads(path.read_text())["admin"] == first
    assert first not in capsys.readouterr().out
    assert len({login.new_password() for _ in range(100)}) == 100


@pytest.mark.parametrize("user", [{"username": "ann", "role": "admin"}, types.SimpleNamespace(username="ann")])
def test_users_of_the_simple_auth_manager_before_and_since_3_2(user):
    assert login.username(user) == "ann"


GENERATED = "[other]\n" + "".join(f"option{number} = 1\n" for number in range(200))


@pytest.mark.parametrize(
    ("config", "environment", "two", "three"),
    [
        ("", {}, True, True),
        (GENERATED + "[scheduler]\ndag_dir_list_interval = 300\n", {}, True, True),
        (GENERATED + "[dag_processor]\nrefresh_interval = 300\n", {}, True, True),
        (GENERATED + "[scheduler]\ndag_dir_list_interval = 60\n", {}, False, False),
        (GENERATED + "[dag_processor]\nrefresh_interval = 60\n", {}, True, False),
        ("[scheduler]\ndag_dir_list_interval = 300\n", {}, False, False),
        ("", {"AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "300"}, False, False),
        ("", {"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300"}, True, False),
    ],
)
def test_whether_somebody_chose_how_often_dag_files_are_looked_for(tmp_path, config, environment, two, three):
    path = tmp_path / "airflow.cfg"
    path.write_text(config)
    assert configuration.refresh_option(2, str(path), environment) == ("scheduler.dag_dir_list_interval" if two else "")
    expected = "dag_processor.refresh_interval" if three else ""
    assert configuration.refresh_option(3, str(path), environment) == expected


RETRIES = "[workers]\nexecution_api_retries = "


@pytest.mark.parametrize(
    ("config", "environment", "unset"),
    [
        ("", {}, True),
        (GENERATED + RETRIES + "5\n", {}, True),
        (GENERATED + RETRIES + "3\n", {}, False),
        (RETRIES + "5\n", {}, False),
        ("", {"AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "5"}, False),
    ],
)
def test_whether_somebody_chose_how_often_a_task_tries(tmp_path, config, environment, unset):
    path = tmp_path / "airflow.cfg"
    path.write_text(config)
    expected = "workers.execution_api_retries" if unset else ""
    assert configuration.retries_option(3, str(path), environment) == expected
    assert configuration.retries_option(2, str(path), environment) == ""


class Manager:
    def __init__(self, role="Admin", accepts=True):
        self.added, self._role, self._accepts = [], role, accepts

    def find_role(self, name):
        return self._role

    def add_user(self, *words):
        self.added.append(words)
        return self._accepts


def test_the_admin_of_airflow_2(tmp_path):
    path, manager = tmp_path / "standalone_admin_password.txt", Manager()
    login.create_admin(manager, str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert manager.added == [("admin", "Admin", "User", "admin@example.com", "Admin", path.read_text())]
    path.write_text("mine\n")
    login.create_admin(manager, str(path))
    assert manager.added[1][-1] == "mine", "what is in the file is what it is meant to be"
    for refusing in (Manager(role=None), Manager(accepts=False)):
        with pytest.raises(diagnosis.Unusable, match="cannot create the admin user"):
            login.create_admin(refusing, str(path))


@pytest.mark.parametrize("content", [None, "", "mine", '{"admin": "mine"}'], ids=["dangling", "empty", "text", "json"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_link_in_place_of_the_password_file_is_refused_and_its_target_untouched(tmp_path, version, content):
    outside, manager = tmp_path / "outside", Manager()
    if content is not None:
        outside.write_text(content)
        outside.chmod(0o644)
    name = "standalone_admin_password.txt" if version == 2 else "simple_auth_manager_passwords.json.generated"
    path = tmp_path / name
    path.symlink_to(outside)
    make = login.seed_passwords if version == 3 else lambda path, _: login.create_admin(manager, path)
    with pytest.raises(diagnosis.Unusable, match=f"refusing to use .*{name}: it is a symlink"):
        make(str(path), ["admin", "bob"])
    assert manager.added == []
    if content is None:
        assert not outside.exists()
    else:
        private_files.make_private(str(path))
        assert (outside.read_text(), stat.S_IMODE(outside.stat().st_mode)) == (content, 0o644)


def test_a_copy_of_a_sqlite_file_has_its_write_ahead_log_and_replaces_nothing(tmp_path):
    path = tmp_path / "airflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE dag (name TEXT)")
        connection.execute("INSERT INTO dag VALUES ('tiny')")
        connection.commit()
        copies = [database.copy_of(str(path), "3.3.2") for _ in range(2)]
    assert copies == [f"{path}.before-3.3.2", f"{path}.before-3.3.2.2"]
    for copy in copies:
        assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT name FROM dag").fetchall() == [("tiny",)]


def test_a_copy_that_fails_ends_the_start_and_leaves_nothing(tmp_path):
    path = tmp_path / "airflow.db"
    path.write_text("not a database, whatever it is called")
    with pytest.raises(diagnosis.Unusable, match=r"cannot copy .*airflow.db to .*before-3.3.2 before the migration: "):
        database.copy_of(str(path), "3.3.2")
    assert list(tmp_path.iterdir()) == [path]
