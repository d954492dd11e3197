"""`orchestrate completion --install`: the script is where the shell looks for it, and nothing else is overwritten."""

from pathlib import Path

import pytest
from definitions import Directory

from orchestrator.cli.commands.completion import SCRIPTS, target


@pytest.mark.parametrize(
    ("shell", "data", "config", "path"),
    [
        ("bash", "", "", "/home/a/.local/share/bash-completion/completions/orchestrate"),
        ("bash", "/x", "", "/x/bash-completion/completions/orchestrate"),
        ("zsh", "", "", "/home/a/.local/share/zsh/site-functions/_orchestrate"),
        ("fish", "", "", "/home/a/.config/fish/completions/orchestrate.fish"),
        ("fish", "/x", "/y", "/y/fish/completions/orchestrate.fish"),
    ],
)
def test_where_a_shell_looks(shell, data, config, path):
    assert target(shell, data, config, Path("/home/a")) == Path(path)


def test_it_writes_twice_and_leaves_files_of_others_alone(tmp_path):
    here = Directory(tmp_path)
    env = {"HOME": str(tmp_path), "SHELL": "/usr/bin/fish", "XDG_CONFIG_HOME": None, "XDG_DATA_HOME": None}
    path = tmp_path / ".config" / "fish" / "completions" / "orchestrate.fish"
    for _ in range(2):
        assert here.output("completion", "--install", env=env) == f"wrote {path}\n"
        assert path.read_text() == SCRIPTS["fish"] + "\n"
    assert "bash-completion/completions/orchestrate" in here.output("completion", "bash", "--install", env=env)
    path.write_text("complete -c orchestrate\n")
    assert "it is not a file of orchestrate" in here.output("completion", "fish", "--install", status=1, env=env)
    assert "unknown shell" in here.output("completion", "--install", status=2, env={**env, "SHELL": "/bin/tcsh"})
