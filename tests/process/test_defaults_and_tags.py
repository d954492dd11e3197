"""[defaults], shell, unset and tags."""

import re

import pytest
from definitions import STAY, Directory, component, lines_of

from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.loading import read
from orchestrator.config.toml import parse


def define(text):
    report = Report()
    found = read(merge([parse(text.encode(), Place("f.toml", 0, "/d"), report)]), "f.toml", report)
    return {instance.name: instance for instance in found.components}, report.in_order()


DEFAULTS = """
[defaults]
environment = { A = "all", B = "all" }
cwd = "sub"
shell = "bash"
stop = { timeout = 3 }
restart = "on-failure"
color = "red"
[components.a]
command = "a"
[components.b]
command = "b"
environment = { B = "own" }
cwd = "."
shell = ["zsh", "-c"]
stop = { signal = "INT" }
restart = "never"
color = "blue"
"""


def test_defaults_are_for_components_that_do_not_have_the_key():
    found, problems = define(DEFAULTS)
    assert problems == []
    a, b = found["a"], found["b"]
    assert (a.environment, b.environment) == ({"A": "all", "B": "all"}, {"A": "all", "B": "own"})
    assert (a.cwd, b.cwd, a.shell, b.shell) == ("sub", ".", ("bash", "-c"), ("zsh", "-c"))
    assert (a.stop.grace, b.stop.grace) == (3.0, 10.0), "a table of one's own replaces that of the defaults"
    assert (a.restart.policy.value, b.restart.policy.value) == ("on-failure", "never")
    assert (a.color, b.color) == ("red", "blue")
    assert a.where("cwd") == Place("f.toml", 4, "/d")
    assert b.where("environment", "A") == Place("f.toml", 3, "/d")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[defaults]\ncolor = "pnik"\n', ["f.toml:2: defaults.color: "]),
        ("[defaults]\nreplicas = 2\n", ["f.toml:2: defaults.replicas: unknown key; there are: environment, cwd"]),
        ("defaults = 3\n", ["f.toml:1: defaults: must be a table, not 3"]),
        ("[defaults]\nenv = {}\n", ["f.toml:2: defaults.env: unknown key; did you mean 'environment'?"]),
        ("[defaults]\nenvironment = { A = true, B = 1 }\n", ["f.toml:2: defaults.environment.A: must be a string"]),
        (
            '[defaults]\nstop = { timeout = "x", signal = "X" }\n',
            ["f.toml:2: defaults.stop.timeout: must be", "f.toml:2: defaults.stop.signal: 'X' is"],
        ),
        ("[defaults]\nlimits = { x = 1 }\n", ["f.toml:2: defaults.limits.x: unknown key"]),
        ("[defaults]\nenvironment = 3\n", ["f.toml:2: defaults.environment: must be a table, not 3"]),
    ],
)
def test_what_is_wrong_in_defaults_is_reported_once(text, expected):
    problems = define(f'{text}[components.a]\ncommand = "a"\n[components.b]\ncommand = "b"\n')[1]
    assert len(problems) == len(expected)
    assert all(map(str.startswith, problems, expected)), problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('shell = "bash -c"', "components.a.shell: must be a list if it has arguments"),
        ("shell = []", "components.a.shell: is an empty list"),
        ('tags = ["a b"]', "components.a.tags.0: 'a b' is not a valid tag"),
        ("unset = 3", "components.a.unset: must be a list"),
    ],
)
def test_mistakes(text, words):
    assert words in define(f'[components.a]\ncommand = "a"\n{text}\n')[1][0]


# The system


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


def test_a_command_runs_in_its_shell(here):
    bash = 'shell = ["bash", "-euo", "pipefail", "-c"]'
    here.write(
        component("strict", "false | true; echo no", bash, 'on_exit = "ignore"')
        + component("plain", "false | true; echo $0 $BASH_VERSION.", 'on_exit = "ignore"')
        + component("short", "[[ x == x ]] && echo double", 'shell = "bash"', 'on_exit = "ignore"')
    )
    run = here.up()
    assert run.wait() == 1, str(run)
    assert "strict exited with status 1" in run.text
    assert lines_of(run, "plain")[-1] == "/bin/sh ."
    assert lines_of(run, "short")[-1] == "double"
    text = here.output("config")
    assert 'shell = ["bash", "-euo", "pipefail", "-c"]' in text
    (here.path / "again.toml").write_text(text)
    assert here.output("config", "-f", "again.toml") == text


def test_a_shell_that_does_not_exist_is_reported(here):
    here.write(component("web", STAY, 'shell = "nosuchsh"'))
    assert here.output("check", status=2).endswith("web: command not found: nosuchsh\n")


def test_variables_can_be_unset(here):
    here.write(component("web", "env", 'unset = ["SECRET", "AWS_*"]', 'environment = { AWS_KEPT = "${AWS_ID:-none}" }'))
    (here.path / ".env").write_text("SECRET=1\nOTHER=2\n")
    run = here.up(env={"AWS_ID": "3"})
    assert run.wait() == 0, str(run)
    names = [line.partition("=") for line in lines_of(run, "web")]
    found = {name: value for name, _, value in names}
    assert (found["OTHER"], found["AWS_KEPT"]) == ("2", "none")
    assert not {"SECRET", "AWS_ID"} & found.keys()
    assert 'AWS_KEPT = "none"' in here.output("config", env={"AWS_ID": "3"})


TAGGED = (
    component("api", STAY, 'tags = ["backend", "web"]')
    + component("worker", STAY, 'tags = ["backend"]')
    + component("site", STAY, 'tags = ["web"]')
)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["+backend"], "api, worker"),
        (["+web", "worker"], "api, worker, site"),
        (["-l", "+web"], "api, site"),
        (["-x", "+backend"], "site"),
    ],
)
def test_a_tag_stands_for_its_components(words, names, here):
    assert here.write(TAGGED).output("check", *words).rstrip().endswith(f": {names}")


@pytest.mark.parametrize("words", [["check", "+bakcend"], ["up", "--can-end", "+bakcend"]])
def test_an_unknown_tag_is_an_error(words, here):
    assert here.write(TAGGED).output(*words, status=2) == (
        "orchestrate: unknown tag 'bakcend'\nhint: did you mean 'backend'?\n"
    )


def test_tags_name_components_of_the_running_system(here):
    run = here.write(TAGGED).up()
    run.wait_ready("api", "worker", "site")
    assert re.findall(r"^(\w+) +running", here.output("ps", "+backend"), re.MULTILINE) == ["api", "worker"]
    assert here.output("stop", "+backend").splitlines() == ["api stopped", "worker stopped"]
    assert re.findall(r"^(\w+) +running", here.output("ps"), re.MULTILINE) == ["site"]
    logs = here.output("logs", "+backend")
    assert {line.split()[0] for line in logs.splitlines() if "|" in line} <= {"api", "worker"}
    here.output("down")
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)
