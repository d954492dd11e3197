"""The home: ours alone, whatever stands in its place."""

import json
import os
import re
import stat

import pytest

from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import Holder, Home, write_private


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def no_umask():
    """Modes as they were asked for, so that none is right by luck."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_made_it_is_private_and_ignored_by_git(tmp_path):
    home = Home(tmp_path)
    home.make()
    assert mode(tmp_path / ".orchestrate") == 0o700
    assert mode(tmp_path / ".orchestrate" / "locks") == 0o700
    assert (tmp_path / ".orchestrate" / ".gitignore").read_text() == "*\n"
    assert mode(tmp_path / ".orchestrate" / ".gitignore") == 0o600


def test_making_it_twice_keeps_what_is_there(tmp_path):
    home = Home(tmp_path)
    home.make()
    (home.state_dir / ".gitignore").write_text("# mine\n")
    (home.locks / "web.lock").touch()
    home.make()
    assert (home.state_dir / ".gitignore").read_text() == "# mine\n"
    assert (home.locks / "web.lock").exists()


def test_a_directory_that_others_can_enter_is_closed_to_them(tmp_path):
    state_dir = tmp_path / ".orchestrate"
    state_dir.mkdir()
    state_dir.chmod(0o755)
    Home(tmp_path).make()
    assert mode(state_dir) == 0o700


@pytest.mark.parametrize("name", [".orchestrate", ".orchestrate/locks"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_what_is_no_directory_of_ours_is_refused_and_left_alone(tmp_path, name, kind):
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(OrchestrateError, match=re.escape(str(place))):
        Home(tmp_path).make()
    assert list(other.iterdir()) == []
    assert mode(other) == 0o755
    assert kind != "file" or place.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path):
    (tmp_path / ".orchestrate").mkdir()
    os.chown(tmp_path / ".orchestrate", 12345, -1)
    with pytest.raises(OrchestrateError, match="belongs to uid 12345\nhint: name another home with --home DIR"):
        Home(tmp_path).make()


def test_a_home_that_is_missing_is_made(tmp_path):
    Home(tmp_path / "not" / "yet").make()
    assert (tmp_path / "not" / "yet" / ".orchestrate" / "locks").is_dir()


def test_a_home_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OrchestrateError) as caught:
        Home(tmp_path / "file" / "home").make()
    assert str(caught.value) == (
        f"cannot use {tmp_path}/file/home as home: Not a directory ({tmp_path}/file/home)\n"
        "hint: make it writable, or name another with --home DIR"
    )


def test_paths_are_absolute_and_each_instance_has_its_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Home(tmp_path.relative_to(tmp_path))
    assert home.directory == tmp_path
    assert home.instance_lock("web.2") == tmp_path / ".orchestrate" / "locks" / "web.2.lock"
    assert home.lock_path == tmp_path / ".orchestrate" / "lock"


@pytest.mark.usefixtures("no_umask")
def test_the_holder_is_recorded_and_forgotten(tmp_path):
    home = Home(tmp_path)
    home.make()
    assert home.read_holder() is None
    home.write_holder(("orchestrate", "up", "a b", "\udcff"))
    found = home.read_holder()
    assert found == Holder(os.getpid(), found.started, ("orchestrate", "up", "a b", "\udcff"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.started)
    assert mode(home.state_path) == 0o600
    assert sorted(path.name for path in home.state_dir.iterdir()) == [".gitignore", "locks", "state.json"]
    home.forget_holder()
    home.forget_holder()
    assert home.read_holder() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'{"pid": 1}',
        b'{"pid": "x", "started": "", "command": []}',
        b'{"pid": 1, "started": "", "command": 7}',
        b'{"pid": null, "started": "", "command": []}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_record_that_cannot_be_read_is_none(tmp_path, content):
    home = Home(tmp_path)
    home.make()
    home.state_path.write_bytes(content)
    assert home.read_holder() is None


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known(tmp_path):
    home = Home(tmp_path)
    home.make()
    home.state_path.write_text(json.dumps({"version": 2, "pid": 7, "started": "now", "command": ["x"], "more": 1}))
    assert home.read_holder() == Holder(7, "now", ("x",))


@pytest.mark.usefixtures("no_umask")
def test_a_private_file_is_private_also_where_it_was_not(tmp_path):
    path = tmp_path / "file"
    path.write_text("old and longer")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_a_link_in_the_place_of_a_private_file_is_refused(tmp_path):
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        write_private(tmp_path / "file", b"ours")
    assert (tmp_path / "target").read_text() == "theirs"
