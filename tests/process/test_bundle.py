"""Bundles: secrets are masked in all of it, and commands answer from it without the system."""

import io
import itertools
import json
import re
import sys
import tarfile
import zipfile

import pytest
from definitions import Directory, component
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import archive
from orchestrator.cli.commands import bundle
from orchestrator.cli.options import LocationOptions
from orchestrator.history import record
from orchestrator.history.masking import Masker
from orchestrator.history.replay import Piece, encoded, pieces_in
from orchestrator.model.errors import OrchestrateError
from orchestrator.output import log_index
from orchestrator.output.log_file import stamp
from orchestrator.runtime.home import Home

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
    assert masker.masked(text) == b"******** ******** ******** short ********"
    assert Masker([]).masked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        b"sup\x1b[1;32merb\x1b[mvalue",  # colors
        b"superb\r\nvalue",  # wrapped by a program
        b"superb\n    value",  # and indented
        b"s\x1b[5Guperb\x1b[Kvalue",  # moved to
        b"\x1b]0;superbvalue\x07",  # a title
        b"\x1b]0;x\x07superb\x1b(Bval\x00ue",
        b"\x1b[31msuper\x1b[0m\x1b[31mbvalue\x1b[0m",
    ],
)
def test_a_value_is_masked_however_it_is_drawn(text):
    masker = Masker(["superbvalue"])
    masked = masker.masked(b"a " + text + b" b")
    assert masked.count(b"********") == 1
    assert not re.search(rb"superb|value|erb|bv", masked), masked
    shown = re.compile(rb"\x1b[^a-zA-Z\x07]*[a-zA-Z\x07]|[\r\n]")
    assert shown.findall(masked) == shown.findall(b"a " + text + b" b") or b"]0;superb" in text
    for cut in range(len(text)):
        pieces = masker.pieces([Piece(text[:cut], 1.0), Piece(text[cut:], 1.0)])
        assert b"".join(piece.data for piece in pieces) == masker.masked(text)


def test_a_value_of_several_lines_is_masked():
    key = "-----BEGIN KEY-----\nMIIEabcdefgh\nijklmnop\n-----END KEY-----\n"
    masked = Masker([key]).masked(b"got:\r\n" + key.replace("\n", "\r\n").encode() + b"done")
    assert masked.replace(b"\r\n", b"") == b"got:********done"


def test_what_is_not_a_value_stays():
    text = b"\x1b[31msuper\x1b[m \r\nb value \x1b]0;superb\x07\n"
    assert Masker(["superbvalue"]).masked(text) == text


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
    here.write(component("web", "read x") + component("two", "echo $$; read x"))
    here.output("up", "-d", "--wait")
    pid = json.loads(here.output("ps", "two", "--json"))["pid"]
    here.output("restart", "two")
    here.output("bundle", str(there.path / "b.zip"))
    here.output("down")
    assert b"web" in archive.read(there.path / "b.zip")["answers/times.txt"]
    for words in (("--times",), ("--mermaid",), ()):
        assert "web" in there.output("open", "b.zip", "graph", *words)
    assert there.output("open", "b.zip", "logs", "--previous", "two") == f"two | {pid}\n"
    assert there.output("open", "b.zip", "logs", "web") == ""  # it has printed nothing
    assert "web: it has not printed anything" in there.output("open", "b.zip", "screen", "web", status=1)
    _, row, _ = there.output("open", "b.zip", "ps").splitlines()
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
        with pytest.raises(OrchestrateError, match=r"\Acannot read [^\n]+\Z"):
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


LEAK = r"""
printf 'a \033[31msecr\033[1met-va\033[mlue\nand secret-\n    value\n'
echo $ONLY_TOKEN
exec sleep 1000
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_colored_and_wrapped_secrets_and_those_of_running_processes_are_masked(tmp_path):
    here = Directory(tmp_path).write(
        component("web", "exec sh leak", 'environment = { API_TOKEN = "secret-value" }'), leak=LEAK
    )
    run = here.up(env={"ONLY_TOKEN": "only-in-that-shell"})
    run.wait_for("only-in")
    output = here.output("bundle", "b.zip")
    here.output("kill", "web")
    here.output("down")
    here.output("bundle", "after.zip")
    assert output.startswith("wrote b.zip")
    for name in ("b.zip", "after.zip"):
        contents = archive.read(tmp_path / name)
        for member, data in contents.items():
            assert not re.search(rb"(?s)secr.{0,30}et-|va.{0,9}lue.{0,9}\n.*secret-|secret-\W+value", data), (
                member,
                data,
            )
        assert b"a \x1b[31m********\x1b[1m\x1b[m\n" in contents["home/.orchestrate/logs/web.log"]
    assert b"only-in" not in b"".join(archive.read(tmp_path / "b.zip").values())
    screen = here.output("open", "after.zip", "screen", "web", "--plain")
    assert screen.startswith("a ********\nand ********\n")


def test_the_definition_in_a_bundle_is_the_one_that_is_named_or_the_last_one(tmp_path):
    project, elsewhere = tmp_path / "project", Directory(tmp_path / "elsewhere")
    project.mkdir()
    elsewhere.path.mkdir()
    elsewhere.write(component("not_this", "true"))
    (project / "a.toml").write_text(component("first", "true"))
    (project / "b.toml").write_text(component("second", "true"))

    def config(name, *words):
        elsewhere.output("bundle", *words, f"{name}.zip")
        return archive.read(elsewhere.path / f"{name}.zip")["answers/config.txt"].decode()

    here = Directory(project)
    assert here.run("-f", "b.toml", "up").wait() == 0
    assert "[components.second]" in config("home", "--home", str(project))
    assert "[components.first]" in config("file", "-f", str(project / "a.toml"))
    assert "[components.first]" in config("both", "-C", str(project), "-f", "a.toml")
    (project / "orchestrate.toml").write_text(component("third", "true"))
    assert "[components.third]" in config("directory", "-C", str(project))
    (project / "b.toml").unlink()
    assert "[components.third]" in config("gone", "--home", str(project))


@pytest.mark.parametrize("fault", ["[components.web]\ncolor = 3\n", "[["])
def test_secrets_of_env_files_are_masked_though_the_definition_has_mistakes(tmp_path, fault):
    here = Directory(tmp_path).write(component("web", "echo $TOKEN; exit 3"), dot_env="TOKEN=abcdefgh\n")
    assert here.up().wait() == 3
    here.write(fault)
    run = here.run("bundle", "b.zip")
    assert run.wait() == 0
    assert "secrets that only the definition contains are not masked in output: " in run.messages
    assert b"abcdefgh" not in b"".join(archive.read(tmp_path / "b.zip").values())


def test_the_airflow_of_the_last_start_is_the_one_in_a_bundle_and_its_secrets_are_masked(tmp_path):
    home = Home(tmp_path / "home")
    home.history.mkdir(parents=True)
    home.logs.mkdir()
    facts = {"format": 1, "title": "Airflow", "definitions": []}
    start = {"number": 1, "kind": "start", "facts": facts}
    record.path_of(home.history, 1).write_text(json.dumps(start) + "\n")
    definition = bundle._definition_of(LocationOptions(), home)
    assert bundle._config_command(definition, home) == ("airflow", "config", "--home", str(home.directory))
    (home.state_dir / "airflow.json").write_text('{"command": "/v/bin/airflow"}')
    assert bundle._config_command(definition, home)[-2:] == ("--airflow", "/v/bin/airflow")
    (home.directory / "airflow.cfg").write_text("[core]\nfernet_key = configured-key\nparallelism = 123456\n")
    (home.directory / "simple_passwords.json.generated").write_text('{"admin": "made-password"}')
    (home.state_dir / "airflow-secrets.env").write_text("AIRFLOW__API_AUTH__JWT_SECRET=made-secret\n")
    output = "configured-key 123456 made-password made-secret\n"
    (home.logs / "web.log").write_text(f"2026-01-01T00:00:00.000000Z {output}")
    Directory(tmp_path).output("bundle", "--home", "home", "b.zip", env={"PATH": "/usr/bin:/bin"})
    log = archive.read(tmp_path / "b.zip")["home/.orchestrate/logs/web.log"]
    assert log.endswith(b"Z ******** 123456 ******** ********\n")


def test_a_bundle_that_cannot_be_written_leaves_no_file(tmp_path):
    here = Directory(tmp_path).write(component("web", "seq 100; exit 3"))
    assert here.up().wait() == 3
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh"]
    run = here.run("bundle", "b.zip", before=limited, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert run.wait() == 1
    assert run.messages.splitlines()[-1] == "orchestrate: cannot write b.zip: file too large"
    assert not (tmp_path / "b.zip").exists()
    (tmp_path / "b.zip").write_text("of a user")
    assert "cannot write b.zip: file exists" in here.output("bundle", "b.zip", status=1)
    assert (tmp_path / "b.zip").read_text() == "of a user"
