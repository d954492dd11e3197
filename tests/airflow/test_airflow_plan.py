"""From facts to a plan: components, readiness, environment, words."""

import itertools
import re
import signal
from dataclasses import replace

import pytest
from airflow_reports import VERSIONS, facts

from orchestrator.model import scheduling
from orchestrator.model.errors import UsageError
from orchestrator.model.spec import ExecProbe, HttpProbe, LogProbe, Ownership, RestartPolicy, Scope
from orchestrator.presets.airflow import components as airflow_components
from orchestrator.presets.airflow import login, network
from orchestrator.presets.airflow.network import Use
from orchestrator.presets.airflow.workers import Programs

NOBODY = frozenset()
PROGRAMS = Programs(
    worker=("/v/bin/python", "/o/worker.py", "/r"), call=("/v/bin/python", "/o/call.py"), airflow="/v/bin/airflow"
)
REQUEST = airflow_components.AirflowRequest(
    command="/v/bin/airflow",
    directory="/p",
    private="/h/.orchestrate/run",
    environment={"PATH": "/v/bin:/bin"},
    processors=4,
    task_call=("/v/bin/python", "/o/task_call.py"),
    programs=PROGRAMS,
)


def made(found, chosen=None, only=NOBODY, without=NOBODY, request=REQUEST):
    running = airflow_components.names(found, only, without)
    return {
        c.name: c for c in airflow_components.components(found, running, request, chosen or network.ports(found, None))
    }


def environment(found, chosen=None, bind=None, without=NOBODY, given=(), own_hosts=NOBODY):
    """What a start adds to the environment it was given."""
    running = airflow_components.names(found, NOBODY, without)
    ports = chosen or network.ports(found, None)
    complete = network.environment(found, dict(given), ports, bind, running, own_hosts)
    return {
        name: value for name, value in complete.items() if name != "AIRFLOW_HOME" and dict(given).get(name) != value
    }


def moved(**changes):
    return network.AirflowPorts(**{"web": 8080, "worker_log": 8793, "trigger_log": 8794, **changes})


def test_the_components_of_each_version():
    assert [*made(facts("2.6.3"))] == ["scheduler", "webserver", "triggerer"]
    assert [*made(facts("2.11.2", {"scheduler.standalone_dag_processor": "True"}))] == [
        "scheduler",
        "webserver",
        "dag-processor",
        "triggerer",
    ]
    assert [*made(facts("3.3.2"))] == ["scheduler", "api-server", "dag-processor", "triggerer"]


@pytest.mark.parametrize("version", VERSIONS)
def test_how_each_is_started_stopped_and_restarted(version):
    for name, component in made(facts(version)).items():
        assert component.argv[:2] == ("/v/bin/airflow", name)
        assert component.cwd == "/p"
        assert [(step.signal, step.wait) for step in component.stop.steps] == [
            (signal.SIGTERM, 15),
            (signal.SIGTERM, 3),
        ]
        assert component.stop.scope is Scope.LEADER
        assert (component.restart.policy, component.restart.max, component.restart.within) == (
            RestartPolicy.ALWAYS,
            5,
            300,
        )
        assert component.success == frozenset(), "no exit that nobody asked for is a success"
        assert component.depends_on == (), "all start in parallel"


@pytest.mark.parametrize(
    ("version", "processors", "without", "expected"),
    [
        ("3.3.2", 4, "", {}),
        ("3.3.2", 3, "", {"triggerer": ("scheduler",)}),
        ("3.3.2", 2, "", {"dag-processor": ("scheduler",), "triggerer": ("dag-processor",)}),
        ("3.3.2", 1, "", {"dag-processor": ("scheduler",), "triggerer": ("dag-processor",)}),
        ("3.3.2", 2, "dag-processor", {"triggerer": ("scheduler",)}),
        ("3.3.2", 2, "api-server", {"triggerer": ("scheduler",)}),
        ("3.3.2", 1, "api-server", {"dag-processor": ("scheduler",), "triggerer": ("dag-processor",)}),
        ("2.6.3", 2, "", {"triggerer": ("scheduler",)}),
    ],
)
def test_on_few_processors_they_take_turns_beside_the_web_component(version, processors, without, expected):
    request = replace(REQUEST, processors=processors)
    components = made(facts(version), without=frozenset(without.split()), request=request).values()
    assert {c.name: c.start_after for c in components if c.start_after} == expected


def test_the_pid_file_of_gunicorn_is_in_our_directory():
    assert made(facts("2.6.3"))["webserver"].argv == (
        "/v/bin/airflow",
        "webserver",
        "--pid",
        "/h/.orchestrate/run/airflow-webserver.pid",
    )


def test_the_control_socket_of_gunicorn_is_switched_off_in_all_processes_of_2():
    given = {"PATH": "/bin", "GUNICORN_CMD_ARGS": "--threads 2"}
    request = replace(REQUEST, launcher=("/v/bin/python", "/o/launcher.py"), environment=given)
    two = made(facts("2.11.2"), request=request)
    assert two["scheduler"].argv == ("/v/bin/python", "/o/launcher.py", "/v/bin/airflow", "scheduler")
    assert two["webserver"].argv[:2] == ("/v/bin/airflow", "webserver")
    assert {c.environment["GUNICORN_CMD_ARGS"] for c in two.values()} == {"--threads 2 --no-control-socket"}
    for component in made(facts("3.3.2"), request=request).values():
        assert component.argv == ("/v/bin/airflow", component.name)
        assert component.environment["GUNICORN_CMD_ARGS"] == "--threads 2"


def test_on_3_the_scheduler_is_down_before_the_api_server_is_stopped():
    dependents = scheduling.dependents(made(facts("3.3.2")).values())
    assert dependents["api-server"] == {"scheduler"}
    assert [name for name, others in dependents.items() if others] == ["api-server"]
    assert set(scheduling.dependents(made(facts("2.6.3")).values()).values()) == {frozenset()}
    assert made(facts("3.3.2"), without={"api-server"})["scheduler"].stop_before == ()


def test_a_choice_of_components():
    found = facts("3.3.2")
    assert airflow_components.names(found, frozenset({"scheduler", "api-server"}), NOBODY) == (
        "scheduler",
        "api-server",
    )
    assert airflow_components.names(found, NOBODY, frozenset({"triggerer"})) == (
        "scheduler",
        "api-server",
        "dag-processor",
    )
    with pytest.raises(
        UsageError,
        match=r"cannot choose webserver: Airflow 3.3.2 has no such component\nhint: it has scheduler, api-server",
    ):
        airflow_components.names(found, frozenset({"webserver"}), NOBODY)
    with pytest.raises(UsageError, match="leave no component"):
        airflow_components.names(found, frozenset({"triggerer"}), frozenset({"triggerer"}))


def test_readiness_on_3():
    ready = {name: component.ready for name, component in made(facts("3.3.2")).items()}
    health = "http://127.0.0.1:8080/api/v2/monitor/health"
    assert ready["scheduler"] == (
        LogProbe("[Rr]esetting orphaned tasks", "about its start"),
        HttpProbe(
            health,
            healthy=("/metadatabase/status", "/scheduler/status"),
            fresh=("/scheduler/latest_scheduler_heartbeat",),
            owner=Ownership.ANY,  # the web component's socket answers for it
        ),
        ready["scheduler"][-1],
    )
    own_line, warm, itself = ready["api-server"]
    assert isinstance(own_line, LogProbe)
    assert warm.url == "http://127.0.0.1:8080/execution/health", "the first call stalls the server"
    assert warm.timeout >= 30
    assert itself == HttpProbe(health, healthy=("/metadatabase/status",))


def test_readiness_on_2():
    ready = {name: component.ready for name, component in made(facts("2.6.3")).items()}
    assert ready["webserver"][1] == HttpProbe("http://127.0.0.1:8080/health", healthy=("/metadatabase/status",))
    assert ready["triggerer"][1].fresh == ("/triggerer/latest_triggerer_heartbeat",)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "line", ["Listening at: http://0.0.0.0:8080 (123)", "Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)"]
)
def test_the_web_components_own_line(version, line):
    found = facts(version)
    probe = made(found)[found.web].ready[0]
    assert re.search(probe.pattern, line)
    assert not re.search(probe.pattern, line.replace("8080", "8793"))
    assert not re.search(probe.pattern, line.replace("8080", "80801"))


def test_without_log_lines_health_alone_decides():
    ready = {n: c.ready for n, c in made(facts("3.3.2", {"logging.json_logs": "True"})).items()}
    assert all(isinstance(probe, HttpProbe | ExecProbe) for probes in ready.values() for probe in probes)
    assert ready["scheduler"][0].fresh


def test_without_a_web_component_the_log_lines_decide():
    assert [type(p) for c in made(facts("3.3.2"), without={"api-server"}).values() for p in c.ready] == [LogProbe] * 3
    assert made(facts("3.3.2"), only={"api-server"})["api-server"].ready[1].fresh == ()


def test_what_is_asked_of_a_web_component_elsewhere():
    url = network.web_url(
        facts("2.11.2", {"webserver.base_url": "https://air.example.org/flow/", "webserver.web_server_ssl_cert": "/c"}),
        moved(),
        by_address=True,
    )
    assert url == "https://127.0.0.1:8080/flow"


@pytest.mark.parametrize(
    ("host", "bind", "expected"),
    [
        ("0.0.0.0", None, "http://localhost:8080"),
        ("127.0.0.1", None, "http://localhost:8080"),
        ("::", None, "http://[::1]:8080"),
        ("fe80::1", None, "http://[fe80::1]:8080"),
        ("0.0.0.0", "192.168.1.5", "http://192.168.1.5:8080"),
        ("192.168.1.5", "0.0.0.0", "http://localhost:8080"),
    ],
)
def test_the_url_for_people(host, bind, expected):
    assert network.web_url(facts("3.3.2", {"api.host": host}), moved(), bind) == expected


def test_on_2_nothing_is_changed_that_need_not_be():
    assert environment(facts("2.6.3")) == {}
    assert environment(facts("2.11.2")) == {}


def test_on_3_tasks_always_learn_the_port():
    assert environment(facts("3.3.2")) == {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://localhost:8080/execution/"
    }
    configured = environment(facts("3.3.2", {"api.port": "9090"}))
    assert configured == {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://localhost:9090/execution/"}


def test_the_port_and_what_must_agree_with_it():
    changed = environment(facts("3.3.2"), moved(web=9090))
    assert changed == {
        "AIRFLOW__API__PORT": "9090",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://localhost:9090/execution/",
    }
    changed = environment(facts("3.3.2", {"api.base_url": "http://localhost:8080/air"}), moved(web=9090))
    assert changed["AIRFLOW__API__BASE_URL"] == "http://localhost:9090/air"
    assert changed["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://localhost:9090/air/execution/"
    changed = environment(facts("2.6.3"), moved(web=9090))
    assert changed == {
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": "9090",
        "AIRFLOW__WEBSERVER__BASE_URL": "http://localhost:9090",
    }


def test_addresses_that_others_see_are_left_alone():
    outside = {"api.base_url": "https://air.example.org"}
    changed = environment(facts("3.3.2", outside), moved(web=9090), without={"api-server"})
    assert changed == {"AIRFLOW__API__PORT": "9090"}, "it runs elsewhere"
    own = {"core.execution_api_server_url": "http://api.example.org/execution/"}
    assert environment(facts("3.3.2", own), moved(web=9090)) == {"AIRFLOW__API__PORT": "9090"}
    local = {"core.execution_api_server_url": "http://localhost:8080/execution/"}
    assert environment(facts("3.3.2", local)) == {}
    assert (
        environment(facts("3.3.2", local), moved(web=9090))["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        == "http://localhost:9090/execution/"
    )


@pytest.mark.parametrize(
    ("base_url", "path"),
    [("https://air.example.org/af", "/af"), ("https://air.example.org/", ""), ("/af/", "/af"), ("http://[::2]:80", "")],
)
def test_behind_a_reverse_proxy_tasks_call_the_api_server_that_runs_here(base_url, path):
    found = facts("3.3.2", {"api.base_url": base_url})
    changed = environment(found)
    assert changed == {network.EXECUTION_API: f"http://localhost:8080{path}/execution/"}
    (line,) = network.notes(found, {}, changed) if base_url != "/af/" else ("Tasks call",)
    assert line.startswith("Tasks call")
    if base_url.startswith("https"):
        assert line == (
            f"Tasks call http://localhost:8080{path}/execution/, not {base_url.rstrip('/')}/execution/;"
            " to change that, set [core] execution_api_server_url"
        )
    public = "https://air.example.org/af/execution/"
    own = facts("3.3.2", {"api.base_url": base_url, "core.execution_api_server_url": public})
    assert environment(own) == {}, "what is configured counts"
    assert network.execution_url(own, {}) == public


PROXY = {"HTTP_PROXY": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ({}, {}, None),
        (PROXY, {}, "localhost"),
        ({"all_proxy": "socks5://p:1"}, {}, "localhost"),
        (PROXY | {"NO_PROXY": "a.b, c"}, {}, "a.b,c,localhost"),
        (PROXY | {"no_proxy": "a", "NO_PROXY": "b"}, {}, "a,b,localhost"),
        (PROXY | {"NO_PROXY": "localhost"}, {}, "localhost"),
        (PROXY | {"NO_PROXY": "localhost", "no_proxy": "localhost"}, {}, None),
        (PROXY | {"NO_PROXY": "*"}, {}, None),
        (PROXY | {"NO_PROXY": ""}, {"api.host": "10.0.0.1"}, "10.0.0.1"),
        (PROXY, {"core.execution_api_server_url": "https://af.example.org/execution/"}, None),
        (PROXY, {"core.execution_api_server_url": "https://own.example.org/execution/"}, "own.example.org"),
    ],
)
def test_tasks_reach_our_api_server_past_a_proxy(given, options, expected):
    found = facts("3.3.2", options)
    changed = environment(found, given=given, own_hosts=frozenset({"own.example.org"}))
    assert {changed[name] for name in ("NO_PROXY", "no_proxy") if name in changed} == ({expected} - {None})
    complete = given | changed
    if expected is not None:
        assert complete["NO_PROXY"] == complete["no_proxy"]
    said = network.notes(found, given, complete)
    if expected is not None and "localhost" not in given.get("NO_PROXY", ""):
        host = expected.rpartition(",")[2]
        assert said == (f"{next(iter(given))} is set: added {host} to NO_PROXY, so that tasks reach the api-server",)
    assert environment(facts("2.11.2"), given=given) == {}, "a task of 2.x calls nobody"


def test_the_scheduler_is_ready_when_a_task_can_call_the_execution_api():
    options = {"api.ssl_cert": "/c.pem", "execution_api.jwt_audience": "urn:x"}
    probe = made(facts("3.3.2", options))["scheduler"].ready[-1]
    url = "https://localhost:8080/execution/"
    assert probe.argv == ("/v/bin/python", "/o/task_call.py", url, "ssl_cert=/c.pem", "jwt_audience=urn:x")
    assert probe.about == f"a task's call of {url}"
    assert probe.timeout > 60, "the first call stalls the server"
    elsewhere = facts("3.3.2", {"core.execution_api_server_url": "http://api.example.org/execution/"})
    assert made(elsewhere, without={"api-server"})["scheduler"].ready[-1].argv[2] == elsewhere.execution_api_url
    for components in (made(facts("3.3.2"), without={"api-server"}), made(facts("2.11.2"))):
        assert not any(isinstance(probe, ExecProbe) for probe in components["scheduler"].ready)


def test_other_ports_and_the_address():
    changed = environment(facts("2.11.2"), moved(worker_log=1, trigger_log=2), "127.0.0.1")
    assert changed == {
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "1",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "2",
    }
    assert (
        environment(facts("3.3.2"), bind="10.0.0.1")["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        == "http://10.0.0.1:8080/execution/"
    )


def test_what_was_forced_is_in_the_environment_and_said():
    forced = facts(
        "3.3.2",
        executor="LocalExecutor",
        forced_executor="LocalExecutor",
        forced_executor_reason="CeleryExecutor is not local",
    )
    assert environment(forced)["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    ports = network.ports(forced, None)
    assert "Forcing executor to LocalExecutor: CeleryExecutor is not local" in airflow_components.notes(
        forced, "/v/bin/airflow", ports, ports
    )


@pytest.mark.parametrize(
    ("version", "option", "variable", "said"),
    [
        ("3.3.2", "dag_processor.refresh_interval", "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "[dag_processor] refr"),
        ("2.6.3", "scheduler.dag_dir_list_interval", "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL", "[scheduler] dag_d"),
    ],
)
def test_new_dag_files_are_looked_for_every_10_seconds_unless_that_is_configured(version, option, variable, said):
    found = facts(version, refresh_option=option)
    assert environment(found)[variable] == "10"
    ports = network.ports(found, None)
    (line,) = [line for line in airflow_components.notes(found, "/v/bin/airflow", ports, ports) if "DAG files" in line]
    assert line.startswith(f"Looking for new DAG files every 10 s: {said}")
    assert variable not in environment(facts(version))


def test_tasks_wait_for_the_api_server_of_this_start_unless_that_is_configured():
    variable, option = "AIRFLOW__WORKERS__EXECUTION_API_RETRIES", "workers.execution_api_retries"
    found = facts("3.3.2", retries_option=option)
    assert environment(found)[variable] == "10"
    assert variable not in environment(found, without=frozenset({"api-server"})), "it is elsewhere, and runs"
    assert variable not in environment(facts("3.3.2"))


def test_ports_that_were_chosen_are_said():
    lines = airflow_components.notes(facts("2.6.3"), "/v/bin/airflow", moved(), moved(web=9090, trigger_log=9091))
    assert lines == (
        "Airflow 2.6.3 (/v/bin/airflow), home /h, SequentialExecutor, sqlite:////h/airflow.db",
        "Port 8080 is taken: webserver gets 9090",
        "Port 8794 is taken: the log server of triggerer gets 9091",
    )


def test_which_ports_are_needed():
    found = facts("2.6.3", {"scheduler.enable_health_check": "True"})
    everything = network.listeners(
        found, network.ports(found, None), ("scheduler", "webserver", "triggerer"), "127.0.0.1"
    )
    assert everything == {
        Use.WEB: ("127.0.0.1", 8080),
        Use.WORKER_LOG: ("::", 8793),
        Use.SCHEDULER_HEALTH: ("::", 8974),
        Use.TRIGGER_LOG: ("::", 8794),
    }
    assert network.listeners(found, network.ports(found, 9090), ("webserver",), None) == {Use.WEB: ("0.0.0.0", 9090)}


def test_login():
    assert login.login_line(facts("2.6.3"), "secret", shown=True) == "Login with username: admin  password: secret"
    assert (
        login.login_line(facts("2.6.3"), "secret", shown=False)
        == "Login with username: admin  password: in /h/standalone_admin_password.txt"
    )
    assert "not known" in login.login_line(facts("2.6.3"), "", shown=True)
    assert (
        login.login_line(facts("3.3.2", login="open"), "", shown=True) == "No login is needed: every user is an admin"
    )
    assert login.login_line(facts("3.3.2", login="elsewhere"), "", shown=True) == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_banner_names_the_url_only_with_a_web_component(version):
    found = facts(version)
    lines = airflow_components.banner(
        found, airflow_components.names(found, NOBODY, NOBODY), "http://localhost:8080", "Login …"
    )
    assert lines[1:-1] == (
        "Airflow is ready",
        "http://localhost:8080/",
        "Login …",
        "Airflow Standalone is for development purposes only. Do not use this in production!",
    )
    assert not any(
        "http" in line for line in airflow_components.banner(found, ("scheduler",), "http://localhost:8080", "Login …")
    )


def test_every_choice_of_components_makes_a_plan_without_a_cycle():
    for version in VERSIONS:
        found = facts(version)
        everybody = airflow_components.names(found, NOBODY, NOBODY)
        for count in range(1, len(everybody) + 1):
            for some in itertools.combinations(everybody, count):
                components = made(found, only=frozenset(some)).values()
                assert tuple(c.name for c in components) == some
                assert scheduling.find_cycle(components) == ()
