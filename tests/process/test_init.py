"""`orchestrate init`: the file that it writes passes `check` and runs."""

import json
import re

import pytest
from definitions import Directory

from orchestrator.config.schema import json_schema


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"Procfile.dev": "web: echo hello; sleep 300\nno: nosuchprogram\n"},
        {"package.json": json.dumps({"scripts": {"dev": "vite"}}), "compose.yaml": "services: {db: {image: x}}"},
        {"manage.py": "", "requirements.txt": "django"},
    ],
)
def test_what_it_writes_passes_check(here, files):
    for name, text in files.items():
        (here.path / name).write_text(text)
    assert re.match(r"wrote orchestrate.toml: \d components? \(", here.output("init"))
    assert "is valid" in here.output("check")
    assert (here.path / ".orchestrate" / "orchestrate.schema.json").read_text() == json_schema.text()


def test_what_it_writes_runs(here):
    (here.path / "Procfile").write_text("web: echo hello; exec sleep 300\n")
    here.output("init")
    run = here.up()
    run.wait_for(r"^web +\| hello$")
    run.stop()


def test_it_overwrites_nothing(here):
    here.write("mine")
    assert here.output("init", status=1).startswith("orchestrate: cannot write orchestrate.toml: it already exists")
    assert (here.path / "orchestrate.toml").read_text() == "mine"
    assert here.output("init", "--print").startswith("#:schema ")


def test_another_directory(here):
    (here.path / "sub").mkdir()
    assert here.output("init", "-C", "sub").startswith("wrote sub/orchestrate.toml: 1 component (web)\n")
    assert here.output("init", "-C", "none", status=2) == "orchestrate: cannot change to none: no such directory\n"
