"""`.env` files: as foreman, honcho, python-dotenv and docker compose read them, and every mistake with its line."""

import io

import honcho.environ
import pytest
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.diagnostics import Report
from orchestrator.config.dotenv import parse
from orchestrator.config.environment import Layers


def read(text, shell=None, override=False):
    """The variables that a file gives, once expanded."""
    assignments, problems = parse(text, ".env")
    assert problems == []
    layers = Layers(shell or {}, override).with_file(".env", assignments, Report())
    return {name: variable.value for name, variable in layers.files.items()}


ALIKE = [
    "A=1",
    "A=1\nB=2\n",
    "# comment\n\nA=1\n",
    "A='single'",
    'A="double"',
    "A='with blank'",
    'A="with blank"',
    'A="with # hash"',
    "A='with # hash'",
    "A=1 # comment",
    "A=",
    "export A=1",
    "A=1\r\nB=2\r\n",
    'A="line\\nbreak"',
    "A=http://example.org/?x=1",
    "A=a=b",
]


@pytest.mark.parametrize("text", ALIKE)
def test_as_python_dotenv(text):
    assert read(text) == dotenv_values(stream=io.StringIO(text))


@pytest.mark.parametrize("text", [t for t in ALIKE if t not in ("A=", "export A=1")])  # honcho drops these lines
def test_as_honcho(text):
    assert read(text) == honcho.environ.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A = 1", {"A": "1"}),
        ("  A=1", {"A": "1"}),
        ("A: 1", {"A": "1"}),
        ("A", {}),
        ("export A", {}),
        ("A=a b  ", {"A": "a b"}),
        ("A=a#b", {"A": "a#b"}),
        ("A=#b", {"A": "#b"}),
        ("A=a \t # b # c", {"A": "a"}),
        ("A='C:\\'\nB=1", {"A": "C:\\", "B": "1"}),
        ("A= # comment", {"A": ""}),
        ("A='two\nlines'\nB=1", {"A": "two\nlines", "B": "1"}),
        ('A="two\r\nlines"\r\n', {"A": "two\nlines"}),
        (r"A='it\'s \n'", {"A": r"it's \n"}),
        (r'A="\t\"\\ \q"', {"A": '\t"\\ \\q'}),
        ("A=1\nA=2", {"A": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("A=pa$$word$1$(x) $", {"A": "pa$word$1$(x) $"}),
        ("A=1\nB=$A/$A", {"A": "1", "B": "1/1"}),
        ('A=1\nB="$A/\\$A"', {"A": "1", "B": "1/$A"}),
        ("A=1\nB='$A$$'", {"A": "1", "B": "$A$$"}),
        ("A=p${", {"A": "p${"}),
        ("A=1\nB=${A}2", {"A": "1", "B": "12"}),
        ('A=1\nB="${A}2"', {"A": "1", "B": "12"}),
        ("A=1\nB='${A}2'", {"A": "1", "B": "${A}2"}),
        (r'B="\${A}"', {"B": "${A}"}),
        ("B=${A:-none}", {"B": "none"}),
        ("A=1\nB=${C:-${A}/x}${", {"A": "1", "B": "1/x${"}),
        ("B=${A}", {"B": ""}),
    ],
)
def test_values(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("A=1\nnonsense here\n", 2, "not a `NAME=value` line"),
        ("=1", 1, "not a `NAME=value` line"),
        ("1A=1", 1, "not a `NAME=value` line"),
        ("A='two\nlines'\n?", 3, "not a `NAME=value` line"),
        ("\nA='open", 2, "the quote ' has no end"),
        ('A="open\nB=1', 1, 'the quote " has no end'),
        ("A='x' y", 1, "something follows the closing quote '"),
        ("A=\0", 1, "a NUL byte"),
    ],
)
def test_mistakes(text, line, words):
    problems = parse(text, "dir/.env")[1]
    assert problems[0].startswith(f"dir/.env:{line}: ")
    assert words in problems[0]


HUGE = 100_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "A='" + "\\" * HUGE,
        'A="' + "\\" * HUGE,
        "A=x" + " " * HUGE + "x",
        "A=" + "${A-" * HUGE,
        " " * HUGE + "x",
        "A" * HUGE,
    ],
    ids=["single quote", "double quote", "blanks", "defaults", "blanks before", "a long name"],
)
def test_no_text_takes_long(text):
    parse(text, ".env")


def test_a_mistake_does_not_show_the_value():
    assert "hunter2" not in "".join(parse("my password=hunter2", ".env")[1])


def test_the_shell_beats_the_file_and_override_turns_that_round():
    assignments, _ = parse("A=file\nB=${A}", ".env")
    for override, winner in ((False, "shell"), (True, "file")):
        layers = Layers({"A": "shell"}, override).with_file(".env", assignments, Report())
        assert (layers.get("A"), layers.get("B")) == (winner, winner)
        assert layers.flat()["A"].value == winner


def test_a_later_file_beats_an_earlier_one():
    layers = Layers({"S": "shell"})
    for name, text in (("a", "A=1\nB=1\nS=a"), ("b", "B=2${A}${S}")):
        layers = layers.with_file(name, parse(text, name)[0], Report())
    flat = layers.flat()
    assert {name: (v.value, v.origin) for name, v in flat.items()} == {
        "A": ("1", "a:1"),
        "B": ("21shell", "b:1"),
        "S": ("shell", "the shell"),
    }


SIGNS = st.text(st.sampled_from("AB=:'\"\\$#{}- \t\n\rn\0é\udcff"), max_size=80)


@settings(deadline=None)
@given(SIGNS | st.text(max_size=80))
def test_any_text_is_read_or_reported(text):
    assignments, problems = parse(text, ".env")
    report = Report()
    layers = Layers({}).with_file(".env", assignments, report)
    assert all(problem.startswith(".env:") for problem in [*problems, *report.problems])
    assert all("\0" not in variable.value for variable in layers.files.values())


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True), st.text(max_size=20)))
def test_what_is_quoted_is_read_as_it_was(variables):
    variables = {name: value.replace("\0", "").replace("\r", "") for name, value in variables.items()}
    quote = str.maketrans({"\\": r"\\", "'": r"\'"})
    text = "".join(f"{name}='{value.translate(quote)}'\n" for name, value in variables.items())
    assert read(text) == variables
