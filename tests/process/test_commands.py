"""Commands that cannot run: what is certain is reported, and nothing else is."""

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.config.command_check import line_fault, program_fault


@pytest.fixture
def here(tmp_path):
    """A directory with an executable, a file that is none, and a directory of commands: its path as text."""
    (tmp_path / "bin").mkdir()
    for name, mode in {"serve": 0o755, "notes.txt": 0o644, "bin/tool": 0o755}.items():
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(mode)
    return str(tmp_path)


def fault(command, here):
    return line_fault(command, here, os.path.join(here, "bin"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nothere", "command not found: nothere"),
        ("nothere --port 80 'a b' \"$X\"", "command not found: nothere"),
        ("exec nothere", "command not found: nothere"),
        ("  nothere", "command not found: nothere"),
        ("./nothere", "command not found: ./nothere"),
        ("/nothere/tool x", "command not found: /nothere/tool"),
        ("./notes.txt", "cannot run ./notes.txt: it is not executable; use chmod +x"),
        ("./bin", "cannot run ./bin: it is a directory"),
        ("serve", "command not found: serve; did you mean ./serve?"),
        ("plain", "cannot run plain: {here}/bin/plain is not executable; use chmod +x"),
    ],
)
def test_a_certain_miss(here, command, words):
    (Path(here) / "bin" / "plain").write_text("")
    assert fault(command, here) == words.format(here=here)


@pytest.mark.parametrize(
    ("shebang", "words"),
    [
        ("#!/usr/bin/pyton", "its interpreter /usr/bin/pyton does not exist (see its first line)"),
        ("#! /usr/bin/pyton -u", "its interpreter /usr/bin/pyton does not exist (see its first line)"),
        ("#!/usr/bin/env pyton", "its interpreter: command not found: pyton (see its first line)"),
        ("#!/bin/sh\r", "its first line ends in CR LF, as on Windows; convert its line ends"),
        ("#!/usr/bin/env sh\r", "its first line ends in CR LF, as on Windows; convert its line ends"),
    ],
)
def test_a_script_without_its_interpreter(here, shebang, words):
    (Path(here) / "serve").write_bytes(f"{shebang}\necho x\n".encode())
    assert fault("./serve", here) == f"cannot run ./serve: {words}"
    with pytest.raises((OSError, subprocess.CalledProcessError)):
        subprocess.run([f"{here}/serve"], env={"PATH": f"{here}/bin"}, check=True)


@pytest.mark.parametrize(
    "shebang", ["#!/usr/bin/env tool", "#!/usr/bin/env -S tool x", "#!/bin/sh -e", "#!", "\x7fELF", ""]
)
def test_a_script_that_may_run(here, shebang):
    (Path(here) / "serve").write_text(f"{shebang}\n")
    assert fault("./serve", here) == ""


@pytest.mark.parametrize("command", ["tool", "tool --x", "exec tool", "./serve", "exec ./serve a", "bin/tool"])
def test_what_is_there(here, command):
    assert fault(command, here) == ""


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
    assert fault(command, here) == ""


@pytest.mark.parametrize("command", ["exec -- tool", "exec -a web tool", "exec -c tool"])
def test_an_option_of_exec_is_no_command(here, command):
    """dash, bash and ksh know `exec --`; bash and ksh, which are sh elsewhere, also the others."""
    assert fault(command, here) == ""


def test_an_empty_path_finds_nothing(here):
    assert program_fault("sh", here, "/nothere") == "command not found: sh"


@pytest.mark.parametrize("path", ["bin", "/nothere:./bin", "/nothere:bin:"])
def test_a_path_is_relative_to_the_components_directory(here, path):
    """node_modules/.bin, for example: what `-C DIR` or `cwd` says, not where the command was typed."""
    assert program_fault("tool", here, path) == ""
    assert program_fault("tool", f"{here}/bin", "/nothere:") == ""
    assert program_fault("nothere", here, path) == "command not found: nothere"


def test_without_a_path_the_usual_directories_are_searched(here):
    assert program_fault("sh", here, None) == ""
