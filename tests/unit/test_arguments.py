"""The command line: what is unknown is reported as what it is, wherever it stands."""

import pytest

from orchestrator.cli import parser
from orchestrator.model.errors import UsageError


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("airflow --executer x", "--executer"),
        ("airflow -f x.toml", "-f"),
        ("airflow --port 8081 -e .env", "-e"),
        ("completion --shel bash", "--shel"),
        ("web --nope", "--nope"),
        ("--nope web", "--nope"),
        ("logs web -n 5 -x", "-x"),
        ("ps --jsn=1", "--jsn"),
        ("run --nope web", "--nope"),
        ("scale --jsn web=2", "--jsn"),
        ("send web -x", "-x"),
    ],
)
def test_an_unknown_option_is_reported_and_not_what_follows_it(words, option):
    with pytest.raises(UsageError, match=rf"^unrecognized option '{option}'"):
        parser.parse(words.split())


@pytest.mark.parametrize("words", ["-f x.toml airflow", "--only web airflow info", "-p5000 airflow", "-e=a airflow"])
def test_airflow_takes_no_options_of_a_definition(words):
    with pytest.raises(UsageError, match=r"^airflow does not take -"):
        parser.parse(words.split())


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("run web --foo -x", "words", ["web", "--foo", "-x"]),
        ("run -- ls --foo", "command", ("ls", "--foo")),
        ("logs -n5 web", "lines", 5),
        ("up -- --web", "names", ["--web"]),
        ("-t 5 airflow --any-port", "timeout", 5.0),
        ("--timeout=5 airflow", "timeout", 5.0),
        ("ps -w --json", "watch", True),
        ("send web -5", "text", "-5"),
        ("logs --grep -3", "grep", "-3"),
        ("-f - ps", "file", ["-"]),
        ("web -dT", "detach", True),
        ("export compose --image x out", "output", "out"),
        ("export --force compose out --image=x", "output", "out"),
        ("env --json web -m web=2", "name", "web"),
        ("logs -fn 5 web api", "names", ["web", "api"]),
        ("logs web -f api -n 5", "names", ["web", "api"]),
    ],
)
def test_what_only_looks_like_an_option_is_left_alone(words, name, value):
    assert getattr(parser.parse(words.split()), name) == value


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--color never",
        "-C sub --home=x --detach-keys ctrl-p,ctrl-q",
        "-f one.toml -f two/Procfile",
        "-- echo",
    ],
)
def test_the_parser_of_the_view_alone_is_that_of_all_commands(words):
    words = words.split()
    commands = parser.build()._subparsers._group_actions[0].choices
    assert parser._build_ui().format_help() == commands["ui"].format_help()
    whole = parser._parse_command(["ui", *(w for w in words if w not in ("--", "echo"))])
    assert vars(parser.parse(["ui", *words])) | {"names": [], "command": ()} == vars(whole) | {
        "names": [],
        "command": (),
    }


@pytest.mark.parametrize("words", ["--nope", "web", "--color blue", "--home"])
def test_a_mistake_after_ui_is_reported_as_for_any_command(words):
    with pytest.raises(UsageError) as alone:
        parser.parse(["ui", *words.split()])
    with pytest.raises(UsageError) as whole:
        parser._parse_command(["ui", *words.split()])
    assert str(alone.value) == str(whole.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("up --on-exit x", "invalid --on-exit 'x': expected stop or ignore"),
        ("up -p x", "invalid --port 'x': expected 1 to 65535"),
        ("logs -n x", "invalid --lines 'x': expected a whole number"),
        ("replay web --speed it's", 'invalid --speed "it\'s": expected 0.01 to 1000'),
        ("completion fsh", "invalid SHELL 'fsh': expected bash, zsh or fish; did you mean 'fish'?"),
        ("airflow --port 0", "invalid --port '0': expected 1 to 65535"),
        ("up -p", "missing value of --port"),
        ("open", "missing FILE"),
        ("send web", "missing TEXT"),
    ],
)
def test_a_wrong_value_is_reported_in_our_words(words, message):
    with pytest.raises(UsageError) as refused:
        parser.parse(words.split())
    assert refused.value.message == message
