"""Bundles: secrets are masked in all of it, and commands answer from it without the system."""

import io
import itertools
import re
import sys
import tarfile
import zipfile

import pytest
from definitions import Directory, component
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import archive
from orchestrator.history.masking import Masker
from orchestrator.history.replay import Piece, encoded, pieces_in
from orchestrator.model.errors import OrchestrateError
from orchestrator.output import log_index
from orchestrator.output.log_file import stamp

SECRET = 'super"secret/99'
DEFINITION = component(
    "web",
    "echo token is $API_TOKEN; printf 'split: sup'; sleep 0.2;"
    " printf 'er\\042secret/99\\n\\033[32mgreen\\033[m\\n'; exit 3",
    f"environment = {{ API_TOKEN = '{SECRET}', URL = 'postgres://u:hunter22@db/x' }}",
)


def test_known_values_are_masked_as_they_are_and_in_urls_and_json():
    masker = Masker([SECRET, "short", "superb"])
    text = f'{SECRET} super%22secret%2F99 super\\"secret/99 short superb'.encode()
    assert masker.bytes(text) == b"******** ******** ******** short ********"
    assert Masker([]).bytes(text) == text


@given(st.text("ab\n\r", max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_a_value_that_pieces_share_is_masked(text, cuts):
    whole = text.encode() + b"secretvalue" + text.encode()
    places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    pieces = [Piece(whole[a:b], 1.0) for a, b in itertools.pairwise(places)]
    masked = Masker(["secretvalue"]).pieces(pieces)
    assert len(masked) == len(pieces)
    assert b"".join(piece.data for piece in masked) == text.encode() + b"********" + text.encode()


@given(st.lists(st.lists(st.sampled_from([b"a", b"\r\n", b"\n", b"\r", b"b"]), max_size=5).map(b"".join), max_size=8))
def test_pieces_are_given_back_by_a_log_made_of_them(tmp_path_factory, chunks):
    pieces = [
        Piece(data, float(number + 1), float(number + 1), (24, 80), begins=number == 0)
        for number, data in enumerate(chunks)
    ]
    directory = tmp_path_factory.getbasetemp()
    log, index = encoded(pieces, stamp)
    log_index.path_of(directory / "web.log").write_bytes(index)
    found = list(pieces_in(log, log_index.read(directory / "web.log")))
    assert b"".join(piece.data for piece in found) == b"".join(chunks)


@pytest.mark.skipif(sys.platform != "linux", reason="process trees")
def test_a_bundle_answers_and_holds_no_secret(tmp_path):
    here, there = Directory(tmp_path / "here"), Directory(tmp_path / "there")
    here.path.mkdir()
    there.path.mkdir()
    assert here.write(DEFINITION).up().wait() == 3
    files = [there.path / f"b{ending}" for ending in (".zip", ".tar.gz", ".tar.zst")]
    for path in files:
        assert here.output("bundle", str(path)).startswith(f"wrote {path}")
        contents = archive.read(path)
        assert contents["home/.orchestrate/logs/web.log"].count(b"********") == 2
        for data in contents.values():
            for leaked in (SECRET.encode(), b"hunter22"):
                assert leaked not in data
        assert not any("key" in name for name in contents)
    assert oct(files[0].stat().st_mode & 0o777) == "0o600"
    assert "web exited with status 3" in there.output("open", "b.zip", "why")
    assert there.output("open", "b.tar.gz", "logs", "web", "--no-prefix").endswith("split: ********\ngreen\n")
    screen = there.output("open", "b.tar.zst", "screen", "web", "--at", "crash")
    assert screen.splitlines()[-2:] == ["split: ********", "green"]
    summary = there.output("open", "b.zip")
    assert summary.startswith(f"bundle of {here.path} on ")
    assert "the system exited with status 3" in summary
    assert "exists" in here.output("bundle", str(files[0]), status=1)
    assert "expected a name that ends in" in here.output("bundle", "b.rar", status=2)
    assert "invalid command 'up'" in there.output("open", "b.zip", "up", status=2)


@pytest.mark.skipif(sys.platform != "linux", reason="process trees")
def test_a_bundle_of_a_running_system_says_that_it_runs(tmp_path):
    here, there = Directory(tmp_path / "here"), Directory(tmp_path / "there")
    here.path.mkdir()
    there.path.mkdir()
    here.write(component("web", "read x"))
    here.output("up", "-d", "--wait")
    here.output("bundle", str(there.path / "b.zip"))
    here.output("down")
    assert b"web" in archive.read(there.path / "b.zip")["answers/times.txt"]
    for words in (("--times",), ("--mermaid",), ()):
        assert "web" in there.output("open", "b.zip", "graph", *words)
    _, row = there.output("open", "b.zip", "ps").splitlines()
    assert re.fullmatch(r"web +running .* -", row), row
    why = there.run("open", "b.zip", "why")
    assert why.wait() == 0, str(why)
    assert why.text.startswith("the system was running at ")
    assert why.err.decode().startswith("orchestrate: this is from the record of start 1 at ")
    assert why.err.decode().endswith(" in the bundle b.zip\n")
    assert " running at " in there.output("open", "b.zip", "history").splitlines()[1]


def test_a_damaged_or_strange_archive_is_refused_in_one_line(tmp_path):
    path = tmp_path / "b.tar.gz"
    for data in (b"", b"garbage", b"\x1f\x8b" + b"\0" * 30):
        path.write_bytes(data)
        with pytest.raises(OrchestrateError, match="cannot read"):
            archive.read(path)
    for ending in (".zip", ".tar.zst"):
        (tmp_path / f"b{ending}").write_bytes(b"garbage")
        with pytest.raises(OrchestrateError, match="damaged"):
            archive.read(tmp_path / f"b{ending}")
    assert "it is not a bundle" in _opened(tmp_path, {"x": b""})
    assert "a newer orchestrate wrote it" in _opened(tmp_path, {"manifest.json": b'{"format": 99}'})


def _opened(path, contents):
    here = Directory(path)
    with zipfile.ZipFile(path / "c.zip", "w") as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return here.output("open", "c.zip", "why", status=1)


def test_names_that_leave_the_directory_are_not_read(tmp_path):
    path = tmp_path / "b.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("../evil", "/etc/evil", "home/../../evil", "home/good"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("home/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert archive.read(path) == {"home/good": b"x"}


def test_without_pyte_a_bundle_has_no_screens_and_says_so(tmp_path):
    here = Directory(tmp_path)
    assert here.write(component("web", "echo hello; exit 3")).up().wait() == 3
    (tmp_path / "pyte.py").write_text("raise ImportError")
    env = {"PYTHONPATH": str(tmp_path)}
    run = here.run("bundle", "b.zip", env=env)
    assert run.wait() == 0, str(run)
    assert "no screens: cannot show a screen: pyte is not installed" in run.err.decode()
    assert "pip install 'orchestrate[screen]'" in here.output("screen", "web", status=1, env=env)
