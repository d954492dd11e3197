"""README and manual are true: each definition is valid, each command is one, each transcript is what happens."""

import re
import shlex
import socket
from pathlib import Path

import pytest
from transcripts import Session, blocks, mismatch, pattern

from orchestrator.cli import manual, parser
from orchestrator.config import procfile, toml
from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.loading import read
from orchestrator.config.validate import validate
from orchestrator.model.errors import UsageError

ROOT = Path(manual.__file__).parents[2]
PAGES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted(manual.DIRECTORY.glob("*.md"))}}
RUN = ("console", "sh")
KNOWN = set("console sh toml procfile python text javascript ruby json ini dockerfile mermaid yaml".split())


def of(page):
    return blocks(PAGES[page].read_text())


def runs(page, *, airflow=False):
    return [block for block in of(page) if "not-run" not in block.words and ("airflow" in block.words) == airflow]


def free_base():
    """A port, such that those of the first components are free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        if port < 65000:
            return port


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language in RUN for block in runs(page))])
def test_each_transcript_is_what_happens(page, tmp_path):
    path = tmp_path / "app"
    path.mkdir()
    session = Session(path, free_base())
    try:
        for block in runs(page):
            if block.file or block.language in RUN:
                session.run(block)
    finally:
        session.close()


@pytest.mark.airflow
@pytest.mark.timeout(600)
def test_the_transcripts_with_airflow(tmp_path):
    from airflow_rest import installed

    path = tmp_path / "app"
    path.mkdir()
    found = installed("3.3.2").parent
    port = free_base()
    settings = {
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
        **{f"AIRFLOW__LOGGING__{name}_LOG_SERVER_PORT": str(free_base()) for name in ("WORKER", "TRIGGER")},
    }
    session = Session(path, port, patience=240, **settings)
    session.environment["PATH"] = f"{session.environment['PATH'].split(':')[0]}:{found}:{session.environment['PATH']}"
    try:
        for block in runs("airflow", airflow=True):
            session.run(block)
    finally:
        session.close()


@pytest.mark.parametrize("page", PAGES)
def test_each_definition_is_valid(page):
    for block in of(page):
        assert block.language in KNOWN, f"line {block.line}: {block.language}"
        if block.language == "procfile":
            assert procfile.parse(block.text, "Procfile")[1] == [], f"line {block.line}"
        elif block.language == "toml" and block.file in ("", "orchestrate.toml"):
            report = Report()
            document = toml.parse(block.text.encode(), Place("orchestrate.toml", 0, "/f"), report)
            if document is not None:
                validate(read(merge([document]), "orchestrate.toml", report), report)
            wrong = report.in_order()
            if "[airflow]" in block.text:  # the preset adds the components that the tables override
                wrong = [
                    line
                    for line in wrong
                    if not re.search("needs a command|is not a component|no components in it", line)
                ]
            assert wrong == [], f"line {block.line}"


def commands_in(page):
    """Each command of ours on a page: in a line as `code`, and in blocks, without what a shell does around it."""
    text = PAGES[page].read_text()
    found = re.findall(r"`(orchestrate(?: [^`]*)?)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for block in of(page):
        if block.language in ("console", "sh"):
            lines = block.text.splitlines()
            found += [line.removeprefix("$ ") for line in lines if line.removeprefix("$ ").startswith("orchestrate")]
    return [re.split(r" [|#>] ?| && |; ", command)[0].strip() for command in found]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("commands", "exit-status")])
def test_each_command_exists(page):
    for command in commands_in(page):
        words = shlex.split(command.replace("…", "").replace("\\|", "|"))[1:]
        if any(re.fullmatch(r"[A-Z]{3,}(=N)?|CMD", word) for word in words) and words[:1] == ["help"]:
            continue
        try:
            parser.parse([word for word in words if not re.fullmatch(r"\[.*\]?|.*\]", word)])
        except UsageError as error:
            pytest.fail(f"{page}: {command}: {error}")
        except SystemExit:
            pass  # --help


@pytest.mark.parametrize("page", PAGES)
def test_each_topic_that_is_named_and_each_link_exists(page):
    text = PAGES[page].read_text()
    for topic in re.findall(r"`orchestrate help ([a-z-]+)`", text):
        assert topic in manual.pages() or topic in dict(parser.build()._subparsers._group_actions[0].choices), topic
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (PAGES[page].parent / target).exists(), target


def test_a_transcript_matches_numbers_and_gaps():
    assert re.fullmatch(pattern("web  ready 12.5 s, pid 7 …"), "web ready 3 s, pid 4711 of 2")
    assert mismatch(["a 1", "…", "c"], "a 2\nb\nb\nc\n") == ""
    assert mismatch(["a", "c"], "a\nb\nc\n") == "not printed: c"
    assert mismatch(["a"], "a\nb\n") == "printed, and not shown: b"
    assert mismatch([], "anything\n") == ""
