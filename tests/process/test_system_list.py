"""The list of this user's running systems, and the commands that find a system by it."""

import json
import os
import signal
import stat

import pytest
from definitions import STAY, Directory
from harness import RUNTIME, Run, command_under_test, environment, until

from orchestrator.runtime.home import Home, running
from orchestrator.runtime.lock import Lock
from orchestrator.runtime.system_list import SystemList, SystemListEntry, candidates

SYSTEM = f"[components.web]\ncommand = '''{STAY}'''\n"


@pytest.fixture
def held(tmp_path):
    """A home whose lock this process holds, with its entry."""
    home = Home(tmp_path / "home")
    home.directory.mkdir()
    home.make()
    lock = Lock(home.lock_path)
    assert lock.take()
    yield SystemListEntry(str(home.directory), "Procfile", os.getpid(), running(os.getpid()).started)
    lock.release()


def test_an_entry_is_private_and_removed_with_its_writer(tmp_path, held):
    directory = tmp_path / "list"
    systems = SystemList((directory,))
    systems.add(held)
    assert systems.running() == [held]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600]
    systems.remove()
    assert list(directory.iterdir()) == []


def test_an_entry_is_believed_only_while_its_process_holds_the_lock(tmp_path, held, homes):
    systems = SystemList((tmp_path / "list",))
    other = homes("other").path
    for entry in (
        SystemListEntry(str(other), "without a lock", os.getpid(), held.started),
        SystemListEntry(held.home, "another process", os.getppid(), held.started),
    ):
        systems.add(entry)
        assert systems.running() == []
    assert list((tmp_path / "list").iterdir()) == [], "what is not true any more is removed"
    dead = Run(["true"])
    dead.wait()
    systems.add(SystemListEntry(held.home, "dead", dead.pid, held.started))
    assert systems.running() == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"version": 2}', '{"version": 1, "home": "relative"}', "\0\udcff"]
)
def test_a_file_that_is_no_entry_is_not_believed(tmp_path, held, content):
    directory = tmp_path / "list"
    systems = SystemList((directory,))
    systems.add(held)
    (directory / "0-0.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    os.mkfifo(directory / "1-1.json")
    (directory / "2-2.json").symlink_to(next(directory.glob("*.json")))
    assert systems.running() == [held]


@pytest.mark.parametrize("how", ["readable by others", "a link", "a file"])
def test_a_directory_that_is_not_private_is_not_used(tmp_path, held, how):
    directory = tmp_path / "list"
    if how == "a link":
        (tmp_path / "real").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "real")
    elif how == "a file":
        directory.touch()
    else:
        directory.mkdir()
        directory.chmod(0o755)
    systems = SystemList((directory,))
    systems.add(held)
    assert systems.running() == []
    assert how == "a file" or list(directory.iterdir()) == []


def test_the_list_is_in_the_runtime_directory_and_in_tmp():
    assert [str(path) for path in candidates("/run/user/7", 7)] == ["/run/user/7/orchestrate", "/tmp/orchestrate-7"]
    assert [str(path) for path in candidates(None, 7)] == ["/tmp/orchestrate-7"]
    assert [str(path) for path in candidates("relative", 7)] == ["/tmp/orchestrate-7"]


@pytest.fixture
def places(tmp_path):
    """Directories, with a list of their own."""

    def make(name):
        path = tmp_path / name
        path.mkdir()
        place = Directory(path)
        place.variables = {RUNTIME: str(tmp_path / "runtime")}
        return place

    return make


def up(place):
    run = place.write(SYSTEM).run("up", "--color", "never", env=place.variables)
    run.wait_ready("web")
    assert until((place.path / ".orchestrate" / "control.sock").exists)
    return run


def ask(place, *words, status=0, **variables):
    run = place.run(*words, env={**place.variables, **variables})
    assert run.wait() == status, str(run)
    return run.text, run.err.decode()


def test_ls_lists_what_runs_and_only_that(places):
    empty, one, two = places("empty"), places("one"), places("two")
    assert ask(empty, "ls") == ("", "orchestrate: no system is running\n")
    assert ask(empty, "ls", "--json") == ("", "")
    first, second = up(one), up(two)
    rows = list(map(json.loads, ask(empty, "ls", "--json")[0].splitlines()))
    assert {(row["home"], row["title"], row["pid"], row["state"], row["ready"], row["components"]) for row in rows} == {
        (str(place.path), "orchestrate.toml", run.pid, "running", 1, 1) for place, run in ((one, first), (two, second))
    }
    heads, *lines = ask(empty, "ls")[0].splitlines()
    assert heads.split() == ["HOME", "SYSTEM", "STATE", "READY", "PID", "SINCE"]
    assert len(lines) == 2
    second.stop()
    first.kill_with_guardians()
    assert ask(empty, "ls")[1] == "orchestrate: no system is running\n"


def test_ls_does_not_wait_for_a_system_that_is_suspended(places):
    place = places("here")
    run = up(place)
    os.kill(run.pid, signal.SIGSTOP)
    assert "no answer" in ask(place, "ls")[0]
    os.kill(run.pid, signal.SIGCONT)
    run.stop()


def test_a_command_finds_the_only_system_from_anywhere_and_says_which(places):
    elsewhere, place = places("elsewhere"), places("here")
    run = up(place)
    shown, said = ask(elsewhere, "ps")
    assert said == f"orchestrate: no system is running in {elsewhere.path}; using the one in {place.path}\n"
    assert "web" in shown
    assert ask(place, "ps")[1] == ""
    assert "ready" in ask(elsewhere, "logs", "web")[0]
    ask(elsewhere, "restart", "web")
    assert "is already running" in ask(elsewhere, "start", "web")[0]
    said = ask(elsewhere, "start", status=2)[1]  # which is for this directory, as that of foreman
    assert said.startswith(f"orchestrate: cannot find orchestrate.toml or Procfile in {elsewhere.path}\n")
    ask(elsewhere, "down")
    assert run.wait() == 0


def test_of_several_systems_none_is_guessed(places):
    elsewhere, one, two = places("elsewhere"), places("one"), places("two")
    runs = [up(one), up(two)]
    said = ask(elsewhere, "down", status=3)[1]
    assert said.startswith(f"orchestrate: no system is running in {elsewhere.path}\nhint: 2 run elsewhere: ")
    assert str(one.path) in said
    assert str(two.path) in said
    for run in runs:
        run.stop()


@pytest.mark.parametrize("how", ["--home", "-C", "ORCHESTRATE_HOME", "a Procfile", "an orchestrate.toml"])
def test_where_it_is_clear_what_is_meant_no_other_is_taken(places, how):
    other, place = places("other"), places("here")
    run = up(place)
    words, variables = ["down"], {}
    if how in ("--home", "-C"):
        words += [how, str(other.path)]
    elif how == "ORCHESTRATE_HOME":
        variables = {how: str(other.path)}
    else:
        (other.path / how.split()[-1]).write_text("web: true\n")
    said = ask(other, *words, status=3, **variables)[1]
    hint = f"hint: running elsewhere: {place.path}; name one with --home DIR"
    assert said == f"orchestrate: no system is running in {other.path}\n{hint}\n"
    run.stop()


def test_a_system_without_a_directory_for_the_list_runs_all_the_same(places, tmp_path):
    (tmp_path / "runtime").touch()
    place = places("here")
    run = up(place)
    assert "web" in ask(place, "ps")[0]
    assert ask(place, "ls")[1] == "orchestrate: no system is running\n"
    run.stop()


def test_the_list_says_nothing_to_another_runtime_directory(places, tmp_path):
    place = places("here")
    run = up(place)
    other = Run([*command_under_test(), "ls"], cwd=tmp_path, env=environment(**{RUNTIME: str(tmp_path / "more")}))
    assert other.wait() == 0
    assert other.text == ""
    run.stop()
