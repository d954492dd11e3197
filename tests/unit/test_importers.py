"""`orchestrate import` as a function: each example of another tool gives exactly this definition and these losses.

After a change, `python tests/unit/test_importers.py` writes what comes out now; read the difference.
"""

import json
import re
import sys
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import loading, toml
from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.importers import formats, script_patterns
from orchestrator.config.importers.convert import duration, for_shell, forms, positive
from orchestrator.config.importers.draft import Draft, DraftEntry, Nearby, render, usable_name
from orchestrator.config.interpolation import expand
from orchestrator.config.validate import validate
from orchestrator.model.errors import ConfigError
from orchestrator.model.names import name_fault

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
    ("name", "text", "replicas"),
    [
        (".foreman", "formation: web=2\n", [2, 0, 0]),
        (".foreman", "m: all=1,web=2\n", [2, None, None]),
        (".foreman", "port: 5000\n", [None, None, None]),
        (".overmind.env", "OVERMIND_FORMATION=web=2\n", [2, None, None]),
        (".overmind.env", "OVERMIND_FORMATION=all=0,web=1\n", [None, 0, 0]),
    ],
)
def test_a_formation_of_foreman_starts_only_what_it_names(name, text, replicas):
    found = components(text, name, Procfile="web: a\nworker: b\nclock: c\n")
    assert [keys.get("replicas") for keys in found.values()] == replicas


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
        ("supervisord.conf", "[program:x]\ncommand=a 'b\n", "conf:2: program:x.command: a quote has no end"),
        ("package.json", '{"scripts": {}}', "cannot import package.json: nothing in it can run"),
        ("x.json", '{"procs": {"a": {"cmd": ["", "x"]}}}', "cannot import x.json: components.a.command: "),
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", "true"),
        ("FALSE", "false"),
        ("22:22", "22:22"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("2024-01-02", "2024-01-02"),
        ("0o17", "15"),
        ("0777", "511"),
        ("0x1F", "31"),
        ("089", "89"),
        ("1_000", "1000"),
        ("-5", "-5"),
        ("1.10", "1.1"),
        ("3.0", "3"),
        ("1e3", "1000"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("!!str 5", "5"),
    ],
)
def test_a_plain_scalar_means_what_it_means_to_go_yaml(text, value):
    source = f"services:\n  a:\n    command: cat\n    environment:\n      A: {text}\n"
    assert components(source)["a"]["environment"] == {"A": value}


def test_the_words_of_yaml_1_1_stay_commands_and_are_read_as_flags():
    assert components("services: {a: {command: yes}}")["a"]["command"] == "yes"
    assert components("procs: {a: {shell: off, autostart: no}}", "mprocs.yaml")["a"]["autostart"] is False
    text = "processes: {a: {command: yes, disabled: yes}, b: {command: x, disabled: off}}"
    assert [keys.get("autostart") for keys in components(text, "process-compose.yaml").values()] == [False, None]


def test_each_key_of_process_compose_is_converted_or_reported():
    text = """processes:
  a:
    command: x
    env_file: .env
    is_elevated: false
    depends_on: {b: {condition: process_started, other: 1}}
    readiness_probe: {http_get: {port: 80, other: 1}, other: 1}
    shutdown: {signal: 2, other: 1}
    availability: {exit_on_skipped: true, other: 1}
  b: {command: x, env_file: [a, '$B'], availability: {exit_on_skipped: false}}
"""
    assert [keys["env_file"] for keys in components(text, "process-compose.yaml").values()] == [[".env"], ["a", "$B"]]
    assert losses(text, "process-compose.yaml") == [
        "6: processes.a.depends_on.b.other",
        "7: processes.a.readiness_probe.http_get.other",
        "7: processes.a.readiness_probe.other",
        "9: processes.a.availability.exit_on_skipped",
        "9: processes.a.availability.other",
        "8: processes.a.shutdown.other",
    ]


def test_a_directory_of_each_operating_system():
    text = "procs: {a: {shell: x, cwd: {$select: os, linux: <CONFIG_DIR>/web, $else: other}}}"
    assert components(text, "mprocs.yaml")["a"]["cwd"] == "web"


def test_a_procfile_of_another_directory_runs_there():
    draft = convert("procfile: api/Procfile\n", ".foreman", **{"api/Procfile": "web: x\n"})
    assert draft.keys == {"defaults": {"cwd": "api"}}
    draft.rebase("..")
    assert draft.keys == {"defaults": {"cwd": "../api"}}


def test_a_command_of_compose_without_the_end_of_a_quote_is_reported():
    assert losses("services:\n  a:\n    command: echo 'a\n") == ["3: services.a.command"]


def test_a_blank_command_of_compose_is_none():
    assert list(components("services: {a: {image: x, command: ' '}, b: {command: cat}}")) == ["b"]


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


@pytest.mark.parametrize(
    ("port", "reason"),
    [("{{.PC_REPLICA_NUM}}", "not a variable of `vars`; kept as it is"), ("x", "'x' is not a port")],
)
def test_a_probe_with_a_port_that_cannot_be_converted_is_named_once(port, reason):
    text = f'processes:\n  web:\n    command: cat\n    readiness_probe:\n      http_get: {{ port: "{port}" }}\n'
    (lost,) = convert(text, "process-compose.yaml").losses
    assert lost.key == "processes.web.readiness_probe.http_get.port"
    assert reason in lost.text


def test_templates_of_process_compose():
    text = "vars: {A: 1}\nprocesses:\n  a: {command: 'run {{.A}} {{ .B }}', vars: {B: two}}\n  b: {command: '{{.C}}'}\n"
    assert [keys["command"] for keys in components(text, "process-compose.yaml").values()] == ["run 1 two", "{{.C}}"]
    assert losses(text, "process-compose.yaml") == ["4: processes.b.command"]
    assert losses("processes: {a: {command: 'x $PC_PROC_NAME'}}", "process-compose.yaml") == ["1: processes.a.command"]
    text = "disable_env_expansion: true\nprocesses: {a: {command: 'x $$ $A', environment: ['B=$C']}}"
    (keys,) = components(text, "process-compose.yaml").values()
    assert (keys["command"], keys["environment"]) == ("x $$ $A", {"B": "$$C"})


def started(command, **scripts):
    """The components, their common keys other than the command, and the options that are reported."""
    text = json.dumps({"scripts": {"dev": command, **scripts}})
    draft = convert(text, "package.json")
    found = {entry.name: entry.keys["command"] for entry in draft.entries if "autostart" not in entry.keys}
    keys = {key: value for key, value in draft.entries[0].keys.items() if key != "command"}
    return found, keys, [loss.text.partition(":")[0] for loss in draft.losses if loss.key == "scripts.dev"]


def test_a_script_that_another_one_starts_is_not_left_out_as_well():
    draft = convert(
        json.dumps({"scripts": {"dev": "concurrently -k 'npm:api -- -x' 'npm:no:*'", "api": "x"}}), "package.json"
    )
    assert [loss.text for loss in draft.losses] == ["no script matches 'no:*'"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("lint:*", ["js", "ts", "fix:js"]),
        ("lint:*(!fix)", ["js", "ts"]),
        ("lint:*(!t|[)", ["js", "ts", "fix:js"]),  # not a regular expression
        ("lint:*:js", ["fix"]),
        ("lint*", [":js", ":ts", ":fix:js"]),
        ("none*", []),
    ],
)
def test_a_pattern_of_concurrently(pattern, found):
    scripts = ["lint:js", "lint:ts", "lint:fix:js", "lin"]
    assert [rest for _, rest in script_patterns.of_concurrently(pattern, scripts)] == found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("t:a", ["t:a"]),
        ("a", []),
        ("t:*", ["t:a", "t:b"]),
        ("t:**", ["t:a", "t:a:c", "t:a:d", "t:b"]),
        ("t:**:*", ["t:a", "t:a:c", "t:a:d", "t:b"]),
        ("**:c", ["t:a:c"]),
        ("t:{b,a:c}", ["t:a:c", "t:b"]),
        ("{t,u}:{a,b}", ["t:a", "t:b", "u:b"]),
        ("t:!(a)", ["t:b"]),
        ("!(t):*", ["u:b", "u:bb"]),
        ("u:?(b)b", ["u:b", "u:bb"]),
        ("u:+(b)", ["u:b", "u:bb"]),
        ("u:b?", ["u:bb"]),
        ("t:[!a]", ["t:b"]),
        ("!t:**", []),
        ("t:[", []),
    ],
)
def test_a_pattern_of_npm_run_all(pattern, found):
    scripts = ["t:a", "t:a:c", "t:a:d", "t:b", "u:b", "u:bb"]
    assert script_patterns.of_npm_run_all(pattern, scripts) == found


@pytest.mark.timeout(20)
@settings(deadline=None)
@given(st.text(st.sampled_from("ab:*!?+@()[]{},|\\-"), max_size=40))
def test_any_pattern_of_scripts_has_an_answer(pattern):
    for find in (script_patterns.of_concurrently, script_patterns.of_npm_run_all):
        find(pattern, ["a", "a:b", "ab:ba:aa"])


ONLY_FAILURES = ["stops the others only if one fails; here they stop also if one exits with 0"]


@pytest.mark.parametrize(
    ("options", "keys", "lost"),
    [
        ("", {"on_exit": "ignore"}, []),
        ("-k", {}, []),
        ("--kill-others", {}, []),
        ("--killOthers --no-color", {}, ["--no-color"]),
        ("--kill-others=false --raw=false", {"on_exit": "ignore"}, []),
        ("--kill-others-on-fail", {}, ONLY_FAILURES),
        ("--restart-tries 3", {"on_exit": "ignore", "restart": {"policy": "on-failure", "max": 4}}, []),
        ("-k --restart-tries=-1 --restart-after 1500",
         {"on_exit": "stop", "restart": {"policy": "on-failure", "max": "unlimited", "backoff": [1.5, 1.5]}}, []),
        ("--restart-tries 1 --restart-after exponential",
         {"on_exit": "ignore", "restart": {"policy": "on-failure", "max": 2}}, []),
        ("--restart-tries x", {"on_exit": "ignore"}, ["--restart-tries"]),
        ("-k --kill-signal SIGKILL --kill-timeout 5000", {"stop": {"signal": "KILL", "timeout": 5}}, []),
        ("-kr -s first", {}, ["--raw", "--success"]),
        ("-m2 --max-processes=3 --unknown", {"on_exit": "ignore"}, ["--max-processes", "--max-processes", "--unknown"]),
    ],
)  # fmt: skip
def test_an_option_of_concurrently(options, keys, lost):
    assert started(f'concurrently {options} "a 1" "b 2"') == ({"a": "a 1", "b": "b 2"}, keys, lost)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("-n x,y 'a 1' 'b 2'", {"x": "a 1", "y": "b 2"}),
        ("-kn x 'a 1' 'b 2'", {"x": "a 1", "b": "b 2"}),
        ("--names=x+y --name-separator + a b", {"x": "a", "y": "b"}),
        ("-c red,blue --prefix name 'a 1'", {"a": "a 1"}),
        ("'npm:w:*' b", {"w-1": "npm run w:1", "w-2": "npm run w:2", "b": "b"}),
        ("-n x,y 'npm:w:*' b", {"x1": "npm run w:1", "x2": "npm run w:2", "y": "b"}),
        ("'npm:w:1 -- --port 2' npm:none", {"w-1": "npm run w:1 -- --port 2", "none": "npm run none"}),
        ("'npm run w:*' b", {"w-1": "npm run w:1", "w-2": "npm run w:2", "b": "b"}),
        ("'A=1 npm run w:* -- -q' b", {"w-1": "A=1 npm run w:1 -- -q", "w-2": "A=1 npm run w:2 -- -q", "b": "b"}),
        ("-n w:* 'pnpm run w:*'", {"w-1": "pnpm run w:1", "w-2": "pnpm run w:2"}),
        ("yarn:w:1 'node:w:2'", {"w-1": "yarn run w:1", "w-2": "node --run w:2"}),
    ],
)
def test_the_commands_of_concurrently(words, parts):
    found = started(f"concurrently {words}", **{"w:1": "x", "w:2": "y"})[0]
    assert {name: found[name] for name in parts} == parts


@pytest.mark.parametrize(
    ("command", "parts", "keys", "lost"),
    [
        ("run-p a b", ["a", "b"], {}, ONLY_FAILURES),
        ("run-p -cl a b", ["a", "b"], {"on_exit": "ignore"}, ["--print-label"]),
        ("run-p --race a b", ["a", "b"], {}, []),
        ("npm-run-all --max-parallel 2 -p a b", ["a", "b"], {}, ["--max-parallel", *ONLY_FAILURES]),
        ("npm-run-all a -p b", ["dev"], {}, []),
        ("npm-run-all a b", ["dev"], {}, []),
        ("run-p w:*", ["w-1"], {}, ONLY_FAILURES),
        ("run-p w:**", ["w-1", "w-1-x"], {}, ONLY_FAILURES),
        ("run-p a none", ["a"], {}, ["no script matches 'none'", *ONLY_FAILURES]),
    ],
)
def test_scripts_that_run_in_parallel(command, parts, keys, lost):
    found, same, reported = started(command, **{"a": "1", "b": "2", "w:1": "3", "w:1:x": "4"})
    assert (list(found), same, reported) == (parts, keys, lost)


def test_scripts_that_start_others():
    scripts = '{"scripts": {"start": "run-p watch:*", "watch:a": "x", "watch:b": "y"}}'
    names = frozenset({"yarn.lock"})
    draft = formats.convert(scripts, "package.json", Nearby("/", names, {}.get, lambda command: ""))
    assert {e.name: e.keys["command"] for e in draft.entries} == {
        "watch-a": "yarn run watch:a",
        "watch-b": "yarn run watch:b",
    }


@pytest.mark.parametrize("name", ["büro", "日本", "web.v2.x", "e\u0301", "_", "1", "ª-²"])
def test_any_name_of_a_component_can_be_written(name):
    (component,) = convert(f"{name}: sleep 1\n", "Procfile").components
    component.keys |= {"environment": {"A.B-C": "1"}, "tags": [component.name]}
    other = DraftEntry("other", {"command": "x", "depends_on": {component.name: "started"}})
    assert faults(render(Draft(entries=[component, other]))) == []


def program(keys, **nearby):
    """The keys of the only program with these keys, and the keys that are reported."""
    text = "[program:p]\n" + keys
    draft = convert(text, "supervisord.conf", **nearby)
    return draft.components[0].keys, [loss.key for loss in draft.losses]


@pytest.mark.parametrize(
    ("keys", "ours", "lost"),
    [
        ("", {"command": "./run", "environment": {"K": "./data"}}, []),
        ("directory=%(here)s", {"command": "./run", "cwd": ".", "environment": {"K": "./data"}}, []),
        (
            "directory=/tmp",
            {"command": "/srv/app/run", "cwd": "/tmp", "environment": {"K": "/srv/app/data"}},
            ["command", "environment"],
        ),
        (
            "directory=%(here)s/web",
            {"command": "/srv/app/run", "cwd": "./web", "environment": {"K": "/srv/app/data"}},
            ["command", "environment"],
        ),
    ],
)
def test_the_directory_of_supervisords_file(keys, ours, lost):
    found, keys_lost = program(f'command=%(here)s/run\n{keys}\nenvironment=K="%(here)s/data"\nautorestart=false\n')
    assert found == {**ours, "on_exit": "ignore"}
    assert keys_lost == [f"program:p.{key}" for key in lost]


def test_the_directory_of_supervisords_file_in_the_variables_of_all_programs():
    text = "[supervisord]\nenvironment=A=%(here)s/x\n[program:p]\ncommand=x\n"
    assert convert(text, "s.conf").keys == {"defaults": {"environment": {"A": "./x"}}}
    draft = convert(text + "directory=/tmp\n", "s.conf")
    assert draft.keys == {"defaults": {"environment": {"A": "/srv/app/x"}}}
    assert [loss.key for loss in draft.losses] == ["supervisord.environment"]


def test_a_directory_with_a_space_stays_one_word():
    near = Nearby("/srv/my app", frozenset(), {}.get, lambda command: "")
    draft = formats.convert("[program:p]\ncommand=%(here)s/run x\ndirectory=/tmp\n", "s.conf", near)
    assert draft.components[0].keys["command"] == ["/srv/my app/run", "x"]


@pytest.mark.parametrize(
    ("keys", "restart", "ready", "lost"),
    [
        ("autorestart=true", {"policy": "always", "max": "unlimited", "within": 2, "same_exits": 4}, {"delay": 1}, []),
        ("startretries=0", {"policy": "on-failure", "max": "unlimited", "within": 2, "same_exits": 1}, {"delay": 1},
         ["startretries"]),
        ("startsecs=0\nstartretries=2", {"policy": "on-failure", "max": "unlimited", "within": 1}, None, []),
        ("autorestart=false\nstartretries=2\nstartsecs=5", None, {"delay": 5}, ["startretries"]),
        ("startsecs=9", {"policy": "on-failure", "max": "unlimited", "within": 10, "same_exits": 4}, {"delay": 9}, []),
        ("autorestart=false\nstartretries=0", None, None, []),
        ("startsecs=x", {"policy": "on-failure", "max": "unlimited", "within": 2, "same_exits": 4}, {"delay": 1},
         ["startsecs"]),
    ],
)  # fmt: skip
def test_the_limit_of_supervisord_counts_starts_that_fail(keys, restart, ready, lost):
    found, keys_lost = program(f"command=x\n{keys}\n")
    assert (found.get("restart"), found.get("ready")) == (restart, ready)
    assert keys_lost == [f"program:p.{key}" for key in lost]


def test_a_word_of_supervisord_may_have_capitals_and_is_reported_if_unknown():
    text = "[program:a]\ncommand=x\nautostart=No\nautorestart=TRUE\nredirect_stderr=True\nstopasgroup=OFF\n"
    (keys,) = components(text, "supervisord.conf").values()
    assert (keys["autostart"], keys["restart"]["policy"], keys["stop"]) == (False, "always", {"scope": "leader"})
    assert losses(text, "supervisord.conf") == []
    text = "[program:a]\ncommand=x\nautostart=%(ENV_A)s\nautorestart=%(ENV_B)s\nstopasgroup=%(ENV_C)s\n"
    assert losses(text, "supervisord.conf") == [
        "3: program:a.autostart", "4: program:a.autorestart", "5: program:a.stopasgroup"
    ]  # fmt: skip


def test_sections_of_the_same_name_are_one():
    text = "[program:x]\ncommand=a\numask=022\n[program:y]\ncommand=c\n[program: x]\ncommand=b\n"
    found = {name: (keys["command"], keys.get("umask")) for name, keys in components(text, "s.conf").items()}
    assert found == {"x": ("b", "022"), "y": ("c", None)}


def test_relative_paths_follow_the_file_that_is_written():
    draft = Draft(keys={"env_file": [".env"]})
    draft.entries = [
        DraftEntry("a", {"command": "x"}),
        DraftEntry("b", {"command": "x", "cwd": "web", "env_file": ["b.env"]}),
        DraftEntry("c", {"command": "x", "cwd": "${HOME}/c"}),
    ]
    draft.rebase("../app")
    assert draft.keys == {"env_file": ["../app/.env"], "defaults": {"cwd": "../app"}}
    assert draft.entries[1].keys == {"command": "x", "cwd": "../app/web", "env_file": ["../app/b.env"]}
    assert draft.entries[2].keys["cwd"] == "${HOME}/c"


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


@settings(deadline=None, max_examples=examples(300))
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
