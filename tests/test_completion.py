"""Completion in each shell, and the manual page: both are made of what `--help` is made of."""

import re
import shutil
import subprocess

import pytest
from harness import Run, command_under_test, environment

from orchestrator.cli import commands


def output(*words, cwd=None):
    run = Run([*command_under_test(), *words], cwd=cwd, env=environment())
    assert run.wait() == 0, str(run)
    return run.text


def shell(command, cwd):
    directory = str(shutil.which("env"))[:-4]
    path = ":".join([command_under_test()[0].rpartition("/")[0], "/usr/bin:/bin", directory])
    done = subprocess.run(command, cwd=cwd, env=environment(PATH=path, HOME=str(cwd)), capture_output=True, text=True,
                          check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split()


def bash(words, cwd):
    quoted = " ".join(f"'{word}'" for word in words)
    return shell(["bash", "--norc", "-c", f'eval "$(orchestrate completion bash)"; COMP_WORDS=(orchestrate {quoted});'
                  f' COMP_CWORD={len(words)}; _orchestrate; echo "${{COMPREPLY[@]}}"'], cwd)  # fmt: skip


def fish(words, cwd):
    line = " ".join(["orchestrate", *words])
    script = f"orchestrate completion fish | source; complete -C '{line}' | cut -f1"
    return shell(["fish", "--no-config", "-c", script], cwd)


def zsh(words, cwd):
    """With what zsh offers to its completion widgets put in place by hand: outside of the line editor there is none."""
    quoted = " ".join(f"'{word}'" for word in ["orchestrate", *words])
    last = words[-1]
    return shell(["zsh", "-f", "-c", "compdef() { :; }; _files() { :; }\n"
                  "compadd() { print -l -- ${(P)2} }; _describe() { print -l -- ${${(P)2}%%:*} }\n"
                  f'eval "$(orchestrate completion zsh)"; words=({quoted}); CURRENT={len(words) + 1}\n'
                  f"_orchestrate | grep -e '^{last}' || :"], cwd)  # fmt: skip


SHELLS = [pytest.param(one, marks=pytest.mark.skipif(not shutil.which(one.__name__), reason=f"no {one.__name__}"))
          for one in (bash, zsh, fish)]  # fmt: skip


@pytest.mark.parametrize("complete", SHELLS)
def test_commands_options_and_names_are_completed(complete, tmp_path):
    (tmp_path / "Procfile").write_text("webby: true\nworker: true\n")
    assert set(complete(["st"], tmp_path)) == {"start", "stop", "status"}
    assert complete(["stop", "web"], tmp_path) == ["webby"]
    assert complete(["up", "--det"], tmp_path) == ["--detach"]
    assert complete(["completion", "fi"], tmp_path) == ["fish"]


def test_names_are_those_of_the_definition_and_nothing_where_there_is_none(tmp_path):
    assert output("completion", "names", cwd=tmp_path).strip() == ""
    (tmp_path / "Procfile").write_text("web: true\n")
    assert output("completion", "names", cwd=tmp_path) == "web\n"


def test_the_manual_page_has_every_command_and_option():
    source = output("man")
    if shutil.which("groff"):
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww"], input=source, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
    plain = source.replace("\\-", "-").replace("\\e", "\\")
    for command in commands.read():
        assert not command.name or f".SS {command.name}\n" in plain
        for option in command.options:
            assert all(f"\\fB{string}\\fR" in plain.replace("\\f", "\\f") for string in option.strings)
            assert option.help in plain


def test_help_and_manual_page_name_the_same_commands():
    listed = re.findall(r"^    ([a-z]+) ", output("--help"), re.MULTILINE)
    assert listed == [command.name for command in commands.read()][1:]
