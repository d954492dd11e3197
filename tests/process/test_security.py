"""What the README's section on security promises of the home: who may read it, and that no link in it is followed."""

import stat
import subprocess

import pytest
from harness import Run, command_under_test, environment, tree, voice

SECRET = "hunter2-0f3a"


def modes(directory):
    return {path.relative_to(directory).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_the_corner_and_all_in_it_is_ours_alone_whatever_the_umask(umask, home):
    home.write(web=tree("plain"), size=voice("size"))
    run = home.up("--color", "never", before=["sh", "-c", f'umask {umask:o}; exec "$@"', "sh"])
    run.wait_ready("web")
    state_dir = home.path / ".orchestrate"
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    found = modes(state_dir)
    run.stop()
    open_to_others = {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert open_to_others == {}
    assert {"lock", "state.json", "logs/web.log", "locks/web.lock"} <= found.keys()


@pytest.mark.parametrize(
    "name",
    [
        "lock",
        "state.json",
        "state.new",
        "locks",
        "logs",
        "logs/web.log",
        "locks/web.lock",
        "logs/orchestrate.log",
        ".gitignore",
    ],
)
def test_a_link_in_the_corner_is_not_followed(name, home, tmp_path):
    """Its target stays as it is, whether the start is refused or goes on."""
    outside = tmp_path / "outside"
    is_directory = name in ("locks", "logs")
    outside.mkdir() if is_directory else outside.write_text("untouched")
    path = home.path / ".orchestrate" / name
    path.parent.mkdir(parents=True, mode=0o700)
    path.symlink_to(outside)
    home.write(web="echo words; exec sleep 1")
    run = home.up("--color", "never")
    run.wait()
    assert "Traceback" not in run.messages
    if is_directory:
        assert list(outside.iterdir()) == []
    else:
        assert outside.read_text() == "untouched"


def test_a_link_in_place_of_the_socket_is_replaced_and_not_followed(home, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    state_dir = home.path / ".orchestrate"
    state_dir.mkdir(mode=0o700)
    (state_dir / "control.sock").symlink_to(outside)
    run = home.write(web=tree("plain")).up("--color", "never")
    run.wait_ready("web")
    assert stat.S_ISSOCK((state_dir / "control.sock").lstat().st_mode)
    said = subprocess.run([*command_under_test(), "status", "-C", home.path], capture_output=True, check=False)
    assert said.returncode == 0, said
    run.stop()
    assert outside.read_text() == "untouched"


def test_a_secret_that_was_expanded_into_a_command_is_not_shown(home):
    home.write('[components.web]\ncommand = ["sleep", "${DB_PASSWORD}"]\n', name="orchestrate.toml")
    for words in (["--dry-run"], ["config"]):
        command = [*command_under_test(), *words]
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=home.path, env=environment(DB_PASSWORD=SECRET)
        )
        assert SECRET not in said.stdout + said.stderr, words
        assert "********" in said.stdout, words


def test_a_secret_is_in_no_message_file_or_command_line_of_ours(home):
    """Neither from .env nor from the shell; `env --reveal` is the only way."""
    (home.path / ".env").write_text(f"DB_PASSWORD={SECRET}\n")
    home.write(web=tree("plain"))
    run = home.up("--color", "never", cwd=home.path, env=environment(API_TOKEN=SECRET))
    run.wait_ready("web")
    events = Run([*command_under_test(), "events", "--json", "-C", home.path])
    for words in (["restart", "web"], ["ps", "--json"], ["why", "--json"], ["status", "--json"]):
        said = subprocess.run(
            [*command_under_test(), *words], capture_output=True, text=True, check=True, cwd=home.path
        )
        assert SECRET not in said.stdout + said.stderr, words
    lines = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert SECRET not in lines
    for name in ("config", "env", "check", "graph"):
        words = [*command_under_test(), name, "-f", home.path / "Procfile", *(["web"] if name == "env" else [])]
        said = subprocess.run(words, capture_output=True, text=True, check=False, cwd=home.path)
        assert SECRET not in said.stdout + said.stderr, name
    run.stop()
    events.wait()
    assert '"web"' in events.text
    assert SECRET not in run.messages + events.messages
    for path in (home.path / ".orchestrate").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
