"""What is said of a wrong word, of a text that is not TOML, and of many mistakes at once."""

import re

import pytest
from definitions import STAY, Directory, component

from orchestrator.config.diagnostics import folded


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path).write(component("web", STAY) + component("db", STAY))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["restrat", "web"], "unknown command 'restrat'\nhint: did you mean 'restart'?"),
        (["connect", "web"], "unknown command 'connect'\nhint: did you mean `orchestrate attach NAME`?"),
        (["up", "--scale", "web=2"], "unrecognized option '--scale'\nhint: did you mean `-m NAME=N`?"),
        (["start", "-c", "web=2"], "unrecognized option '-c'\nhint: did you mean `-m NAME=N` or `--can-end NAMES`?"),
        (["-v"], "unrecognized option '-v'\nhint: did you mean `--version`?"),
        (
            ["start", "--no-timestamp"],
            "unrecognized option '--no-timestamp'\nhint: leave it out: lines have no time without `--timestamps`",
        ),
        (
            ["up", "--auto-restart", "web"],
            "unrecognized option '--auto-restart'\nhint: write `restart = \"always\"` in orchestrate.toml",
        ),
        (
            ["up", "--wait", "-1"],
            "invalid --wait '-1': expected seconds up to 86400, or 5s, 1m30s\nhint: see `orchestrate up --help`",
        ),
        (["uo"], "unknown command 'uo'\nhint: did you mean 'up'?"),
        (
            ["scale", "web=x"],
            "'web=x' is not NAME=NUMBER with a number from 0 to 1000\nhint: write orchestrate scale web=2 worker=1",
        ),
        (["staus"], "unknown command 'staus'\nhint: did you mean 'status'?"),
        (["web", "wbe"], "unknown component 'wbe'\nhint: did you mean 'web'?"),
        (["quux"], "unknown command or component 'quux'\nhint: there are: web, db"),
        (["help", "restrat"], "unknown command or topic 'restrat'\nhint: did you mean 'restart'?"),
    ],
)
def test_the_wrong_word_is_blamed(words, message, here):
    assert here.output(*words, status=2) == f"orchestrate: {message}\n"


def test_a_path_in_the_place_of_a_name_gets_the_option(here):
    """hivemind takes a Procfile, and `foreman start -d` a directory."""
    (here.path / "Procfile.dev").write_text("web: true\n")
    for name in ("web", "app"):
        (here.path / name).mkdir()
    told = "orchestrate: unknown component 'app'\nhint: did you mean `-C app`?\n"
    assert here.output("start", "-d", "app", status=2) == told
    assert here.output("up", "web", "app", status=2) == told
    told = "'Procfile.dev'\nhint: did you mean `-f Procfile.dev`?\n"
    assert here.output("Procfile.dev", status=2) == f"orchestrate: unknown command or component {told}"
    assert here.output("web", "quux", status=2).endswith("unknown component 'quux'\nhint: there are: web, db\n")
    (here.path / "orchestrate.toml").unlink()
    assert here.output("Procfile.dev", status=2) == f"orchestrate: unknown command {told}"


def test_a_wrong_command_is_blamed_where_there_is_no_definition(tmp_path):
    empty = Directory(tmp_path)
    assert "unknown command 'restrat'\nhint: did you mean" in empty.output("restrat", status=2)
    assert empty.output("quux", status=2) == "orchestrate: unknown command 'quux'\nhint: see `orchestrate --help`\n"


def test_a_command_to_run_that_is_a_misspelled_component_gets_a_hint(here):
    assert here.output("run", "wbe", status=127).endswith("wbe: no such file or directory\nhint: did you mean 'web'?\n")


@pytest.mark.parametrize("command", [["ps"], ["up"], ["airflow", "info"]])
def test_help_of_a_command(command, here):
    assert here.output("help", *command) == here.output(*command, "--help")


def test_options_stand_before_or_after_the_command(here):
    run = here.up("-d")
    assert run.wait() == 0, str(run)
    ps = [line.split()[0] for line in here.output("ps").splitlines()]
    assert ps == ["NAME", "web", "db"]
    assert here.output("-n", "1", "logs") == here.output("logs", "-n", "1")
    assert here.output("--lines=1", "logs", "web") == here.output("logs", "--lines=1", "web")
    assert here.output("--timeout", "1m", "--ready", "wait") == ""
    assert "unrecognized option '--wat'" in here.output("--wat", "logs", status=2)
    here.output("down")


def test_a_second_start_says_what_can_be_done(here):
    assert here.up("-d").wait() == 0
    message = here.output("up", status=75)
    for verb in ("attach", "ps", "restart", "down"):
        assert f"`orchestrate {verb}`" in message
    elsewhere = Directory(here.path.parent)
    assert f"`orchestrate down --home {here.path}`" in elsewhere.output("up", "-C", here.path, status=75)
    here.output("down")


def test_a_component_that_starts_late_is_not_ready_again(here):
    run = here.up("web")
    run.wait_ready("web")
    here.output("scale", "web=2")
    run.wait_for(r"^orchestrate +\| web\.2 is running$")
    here.output("restart", "web.2")
    run.wait_for(r"^orchestrate +\| web\.2 is running again$")
    here.output("down")
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ready = {\n tcp = 1\n}", "3: not TOML: a table in braces { … } must be on one line; write a header"),
        (
            r'cwd = "C:\Users"',
            "3: not TOML: in double quotes a backslash begins an escape; write 'C:\\Users' in single",
        ),
        (r'cwd = "C:\Path"', "3: not TOML: in double quotes a backslash begins an escape"),
        ("[components.web]", "3: not TOML: [components.web] is already defined on line 1; put all its keys under one"),
        ('command = "y"', "3: not TOML: this key already has a value above"),
        ("cwd = x", '3: not TOML: invalid value; a string needs quotes: KEY = "text"'),
        ("tty = True", "3: not TOML: invalid value; write true"),
        ("web: x", "3: not TOML: expected KEY = VALUE; lines like `name: command` belong in a Procfile"),
        ('cwd = "x', "3: not TOML: a string has no closing quote"),
        ("cwd =", "3: not TOML: the value is missing"),
        ("x = { a = 1, a = 2 }", "3: not TOML: "),
        ("[a", "3: not TOML: a header has no closing bracket ]"),
    ],
)
def test_faults_of_toml_are_explained(text, words, here):
    message = here.write(f'[components.web]\ncommand = "x"\n{text}\n').output("check", status=2)
    assert message.startswith(f"orchestrate: orchestrate.toml:{words}")
    assert not re.search(r"namespace|Illegal|Expected '|\(at line", message)


def test_many_mistakes_of_one_kind_are_one_line(here):
    tables = [f"[components.w{number}]\ncommand = 'true'\nreplicsa = 2\n" for number in range(30)]
    here.write("".join(tables) + "other = 1\n")
    assert here.output("check", status=2).splitlines() == [
        "orchestrate: orchestrate.toml:3: components.w0.replicsa: unknown key; did you mean 'replicas'?"
        " (and 29 more of this kind)",
        here.output("check", status=2).splitlines()[1],
    ]
    assert "components.w29.other: unknown key; there are:" in here.output("check", status=2)


def test_ten_are_not_folded():
    problems = [f"f:{number}: 'a{number}' is wrong" for number in range(10)]
    assert folded(problems) == problems
    assert folded([*problems, "g:1: 'b' is wrong"]) == ["f:0: 'a0' is wrong (and 10 more of this kind)"]


@pytest.mark.parametrize("command", [["check"], ["graph"], ["config"], ["env", "wéb"], ["up", "--dry-run"]])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_standard_output_will_do(command, encoding, here):
    here.write('[components."wéb"]\ncommand = "true → "\n[components.b]\ncommand = "true"\ndepends_on = ["wéb"]\n')
    run = here.run(*command, env={"PYTHONIOENCODING": encoding})
    assert run.wait() == 0, str(run)
    assert "Traceback" not in run.messages
