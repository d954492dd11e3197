"""The report of the preparation, interpreted; and what is predicted without one."""

import json

import pytest
from airflow_reports import VERSIONS, facts, report

from orchestrator.model.errors import OrchestrateError
from orchestrator.presets.airflow.facts import foresee, from_json, parse, to_json


@pytest.mark.parametrize("version", VERSIONS)
def test_the_defaults_of_each_version(version):
    found = facts(version)
    assert (found.host, found.port, found.worker_log_port, found.trigger_log_port) == ("0.0.0.0", 8080, 8793, 8794)
    assert (found.web, found.dag_processor) == (("api-server", True) if version == "3.3.2" else ("webserver", False))
    assert (found.log_lines, found.web_log_lines, found.ssl, found.stampable) == (True, True, False, True)
    assert found.scheduler_health_port == 0
    assert found.webserver_config == ("" if version == "3.3.2" else "/h/webserver_config.py")


@pytest.mark.parametrize("version", VERSIONS)
def test_facts_survive_being_written(version):
    assert from_json(json.loads(json.dumps(to_json(facts(version))))) == facts(version)
    assert parse(json.dumps(report(version))) == facts(version)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"version": "3.3.2"}', '{"version": 3, "options": {}}'])
def test_a_report_that_is_none_is_one_clear_line(text):
    with pytest.raises(OrchestrateError, match="cannot read the report about Airflow"):
        parse(text)


def test_options_as_people_write_them():
    found = facts(
        "3.3.2", {"api.port": "9090 # ours", "scheduler.enable_health_check": "yes", "logging.logging_level": "debug"}
    )
    assert (found.port, found.scheduler_health_port, found.log_lines) == (9090, 8974, True)


@pytest.mark.parametrize("text", ["", "web", "0", "65536", "-1", "80a", "٣"])
def test_a_port_that_is_none_is_named_as_in_the_file(text):
    with pytest.raises(OrchestrateError, match=r"\[api\] port = .* is not a port"):
        facts("3.3.2", {"api.port": text})


@pytest.mark.parametrize(
    ("options", "lines", "web_lines"),
    [
        ({"logging.json_logs": "True"}, False, False),
        ({"logging.logging_level": "WARNING"}, False, True),
        ({"logging.uvicorn_logging_level": "error"}, True, False),
        ({"logging.logging_config_class": "my.LOGGING"}, False, False),
    ],
)
def test_components_that_do_not_print_their_lines(options, lines, web_lines):
    found = facts("3.3.2", options)
    assert (found.log_lines, found.web_log_lines) == (lines, web_lines)


@pytest.mark.parametrize("changes", [{"elsewhere": True}, {"sqlite_file": "", "database": "postgresql://a:***@b/c"}])
def test_what_is_kept_elsewhere_is_never_stamped(changes):
    assert not facts("3.3.2", **changes).stampable


@pytest.mark.parametrize(
    ("version", "environment", "config", "expected"),
    [
        ("3.3.2", {}, "", ("0.0.0.0", 8080, 8793)),
        ("2.6.3", {}, "", ("0.0.0.0", 8080, 8793)),
        ("3.3.2", {"AIRFLOW__API__PORT": "9000"}, "[api]\nport = 9001\n", ("0.0.0.0", 9000, 8793)),
        (
            "3.3.2",
            {},
            "[api]\nport = 9001\nhost = 127.0.0.1\n[logging]\nworker_log_server_port = 1\n",
            ("127.0.0.1", 9001, 1),
        ),
        ("2.11.2", {}, "[webserver]\nweb_server_port = 9002\n", ("0.0.0.0", 9002, 8793)),
    ],
)
def test_ports_are_foreseen(version, environment, config, expected):
    found = foresee(version, "/h", environment, config)
    assert (found.host, found.port, found.worker_log_port) == expected


@pytest.mark.parametrize(
    ("version", "environment", "config"),
    [
        ("", {}, ""),
        ("1.10.15", {}, ""),
        ("4.0.0", {}, ""),
        ("3.3.2", {"AIRFLOW__WEBSERVER__WEB_SERVER_PORT": "1"}, ""),
        ("3.3.2", {}, "[webserver]\nweb_server_port = 1\n"),
        ("3.3.2", {}, "no section\n"),
        ("3.3.2", {"AIRFLOW__API__PORT": "x"}, ""),
    ],
)
def test_nothing_is_foreseen_that_is_not_sure(version, environment, config):
    assert foresee(version, "/h", environment, config) is None
