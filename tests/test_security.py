"""What the README's section on security promises of the home: who may read it, and that no link in it is followed."""

import signal
import stat
import subprocess

import pytest
from harness import tree, voice

SECRET = "hunter2-0f3a"


def modes(directory):
    return {path.relative_to(directory).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_the_corner_and_all_in_it_is_ours_alone_whatever_the_umask(umask, home):
    home.write(web=tree("plain"), size=voice("size"))
    run = home.up("--color", "never", before=["sh", "-c", f'umask {umask:o}; exec "$@"', "sh"])
    run.wait_ready("web")
    corner = home.path / ".orchestrate"
    assert stat.S_IMODE(corner.stat().st_mode) == 0o700
    found = modes(corner)
    run.stop()
    open_to_others = {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert open_to_others == {}
    assert {"lock", "state.json", "logs/web.log", "locks/web.lock"} <= found.keys()


@pytest.mark.parametrize("name", ["lock", "state.json", "state.new", "locks", "logs", "logs/web.log", "locks/web.lock"])
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


def test_a_secret_is_in_no_message_file_or_command_line_of_ours(home):
    """Neither from .env nor from the shell; `env --reveal` is the only way."""
    (home.path / ".env").write_text(f"DB_PASSWORD={SECRET}\n")
    run = home.write(web=tree("plain")).up("--color", "never", cwd=home.path)
    run.wait_ready("web")
    lines = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert SECRET not in lines
    for name in ("config", "env", "check", "graph"):
        words = [*home.command()[:1], name, "-f", home.path / "Procfile", *(["web"] if name == "env" else [])]
        said = subprocess.run(words, capture_output=True, text=True, check=False, cwd=home.path)
        assert SECRET not in said.stdout + said.stderr, name
    run.stop()
    assert SECRET not in run.messages
    for path in (home.path / ".orchestrate").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


QUERIES = {
    "device attributes": r"\033[c",
    "secondary attributes": r"\033[>c",
    "cursor position": r"\033[6n",
    "window title": r"\033[21t",
    "clipboard": r"\033]52;c;?\a",
    "colour": r"\033]11;?\a",
    "settings (DECRQSS)": r"\033P$q m\033\\",
    "enquiry": r"\005",
    "an eight-bit one": r"\233c",
}


def test_no_query_of_a_component_reaches_a_terminal_that_would_answer_as_if_typed(home):
    everything = "".join(QUERIES.values())
    home.write(web=f"printf '{everything}'; echo; echo ready; exec sleep 600")
    run = home.up("--color", "always", terminal=True)
    run.wait_for(r"^web +\| ready")
    shown = bytes(run.out)
    run.signal(signal.SIGTERM)
    run.wait()
    for sent in (b"\x1b[c", b"\x1b[>", b"\x1b[6n", b"\x1b[21t", b"\x1b]52", b"\x1b]11", b"\x1bP", b"\x05", b"\x9b"):
        assert sent not in shown, shown
