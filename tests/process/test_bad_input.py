"""A user's mistake gets one clear line, the right exit status, and nothing is started."""

import os
import re
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from definitions import Directory
from harness import Run, command_under_test, environment, tree, until
from privileges import unprivileged

USAGE, FAILED = 2, 1


def refused(run, status=USAGE):
    """One line on stderr, and perhaps a hint after it; nothing on stdout, nothing left. Return the line."""
    assert run.wait() == status, str(run)
    assert run.survivors(1) == [], str(run)
    lines = run.err.decode().splitlines()
    assert len(lines) == 1 or lines[1].startswith("hint: "), str(run)
    assert lines[0].startswith("orchestrate: "), str(run)
    assert run.out == b""
    return lines[0]


@pytest.fixture
def observer(tmp_path):
    """A command that leaves a trace when it is run, and the proof that none was."""
    trace = tmp_path / "started"
    yield f"touch {trace}; {tree('plain')}"
    assert not trace.exists()


def test_no_procfile_is_told_with_its_path(home):
    assert str(home.path / "Procfile") in refused(home.up())


def test_no_procfile_in_the_current_directory_is_told_and_nothing_is_made(tmp_path):
    for words in ([], ["up"], ["start"]):
        assert "Procfile" in refused(Run([*command_under_test(), *words], cwd=tmp_path))
    assert not (tmp_path / ".orchestrate").exists()


def test_a_directory_instead_of_a_procfile_is_refused(home):
    (home.path / "Procfile").mkdir()
    assert str(home.path / "Procfile") in refused(home.up())


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_a_procfile_without_a_component_is_refused(text, home):
    assert str(home.path / "Procfile") in refused(home.write(text).up())


@pytest.mark.parametrize(
    "line", ["not a line", "two words: true", ": true", "web:", "../x: true", "web.1: true", "x" * 65 + ": true"]
)
def test_a_line_that_is_none_is_told_with_file_and_line(line, home, observer):
    home.write(f"# comment\n\ngood: {observer}\n{line}\n")
    assert f"{home.path / 'Procfile'}:4" in refused(home.up())


def test_a_duplicate_name_is_told_with_file_and_line(home, observer):
    home.write(f"web: {observer}\nworker: true\nweb: true\n")
    line = refused(home.up())
    assert f"{home.path / 'Procfile'}:3" in line
    assert "web" in line.partition("Procfile:3")[2]


def test_a_procfile_that_is_no_utf8_is_refused(home):
    (home.path / "Procfile").write_bytes(b"web: echo \xff\xfe\n\xe9\xe9\n")
    assert f"{home.path / 'Procfile'}:" in refused(home.up())


def test_a_nul_in_a_procfile_is_told_with_file_and_line(home, observer):
    """No program can be given one; it must not become a command that is cut short, or an end that looks well."""
    home.write(f"web: echo a\0b\nother: {observer}\n")
    assert f"{home.path / 'Procfile'}:1" in refused(home.up())


def test_a_command_that_does_not_exist_keeps_all_others_from_starting(home, observer):
    home.write(web="no-such-command-xyz --port 1", other=observer)
    line = refused(home.up())
    assert "web" in line
    assert "no-such-command-xyz" in line


@pytest.mark.parametrize(
    "command",
    [
        "echo said; cat",
        "X=1 cat",
        "exec cat",
        "[ -n x ] && cat",
        "(cat)",
        "if true; then cat; fi",
        "cd / && cat",
        "./here",
        '"./with blank"',
        ". ./part; cat",
    ],
)
def test_what_only_the_shell_can_judge_is_not_refused(command, home):
    """The check of commands must not be cleverer than it is sure."""
    for name in ("here", "with blank"):
        (home.path / name).write_text("#!/bin/sh\ncat\n")
        (home.path / name).chmod(0o755)
    (home.path / "part").write_text(":\n")
    home.write(web=command, ok=tree("plain"))
    run = home.up("--color", "never")
    run.wait_ready("ok")
    run.stop()


@pytest.fixture
def foreign_home(home_at):
    """A home that all may read and only its owner, who is not us, may write."""
    path = Path(tempfile.mkdtemp(prefix="foreign-"))
    yield home_at(path)
    shutil.rmtree(path)


def forbid(path):
    path.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(path, 1, 1)


def test_an_unwritable_home_is_told_with_the_reason(foreign_home):
    foreign_home.write(web="cat")
    before = unprivileged()
    forbid(foreign_home.path)
    line = refused(foreign_home.up(before=before, cwd="/"), FAILED)
    assert str(foreign_home.path) in line
    assert re.search("permission denied", line, re.IGNORECASE), line


def test_another_users_state_directory_is_not_taken_over(foreign_home):
    """The home is ours to write, but .orchestrate in it is a link to elsewhere."""
    foreign_home.write(web=tree("plain"))
    target = foreign_home.path / "elsewhere"
    target.mkdir()
    (foreign_home.path / ".orchestrate").symlink_to(target)
    line = refused(foreign_home.up(cwd="/"), FAILED)
    assert ".orchestrate" in line
    assert not list(target.iterdir())


def test_the_state_directory_is_ours_alone_and_ignored_by_git(home):
    run = home.write(web=tree("plain")).up("--color", "never", before=["sh", "-c", 'umask 0; exec "$@"', "sh"])
    run.wait_ready("web")
    state = home.path / ".orchestrate"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert (state / ".gitignore").read_text() == "*\n"
    run.stop()


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-option"],
        ["up", "--no-such-option"],
        ["no-such-command"],
        ["-f"],
        ["up", "-t", "soon"],
        ["up", "-t", "-1"],
        ["up", "-t", "nan"],
        ["up", "--color", "pink"],
        ["version", "--no-such-option"],
        ["-C", "/no/such/directory", "up"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_with_the_wrong_word(words, home, observer):
    home.write(web=observer)
    line = refused(Run([*command_under_test(), *words], cwd=home.path))
    assert (words[1] if words[0] == "-C" else words[-1]).lstrip("-") in line


def test_closed_standard_streams_do_no_harm(home):
    """Without 0, 1 and 2 the first file opened would take their place."""
    home.write(web=tree("plain"))
    run = home.up("--color", "never", before=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    assert until(
        lambda: [pid for pid in run.living() if pid != run.pid and (home.path / ".orchestrate" / "lock").exists()]
    ), str(run)
    assert until(lambda: run.guardians())
    run.stop()
    assert (home.path / ".orchestrate" / "lock").read_bytes() == b""


def test_version_is_told_where_nothing_else_works(tmp_path):
    run = Run([*command_under_test(), "version"], cwd=tmp_path, env=environment(HOME="/nonexistent"))
    assert run.wait() == 0, str(run)
    assert re.search(r"\d+\.\d+", run.text)
    module = Run([sys.executable, "-m", "orchestrator", "version"], cwd=tmp_path)
    assert (module.wait(), module.text) == (0, run.text)


def test_a_variable_that_is_not_set_is_reported_once_with_its_place(tmp_path):
    here = Directory(tmp_path)
    here.write(
        "[components.web]\ncommand = 'true'\nready = { tcp = '${NO:?say which}' }\nport = '${NONE:?say which}'\n"
        "[components.api]\ncommand = 'true'\nready = { tcp = '' }\n"
    )
    assert here.output("check", status=2).splitlines() == [
        "orchestrate: orchestrate.toml:3: NO is not set: say which",
        "orchestrate: orchestrate.toml:4: NONE is not set: say which",
        "orchestrate: orchestrate.toml:7: components.api.ready.tcp: is empty; it must be HOST:PORT",
    ]
