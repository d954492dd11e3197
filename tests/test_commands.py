"""Commands that cannot exist: certain misses are told, and nothing else is."""

import os

import pytest

from orchestrator.config.commands import missing_command


@pytest.fixture
def here(tmp_path):
    """A directory with an executable, a file that is none, and a directory of commands: its path as text."""
    (tmp_path / "bin").mkdir()
    for name, mode in {"serve": 0o755, "notes.txt": 0o644, "bin/tool": 0o755}.items():
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(mode)
    return str(tmp_path)


def missing(command, here):
    return missing_command(command, here, os.path.join(here, "bin"))


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("nothere", "nothere"),
        ("nothere --port 80 'a b' \"$X\"", "nothere"),
        ("exec nothere", "nothere"),
        ("  nothere", "nothere"),
        ("./nothere", "./nothere"),
        ("./notes.txt", "./notes.txt"),
        ("./bin", "./bin"),
        ("/nothere/tool x", "/nothere/tool"),
        ("serve", "serve"),  # it stands here, but not on the path
    ],
)
def test_a_certain_miss(here, command, word):
    assert missing(command, here) == word


@pytest.mark.parametrize("command", ["tool", "tool --x", "exec tool", "./serve", "exec ./serve a", "bin/tool"])
def test_what_is_there(here, command):
    assert missing(command, here) == ""


@pytest.mark.parametrize(
    "command",
    [
        "",
        "X=1 nothere",
        "$NOTHERE",
        "${NOTHERE} x",
        "`nothere`",
        "~/nothere",
        "'nothere'",
        '"nothere" x',
        "not\\ here",
        "nothere | cat",
        "nothere && x",
        "nothere; true",
        "nothere > log",
        "(nothere)",
        "{ nothere; }",
        "! nothere",
        "[ -e nothere ]",
        "*/nothere",
        "nothere&",
        "nothere\nother",
        "cd nothere",
        "exec",
        "exec $NOTHERE",
        "while true; do sleep 1; done",
        ". ./nothere",
        "test -e nothere",
    ],
)
def test_the_shells_business(here, command):
    assert missing(command, here) == ""


@pytest.mark.parametrize("command", ["exec -- tool", "exec -a web tool", "exec -c tool"])
def test_an_option_of_exec_is_no_command(here, command):
    """dash, bash and ksh know `exec --`; bash and ksh, which are sh elsewhere, also the others."""
    assert missing(command, here) == ""


def test_an_empty_path_finds_nothing(here):
    assert missing_command("sh", here, "/nothere") == "sh"


@pytest.mark.parametrize("path", ["bin", "/nothere:./bin", "/nothere:bin:"])
def test_a_path_is_relative_to_the_components_directory(here, path):
    """node_modules/.bin, for example: what `-C DIR` or `cwd` says, not where the command was typed."""
    assert missing_command("tool", here, path) == ""
    assert missing_command("tool", f"{here}/bin", "/nothere:") == ""
    assert missing_command("nothere", here, path) == "nothere"
