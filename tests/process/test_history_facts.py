"""What a start consists of, and what differs between two starts; `orchestrate history`."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from definitions import STAY, Directory, component, step
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.history import git, record
from orchestrator.history.inputs import Describer, InputSources, differences, key_of, program_of
from orchestrator.model.spec import ComponentSpec, Condition, Dependency, OnExit
from orchestrator.runtime.home import Home


@dataclass(frozen=True)
class Variable:
    value: str
    origin: str


def spec(name="web", **changes):
    fields = {"argv": ("/bin/sh", "-c", "exec true"), "cwd": "/", "environment": {"PATH": os.environ["PATH"]}}
    return ComponentSpec(name=name, **{**fields, **changes})


def described(*specs, variables=None, files=(), directory=Path("/nowhere")):
    facts = Describer(b"k" * 32, InputSources(tuple(files), variables or {}), directory).describe(specs)
    return json.loads(json.dumps(facts))


def with_url(value, origin=".env:3"):
    return described(spec(environment={"URL": value}), variables={"web": {"URL": Variable(value, origin)}})


def test_a_variable_is_named_with_its_place_and_never_shown():
    before, after = with_url("hunter2"), with_url("hunter3")
    assert differences(before, after) == ["web: .env line 3 URL changed"]
    assert differences(before, after, "web") == [".env line 3 URL changed"]
    assert "hunter" not in json.dumps([before, after])


def test_a_file_in_the_home_is_named_without_the_directory():
    """Also if both starts had another home, as after a move; and it is no file that has changed besides."""
    before, after = with_url("a", "/old/.env:3"), with_url("b", "/new/.env:4")
    before |= {"home": "/old", "changed": {}}
    after |= {"home": "/new", "changed": {".env": "123"}}
    assert differences(before, after) == ["web: .env line 4 URL changed", "home changed: /old → /new"]


def test_a_variable_that_comes_from_elsewhere():
    assert differences(with_url("a"), with_url("b", "the shell"), "web") == [
        "variable URL changed; it came from .env:3, now from the shell"
    ]
    assert differences(described(spec(environment={})), with_url("a", "the shell"), "web") == [
        "variable URL was added (the shell)"
    ]
    assert differences(with_url("a"), described(spec(environment={})), "web") == ["variable URL was removed (.env:3)"]


def test_what_all_components_have_is_said_once():
    def two(value):
        return described(*(spec(name, environment={"A": value}) for name in ("web", "db")))

    assert differences(two("1"), two("2")) == ["variable A changed"]
    assert [one["variables"] for one in two("1")["components"]] == [{}, {}]


def test_a_component_and_its_keys():
    before = described(spec(source="a.toml:1"), spec("db"))
    needs = (Dependency("db", Condition.READY),)
    after = described(spec(source="a.toml:2", argv=("/bin/sh", "-c", "exec false"), depends_on=needs), spec("cache"))
    found = differences(before, after)
    assert "web: command, depends_on changed (a.toml:2)" in found
    assert {"component db was removed", "component cache was added"} <= set(found)
    assert any(text.startswith("web: program changed: /") for text in found)
    assert differences(before, before) == []


def test_on_exit_is_one_key():
    one, other = (described(spec(source="a.toml:1", on_exit_is_set=is_set)) for is_set in (True, False))
    assert differences(one, other) == []
    other = described(spec(source="a.toml:1", on_exit_is_set=True, on_exit=OnExit.IGNORE))
    assert differences(described(spec()), other) == ["web: on_exit changed (a.toml:1)"]


def test_another_number_of_instances_is_one_change():
    def scaled(count, **changes):
        names = ["web"] if count == 1 else [f"web.{number}" for number in range(1, count + 1)]
        needs = tuple(Dependency(name, Condition.READY) for name in names)
        webs = [spec(name, component="web", environment={"ORCHESTRATE_INSTANCE": name}, **changes) for name in names]
        return described(*webs, spec("proxy", depends_on=needs))

    assert differences(scaled(1), scaled(3)) == ["web: number of instances changed: 1 → 3"]
    assert differences(scaled(3), scaled(1)) == ["web: number of instances changed: 3 → 1"]
    assert differences(scaled(3), scaled(3)) == []
    found = differences(scaled(1), scaled(2, argv=("/bin/sh", "-c", "exec true x"), source="a.toml:1"), "web.2")
    assert found == ["web: number of instances changed: 1 → 2", "web: command changed (a.toml:1)"]


def test_what_a_terminal_sets_is_no_difference():
    one, other = (described(spec(environment={"TMUX_PANE": pane, "SHLVL": pane})) for pane in "12")
    assert differences(one, other) == []


def test_a_program_and_a_file_that_were_modified(tmp_path):
    program, lock = tmp_path / "tool", tmp_path / "uv.lock"

    def state(text):
        program.write_text(text)
        lock.write_text(text)
        found = described(spec(argv=("./tool",), cwd=str(tmp_path)), directory=tmp_path)
        return {**found, "home": str(tmp_path)}

    assert differences(state("1"), state("22")) == [
        f"web: program changed: {tmp_path}/./tool was modified", "uv.lock changed"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        (("/bin/sh", "-c", "A=1 exec gunicorn app:app -b :80"), "gunicorn"),
        (("sh", "-c", "python3 -m http.server"), "python3"),
        (("sh", "-c", "case $X in a) b;; esac"), "case"),
        (("sh", "-c", "'unfinished"), "sh"),
        (("sh", "-c", "$(echo x) y"), "sh"),
        (("sh", "-c", ""), "sh"),
        (("./run", "-c", "x"), "./run"),
        ((), ""),
    ],
)
def test_the_program_of_a_command(argv, program):
    assert program_of(argv) == program


def test_the_key_is_private_and_stays(tmp_path):
    (tmp_path / "key").touch()  # as a full disk leaves it
    key = key_of(tmp_path)
    assert (len(key), key_of(tmp_path)) == (32, key)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["name", "component", "variables", "definition", "command", "components", "files", "changed", "A"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FACTS = st.dictionaries(
    st.sampled_from(["components", "definitions", "variables", "files", "changed", "commit", "home", "host"]), JSON
)


@settings(deadline=None)
@given(FACTS, FACTS)
def test_any_facts_can_be_compared(before, after):
    assert all(isinstance(text, str) for text in [*differences(before, after), *differences(before, after, "A")])


# git


def run_git(path, *words):
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    done = subprocess.run(["git", *identity, *words], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    if not shutil.which("git"):
        pytest.skip("needs git")
    run_git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "long name é.py").write_text("b")
    run_git(tmp_path, "add", "-A")
    run_git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_the_commit_is_what_git_says(repository):
    head = run_git(repository, "rev-parse", "HEAD")
    assert git.commit_of(git.find(repository / "sub")) == head
    run_git(repository, "pack-refs", "--all")
    assert git.commit_of(git.find(repository)) == head
    run_git(repository, "checkout", "-q", "--detach")
    assert git.commit_of(git.find(repository)) == head
    run_git(repository, "worktree", "add", "-q", str(repository / "tree"), "-b", "other")
    assert git.commit_of(git.find(repository / "tree")) == head
    assert git.changed_files(git.find(repository / "tree")) == {}


def test_changed_files_are_those_that_git_names(repository):
    found = git.find(repository)
    assert git.changed_files(found) == {}
    os.utime(repository / "a.py", (1, 1))  # touched, and the same
    assert git.changed_files(found) == {}
    (repository / "sub" / "long name é.py").write_text("changed")
    (repository / "a.py").unlink()
    assert git.changed_files(found).keys() == {"a.py", "sub/long name é.py"}
    assert git.changed_files(found)["a.py"] == ""


def test_a_tracked_file_that_became_something_else_is_not_read(repository):
    found = git.find(repository)
    (repository / "a.py").unlink()
    os.mkfifo(repository / "a.py")  # reading it would wait for a writer
    shutil.rmtree(repository / "sub")
    (repository / "sub").write_text("no directory any more")
    assert git.changed_files(found) == {"a.py": "", "sub/long name é.py": ""}


def test_no_more_than_a_few_megabytes_are_hashed(repository, monkeypatch):
    for name in ("a.py", "sub/long name é.py"):
        (repository / name).write_text("x")
        os.utime(repository / name, (1, 1))
    assert len(git.changed_files(git.find(repository))) == 2
    monkeypatch.setattr(git, "HASHED_MAX", 1)
    assert git.changed_files(git.find(repository)).keys() == {"a.py"}


@pytest.mark.parametrize("head", ["ref: ../../secret", "ref: secret", "ref: refs/heads/x", "a line of a secret"])
def test_a_hostile_repository_gets_no_other_file_into_the_record(head, repository):
    (repository / "secret").write_text("a line of a secret\n")
    (repository / ".git" / "HEAD").write_text(head)
    (repository / ".git" / "secret").write_text("a line of a secret\n")
    (repository / ".git" / "refs" / "heads" / "x").write_text("a line of a secret\n")
    assert git.commit_of(git.find(repository)) == ""


@settings(deadline=None, max_examples=examples(50))
@given(st.binary(max_size=200), st.sampled_from([2, 3, 4]), st.integers(0, 9))
def test_any_index_is_read_or_ignored(tmp_path_factory, tail, version, count):
    path = tmp_path_factory.getbasetemp() / "index-of-any-kind"
    path.mkdir(exist_ok=True)
    (path / "index").write_bytes(b"DIRC" + version.to_bytes(4, "big") + count.to_bytes(4, "big") + tail)
    assert isinstance(git.changed_files(git.Repository(path, path, path)), dict)


# The command


ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_history_lists_starts_and_tells_what_changed(tmp_path):
    here = Directory(tmp_path)
    check = "case $MODE in bad) echo no; exit 3;; esac"
    text = component("db", f"{check}; {STAY}", 'ready = { log = "ready" }')
    run = here.write(text, dot_env="A=1\nMODE=good\n").up()
    run.wait_ready("db")
    assert re.search(r"^1 .* running +orchestrate\.toml$", here.output("history"), re.M)
    run.stop()
    here.write(text, dot_env="A=1\nMODE=bad\n")
    run = here.up()
    assert run.wait() == 3
    heads, *lines = here.output("history").splitlines()
    assert heads.split()[:3] == ["START", "BEGAN", "LASTED"]
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert "exited on SIGTERM" in lines[0]
    assert "exited with status 3" in lines[1]
    rows = [json.loads(line) for line in here.output("history", "--json").splitlines()]
    assert (rows[0]["ready_after"] is not None, rows[1]["ready_after"], rows[1]["status"]) == (True, None, 3)
    assert ISO.fullmatch(rows[0]["began"])
    changed = ".env line 2 MODE changed"
    diff = here.output("history", "--diff")
    assert diff.startswith("start 2, which did not become ready, compared with start 1")
    assert diff.splitlines()[1:] == [f"    db: {changed}"]
    why = here.output("why")
    assert re.search(r"^since the last good start \(1\): \S*\.env line 2 MODE changed$", why, re.M), why
    assert "no earlier start became ready" in here.output("history", "--diff", "1", status=1)
    assert "invalid --diff '7': expected 1 to 2" in here.output("history", "--diff", "7", status=2)
    record.path_of(Home(here.path).history, 2).write_bytes(b"garbage\n")
    assert "start 2: its record is empty or damaged" in here.output("history", "--diff", status=1)
    assert "cannot find db in the record of start 2: it is empty or damaged" in here.output("why", "db", status=1)


def test_after_a_failed_step_why_names_it_for_a_component(tmp_path):
    here = Directory(tmp_path).write(step("migrate", "exit 3") + component("db", STAY))
    assert here.up().wait() == 3
    told = here.output("why", "db", status=2)
    assert "no component was started in start 1: its initial step migrate failed\nhint: see" in told
    assert here.output("why", "migrate").startswith("migrate failed at ")


def test_history_of_a_home_without_one(tmp_path):
    error = Directory(tmp_path).write(component("db", STAY)).output("history", status=1)
    assert re.fullmatch(r"orchestrate: cannot read the history of \S+: no start is recorded\nhint: [^\n]+\n", error), (
        error
    )


def test_starts_of_several_definitions_in_one_home(tmp_path):
    here = Directory(tmp_path)
    here.write(component("web", STAY, 'ready = { log = "ready" }'), other=component("db", "sleep 1000"))
    (tmp_path / "other").rename(tmp_path / "other.toml")

    def start(*words):
        assert here.run(*words, "up", "-d", "--wait").wait() == 0
        here.output(*words, "down")

    start()
    assert "DEFINITION" not in here.output("history")
    start("-f", "other.toml")
    start()
    heads, *lines = here.output("history").splitlines()
    assert heads.endswith("  DEFINITION")
    assert [line.split()[-1] for line in lines] == ["orchestrate.toml", "other.toml", "orchestrate.toml"]
    rows = [json.loads(line) for line in here.output("history", "--json").splitlines()]
    assert rows[1]["definitions"] == [str(tmp_path / "other.toml")]
    diff = here.output("history", "--diff")
    assert "start 3, compared with start 1 " in diff
    assert diff.endswith("    nothing recorded has changed\n")
    assert diff == here.output("history", "--diff", "-1") == here.output("history", "--diff=3")
    diff = here.output("history", "--diff", "-2")
    assert "start 2, compared with start 1 " in diff
    assert "component db was added" in diff
    assert f"definition changed: {tmp_path}/orchestrate.toml → {tmp_path}/other.toml" in diff


def test_a_temporary_scale_is_no_change(tmp_path):
    here = Directory(tmp_path)
    web = component("web", STAY, 'ready = { log = "ready" }')
    here.write(web + component("proxy", STAY, 'depends_on = ["web"]'))
    for _ in range(2):
        assert here.run("up", "-d", "--wait").wait() == 0
        here.output("scale", "web=3")
        here.output("down")
    assert here.run("up", "-d", "--wait", "-m", "web=2").wait() == 0
    here.output("down")
    assert "nothing recorded has changed" in here.output("history", "--diff", "2")
    assert here.output("history", "--diff").splitlines()[1:] == ["    web: number of instances changed: 1 → 2"]
