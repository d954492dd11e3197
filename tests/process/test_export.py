"""Exports are read back by other parsers, and compared with the definition; systemd and Kubernetes accept them."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from configparser import RawConfigParser
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from airflow_fake import FAKE, Fake
from harness import Run, command_under_test, environment
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.export import simple, systemd
from orchestrator.export import source as common
from orchestrator.export.yaml import write

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("shop", "family", "airflow", "orders")
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30)


@pytest.fixture
def project(tmp_path):
    """Copy an example to a directory with odd characters, and an Airflow to PATH."""
    fake = Fake(tmp_path)
    variables = {"PATH": f"{fake.bin}:{os.environ['PATH']}", "PYTHONPATH": str(FAKE), "PYTHONDONTWRITEBYTECODE": "1"}

    class Project:
        def __init__(self, name=""):
            self.path = tmp_path / "my $x 50% p"
            self.variables = dict(variables)
            if name:
                shutil.copytree(EXAMPLES / name, self.path)
            else:
                self.path.mkdir()

        def ask(self, *words):
            command = [*command_under_test(), *map(str, words)]
            return subprocess.run(
                command,
                cwd=self.path,
                env=environment(**self.variables),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        def export(self, target, *words):
            ended = self.ask("export", target, "out", "--image", "reg.example/app:1", *words)
            assert ended.returncode == 0, ended.stderr
            return self.path / "out"

        def config(self):
            return json.loads(self.ask("config", "--json").stdout)

    return Project


def commands(config):
    """The command lines of components, by name, as a shell or none would get them."""
    shell = ("/bin/sh", "-c")
    return {
        name: [*shell, c["command"]] if isinstance(c["command"], str) else [w.replace("$$", "$") for w in c["command"]]
        for name, c in config["components"].items()
    }


# systemd


def words_of(value, *, command=False):
    """Split a value as systemd.syntax(7) says: quotes, C escapes, then specifiers, and `$$` in commands."""
    found, i = [], 0
    while i < len(value):
        if value[i] == " ":
            i += 1
            continue
        word, quoted = "", value[i] == '"'
        i += quoted
        while i < len(value) and value[i] != ('"' if quoted else " "):
            if value[i] == "\\":
                escape = re.compile(r'\\(?:x([0-9a-f]{2})|([ntr\\"]))').match(value, i)
                word += (
                    chr(int(escape[1], 16))
                    if escape[1]
                    else {"n": "\n", "t": "\t", "r": "\r"}.get(escape[2], escape[2])
                )
                i = escape.end()
            else:
                word += value[i]
                i += 1
        i += quoted
        assert not re.search(r"(?<!%)(%%)*%(?!%)", word), f"a specifier: {word!r}"
        word = word.replace("%%", "%")
        found.append(word.replace("$$", "$") if command else word)
    return found


def unit_of(path):
    """The sections of a unit: keys with lists of values."""
    sections = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = sections.setdefault(line[1:-1], {})
        elif line:
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_any_command_line_is_read_back_from_a_unit(words):
    line = systemd.command_line(("/bin/x", *words), lambda program: program)
    assert "\n" not in line
    assert words_of(line, command=True) == ["/bin/x", *words]


@given(TEXT)
def test_any_variable_is_read_back_from_a_unit(text):
    assert words_of(systemd.quote(f"A={text}")) == [f"A={text}"]


@given(
    st.recursive(
        TEXT | st.integers() | st.booleans(), lambda t: st.lists(t, max_size=3) | st.dictionaries(TEXT, t, max_size=3)
    )
)
def test_any_tree_is_read_back_from_yaml(tree):
    safe = json.loads(json.dumps(tree).replace("\\u0085", "x"))
    if re.search(r"[\x7f-\x9f\ufeff\ufffe\uffff\u2028\u2029]", json.dumps(safe, ensure_ascii=False)):
        return  # PyYAML refuses them, though JSON has them
    assert yaml.safe_load(write(safe)) == safe


@pytest.mark.parametrize("name", NAMES)
def test_systemd_units_of_each_example_are_the_definition(project, name):
    here = project(name)
    out = here.export("systemd", "--system")
    config = here.config()
    target = unit_of(next(out.glob("*.target")))
    units = {path.name: unit_of(path) for path in out.glob("*.service")}
    prefix = next(out.glob("*.target")).stem
    assert set(target["Unit"]["Wants"][0].split()) == {f"{prefix}-{name}.service" for name in config["components"]}
    for component, command in commands(config).items():
        unit = units[f"{prefix}-{component}.service"]
        (line,) = unit["Service"]["ExecStart"]
        found = words_of(line, command=True)
        assert [os.path.basename(found[0]), *found[1:]] == [os.path.basename(command[0]), *command[1:]]
        assert found[0].startswith("/")
        assert unit["Service"]["WorkingDirectory"] == [str(here.path).replace("%", "%%")]
        needs = {f"{prefix}-{one}.service" for one in config["components"][component].get("depends_on", {})}
        steps = {unit_name for unit_name in units if unit_name.startswith(f"{prefix}-init-")}
        assert set(unit["Unit"].get("Requires", [""])[0].split()) == needs | steps
        assert set(unit["Unit"].get("After", [""])[0].split()) == needs | steps
    if shutil.which("systemd-analyze"):
        files = [*out.glob("*.service"), *out.glob("*.target")]
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, timeout=60, check=False
        )
        assert (checked.stdout + checked.stderr, checked.returncode) == ("", 0)


def test_a_unit_runs_as_systemd_would_run_it(project):
    """ExecStart, Environment and EnvironmentFile, with values that a careless quoting would break."""
    here = project()
    odd = "a b$HOME%n\"q'\\"
    (here.path / ".env").write_text("API_TOKEN='s3 $x'\n")
    (here.path / "orchestrate.toml").write_text(
        'env_file = [".env"]\n[components.web]\n'
        f"command = {json.dumps(['printf', '%s|', odd.replace('$', '$$')])}\n"
        "environment = { ODD = 'x%y \"z\"' }\n"
    )
    out = here.export("systemd")
    unit = unit_of(next(out.glob("*-web.service")))["Service"]
    variables = dict(words_of(line)[0].split("=", 1) for line in unit["Environment"])
    assert variables["ODD"] == 'x%y "z"'
    (path,) = unit["EnvironmentFile"]
    secret = Path(path.replace("%%", "%"))
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() == "API_TOKEN='s3 $x'\n"
    argv = words_of(unit["ExecStart"][0], command=True)
    ran = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout == f"{odd}|"


def test_the_unit_of_the_whole_system_notifies_and_stops(project, tmp_path):
    here = project("family")
    out = here.export("systemd", "--whole", "--system", "-m", "clock=2")
    path = next(out.glob("*.service"))
    unit = unit_of(path)["Service"]
    assert unit["Type"] == ["notify"]
    assert int(unit["TimeoutStopSec"][0]) > 4 * 10, "more than our own grace periods"
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60, check=False
        )
        assert checked.stdout + checked.stderr == ""
    argv = words_of(unit["ExecStart"][0], command=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(60)
        path_variable = dict(words_of(line)[0].split("=", 1) for line in unit["Environment"])["PATH"]
        cwd = unit["WorkingDirectory"][0].replace("%%", "%")
        run = Run(argv, cwd=cwd, env=environment(PATH=path_variable, NOTIFY_SOCKET=str(tmp_path / "notify")))
        while b"READY=1" not in notified.recv(4096):
            pass
        run.signal(signal.SIGTERM)
        assert run.wait() == -signal.SIGTERM
        assert run.survivors(1) == []
        assert "clock.2" in run.text


def test_the_unit_of_the_whole_system_has_the_variables_that_the_definition_takes_from_the_shell(project):
    here = project()
    here.variables |= {"GREETING": "a 'b' $c", "OTHER": "not named"}
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "exec sleep 100"\nenvironment = { SAID = "${GREETING}" }\n'
    )
    out = here.export("systemd", "--whole")
    (path,) = unit_of(next(out.glob("*.service")))["Service"]["EnvironmentFile"]
    file = Path(path.replace("%%", "%"))
    script = '. "$1" && printf %s "$GREETING$OTHER"'
    read = subprocess.run(["sh", "-c", script, "sh", file], env={}, capture_output=True, text=True, check=True)
    assert read.stdout == "a 'b' $c"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"leave {file.name} in {file.parent}" in (out / "EXPORT-NOTES.txt").read_text()


def test_the_unit_finds_its_files_whatever_directory_the_command_ran_in(project):
    here = project("family")
    words = ("-C", here.path, "-f", "Procfile", "-e", ".env,?none.env", "--home", "state", "-t", "5")
    ended = here.ask("export", "systemd", here.path / "out", "--whole", "--user", *words)
    assert ended.returncode == 0, ended.stderr
    unit = unit_of(next((here.path / "out").glob("*.service")))["Service"]
    argv = words_of(unit["ExecStart"][0], command=True)
    where = str(here.path)
    assert argv[2:6] == ["-f", f"{where}/Procfile", "-e", f"{where}/.env,?{where}/none.env"]
    assert argv[-4:] == ["--home", f"{where}/state", "-t", "5"]
    assert "User" not in unit
    refused = here.ask("export", "systemd", "--whole", "-f", "-")
    assert refused.returncode == 2
    assert "cannot export standard input as a unit" in refused.stderr


# compose: the keys that we write, as the Compose Specification has them

DURATION = {"type": "string", "pattern": r"^\d+s$"}
STRINGS = {"type": "array", "items": {"type": "string"}}
CONDITION = {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "command"],
    "properties": {
        **{key: {"type": "string"} for key in ("image", "working_dir", "user")},
        **{key: {"type": "boolean"} for key in ("init", "tty")},
        **{key: {"type": "integer"} for key in ("mem_limit", "pids_limit")},
        **dict.fromkeys(("entrypoint", "command", "env_file", "ports", "profiles"), STRINGS),
        "stop_signal": {"type": "string", "pattern": "^SIG[A-Z0-9]+$"},
        "stop_grace_period": DURATION,
        "restart": {"type": "string", "pattern": r"^(no|always|on-failure(:\d+)?)$"},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "deploy": {"type": "object", "additionalProperties": False, "properties": {"replicas": {"type": "integer"}}},
        "ulimits": {"type": "object", "properties": {"nofile": {"type": "integer"}}, "additionalProperties": False},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {"condition": CONDITION, "restart": {"type": "boolean"}, "required": {"type": "boolean"}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "test": STRINGS,
                **dict.fromkeys(("interval", "timeout", "start_period"), DURATION),
                "retries": {"type": "integer"},
            },
        },
    },
}
COMPOSE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE},
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_compose_of_each_example_is_the_definition(project, name):
    here = project(name)
    out = here.export("compose")
    document = yaml.safe_load((out / "compose.yaml").read_text())
    jsonschema.validate(document, COMPOSE)
    config = here.config()
    services = document["services"]
    assert {one for one in services if not one.startswith("init-")} == set(config["components"])
    for component, command in commands(config).items():
        assert [word.replace("$$", "$") for word in services[component]["command"]] == command
        assert set(services[component].get("depends_on", {})) >= set(
            config["components"][component].get("depends_on", {})
        )


def test_a_shop_in_compose_waits_and_checks_health(project):
    services = yaml.safe_load((project("shop").export("compose") / "compose.yaml").read_text())["services"]
    assert services["web"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["db"]["stop_signal"] == "SIGINT"
    assert services["web"]["healthcheck"]["test"][:2] == ["CMD", "curl"]
    assert "ports" not in services["migrate"], "it does not listen"


def test_compose_publishes_known_ports_and_counts_restarts(project):
    here = project()
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "cat"\nready = { tcp = "127.0.0.1:8123" }\n'
        'restart = { policy = "on-failure", max = 3 }\n'
        '[components.worker]\ncommand = "cat"\nrestart = { policy = "on-failure", max = 1 }\n'
    )
    out = here.export("compose")
    services = yaml.safe_load((out / "compose.yaml").read_text())["services"]
    assert {name: (one.get("ports"), one["restart"]) for name, one in services.items()} == {
        "web": (["8123:8123"], "on-failure:2"),
        "worker": (None, "no"),
    }
    assert "all: ports: not published for worker; add" in (out / "EXPORT-NOTES.txt").read_text()


def test_supervisord_counts_starts_after_the_first(project):
    here = project()
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "cat"\nrestart = { policy = "on-failure", max = 3 }\n'
    )
    (path,) = here.export("supervisord").glob("*.conf")
    assert "startretries = 2\n" in path.read_text() or "startretries=2\n" in path.read_text()


class Supervisord:
    """Reads a part of supervisord.conf as supervisord 4.3 does: options.py and datatypes.py."""

    def __init__(self, out):
        parser = RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
        (self.path,) = out.glob("*.conf")
        parser.read(self.path)
        for section in parser.sections():
            for key, value in parser.items(section):
                parser.set(section, key, value.replace("%(here)s", str(out)))
        self.parser = parser

    def get(self, name, key):
        return self.parser[f"program:{name}"].get(key, "") % {}

    def run(self, name):
        lexer = shlex.shlex(self.get(name, "environment"))
        lexer.wordchars += "/.+-():"
        tokens = list(lexer)
        assert set(tokens[1::4]) | {"="} == {"="}
        variables = {key: value.strip("'\"") for key, value in zip(tokens[::4], tokens[2::4], strict=True)}
        return subprocess.run(
            shlex.split(self.get(name, "command")),
            cwd=self.get(name, "directory") or "/",
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        ).stdout


@pytest.mark.parametrize(
    ("key", "printed"),
    [
        ('command = """\necho line1\necho line2\n"""', "line1\nline2\n"),
        ('command = """\n# set up\necho $V\n"""\nenvironment = { V = "l  1" }', "l 1\n"),
        ('command = ["printf", "x\\ny"]', "x\ny"),
        (
            'command = ["printf", "%s|", "a ;b", "#", " #c", "it\'s ;", "%(here)s %% ;"]',
            "a ;b|#| #c|it's ;|%(here)s %% ;|",
        ),
        ('command = "echo one ; echo two # comment"', "one\ntwo\n"),
        (
            'command = "printf %s \\"$A|$B\\""\nenvironment = { A = \'q"q\', B = "\'b\\\\\\\\ ;c%d" }',
            "q\"q|'b\\\\ ;c%d",
        ),
        ('command = "pwd"\ncwd = "sub ;x"', "/my $x 50% p/sub ;x\n"),
        (
            'command = "pwd\necho $API_TOKEN"\nenvironment = { API_TOKEN = "t" }'.replace("\n", "\\n", 1),
            "/my $x 50% p\nt\n",
        ),
    ],
)
def test_supervisord_runs_what_the_definition_has(project, key, printed):
    here = project()
    (here.path / "sub ;x").mkdir()
    (here.path / "orchestrate.toml").write_text(f"[components.web]\n{key}\n")
    assert Supervisord(here.export("supervisord")).run("web").endswith(printed)


@given(TEXT.filter(lambda text: "\r" not in text))
def test_any_word_is_read_back_from_supervisord(word):
    files = []
    argv = simple._command(("printf", "%s", word), [], "web", "/out", files)
    line = simple._written(argv)
    parser = RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
    parser.read_string(f"[program:web]\ncommand={line}\n")
    read = shlex.split(parser["program:web"]["command"].replace("%(here)s", "/elsewhere") % {})
    assert read == (["/bin/sh", "/out/web.sh"] if files else ["printf", "%s", word])


@pytest.mark.parametrize("target", ["procfile", "supervisord"])
def test_a_variable_of_several_lines_is_refused(project, target):
    here = project()
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "cat"\nenvironment = { P = "l1\\nl2=3" }\n'
    )
    ended = here.ask("export", target)
    assert ended.returncode == 1
    assert "cannot export P: its value has several lines" in ended.stderr


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_accepts_each_example(project, name):
    here = project(name)
    out = here.export("kubernetes")
    (path,) = out.glob("*.yaml")
    trees = list(yaml.safe_load_all(path.read_text()))
    for tree in trees:
        kubernetes_validate.validate(tree, "1.31", strict=True)
    found = {
        tree["metadata"]["labels"]["app.kubernetes.io/name"]: tree["spec"]["template"]["spec"]["containers"][0]
        for tree in trees
        if tree["kind"] in ("Deployment", "Job")
    }
    assert {name: container["command"] for name, container in found.items()} == commands(here.config())
    secrets = re.findall(r"secret generic (\S+) ", (out / "EXPORT-NOTES.txt").read_text())
    named = {ref["secretRef"]["name"] for one in found.values() for ref in one.get("envFrom", [])}
    assert named <= set(secrets)


def expanded(text, variables):
    """Expand a string as Kubernetes does: third_party/forked/golang/expansion."""
    found = re.compile(r"\$(?:(\$)|\(([^)]*)\))")
    return found.sub(lambda one: one[1] or variables.get(one[2], one[0]), text)


@given(st.lists(st.sampled_from(["$", "$$", "(", ")", "A", "x", " "]), max_size=8).map("".join) | TEXT)
def test_kubernetes_expands_no_word(text):
    assert expanded(common.kubernetes_literal(text), {"A": "a"}) == text


def test_kubernetes_gets_each_dollar(project):
    here = project()
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "echo $$ > app.pid; echo $(date) $$(x) $HOME"\n'
        "environment = { PRICE = 'a$$$$(b)' }\n"
        'ready = { exec = ["sh", "-c", "test $$$$ != $$(cat app.pid)"] }\n'
    )
    (path,) = here.export("kubernetes").glob("*.yaml")
    container = next(yaml.safe_load_all(path.read_text()))["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][2] == "echo $$$$ > app.pid; echo $$(date) $$$$(x) $HOME"
    assert {"name": "PRICE", "value": "a$$$$(b)"} in container["env"]
    assert container["readinessProbe"]["exec"]["command"][2] == "test $$$$ != $$(cat app.pid)"


# Keys of the chart's "Parameters reference" that we use.
CHART = {
    *(
        "airflowVersion",
        "defaultAirflowTag",
        "executor",
        "images.airflow.repository",
        "images.airflow.tag",
        "env",
        "secret",
    ),
    *("data.metadataSecretName", "data.resultBackendSecretName", "data.brokerUrlSecretName"),
    *("fernetKeySecretName", "webserverSecretKeySecretName", "apiSecretKeySecretName", "jwtSecretName"),
    *("postgresql.enabled", "redis.enabled", "flower.enabled", "flower.resources", "dagProcessor.enabled"),
    *("triggerer.enabled", "workers.terminationGracePeriodSeconds"),
    *(
        f"{name}.{key}"
        for name in ("scheduler", "apiServer", "webserver", "dagProcessor", "triggerer", "workers")
        for key in ("replicas", "resources")
    ),
    *("ingress.apiServer.enabled", "ingress.web.enabled"),
}


def keys_of(tree, before=""):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from keys_of(value, f"{before}{key}.")
        else:
            yield before + key


def test_helm_values_have_the_keys_of_the_chart(project):
    here = project("orders")
    values = yaml.safe_load((here.export("helm-values") / "values.yaml").read_text())
    assert set(keys_of(values)) <= CHART
    assert values["airflowVersion"] == "3.3.2"
    assert values["executor"] == "LocalExecutor"
    assert values["images"]["airflow"] == {"repository": "reg.example/app", "tag": "1"}
    assert values["fernetKeySecretName"] == "airflow-fernet-key"
    notes = (here.path / "out" / "EXPORT-NOTES.txt").read_text()
    assert "orders-api: component: the chart has Airflow's components only" in notes


@pytest.mark.parametrize("name", NAMES)
def test_supervisord_and_procfile_of_each_example_are_the_definition(project, name):
    here = project(name)
    out = here.export("supervisord")
    parser = RawConfigParser(strict=True)
    parser.optionxform = str
    (path,) = out.glob("*.conf")
    parser.read(path)
    config = here.config()
    for component, command in commands(config).items():
        words = shlex.split(parser[f"program:{component}"]["command"].replace("%%", "%"))
        assert words[-len(command) :] == command
        assert words == command or words[:2] == ["/bin/sh", "-c"]
    shutil.rmtree(out)
    lines = dict(line.split(": ", 1) for line in (here.export("procfile") / "Procfile").read_text().splitlines())
    assert set(lines) == set(config["components"])
    for component, command in commands(config).items():
        end = command[2] if command[:2] == ["/bin/sh", "-c"] else shlex.join(command)
        assert lines[component].endswith(end)


SECRETS = """
env_file = [".env"]
[components.web]
command = "exec sleep 99"
environment = {{ DATABASE_URL = "postgresql://u:hunter2@db/x", PLAIN = "seen" }}
replicas = 2
{more}
"""


@pytest.mark.parametrize("target", ["systemd", "compose", "kubernetes", "procfile", "supervisord"])
def test_secrets_are_in_private_files_only(project, target):
    here = project()
    (here.path / ".env").write_text("API_KEY=hunter2\n")
    (here.path / "orchestrate.toml").write_text(SECRETS.format(more=""))
    out = here.export(target)
    holders = [path for path in out.iterdir() if "hunter2" in path.read_text()]
    assert holders
    for path in holders:
        assert path.suffix == ".env"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (here.path / "orchestrate.toml").write_text(
        SECRETS.format(more="").replace("sleep 99", "sleep 99 redis://:hunter2@h")
    )
    ended = here.ask("export", target, "other", "--image", "i")
    assert ended.returncode == 1
    assert "cannot export web.1: its command contains a password" in ended.stderr


@pytest.mark.parametrize(
    "key",
    ['stop = { command = "redis-cli -u redis://:hunter2@h shutdown" }', 'alive = { exec = "ping redis://:hunter2@h" }'],
)
def test_a_secret_of_another_command_is_refused(project, key):
    here = project()
    (here.path / "orchestrate.toml").write_text(f'[components.web]\ncommand = "cat"\n{key}\n')
    ended = here.ask("export", "kubernetes", "--image", "i")
    assert ended.returncode == 1
    assert "cannot export web: its command contains a password" in ended.stderr


def test_nothing_is_overwritten_without_force(project):
    here = project("family")
    out = here.export("procfile")
    (out / "Procfile").write_text("mine: true\n")
    ended = here.ask("export", "procfile", "out")
    assert ended.returncode == 1
    assert "Procfile: it already exists" in ended.stderr
    assert "use --force to replace it, or name another DIR" in ended.stderr
    assert (out / "Procfile").read_text() == "mine: true\n"
    here.export("procfile", "--force")
    assert "worker:" in (out / "Procfile").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compose"], "cannot export to compose without an image"),
        (["procfile", "--whole"], "--whole is for systemd, not for procfile"),
        (["nomad"], "nomad"),
    ],
)
def test_a_wrong_option_is_refused(project, words, said):
    ended = project("family").ask("export", *words)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_notes_list_what_is_lost(project):
    here = project()
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "exec sleep 9"\nready = { log = "up" }\nalive = { tcp = "127.0.0.1:1" }\n'
        'stop = { sequence = ["TERM", 5, "INT", 5] }\nexpect = [{ prompt = "x", do = "alert" }]\n'
    )
    notes = (here.export("systemd") / "EXPORT-NOTES.txt").read_text()
    for feature in ("ready.log", "alive", "stop.sequence", "expect", "on_exit"):
        assert f"  web: {feature}: " in notes, notes


def test_a_stop_command_runs_before_the_signal_or_is_noted(project, tmp_path):
    here = project()
    (here.path / "orchestrate.toml").write_text(
        '[components.web]\ncommand = "exec sleep 9"\nstop = { command = "echo bye $$ > stopped", timeout = 2 }\n'
        '[components.keys]\ncommand = "cat"\nstop = { keys = "quit\\n" }\n'
    )
    for target in ("systemd", "compose", "kubernetes", "supervisord", "procfile"):
        out = here.export(target)
        notes = (out / "EXPORT-NOTES.txt").read_text()
        assert "keys: stop.keys: " in notes
        assert "stop.sequence" not in notes
        assert ("web: stop.command: " in notes) == (target not in ("systemd", "kubernetes"))
        if target == "systemd":
            (line,) = unit_of(next(out.glob("*-web.service")))["Service"]["ExecStop"]
            argv = words_of(line, command=True)
        if target == "kubernetes":
            tree = next(yaml.safe_load_all(next(out.glob("*.yaml")).read_text()))
            kubernetes_validate.validate(tree, "1.31", strict=True)
            hook = tree["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
            assert hook[2:] == ['"$@" & sleep 2', "sh", "/bin/sh", "-c", "echo bye $$ > stopped"]
        shutil.rmtree(out)
    with subprocess.Popen(["sleep", "60"]) as main:
        began = time.monotonic()
        subprocess.run(argv, cwd=tmp_path, env={**os.environ, "MAINPID": str(main.pid)}, check=True, timeout=30)
        assert time.monotonic() - began >= 2, "the signal comes after the timeout"
        assert (tmp_path / "stopped").read_text().startswith("bye ")
        main.kill()
    (tmp_path / "stopped").unlink()
    subprocess.run(argv, cwd=tmp_path, env={**os.environ, "MAINPID": ""}, check=True, timeout=30)
    assert not (tmp_path / "stopped").exists(), "it ended by itself"


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True),
        st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20),
    )
)
def test_a_file_of_variables_is_read_back_by_a_shell_parser(variables):
    """As sh reads it: single quotes, or double quotes with backslashes."""
    for line in common.env_file(variables).splitlines():
        name, _, value = line.partition("=")
        if value.startswith("'"):
            assert value == f"'{variables[name]}'"
        else:
            assert re.sub(r'\\([\\"$`])', r"\1", value[1:-1]) == variables[name]


def test_airflow_is_not_exported_before_its_secrets_exist(tmp_path):
    """With an airflow.cfg of a few lines, the first start generates them; one that Airflow writes has them."""
    fake = Fake(tmp_path)
    fake.home.mkdir()
    (fake.home / "airflow.cfg").write_text("[core]\nparallelism = 2\n")
    words = ("export", "systemd", str(tmp_path / "out"))
    refused = fake.ask(*words)
    assert refused.returncode == 1
    options = "[api_auth] jwt_secret, [api] secret_key and [core] fernet_key are"
    said = f"cannot export Airflow before its first start: {options} not configured, and no value is generated yet"
    assert f"orchestrate: {said}\nhint: run the system once\n" in refused.stderr
    assert fake.ask(*words, "--whole", AIRFLOW_CONN_DB="sqlite://a'b").returncode == 0, "its start generates them"
    variables = tmp_path / "out" / "airflow.env"
    assert f"EnvironmentFile={variables}\n" in (tmp_path / "out" / "airflow.service").read_text()
    found = dict(word.split("=", 1) for word in shlex.split(variables.read_text()))
    assert (found["AIRFLOW_HOME"], found["AIRFLOW_CONN_DB"]) == (str(fake.home), "sqlite://a'b")
    assert variables.stat().st_mode & 0o777 == 0o600
    assert f"`orchestrate airflow ps --home {fake.home}`" in (tmp_path / "out" / "EXPORT-NOTES.txt").read_text()
    fake.ready().stop()
    again = fake.ask(*words, "--force", AIRFLOW__CORE__PARALLELISM="3")
    assert again.returncode == 0, again.stderr
    assert "AIRFLOW__API_AUTH__JWT_SECRET" in "".join(path.read_text() for path in (tmp_path / "out").glob("*.env"))
    assert "Environment=AIRFLOW__CORE__PARALLELISM=3\n" in (tmp_path / "out" / "airflow-scheduler.service").read_text()
