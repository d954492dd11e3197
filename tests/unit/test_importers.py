"""`orchestrate import` as a function: each example of another tool gives exactly this definition and these losses.

After a change, `python tests/unit/test_importers.py` writes what comes out now; read the difference.
"""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import loading, toml
from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.importers import formats
from orchestrator.config.importers.convert import duration, for_shell, forms, positive
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby, render, usable_name
from orchestrator.config.interpolation import expand
from orchestrator.config.validate import validate
from orchestrator.model.errors import ConfigError
from orchestrator.model.spec import name_fault

EXAMPLES = Path(__file__).parent.parent / "examples" / "import"
SOURCES = {
    "process-compose": "process-compose.yaml",
    "mprocs": "mprocs.yaml",
    "compose": "compose.yaml",
    "supervisord": "supervisord.conf",
    "overmind": ".overmind.env",
    "foreman": ".foreman",
    "npm": "package.json",
}


def nearby(directory=None, **files):
    def read(name):
        if name in files:
            return files[name]
        return (directory / name).read_text() if directory and (directory / name).is_file() else None

    names = frozenset(path.name for path in directory.iterdir()) if directory else frozenset(files)
    return Nearby("/srv/app", names, read, lambda command: "command not found" if "missing" in command else "")


def convert(text, name, **files):
    return formats.convert(text, name, nearby(**files))


def faults(text):
    report = Report()
    document = toml.parse(text.encode(), Place("orchestrate.toml", 0, "/srv/app"), report)
    assert document is not None, report.problems
    validate(loading.read(merge([document]), "orchestrate.toml", report), report)
    return report.problems


def result(example):
    directory = EXAMPLES / example
    name = SOURCES[example]
    draft = formats.convert((directory / name).read_text(), name, nearby(directory))
    losses = "".join(
        f"{loss.line}: {loss.key}: {loss.text}\n" for loss in sorted(draft.losses, key=lambda loss: loss.line)
    )
    return render(draft), losses


@pytest.mark.parametrize("example", SOURCES)
def test_an_example_gives_this_definition_and_these_losses(example):
    text, losses = result(example)
    assert text == (EXAMPLES / example / "expected.toml").read_text()
    assert losses == (EXAMPLES / example / "losses.txt").read_text()
    assert faults(text) == []


def components(text, name="compose.yaml", **files):
    """The keys of the components of a source, by name."""
    return {entry.name: entry.keys for entry in convert(text, name, **files).components}


def losses(text, name="compose.yaml", **files):
    return [f"{loss.line}: {loss.key}" for loss in convert(text, name, **files).losses]


@pytest.mark.parametrize(
    ("keys", "ours"),
    [
        ("restart: 'no'", {}),
        ("restart: no", {}),
        ("restart: on-failure:3", {"restart": {"policy": "on-failure", "max": 4}}),
        ("restart: on-failure", {"restart": {"policy": "on-failure", "max": "unlimited"}}),
        ("restart: unless-stopped", {"restart": {"policy": "always", "max": "unlimited"}}),
        ("healthcheck: {test: NONE, disable: true}", {}),
        ("healthcheck: {test: [CMD, a, b], timeout: 500ms}", {"ready": {"exec": ["a", "b"], "timeout": "500ms"}}),
        ("depends_on: {b: {condition: service_started, required: false}}",
         {"depends_on": {"b": {"condition": "started", "required": False}}}),
        ("depends_on: [b]", {"depends_on": {"b": "started"}}),
        ("environment: [A=1, B, C=x=y]", {"environment": {"A": "1", "C": "x=y"}}),
        ("env_file: [a.env, {path: b.env, required: false}]",
         {"env_file": ["a.env", {"path": "b.env", "required": False}]}),
        ("ports: [{target: 80, published: '80'}]", {"port": 80}),
        ("ports: [3000]", {"port": 3000}),
        ("scale: 3", {"replicas": 3}),
        ("working_dir: /app\n    volumes: ['./web:/app']", {"cwd": "web"}),
        ("stop_grace_period: 1h30m", {"stop": {"timeout": "1h30m"}}),
    ],
)  # fmt: skip
def test_a_key_of_compose(keys, ours):
    found = components(f"services:\n  a:\n    command: cat\n    {keys}\n  b: {{command: cat}}\n")["a"]
    assert found == {"command": "cat", "on_exit": "ignore", **ours}


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("npm run dev", "npm run dev"),
        ("run $VAR $$HOME", "run $VAR $HOME"),
        ("'echo \"a b\" | cat'", ["echo", "a b", "|", "cat"]),
        ("sh -c 'a && b'", "a && b"),
        ("[run, '$X', 'a$$b', 'c$']", ["run", "$X", "a$$b", "c$$"]),
        ("[sh, -c, 'echo $$X']", "echo $X"),
    ],
)
def test_a_command_of_compose_means_the_same(command, ours):
    assert components(f"services:\n  a: {{command: {command}}}\n" if command[0] != "s" else
                      f"services:\n  a:\n    command: {command}\n")["a"]["command"] == ours  # fmt: skip


def test_a_service_with_an_image_runs_if_its_program_is_here():
    text = "services:\n  a: {image: x, command: cat}\n  b: {image: y, command: missing}\n  c: {image: z}\n"
    draft = convert(text, "compose.yaml")
    assert [entry.name for entry in draft.components] == ["a"]
    assert "its program is not installed here" in draft.losses[1].text
    with pytest.raises(ConfigError, match="all its services need their images"):
        convert("services: {db: {image: postgres}}", "compose.yaml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("compose.yaml", "services:\n  a: [\n", "cannot read compose.yaml:3: not YAML: "),
        ("x.yaml", "a: 1", "it has neither processes, procs nor services"),
        ("x.yaml", "", "it has neither processes, procs nor services"),
        ("process-compose.yaml", "processes: {}", "it has no processes"),
        ("package.json", "{\n,", "cannot read package.json:2: not JSON: "),
        ("package.json", "[]", "it has no scripts"),
        ("supervisord.conf", "[program:x]\nnonsense\n", "cannot read supervisord.conf:2: neither"),
        ("supervisord.conf", "[program:x]\nautostart=true\n", r"it has no \[program:NAME\] with a command"),
        (".foreman", "port: 1", "Procfile is missing beside it"),
        ("orchestrate.toml", "", "it is TOML"),
        ("notes.txt", "hello", "unknown format"),
        ("a.yaml", "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
         "g: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "too many values"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_named(name, text, words):
    with pytest.raises(ConfigError, match=words):
        convert(text, name)


def test_a_process_with_a_schedule_starts_on_request_only():
    text = "processes:\n  a:\n    command: x\n    schedule: {cron: '* * * * *'}\n"
    assert components(text, "process-compose.yaml")["a"]["autostart"] is False
    assert losses(text, "process-compose.yaml") == ["4: processes.a.schedule"]


@pytest.mark.parametrize(
    ("command", "key", "lost"),
    [
        ("serve --port 8000", "scale: 2", ["5: services.a.scale"]),
        ("serve 0.0.0.0:8000", "deploy: {replicas: 2}", ["5: services.a.deploy.replicas"]),
        ("serve 0.0.0.0:8000", "scale: 1", []),
        ("serve $PORT 8000x", "scale: 2", []),
        ("serve 8000", "scale: 2", ["5: services.a.scale"]),
    ],
)
def test_instances_that_would_share_a_port_are_named(command, key, lost):
    text = f"services:\n  a:\n    command: {command}\n    ports: [8000]\n    {key}\n"
    assert losses(text) == lost


def test_the_format_is_known_by_the_content_too():
    assert components("processes: {a: {command: x}}", "dev.yaml")["a"]["command"] == "x"
    assert components('{"procs": {"a": {"cmd": ["x"]}}}', "mprocs.json")["a"]["command"] == ["x"]
    assert components("[program:a]\ncommand=x\n", "app.ini")["a"]["command"] == "x"
    assert components("a: x\n", "Procfile.dev") == {"a": {"command": "x"}}


def test_templates_of_process_compose():
    text = "vars: {A: 1}\nprocesses:\n  a: {command: 'run {{.A}} {{ .B }}', vars: {B: two}}\n  b: {command: '{{.C}}'}\n"
    assert [keys["command"] for keys in components(text, "process-compose.yaml").values()] == ["run 1 two", "{{.C}}"]
    assert losses(text, "process-compose.yaml") == ["4: processes.b.command"]
    text = "disable_env_expansion: true\nprocesses: {a: {command: 'x $$ $A', environment: ['B=$C']}}"
    (keys,) = components(text, "process-compose.yaml").values()
    assert (keys["command"], keys["environment"]) == ("x $$ $A", {"B": "$$C"})


def test_scripts_that_start_others():
    scripts = '{"scripts": {"start": "run-p watch:*", "watch:a": "x", "watch:b": "y"}}'
    names = frozenset({"yarn.lock"})
    draft = formats.convert(scripts, "package.json", Nearby("/", names, {}.get, lambda command: ""))
    assert {e.name: e.keys["command"] for e in draft.entries} == {
        "watch-a": "yarn run watch:a",
        "watch-b": "yarn run watch:b",
    }


def test_relative_paths_follow_the_file_that_is_written():
    draft = Draft(keys={"env_file": [".env"]})
    draft.entries = [
        DraftEntry("a", {"command": "x"}),
        DraftEntry("b", {"command": "x", "cwd": "web", "env_file": ["b.env"]}),
    ]
    draft.rebase("../app")
    assert draft.keys == {"env_file": ["../app/.env"], "defaults": {"cwd": "../app"}}
    assert draft.entries[1].keys == {"command": "x", "cwd": "../app/web", "env_file": ["../app/b.env"]}


@given(st.text(), st.lists(st.text(max_size=5), max_size=3))
def test_each_name_is_usable(name, taken):
    found = usable_name(name, taken)
    assert name_fault(found) == ""
    assert found not in taken


@given(st.text("$${}AB:-x1 "))
def test_variables_of_compose_are_templates_of_ours(text):
    assert isinstance(expand(forms(text), {"A": "1"}.get), str)
    if "$$" not in text and not re.search(r"\$[{A-Zx]", text):
        assert expand(forms(text), {}.get) == for_shell(text) == text


@pytest.mark.parametrize(
    ("value", "ours"),
    [
        ("1m30s", "1m30s"),
        ("1.5s", "1.5s"),
        ("90", 90),
        (10, 10),
        ("2h3us", 7200.000003),
        ("48h", 86400),
        ("soon", None),
    ],
)
def test_a_duration(value, ours):
    assert duration(value) == ours


def test_an_interval_is_positive():
    assert (positive("0s"), positive(0), positive("1s"), positive(None)) == (None, None, "1s", None)


_SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-5, 70000), st.text("a$ {}:/=.,'\"\n1", max_size=12))
_KEYS = st.sampled_from("command test exec condition target published path restart a x1".split())
_VALUE = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)


def _sources(section, keys):
    table = st.dictionaries(st.sampled_from(keys.split()), _VALUE, max_size=6)
    named = st.dictionaries(
        st.sampled_from(["web", "db", "a b", "1.2"]), st.one_of(table, _VALUE), min_size=1, max_size=3
    )
    return named.map(lambda tables: {section: tables})


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        _sources(
            "services",
            "command entrypoint environment env_file working_dir depends_on healthcheck restart stop_signal "
            "stop_grace_period ports scale deploy profiles image build volumes user",
        ),
        _sources(
            "processes",
            "command entrypoint environment working_dir availability depends_on readiness_probe liveness_probe "
            "shutdown namespace replicas vars disabled ready_log_line",
        ),
        _sources("procs", "shell cmd cwd env add_path autostart autorestart stop deps"),
    )
)
def test_nonsense_gives_a_valid_definition_or_one_error(tree):
    import json

    try:
        draft = convert(json.dumps(tree), "x.yaml")
    except ConfigError:
        return
    problems = [problem for problem in faults(render(draft)) if "cycle:" not in problem and "itself" not in problem]
    assert problems == [], render(draft)


if __name__ == "__main__":
    for one in SOURCES:
        written, lost = result(one)
        (EXAMPLES / one / "expected.toml").write_text(written)
        (EXAMPLES / one / "losses.txt").write_text(lost)
        sys.stdout.write(f"{one}\n")
