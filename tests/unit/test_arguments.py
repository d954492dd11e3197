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
