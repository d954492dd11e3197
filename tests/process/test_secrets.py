"""Secrets stay out of everything that we print: by the names of variables, and by construction where they came to."""

import json
import pickle

import pytest
from definitions import STAY, Directory, component
from harness import until
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.dotenv import parse
from orchestrator.config.environment import Layers, Values, expand_at
from orchestrator.config.redaction import MASK, is_secret, mask
from orchestrator.model.masked import Masked, masked, plain

SECRET = "hunter2"


@pytest.mark.parametrize(
    "name",
    ["DBPASS", "DB_PASS", "DB_PW", "DBPW", "PASSWORD", "password", "API_TOKEN", "API_TOKENS", "TOKEN", "AUTHORIZATION",
     "AWS_SECRET_ACCESS_KEY", "SECRET_KEY", "JWT", "FERNET_KEY", "MYSQL_PWD"],
)  # fmt: skip
def test_names_of_secrets(name):
    assert mask(name, SECRET) == MASK


@pytest.mark.parametrize(
    "name",
    ["MAX_TOKENS", "LLM_MAX_OUTPUT_TOKENS", "TOKENIZERS_PARALLELISM", "PASSWORD_FILE", "SECRET_KEY_PATH", "PWD",
     "OLDPWD", "BYPASS", "COMPASS", "KEYBOARD", "PATH", "MONKEY", "PW_BROWSERS", ""],
)  # fmt: skip
def test_names_of_other_values(name):
    assert not is_secret(name)
    assert mask(name, SECRET) == SECRET


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"postgres://me:{SECRET}@host/db", f"postgres://me:{MASK}@host/db"),
        (f"host=db password={SECRET} user=me", f"host=db password={MASK} user=me"),
        (f"http://host/?x=1&token={SECRET}&y=2", f"http://host/?x=1&token={MASK}&y=2"),
        (f"app --db-password={SECRET} -v", f"app --db-password={MASK} -v"),
        (f"Password='{SECRET}'", f"Password='{MASK}'"),
        (f'{{"password": "{SECRET}"}}', f'{{"password": "{MASK}"}}'),
        (f"Authorization: Bearer {SECRET}", f"Authorization: Bearer {MASK}"),
        ("Bearer x", f"Bearer {MASK}"),
        ("password=$PASSWORD Bearer $T token=${T}", "password=$PASSWORD Bearer $T token=${T}"),
        ("--password-file=/run/x --max-tokens=7", "--password-file=/run/x --max-tokens=7"),
        ("password: none", "password: none"),
    ],
)
def test_secrets_inside_values(value, shown):
    assert mask("ANY", value) == shown
    assert mask("ANY", shown) == shown


def test_what_is_masked_is_the_text_and_shows_the_other():
    text = Masked(f"a {SECRET}", "a *")
    assert text == f"a {SECRET}"
    assert text.encode() == f"a {SECRET}".encode()
    assert " ".join([text]) == f"a {SECRET}"
    assert (str(text), repr(text), f"{text} {text!r} {text:>4}") == ("a *", "'a *'", "a * 'a *'  a *")
    assert type(plain(text)) is str
    assert plain(text) == f"a {SECRET}"
    again = pickle.loads(pickle.dumps(text))
    assert (again, str(again)) == (text, "a *")


@given(st.text(), st.text())
def test_any_text_can_be_masked(text, shown):
    made = masked(text, shown)
    assert made == text
    assert str(made) == shown


def test_a_value_knows_through_how_many_variables_a_secret_came():
    text = "DB_PASSWORD=hunter2\nA=x${DB_PASSWORD}\nB=$A!\nC=${NO:-$B}\nD=${DB_PASSWORD:+set}\n"
    layers = Layers({}).with_file(".env", parse(text, ".env")[0], Report())
    shown = {name: str(variable.value) for name, variable in layers.files.items()}
    assert shown == {"DB_PASSWORD": "hunter2", "A": f"x{MASK}", "B": f"x{MASK}!", "C": f"x{MASK}!", "D": "set"}
    assert layers.get("C") == "xhunter2!"


def test_a_message_of_an_expansion_shows_no_secret():
    report = Report()
    values = Values({"PASSWORD": SECRET}.get)
    assert expand_at(Place("f"), "${X:?not ${PASSWORD}}", values, report) == ""
    assert report.problems == [f"f: X is not set: not {MASK}"]


# The system

PROBES = {
    "exec": '{ exec = ["false", "--pw=${DB_PASSWORD}"] }',
    "http": '{ http = "http://u:${DB_PASSWORD}@127.0.0.1:9/x?token=$DB_PASSWORD", retries = 1000 }',
    "log": '{ log = "never ${URL}" }',
    "header": '{ http = "http://127.0.0.1:9/", request_headers = { X = "$DB_PASSWORD" } }',
}


@pytest.fixture
def here(tmp_path):
    tables = [component(name, STAY, f"ready = {probe}") for name, probe in PROBES.items()]
    alive = component("alive", STAY, 'alive = { exec = ["false", "${DB_PASSWORD}"], retries = 1, interval = 0.1 }')
    more = component("more", STAY, "environment = { B = '${URL}/more' }", 'cwd = "${URL:+.}"')
    directory = Directory(tmp_path).write(
        "\n".join([*tables, alive, more]), dot_env=f"DB_PASSWORD={SECRET}\nURL=x/$DB_PASSWORD\n"
    )
    (tmp_path / "cd").mkdir()
    return directory


def test_no_output_of_ours_shows_a_secret(here):
    outputs = [here.output(*words) for words in (["config"], ["config", "--json"], ["env", "more"], ["graph"])]
    outputs += [here.output("check"), here.output("up", "--dry-run")]
    run = here.up("--wait=1")
    events = here.run("events", "--json")
    assert run.wait() == 4, str(run)
    events.wait()
    outputs += [run.messages, events.text, (here.path / ".orchestrate" / "logs" / "orchestrate.log").read_text()]
    assert MASK in run.messages
    for output in outputs:
        assert SECRET not in output
    assert f"URL=x/{SECRET}" in here.output("env", "more", "--reveal")


def test_why_and_ps_show_no_secret(here):
    run = here.up()
    assert until(lambda: (here.path / ".orchestrate" / "control.sock").exists())
    assert until(lambda: MASK in here.output("why", "exec", "http", "log"))
    rows = [json.loads(line) for line in here.output("ps", "--json").splitlines()]
    assert {row["instance"] for row in rows} == {*PROBES, "alive", "more"}
    outputs = [json.dumps(rows), here.output("why"), here.output("why", "--json"), here.output("status", "--json")]
    here.output("down")
    run.wait()
    for output in (*outputs, run.messages):
        assert SECRET not in output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('cwd = "no/$DB_PASSWORD"', f"no such directory: {{path}}/no/{MASK}"),
        ('port = "$DB_PASSWORD"', f"'{MASK}' is not a port"),
        ('ready = { http = "$DB_PASSWORD" }', f"or with http+unix://, not '{MASK}'"),
        ('ready = { tcp = "$DB_PASSWORD" }', f"must be HOST:PORT or PORT, not '{MASK}'"),
        ('env_file = "no/$DB_PASSWORD"', f"cannot read {{path}}/no/{MASK}"),
        ('expect = [{ prompt = "(${DB_PASSWORD}" }]', "is not a valid regular expression"),
    ],
)
def test_no_fault_of_a_definition_shows_a_secret(text, words, here):
    here.write(component("web", STAY, text))
    output = here.output("check", status=2)
    assert words.format(path=here.path) in output
    assert SECRET not in output


def test_a_command_that_is_not_found_shows_no_secret(here):
    here.write("[components.web]\ncommand = ['./no-$DB_PASSWORD']\n")
    assert here.output("check", status=2) == f"orchestrate: orchestrate.toml:2: web: command not found: ./no-{MASK}\n"
