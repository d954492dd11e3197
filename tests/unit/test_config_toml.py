"""orchestrate.toml: what it says, and every mistake at once with file, line and what was probably meant."""

import json
import re
import signal
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import definition, toml
from orchestrator.config.definition import EnvFile, merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.loading import read
from orchestrator.config.schema import component as schema_component
from orchestrator.config.schema import json_schema
from orchestrator.config.toml import locate
from orchestrator.config.validate import validate
from orchestrator.model.names import NAME_PATTERN, composed
from orchestrator.model.spec import (
    Condition,
    Dependency,
    FileProbe,
    HttpProbe,
    LogProbe,
    NotifyProbe,
    OnExit,
    Ownership,
    RestartPlan,
    RestartPolicy,
    Scope,
    StopPlan,
    StopStep,
    TcpProbe,
    UnixProbe,
)


def define(*texts):
    """Read files f.toml, f2.toml …; the definition and the problems in their order."""
    report = Report()
    names = ["f.toml", *(f"f{number}.toml" for number in range(2, len(texts) + 1))]
    pairs = zip(names, texts, strict=True)
    documents = [toml.parse(text.encode(), Place(name, 0, f"/{name[:-5]}"), report) for name, text in pairs]
    if None in documents:
        return None, report.in_order()
    found = read(merge(documents), "f.toml", report)
    validate(found, report)
    return found, report.in_order()


def component(text, **more):
    """The component `web` with these keys."""
    found, problems = define(f'[components.web]\ncommand = "run"\n{text}\n')
    assert problems == []
    return found.components[0]


def problems(*texts):
    return define(*texts)[1]


@pytest.mark.parametrize(
    "text",
    [
        "[components.web]\nrestart = { max = 3 }\nalive = { tcp = 80 }",
        "[components.web]\n[defaults]\nrestart = { max = 3 }",
        "[components.web]\nrestart = { max = 3, policy = 'never' }",
        "[components.web]\nrestart = {}",
    ],
)
def test_limits_of_restarts_that_may_have_an_effect(text):
    assert problems(text.replace("web]", "web]\ncommand = 'run'")) == []


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("", "command", "run"),
        ('cwd = "a"', "cwd", "a"),
        ('environment = { A = "x", B = 1, C = 1.5 }', "environment", {"A": "x", "B": "1", "C": "1.5"}),
        ('env_file = ["a", "b"]', "env_file", (EnvFile("a"), EnvFile("b"))),
        ('env_file = "a"', "env_file", (EnvFile("a"),)),
        ('env_file = ["a", { path = "b", required = false }]', "env_file", (EnvFile("a"), EnvFile("b", False))),
        ('env_file = { path = "b", required = false }', "env_file", (EnvFile("b", False),)),
        ('stop = { timeout = "1m30s" }', "stop", StopPlan((StopStep(signal.SIGTERM, 90.0),))),
        (
            'stop = { sequence = ["TERM", "1.5s", "KILL"] }',
            "stop",
            StopPlan((StopStep(signal.SIGTERM, 1.5), StopStep(signal.SIGKILL, 0.0))),
        ),
        (
            'restart = { policy = "always", within = "1h", backoff = ["500ms", "1m"] }',
            "restart",
            RestartPlan(RestartPolicy.ALWAYS, within=3600.0, first=0.5, cap=60.0),
        ),
        (
            'ready = { tcp = 80, interval = "2s", timeout = "1m" }',
            "ready",
            (TcpProbe("80", 0, interval=2.0, timeout=60.0),),
        ),
        ('ready = { log = "costs $5$" }', "ready", (LogProbe("costs $5$"),)),
        ("replicas = 3", "replicas", 3),
        ('profiles = ["x"]', "profiles", ("x",)),
        ("port = 8080", "port", 8080),
        ('port = "${P:-1}"', "port", "${P:-1}"),
        ("tty = false", "tty", False),
        ('on_exit = "ignore"', "on_exit", OnExit.IGNORE),
        ("success_exit_codes = [0, 3]", "success_exit_codes", frozenset({0, 3})),
        ('stop = { signal = "INT" }', "stop", StopPlan((StopStep(signal.SIGINT, 10.0),))),
        ('stop = { signal = "SIGQUIT", timeout = 3 }', "stop", StopPlan((StopStep(signal.SIGQUIT, 3.0),))),
        (
            'stop = { sequence = ["TERM", 15, "TERM", 3, "KILL"], scope = "leader" }',
            "stop",
            StopPlan((StopStep(15, 15.0), StopStep(15, 3.0), StopStep(9, 0.0)), Scope.LEADER),
        ),
        ('restart = "always"', "restart", RestartPlan(RestartPolicy.ALWAYS)),
        (
            'restart = { policy = "on-failure", max = 3, within = 60, backoff = [2, 30] }',
            "restart",
            RestartPlan(RestartPolicy.ON_FAILURE, 3, 60.0, 2.0, 30.0),
        ),
        (
            'restart = { policy = "always", same_exits = 2 }',
            "restart",
            RestartPlan(RestartPolicy.ALWAYS, same_exits=2),
        ),
        ('ready = { log = "up$" }', "ready", (LogProbe("up$"),)),
        (
            'ready = { http = "http://x/", status = 204, interval = 1, timeout = 2 }',
            "ready",
            (HttpProbe("http://x/", (range(204, 205),), interval=1.0, timeout=2.0),),
        ),
        (
            'ready = { http = "http://x/", status = [301, "2xx", "401-403"] }',
            "ready",
            (HttpProbe("http://x/", (range(301, 302), range(200, 300), range(401, 404))),),
        ),
        ('ready = { http = "http://x/", status = "5XX" }', "ready", (HttpProbe("http://x/", (range(500, 600),)),)),
        ('ready = { unix = "run/a.sock", owner = "any" }', "ready", (UnixProbe("run/a.sock", owner=Ownership.ANY),)),
        ('ready = { file = "run/a.pid", interval = 1 }', "ready", (FileProbe("run/a.pid", interval=1.0),)),
        ("ready = { notify = true }", "ready", (NotifyProbe(),)),
        ('ready = { log = "x" }\nfailed = { log = "EADDR" }', "failed", (LogProbe("EADDR"),)),
        (
            'ready = { log = "x" }\nfailed = [{ log = "a" }, { log = "b", about = "no" }]',
            "failed",
            (LogProbe("a"), LogProbe("b", "no")),
        ),
    ],
)
def test_keys(text, field, value):
    assert getattr(component(text), field) == value


CONDITIONS = {
    "started": Condition.STARTED,
    "ready": Condition.READY,
    "completed": Condition.COMPLETED,
    "succeeded": Condition.SUCCEEDED,
    "service_started": Condition.STARTED,
    "service_healthy": Condition.READY,
    "service_completed_successfully": Condition.SUCCEEDED,
    "process_started": Condition.STARTED,
    "process_healthy": Condition.READY,
    "process_completed": Condition.COMPLETED,
    "process_completed_successfully": Condition.SUCCEEDED,
}


@pytest.mark.parametrize(("word", "condition"), CONDITIONS.items())
@pytest.mark.parametrize("form", ['{{ db = "{}" }}', '{{ db = {{ condition = "{}" }} }}'])
def test_conditions_in_everybodys_words(word, condition, form):
    text = '[components.db]\ncommand = "x"\n[components.web]\ncommand = "x"\ndepends_on = ' + form.format(word)
    found, faults = define(text)
    assert faults == []
    assert found.components[1].depends_on == (Dependency("db", condition),)


def test_a_list_of_dependencies_means_started():
    found, faults = define('[components]\na.command = "x"\nb = { command = "x", depends_on = ["a"] }')
    assert faults == []
    assert found.components[1].depends_on == (Dependency("a"),)


def test_steps():
    text = '[init.a]\ncommand = ["x", "y"]\nunless = "z"\ntimeout = 3\n[init.b]\ncommand = "x"\n' + WEB
    found, faults = define(text)
    assert faults == []
    assert [(s.name, s.command, s.unless, s.timeout) for s in found.init] == [
        ("a", ("x", "y"), "z", 3.0),
        ("b", "x", (), None),
    ]


WEB = '[components.web]\ncommand = "x"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WEB + "replicsa = 2", "f.toml:3: components.web.replicsa: unknown key; did you mean 'replicas'?"),
        ('[component.web]\ncommand = "x"', "f.toml:1: component: unknown key; did you mean 'components'?"),
        (WEB + "expected = {}", "f.toml:3: components.web.expected: unknown key"),
        (
            WEB + "alive = {}",
            "f.toml:3: components.web.alive: has no probe; there are: tcp, unix, file, http, exec",
        ),
        (WEB + 'ready = { tcp = "a:b" }', "f.toml:3: components.web.ready.tcp: must be HOST:PORT or PORT, not 'a:b'"),
        (
            WEB + "ready = { log = 'x', retries = 2 }",
            "f.toml:3: components.web.ready: retries goes with tcp, unix, file, http, exec",
        ),
        (
            WEB + "ready = { tcp = 1, status = 2 }",
            "f.toml:3: components.web.ready.status: must be a whole number from 100 to 599",
        ),
        (WEB + "ready = { tcp = 1, body = 'x' }", "f.toml:3: components.web.ready: body goes with http only"),
        (
            WEB + "stop = { keys = 'q', command = 'x' }",
            "f.toml:3: components.web.stop: can have only one of keys and command",
        ),
        (
            WEB + "tty = false\nstop = { keys = 'q' }",
            "f.toml:4: components.web.stop.keys: typed into a terminal",
        ),
        ("[components.web]\ncommadn = 'x'", "f.toml:1: components.web: needs a command"),
        ("[components.web]\ncommand = ''", "f.toml:2: components.web.command: is empty"),
        ("[components.web]\ncommand = []", "f.toml:2: components.web.command: is an empty list"),
        ("[components.web]\ncommand = 3", "f.toml:2: components.web.command: must be a string or a list, not 3"),
        (
            WEB + "replicas = true",
            "f.toml:3: components.web.replicas: must be a whole number from 0 to 1000, not true",
        ),
        (WEB + "replicas = '2'", "f.toml:3: components.web.replicas: must be a whole number from 0 to 1000, not '2'"),
        (WEB + "port = 70000", "f.toml:3: components.web.port: must be a whole number from 1 to 65535"),
        (WEB + "tty = 1", "f.toml:3: components.web.tty: must be true or false, not 1"),
        (WEB + "tty = 1979-05-27", "f.toml:3: components.web.tty: must be true or false, not a date or time"),
        (
            WEB + 'on_exit = "stopp"',
            'f.toml:3: components.web.on_exit: must be "stop" | "ignore", not \'stopp\'; did you',
        ),
        (WEB + "environment = { 1A = 'x' }", "f.toml:3: components.web.environment.1A: '1A' is not a valid name"),
        (WEB + "environment = { A = ['x'] }", "f.toml:3: components.web.environment.A: must be a string or a number"),
        (WEB + "environment = {\n", "f.toml:"),
        (WEB + 'stop = { signal = "TRM" }', "f.toml:3: components.web.stop.signal: 'TRM' is not a signal"),
        (WEB + 'stop = { signal = "SIG_IGN" }', "f.toml:3: components.web.stop.signal: 'SIG_IGN' is not a signal"),
        (WEB + "stop = { sequence = [5] }", "f.toml:3: components.web.stop.sequence: must begin with a signal"),
        (
            WEB + 'stop = { sequence = ["INT"], timeout = 3 }',
            "f.toml:3: components.web.stop: cannot have signal or timeout beside",
        ),
        (
            WEB + "restart = { max = 3 }",
            "f.toml:3: components.web.restart: max has no effect without a policy or `alive`; add policy",
        ),
        (
            "[defaults]\nrestart = 'always'\n" + WEB + "[components.web.restart]\nwithin = 3\nbackoff = [1, 2]",
            "f.toml:6: components.web.restart: within and backoff have no effect without a policy or `alive`; add",
        ),
        (WEB + "restart = { backoff = [9, 1] }", "f.toml:3: components.web.restart: backoff must be two numbers"),
        (
            WEB + "ready = { }",
            "f.toml:3: components.web.ready: has no probe; there are: log, prompt, notify, delay, tcp",
        ),
        (
            WEB + "ready = { http = 'http://x/', status = '6xx' }",
            'f.toml:3: components.web.ready.status: must be a status such as 204, "2xx" or "200-299", not \'6xx\'',
        ),
        (
            WEB + "ready = { http = 'http://x/', status = ['299-200'] }",
            "f.toml:3: components.web.ready.status.0: must",
        ),
        (WEB + "ready = { notify = false }", "f.toml:3: components.web.ready.notify: must be true"),
        (WEB + "ready = { http = 'http+unix:///' }", "f.toml:3: components.web.ready.http: names no socket; write"),
        (WEB + "failed = { log = '(' }", "f.toml:3: components.web.failed.log: is not a valid regular expression"),
        (WEB + "ready = { log = '(' }", "f.toml:3: components.web.ready.log: is not a valid regular expression: "),
        (WEB + "ready = { http = 'x:80' }", "f.toml:3: components.web.ready.http: must begin with http://"),
        (WEB + "ready = { log = 'x', status = 3 }", "f.toml:3: components.web.ready.status: must be a whole number"),
        (WEB + "depends_on = ['db']", "f.toml:3: components.web.depends_on: 'db' is not a component"),
        (
            WEB + "depends_on = { wbe = 'ready' }",
            "f.toml:3: components.web.depends_on: 'wbe' is not a component; did you mean 'web'?",
        ),
        (WEB + "depends_on = { web = 'redy' }", "f.toml:3: components.web.depends_on.web: must be "),
        (
            WEB + "depends_on = ['web']",
            "f.toml:3: components.web.depends_on: depends on itself",
        ),
        (WEB + "start_after = ['db']", "f.toml:3: components.web.start_after: 'db' is not a component"),
        (WEB + "stop_before = ['wbe']", "f.toml:3: components.web.stop_before: 'wbe' is not a component; did you mean"),
        (
            WEB + "stop_before = ['web']",
            "f.toml:3: components.web.stop_before: stops before itself",
        ),
        (
            WEB + "stop_before = ['db']\n[components.db]\ncommand = 'x'\ndepends_on = ['web']",
            "f.toml:3: components.web.stop_before: stop order cycle: web → db → web",
        ),
        (WEB + "color = 'blu'", 'f.toml:3: components.web.color: must be "black" | '),
        (WEB + "ready = []", "f.toml:3: components.web.ready: is an empty list"),
        (WEB + "ready = [{ log = 'x' }, { log = '(' }]", "f.toml:3: components.web.ready.1.log: is not a valid"),
        (
            WEB + "ready = { http = 'http://x', fresh = ['x'] }",
            "f.toml:3: components.web.ready.fresh.0: must be a JSON pointer like /scheduler/status, not 'x'",
        ),
        (WEB + "ready = { tcp = 1, healthy = ['/x'] }", "f.toml:3: components.web.ready: healthy goes with http only"),
        (WEB + "ready = { tcp = 1, about = 'x' }", "f.toml:3: components.web.ready: about goes with log, exec only"),
        ("[components.'a b']\ncommand='x'", "f.toml:1: components.a b: 'a b' is not a valid name: a name starts with"),
        (
            "[components.'web.2']\ncommand='x'",
            "f.toml:1: components.web.2: 'web.2' is not a valid name: a name does not end",
        ),
        ("[init.web]\ncommand='y'\n" + WEB, "f.toml:1: init.web: a component has this name too (f.toml:3)"),
        ("[init.a]\ncommand='y'\nport=3\n" + WEB, "f.toml:3: init.a.port: unknown key"),
        ("", "f.toml: no components in it"),
        ("[components]", "f.toml:1: no components in it"),
        ("components = 3", "f.toml:1: components: must be a table, not 3"),
        ("x = ", "f.toml:1: not TOML: "),
        ("a = 1\nb = 2\na = 3", "f.toml:3: not TOML: "),
        ("a = 1\n[b\n", "f.toml:2: not TOML: "),
        ("x = " + "[" * 2000, "f.toml"),
        ("x = " + "1" * 5000, "f.toml"),
    ],
)
def test_mistakes(text, expected):
    found = problems(text)
    assert any(problem.startswith(expected) for problem in found), found


OTHER = "[components.b]\ncommand = 'y'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WEB + "env = {}", "web.env: unknown key; did you mean 'environment'?"),
        (WEB + "working_dir = 'x'", "web.working_dir: unknown key; did you mean 'cwd'?"),
        (WEB + "directory = 'x'", "web.directory: unknown key; did you mean 'cwd'?"),
        (WEB + "healthcheck = {}", "web.healthcheck: unknown key; did you mean 'ready' or 'alive'?"),
        (WEB + "readiness_probe = {}", "web.readiness_probe: unknown key; did you mean 'ready'?"),
        (WEB + "max_restarts = 3", "web.max_restarts: unknown key; did you mean restart = { max = … }?"),
        (WEB + "restart = { max_restarts = 3 }", "restart.max_restarts: unknown key; did you mean 'max'?"),
        (WEB + "ready = { http_get = 'x', tcp = 1 }", "ready.http_get: unknown key; did you mean 'http'?"),
        (WEB + "alive = { initialDelaySeconds = 1, tcp = 1 }", "unknown key; did you mean 'start_period'?"),
        ("[services.web]\ncommand = 'x'", "services: unknown key; did you mean [components.NAME]?"),
        (WEB + "[init.a]\ncommand = 'y'\nworkdir = 'x'", "init.a.workdir: unknown key; did you mean 'cwd'?"),
        (WEB + "[init.a]\ncommand = 'y'\nnumprocs = 2", "init.a.numprocs: unknown key; there are: command, cwd"),
        (WEB + "restart = 'on_failure'", "not 'on_failure'; did you mean 'on-failure'?"),
        (WEB + "restart = 'unless-stopped'", "not 'unless-stopped'; did you mean 'always' (what is stopped on request"),
        (WEB + OTHER + "depends_on = { web = 'healthy' }", "not 'healthy'; did you mean 'ready'?"),
        (WEB + OTHER + "depends_on.web = { condition = 'healthy' }", "not 'healthy'; did you mean 'ready'?"),
    ],
)
def test_keys_and_words_of_other_tools_are_known(text, words):
    (problem,) = [line for line in problems(text) if words in line]
    assert re.match(r"f\.toml:\d+: ", problem)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ready = { log = '(' }",
            "ready.log: is not a valid regular expression: missing ), unterminated subpattern at position 0",
        ),
        ("ready = { http = 'http://h:99999/' }", "ready.http: is not a valid URL: Port out of range 0-65535"),
        ("ready = { http = 'http://[::1/' }", "ready.http: is not a valid URL: Invalid IPv6 URL"),
        ("ready = { exec = ['', 'x'] }", "ready.exec: begins with an empty word, not with a program"),
        ("alive = { tcq = 80 }", "alive.tcq: unknown key; did you mean 'tcp'?"),
        ("environment = { A = true }", "environment.A: must be a string or a number, not true"),
    ],
)
def test_one_mistake_is_one_line(text, expected):
    assert problems(WEB + text) == [f"f.toml:3: components.web.{expected}"]


def test_a_command_begins_with_a_program():
    found = problems('[components.web]\ncommand = ["", "x"]')
    assert found == ["f.toml:2: components.web.command: begins with an empty word, not with a program"]


def test_bytes_that_are_no_utf8_are_told_with_their_line():
    report = Report()
    assert toml.parse(b"a = 1\nb = '\xff'\n", Place("f.toml"), report) is None
    assert report.problems == ["f.toml:2: not UTF-8, as TOML must be"]


def test_everything_wrong_is_told_at_once_in_the_order_of_the_lines():
    text = """
        [components.web]
        command = "x"
        replicas = -1
        prot = 80
        [components.api]
        cwd = "."
        depends_on = { web = "redy", db = "ready" }
        [init.x]
        command = 3
    """
    assert [problem.split(": ")[0] for problem in problems(text)] == [
        "f.toml:4",
        "f.toml:5",
        "f.toml:6",
        "f.toml:8",  # web: no such condition
        "f.toml:8",  # db: no such component, though what names it has no command
        "f.toml:10",
    ]


def test_a_circle_is_told_with_its_path():
    text = "".join(f'[components.{a}]\ncommand = "x"\ndepends_on = ["{b}"]\n' for a, b in ("ab", "bc", "ca", "da"))
    assert problems(text) == ["f.toml:3: components.a.depends_on: dependency cycle: a → b → c → a"]


def test_waiting_for_an_end_that_never_comes():
    text = '[components.a]\ncommand="x"\nrestart="always"\n[components.b]\ncommand="x"\ndepends_on={a="completed"}'
    assert problems(text)[0].startswith("f.toml:6: components.b.depends_on: waits for the end of a, which never comes")


# Several files


def test_files_are_merged_key_by_key_and_lists_replaced():
    found, faults = define(
        '[components.web]\ncommand = "a"\ncwd = "x"\nprofiles = ["p", "q"]\nenvironment = { A = "1", B = "1" }\n',
        '[components.web]\ncommand = ["b"]\nprofiles = []\nenvironment.B = "2"\n'
        '[components.db]\ncommand = "d"\ncwd = "y"\n',
    )
    web, db = found.components
    assert faults == []
    assert (web.command, web.cwd, web.profiles, web.environment) == (("b",), "x", (), {"A": "1", "B": "2"})
    assert str(web.where("environment", "B")) == "f2.toml:4"
    assert (web.where("cwd").directory, db.where("cwd").directory) == ("/f", "/f2")


def test_a_mistake_is_told_with_the_file_it_stands_in():
    assert problems(WEB, "\n[components.web]\nreplicas = 'x'\n")[0].startswith("f2.toml:3: components.web.replicas: ")


# Lines


def test_lines_of_keys():
    text = '''a = 1
[t]  # comment = 3
b = """
x = 1
"""
"c.d" = [ # [
  1,
  { e = "}", f.g = [2] },
]
h.i = {
} # not TOML 1.0, and yet the line is right
[[u]]
j = 1
[[u]]
j = 'a\\'
[u.k]
l = 2020-01-01 10:00:00
m = "\\"#"'''
    expected = {
        ("a",): 1,
        ("t",): 2,
        ("t", "b"): 3,
        ("t", "c.d"): 6,
        ("t", "c.d", 0): 7,
        ("t", "c.d", 1): 8,
        ("t", "c.d", 1, "e"): 8,
        ("t", "c.d", 1, "f", "g", 0): 8,
        ("t", "h", "i"): 10,
        ("u", 0): 12,
        ("u", 0, "j"): 13,
        ("u", 1): 14,
        ("u", 1, "j"): 15,
        ("u", 1, "k"): 16,
        ("u", 1, "k", "l"): 17,
        ("u", 1, "k", "m"): 18,
    }
    lines = locate(text)
    assert {path: lines.get(path) for path in expected} == expected


PIECES = (
    """[ ] { } = , . " ' """
    + "'''"
    + """ # \\ 1 true a web depends_on environment ready stop 2020-01-01 é - inf nan init"""
)
WHOLE = ['"""', "\n", " ", "\r\n", "\x00", "[components.web]\n", 'command = "x"\n']
TOMLISH = st.lists(st.sampled_from([*PIECES.split(), *WHOLE]), max_size=30).map("".join)


@settings(deadline=None)
@given(TOMLISH | st.text(max_size=60))
def test_lines_of_any_text_end(text):
    assert all(line >= 1 for line in locate(text).values())


@settings(deadline=None)
@given(TOMLISH)
def test_any_text_is_read_or_reported(text):
    found, faults = define(text)
    assert faults or found.components
    assert all(fault.startswith("f.toml") for fault in faults)


@settings(deadline=None)
@given(st.one_of(st.from_regex(NAME_PATTERN, fullmatch=True), st.text("aé日.-'\"\\ \n\x7f")).map(composed))
def test_any_name_is_written_as_a_key_that_is_read(name):
    component = {"command": "x", "depends_on": {name: "ready"}, "environment": {name: "1"}, "tags": [name]}
    document = toml.parse(toml.write({"components": {name: component}}).encode(), Place("f.toml"), Report())
    assert document is not None
    assert document.tree == {"components": {name: component}}
    assert document.places[("components", name, "environment", name)].line == 6


WORDS = st.sampled_from(["x", "TERM", "ready", "always"])
NAMES = st.sampled_from(["a", "b", "condition", *schema_component.STOP.shape.keys])
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
ANY_MEMBER = st.dictionaries(st.sampled_from([*schema_component.COMPONENT.keys, "unknown"]), VALUES, max_size=6)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "a b"]), ANY_MEMBER, max_size=3),
    st.dictionaries(st.sampled_from(["s", "t"]), ANY_MEMBER),
)
def test_any_values_are_read_or_reported(components, init):
    from orchestrator.config.definition import Document

    report = Report()
    found = read(Document(Place("f.toml"), {"components": components, "init": init}), "f.toml", report)
    validate(found, report)
    assert report.problems or len(found.components) == len(components) > 0


# Schema


def test_the_shipped_schema_is_up_to_date():
    """Else: orchestrate config --schema > orchestrator/config/orchestrate.schema.json"""
    shipped = Path(json_schema.__file__).parent.with_name("orchestrate.schema.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == json.loads(json_schema.text())


def test_the_schema_is_one():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json.loads(json_schema.text()))


def test_each_key_is_a_field():
    known = {field.name for field in fields(definition.ComponentDefinition)} - {"name", "place", "places"}
    named = {"for": "needed_by"}  # a keyword of Python
    assert {named.get(key, key) for key in (*schema_component.COMPONENT.keys, *schema_component.INIT.keys)} == known


@pytest.mark.parametrize(
    ("web", "right"),
    [
        ({"command": "x"}, True),
        ({"command": ["x"], "replicas": 2, "stop": {"sequence": ["TERM", 3]}, "ready": {"log": "x"}}, True),
        ({"command": "x", "depends_on": {"web2": {"condition": "service_healthy"}}, "restart": "always"}, True),
        ({}, False),
        ({"command": "x", "unknown": 1}, False),
        ({"command": "x", "replicas": "2"}, False),
        ({"command": "x", "on_exit": "x"}, False),
    ],
)
def test_the_schema_agrees_with_the_reader(web, right):
    jsonschema = pytest.importorskip("jsonschema")
    tree = {"components": {"web": web, "web2": {"command": "y"}}}
    assert jsonschema.Draft202012Validator(json.loads(json_schema.text())).is_valid(tree) == right
    from orchestrator.config.definition import Document

    report = Report()
    validate(read(Document(Place("f.toml"), tree), "f.toml", report), report)
    assert (report.problems == []) == right
