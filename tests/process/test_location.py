"""Every command looks for a system in the home that `up` with the same options gives it."""

import json
import os
import re

import pytest
from definitions import STAY, Directory, component
from harness import until

WAYS = {
    "default": ([], {}, "."),
    "-f": (["-f", "sub/Procfile"], {}, "sub"),
    "-C": (["-C", "sub"], {}, "sub"),
    "-C and -f": (["-C", "sub", "-f", "../Procfile"], {}, "."),
    "--home": (["--home", "made/for/it"], {}, "made/for/it"),
    "--home in -C": (["-C", "sub", "--home", "state"], {}, "sub/state"),
    "--home in ~": (["--home=~/state"], {}, "state"),
    "-f several": (["-f", "sub/Procfile", "-f", "Procfile.more"], {}, "sub"),
    "PROCFILE in -e": (["-e", "elsewhere.env"], {}, "sub"),
    "PROCFILE in the shell": ([], {"PROCFILE": "sub/Procfile"}, "sub"),
    "ORCHESTRATE_HOME": ([], {"ORCHESTRATE_HOME": "state"}, "state"),
    "ORCHESTRATE_FILE": ([], {"ORCHESTRATE_FILE": "sub/Procfile"}, "sub"),
}


@pytest.fixture
def here(tmp_path):
    directory = Directory(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "Procfile").write_text(f"web: {STAY}\n")
    (tmp_path / "Procfile").write_text(f"web: {STAY}\n")
    (tmp_path / "Procfile.more").write_text(f"more: {STAY}\n")
    (tmp_path / "elsewhere.env").write_text("PROCFILE=sub/Procfile\n")
    return directory


def check_home(here, words, env, expected):
    """`up` makes its home there; ps, logs and down find the system with the same options, before or after the word."""
    env = {"HOME": str(here.path), **env}
    run = here.run(*words, "up", "--color", "never", env=env)
    run.wait_ready("web")
    assert until((here.path / expected / ".orchestrate" / "control.sock").exists), str(run)
    for ps in ([*words, "ps", "--json"], ["ps", *words, "--json"]):
        rows = [json.loads(line) for line in here.output(*ps, env=env).splitlines()]
        assert "web" in {row["instance"] for row in rows}
    here.output(*words, "logs", env=env)
    here.output(*words, "down", env=env)
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)


@pytest.mark.parametrize("way", WAYS)
def test_up_and_the_other_commands_agree_on_the_home(way, here):
    check_home(here, *WAYS[way])


def test_a_procfile_that_dot_env_names_decides_the_home(here):
    here.write(dot_env="PROCFILE=sub/Procfile\n")
    (here.path / "orchestrate.toml").unlink()
    check_home(here, [], {}, "sub")


def test_the_home_of_standard_input_is_the_current_directory(here):
    words = ["sh", "-c", f'echo "web: {STAY}" | "$@" -f - up --color never', "sh"]
    for name in ("-", "pipe"):
        script = words if name == "-" else [
            "bash", "-c", f'"$@" -f <(echo "web: {STAY}") up --color never', "bash"
        ]  # fmt: skip
        run = here.run(before=script)
        run.wait_ready("web")
        assert until((here.path / ".orchestrate" / "control.sock").exists), str(run)
        assert "web" in here.output("ps")
        here.output("down")
        assert (run.wait(), run.survivors(1)) == (0, []), str(run)


def test_a_dot_env_that_names_a_procfile_elsewhere_is_kept(here):
    """As honcho has it. The file beside the definition is read too, and wins."""
    here.write(dot_env="PROCFILE=sub/Procfile\nA=here\nB=here\n")
    (here.path / "orchestrate.toml").unlink()
    (here.path / "sub" / ".env").write_text("B=sub\n")
    lines = {line.split("  ")[0] for line in here.output("env", "web").splitlines()}
    assert {"A=here", "B=sub"} <= lines


def test_a_definition_in_toml_that_dot_env_names_keeps_its_own_files(here):
    here.write(dot_env="PROCFILE=sub/orchestrate.toml\nA=here\nB=here\n")
    (here.path / "orchestrate.toml").unlink()
    (here.path / "sub" / "orchestrate.toml").write_text('env_file = ["own.env"]\n' + component("web", STAY))
    (here.path / "sub" / "own.env").write_text("B=own\n")
    lines = {line.split("  ")[0] for line in here.output("env", "web").splitlines()}
    assert {"A=here", "B=own"} <= lines


@pytest.mark.parametrize("words", [[], ["-f", "Procfile"]])
def test_a_dot_env_that_is_a_directory_is_ignored(words, here):
    (here.path / ".env").mkdir()
    assert "web" in here.output("check", *words)


def test_a_directory_that_is_named_as_a_file_of_variables_is_an_error(here):
    (here.path / ".env").mkdir()
    assert "cannot read .env: is a directory" in here.output("check", "-e", ".env", status=2)


def test_each_file_is_opened_once_per_start(here):
    """A pipe gives its content once, to whoever opens it first; a named pipe blocks the second one for good."""
    here.write("\n".join([component("web", "env", 'env_file = "fifo"', "replicas = 3"), component("b", "env")]))
    os.mkfifo(here.path / "fifo")
    script = '(echo B=2 >fifo) & "$@" --on-exit ignore --color never -e <(echo A=1)'
    run = here.run(before=["bash", "-c", script, "bash"])
    assert run.wait() == 0, str(run)
    for name in ("web.1", "web.2", "web.3"):
        assert re.search(rf"^{name} +\| A=1$", run.text, re.MULTILINE), str(run)
        assert re.search(rf"^{name} +\| B=2$", run.text, re.MULTILINE), str(run)
    assert re.search(r"^b +\| A=1$", run.text, re.MULTILINE), str(run)


def test_a_system_that_is_scaled_reads_no_file_again(here):
    here.write(component("web", STAY, 'env_file = "fifo"'))
    os.mkfifo(here.path / "fifo")
    run = here.run("--color", "never", before=["sh", "-c", '(echo B=2 >fifo) & "$@"', "sh"])
    run.wait_ready("web")
    here.output("scale", "web=2")
    here.output("down")
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)


def test_a_file_of_variables_that_is_not_required_may_be_missing(here):
    here.write('env_file = [".env", { path = ".env.local", required = false }]\n' + component("web", STAY))
    assert "cannot read" in here.output("check", status=2)
    (here.path / ".env").write_text("A=1\n")
    assert "A=1 " in here.output("env", "web")
    assert ".env.local" not in here.output("config")
    (here.path / ".env.local").write_text("A=2\n")
    assert "A=2 " in here.output("env", "web")
    assert ".env.local" in here.output("config")
    assert "A=1 " in here.output("env", "-e", ".env,?.env.none", "web")
    assert "cannot read .env.none: no such file" in here.output("env", "-e", ".env,.env.none", "web", status=2)


def test_an_own_file_of_variables_may_be_missing_too(here):
    here.write(component("web", STAY, 'env_file = { path = "own.env", required = false }'))
    assert "required = false" in here.output("config")
    (here.path / "own.env").write_text("A=1\n")
    assert "A=1 " in here.output("env", "web")
